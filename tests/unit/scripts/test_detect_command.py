"""`facefleet detect` on drawn photos. What needs the detector's weights reads them from the test data."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.images.annotate import STYLES
from core.images.drawn_people import draw_people
from core.images.drawn_photo import take_photo
from core.records import FaceOutcome
from tests.factories import make_photo
from tests.unit.scripts.runner import Run


@pytest.fixture
def weights(home: Path, test_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector's weights are at hand."""
    monkeypatch.setenv("FACEFLEET_WEIGHTS", str(test_data / "weights"))


@pytest.fixture
def portraits(tmp_path: Path) -> Path:
    """A photo of 900 x 400 of two drawn people, side by side, the right one in the dark."""
    photo = Image.new("RGB", (900, 400), (150, 160, 170))
    for number, person in enumerate(draw_people(12, random.Random(3))[2:12:6]):
        portrait = take_photo(person, 320, random.Random(2 + 6 * number))
        photo.paste(portrait if number == 0 else portrait.point(lambda value: value // 14), (80 + 420 * number, 40))
    photo.save(tmp_path / "portraits.png")
    return tmp_path / "portraits.png"


def test_faces_are_numbered_from_left_to_right_and_drawn(run: Run, weights: None, portraits: Path) -> None:
    picture = portraits.with_name("out.png")

    ran = run("detect", portraits, "--picture", picture, "--json")

    assert ran.code == 0
    document = ran.document
    assert (document["width"], document["height"], document["picture"]) == (900, 400, str(picture))
    left, right = document["faces"]
    assert (left["face"], right["face"]) == (0, 1)
    assert 80 <= left["box"][0] < left["box"][2] <= 400 < 500 <= right["box"][0] < right["box"][2] <= 820
    assert len(left["landmarks"]) == len(right["landmarks"]) == 5
    assert "too_dark" not in left["quality"]["reasons"]
    assert "too_dark" in right["quality"]["reasons"]
    for x, y in left["landmarks"] + right["landmarks"]:
        assert tuple(pixels(picture)[round(y), round(x)]) == (255, 255, 255)
    x1, y1, _, y2 = (round(value) for value in right["box"])
    assert STYLES[FaceOutcome.LOW_QUALITY].colour in map(tuple, pixels(picture)[y1:y2, x1].tolist())


def test_the_table_names_what_is_wrong_with_a_face(run: Run, weights: None, portraits: Path) -> None:
    ran = run("detect", portraits)

    assert ran.code == 0
    first, second = ran.out.splitlines()[2:]
    assert first.split()[0] == "0" and "too_dark" not in first
    assert second.split()[0] == "1" and "too_dark" in second
    assert "900 x 400 pixels: 2 faces, " in ran.err


def test_a_photo_without_a_face_is_no_failure(run: Run, weights: None, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "sea.jpg")

    ran = run("detect", tmp_path / "sea.jpg", "--picture", tmp_path / "out.jpg")

    assert ran.code == 0
    assert ran.out == ""
    assert "300 x 200 pixels: no face." in ran.err
    assert (pixels(tmp_path / "out.jpg")[2:6, 2:6] > 230).all()


def test_without_weights_the_command_that_gets_them_is_named(run: Run, portraits: Path) -> None:
    ran = run("detect", portraits, "--json")

    assert ran.code == 1
    assert ran.document["error"]["code"] == "weights_missing"
    assert "facefleet weights pull yunet" in ran.document["error"]["message"]


@pytest.mark.parametrize(
    ("name", "exit_code", "code"),
    [
        ("missing.jpg", 2, "source_not_found"),
        ("", 2, "bad_input"),
        ("notes.txt", 1, "not_a_photo"),
        ("empty.jpg", 1, "photo_empty"),
        ("cut.jpg", 1, "photo_broken"),
    ],
)
def test_what_is_no_photo_is_told_in_a_sentence(run: Run, tmp_path: Path, name: str, exit_code: int, code: str) -> None:
    (tmp_path / "notes.txt").write_text("Dear diary", encoding="utf-8")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.jpg").write_bytes(make_photo(0, format="JPEG")[:200])

    ran = run("detect", tmp_path / name, "--json")

    assert ran.code == exit_code
    assert ran.document["error"]["code"] == code
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("picture", ["portraits.png", "link.png", "out.gif", "out", "folder.png"])
def test_a_picture_that_cannot_be_meant_is_wrong_usage(run: Run, portraits: Path, picture: str) -> None:
    """Above all, a photo is never overwritten by its own picture."""
    portraits.with_name("link.png").symlink_to(portraits)
    portraits.with_name("folder.png").mkdir()
    before = portraits.read_bytes()

    assert run("detect", portraits, "--picture", portraits.with_name(picture)).code == 2
    assert portraits.read_bytes() == before


def test_a_photo_in_an_archive_is_named_by_its_uri(run: Run, tmp_path: Path) -> None:
    ran = run("detect", f"zip://a.jpg::{tmp_path / 'none.zip'}", "--json")

    assert ran.code == 1
    assert ran.document["error"]["code"] == "photo_missing"


def pixels(file: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    with Image.open(io.BytesIO(file.read_bytes())) as picture:
        return np.array(picture.convert("RGB"))
