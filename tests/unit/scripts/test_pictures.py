"""`facefleet results --pictures` on drawn photos, through the ledger."""

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.images.annotate import STYLES
from core.records import ErrorRecord, FaceOutcome, FaceResult, PhotoResult
from db.engine import Database
from scripts.picture_painter import Photo
from tests import ledger
from tests.factories import make_photo
from tests.unit.scripts.runner import Run

Identify = Callable[..., str]


@pytest.fixture
def identify(database: Database) -> Identify:
    """Records a job that is done: for each photo, where it lies and its outcome; returns the job's id."""

    def record(photos: Sequence[tuple[str, PhotoResult]]) -> str:
        job_id, (chunk_id,) = ledger.add_job(
            database, items=len(photos), chunk_size=len(photos), uris=[uri for uri, _ in photos]
        )
        lease = ledger.must_claim(database, chunk_id)
        with database.write() as session:
            model_id = ledger.add_model(session)
        ledger.finish(database, lease, [result for _, result in photos], model_id)
        return ledger.get_job(database, job_id).public_id

    return record


def looked_at(ordinal: int, data: bytes, *faces: FaceResult) -> PhotoResult:
    return dataclasses.replace(ledger.result(ordinal, *faces), sha256=hashlib.sha256(data).hexdigest())


def a_face(outcome: FaceOutcome = FaceOutcome.UNKNOWN, person: int | None = None, index: int = 0) -> FaceResult:
    box = (200.0 + 150 * index, 100.0, 300.0 + 150 * index, 220.0)
    return dataclasses.replace(ledger.face(index, outcome, person, confidence=0.978), box_xyxy_px=box)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three photos of 640 x 480."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(3):
        (folder / f"photo {number}.png").write_bytes(make_photo(number, width_px=640, height_px=480))
    return folder


@pytest.fixture
def job(identify: Identify, album: Path, database: Database) -> str:
    """Ada and a stranger on the first photo, nobody on the second, a blurred face on the third."""
    (ada,) = ledger.add_people(database, "Ada Lovelace")
    files = sorted(album.iterdir())
    data = [file.read_bytes() for file in files]
    return identify(
        [
            (str(files[0]), looked_at(0, data[0], a_face(FaceOutcome.IDENTIFIED, ada), a_face(index=1))),
            (str(files[1]), looked_at(1, data[1])),
            (str(files[2]), looked_at(2, data[2], a_face(FaceOutcome.LOW_QUALITY))),
        ]
    )


def test_each_photo_is_one_picture_with_its_boxes(run: Run, job: str, tmp_path: Path) -> None:
    ran = run("results", "--job", job, "--pictures", tmp_path / "out", "--json")

    assert ran.code == 0
    assert ran.document == {
        "folder": str(tmp_path / "out"),
        "pictures": 3,
        "failed": 0,
        "failures": [],
        "undrawn": "",
    }
    names = [f"{job}-00000{number}-photo_{number}.jpg" for number in range(3)]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == names
    first = pixels(tmp_path / "out" / names[0])
    assert near(first[160, 200], FaceOutcome.IDENTIFIED) and not near(first[160, 200], FaceOutcome.UNKNOWN)
    assert any(near(pixel, FaceOutcome.UNKNOWN) for pixel in first[100:220, 350])
    assert any(near(pixel, FaceOutcome.LOW_QUALITY) for pixel in pixels(tmp_path / "out" / names[2])[100:220, 200])


def test_a_photo_without_a_face_has_its_outcome_in_the_corner(run: Run, job: str, tmp_path: Path) -> None:
    run("results", "--outcome", "no_face", "--pictures", tmp_path / "out")

    (file,) = (tmp_path / "out").iterdir()
    picture = pixels(file)
    assert (picture[2:6, 2:6] > 230).all()
    assert (picture[-9:, -9:] < 230).any()


