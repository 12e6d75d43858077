from pathlib import Path

import pytest
from PIL import Image

from core.errors import InputError
from core.settings import Settings
from db.engine import Database
from scripts.common import Invocation
from scripts.demo_photos import sort_photos
from scripts.demo_steps import Enrolment, Stage, enrol
from workers.doorbell import Doorbell


def put_photo(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((64, 64), shade).convert("RGB").save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three people with four photos each."""
    for person in ("ada", "bob", "eve"):
        for number in range(1, 5):
            put_photo(tmp_path / "photos" / person / f"{number}.png", 20 * number)
    return tmp_path / "photos"


def enrol_from(folder: Path, home: Path, database: Database) -> Enrolment:
    settings = Settings(home=home)
    doorbell = Doorbell("redis://127.0.0.1:1/0")  # nobody is there, and enrolling does not ring
    stage = Stage(settings=settings, database=database, doorbell=doorbell, invocation=Invocation(as_json=False))
    return enrol(stage, sort_photos(folder, home / "staging"))


def test_everybody_is_enrolled_with_half_of_their_photos(folder: Path, home: Path, database: Database) -> None:
    enrolment = enrol_from(folder, home, database)
    assert enrolment.train_photos == {"ada": 2, "bob": 2, "eve": 2}
    assert set(enrolment.portraits) == {"ada", "bob", "eve"}
    assert enrolment.failed == ()


def test_a_photo_that_cannot_be_used_is_named_as_its_owner_knows_it(
    folder: Path, home: Path, database: Database
) -> None:
    (folder / "ada" / "1.png").write_bytes(b"")
    enrolment = enrol_from(folder, home, database)
    assert enrolment.train_photos["ada"] == 1
    (failed,) = enrolment.failed
    assert failed.name == str(folder / "ada" / "1.png")
    assert "staging" not in failed.reason


def test_people_without_a_usable_photo_are_not_enrolled(folder: Path, home: Path, database: Database) -> None:
    for number in (1, 2):
        (folder / "ada" / f"{number}.png").write_bytes(b"no photo")
    assert set(enrol_from(folder, home, database).train_photos) == {"bob", "eve"}


def test_photos_of_one_person_are_not_enough(folder: Path, home: Path, database: Database) -> None:
    for person in ("ada", "bob"):
        for number in (1, 2):
            (folder / person / f"{number}.png").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"two or more, and 1 of those.*First of 4 failures: .*1\.png"):
        enrol_from(folder, home, database)