def test_filters_choose_the_boxes_too(run: Run, job: str, tmp_path: Path) -> None:
    run("results", "--person", "ada lovelace", "--pictures", tmp_path / "out")

    (file,) = (tmp_path / "out").iterdir()
    picture = pixels(file)
    assert near(picture[160, 200], FaceOutcome.IDENTIFIED)
    assert not any(near(pixel, FaceOutcome.UNKNOWN) for pixel in picture[100:220, 350])


def test_pictures_are_written_again_over_earlier_ones_and_leave_no_partial_file(
    run: Run, job: str, tmp_path: Path
) -> None:
    first = run("results", "--pictures", tmp_path / "out")
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}

    again = run("results", "--pictures", tmp_path / "out")

    assert first.code == again.code == 0
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    assert "3 pictures" in again.err


@pytest.mark.parametrize("make", [
    lambda folder: (folder / "holiday.jpg").write_bytes(make_photo(0, format="JPEG")),
    lambda folder: (folder / "inner").mkdir(),
    lambda folder: (folder / "link.jpg").symlink_to("/etc/hostname"),
], ids=["photo", "folder", "link"])  # fmt: skip
def test_a_folder_with_anything_else_in_it_is_refused(
    run: Run, job: str, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    make(out)
    before = list(out.iterdir())

    ran = run("results", "--pictures", out, "--json")

    assert ran.code == 2
    assert before[0].name in ran.document["error"]["message"]
    assert list(out.iterdir()) == before


def test_hidden_files_of_a_desktop_are_no_hindrance(run: Run, job: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").write_bytes(b"x")

    assert run("results", "--pictures", tmp_path / "out").code == 0
    assert (tmp_path / "out" / ".DS_Store").read_bytes() == b"x"


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_wrong_usage(run: Run, job: str, tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_bytes(b"x")

    ran = run("results", "--pictures", tmp_path / where, "--json")

    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_a_photo_that_is_gone_fails_alone(run: Run, job: str, album: Path, tmp_path: Path) -> None:
    (album / "photo 0.png").unlink()

    ran = run("results", "--pictures", tmp_path / "out", "--json")

    assert ran.code == 1
    assert (ran.document["pictures"], ran.document["failed"]) == (2, 1)
    (failure,) = ran.document["failures"]
    assert failure["uri"] == str(album / "photo 0.png")
    assert failure["error"]["code"] == "photo_missing"
    assert "photo 0.png (photo_missing)" in ran.err


def test_no_name_is_drawn_on_a_photo_that_has_changed(run: Run, job: str, album: Path, tmp_path: Path) -> None:
    (album / "photo 0.png").write_bytes(make_photo(9, width_px=640, height_px=480))

    ran = run("results", "--pictures", tmp_path / "out", "--json")

    assert ran.code == 1
    assert ran.document["failures"][0]["error"]["code"] == "photo_changed"
    assert not list((tmp_path / "out").glob("*photo_0*"))


def test_a_photo_that_ended_its_workers_is_not_opened(
    run: Run, identify: Identify, album: Path, tmp_path: Path
) -> None:
    crashed = dataclasses.replace(
        ledger.failure(0), error=ErrorRecord(code="worker_crashed", message="It ended its worker.")
    )
    identify([(str(album / "photo 0.png"), crashed)])

    ran = run("results", "--pictures", tmp_path / "out", "--json")

    assert ran.code == 1
    assert "not opened" in ran.document["failures"][0]["error"]["message"]
    assert not (tmp_path / "out").exists()


def test_a_photo_with_another_error_shows_it_where_it_can_be_read(
    run: Run, identify: Identify, album: Path, tmp_path: Path
) -> None:
    identify([(str(album / "photo 0.png"), ledger.failure(0, "source_unreachable"))])

    assert run("results", "--pictures", tmp_path / "out").code == 0
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_photos_outside_the_roots_are_not_read(
    run: Run, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEFLEET_IMAGE_ROOTS", str(tmp_path / "elsewhere"))

    ran = run("results", "--pictures", tmp_path / "out", "--json")

    assert ran.code == 1
    assert {failure["error"]["code"] for failure in ran.document["failures"]} == {"photo_forbidden"}


def test_where_a_photo_was_taken_does_not_reach_its_picture(run: Run, identify: Identify, tmp_path: Path) -> None:
    """EXIF turns the picture and is left behind, place and all; the original keeps every byte."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    exif.get_ifd(0x8825)[2] = (51.5, 0.0, 0.0)  # GPS latitude
    stream = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(stream, "JPEG", exif=exif, comment=b"a secret")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    upright = dataclasses.replace(a_face(), box_xyxy_px=(100.0, 500.0, 200.0, 600.0))
    identify([(str(tmp_path / "a.jpg"), looked_at(0, stream.getvalue(), upright))])

    run("results", "--pictures", tmp_path / "out")

    (file,) = (tmp_path / "out").iterdir()
    with Image.open(file) as picture:
        assert picture.size == (480, 640)
        assert not picture.getexif()
    assert b"secret" not in file.read_bytes()
    assert any(near(pixel, FaceOutcome.UNKNOWN) for pixel in pixels(file)[500:600, 100])
    assert (tmp_path / "a.jpg").read_bytes() == stream.getvalue()


def test_members_of_an_archive_have_pictures(run: Run, identify: Identify, tmp_path: Path) -> None:
    data = make_photo(0, width_px=640, height_px=480)
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        archive.writestr("box 1/scan.png", data)
    job = identify([(f"zip://box 1/scan.png::{tmp_path / 'scans.zip'}", looked_at(0, data, a_face()))])

    assert run("results", "--pictures", tmp_path / "out").code == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == [f"{job}-000000-scan.jpg"]


def test_a_name_that_no_font_has_is_told(
    run: Run, identify: Identify, album: Path, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "none"))
    (person,) = ledger.add_people(database, "𒀭𒂗𒆤")
    data = (album / "photo 0.png").read_bytes()
    identify([(str(album / "photo 0.png"), looked_at(0, data, a_face(FaceOutcome.IDENTIFIED, person)))])

    assert run("results", "--pictures", tmp_path / "out", "--json").document["undrawn"] == "𒀭𒂗𒆤"
    ran = run("results", "--pictures", tmp_path / "out")
    assert ran.code == 0
    assert "No font of this machine has 𒀭 𒂗 𒆤" in ran.err


def test_no_result_makes_no_folder(run: Run, database: Database, tmp_path: Path) -> None:
    ran = run("results", "--pictures", tmp_path / "out")

    assert ran.code == 0
    assert "No result matches" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [["--format", "csv"], ["--output", "rows.csv"]])
def test_pictures_and_rows_are_not_asked_for_at_once(run: Run, job: str, tmp_path: Path, more: list[str]) -> None:
    assert run("results", "--pictures", tmp_path / "out", *more).code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/album/IMG 0001.HEIC", "IMG_0001"),
        ("/album/..", "photo"),
        ("/album/" + "long" * 80 + ".jpg", "long" * 10),
        ("/album/Жозефина 山.png", "Жозефина_山"),
        ("zip://..\\..\\evil.jpg::/a.zip", "evil"),
        ("s3://bucket/folder/a%20b.jpg?version=2", "a_b"),
        ("file:///album/%FF%0A.jpg", "photo"),
        ("/album/-rf *.jpg", "-rf"),
    ],
)
def test_a_picture_is_named_by_its_place_and_what_is_left_of_its_name(uri: str, name: str) -> None:
    photo = Photo(job="j1p3k9x2mf4qa", item=12, uri=uri, rows=(), sha256=None)

    assert photo.file_name == f"j1p3k9x2mf4qa-000012-{name}.jpg"
    assert len(photo.file_name.encode()) < 240


def pixels(file: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    with Image.open(file) as picture:
        return np.array(picture)


def near(pixel: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", outcome: FaceOutcome) -> bool:
    """Whether a pixel has an outcome's colour, as far as a JPEG keeps it."""
    return bool(np.abs(pixel.astype(int) - STYLES[outcome].colour).max() < 60)
