from dataclasses import asdict, replace
from pathlib import Path

import pytest

from core.faces.rule import OperatingPoint
from db.engine import Database
from db.jobs import list_jobs
from db.registry import activate_model, register_model
from db.tables import Job
from tests import labelled, ledger
from tests.unit.scripts.runner import Run


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of three files that nobody has looked into yet, and what a photo editor left beside them."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(b"photo %d" % number)
    (folder / "0.xmp").write_text("no photo")
    return folder


def test_a_submission_is_one_document_with_stable_keys(run: Run, database: Database, album: Path) -> None:
    ran = run("submit", album, "--json")

    document = ran.document
    job_id, seconds = document.pop("job"), document.pop("seconds")
    assert ran.code == 3  # no Redis here
    assert document == {
        "state": "running",
        "total": 3,
        "items": {"faces": 0, "no_face": 0, "error": 0},
        "faces": {"identified": 0, "unknown": 0, "ambiguous": 0, "low_quality": 0},
        "images_per_s": None,
        "eta_s": None,
        "threshold_fpir": None,
    }
    assert seconds >= 0
    assert [job.public_id for job in jobs(database)] == [job_id]


def test_without_redis_the_job_is_recorded_and_the_user_told(run: Run, database: Database, album: Path) -> None:
    ran = run("submit", album)

    (job,) = jobs(database)
    assert ran.code == 3
    assert f"facefleet job watch {job.public_id}" in ran.out
    assert "FACEFLEET_REDIS_URL is not set" in ran.err
    assert f"Job {job.public_id} is recorded" in ran.err


def test_without_redis_nobody_waits_for_a_job_that_cannot_start(run: Run, database: Database, album: Path) -> None:
    ran = run("submit", album, "--wait", "--json")

    assert ran.code == 3
    assert ran.document["state"] == "running"


def test_the_embedded_database_is_made_by_the_first_command(run: Run, home: Path, album: Path) -> None:
    assert run("submit", album).code == 3
    assert (home / "facefleet.db").is_file()


def test_files_that_are_no_photos_are_counted(run: Run, database: Database, album: Path) -> None:
    assert "Passed over as no photos: 1 file" in run("submit", album).err


def test_a_limit_is_kept_with_the_job(run: Run, database: Database, album: Path) -> None:
    job_id = run("submit", album, "--max-parallel", "3", "--json").document["job"]

    assert run("job", "show", job_id, "--json").document["max_parallel"] == 3
    assert [job.max_parallel for job in jobs(database)] == [3]


def test_the_same_key_gives_the_same_job(run: Run, database: Database, album: Path) -> None:
    first = run("submit", album, "--idempotency-key", "k", "--json")
    again = run("submit", album, "--idempotency-key", "k", "--json")

    assert again.document["job"] == first.document["job"]
    assert "it is job" in again.err
    assert len(jobs(database)) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["/no/such/folder"], "source_not_found"),
        (["{album}/0.jpg", "/no/such/file"], "source_not_found"),
        ([], "usage"),
        (["{album}", "--max-parallel", "0"], "usage"),
    ],
)
def test_what_cannot_be_submitted_leaves_nothing(
    run: Run, database: Database, album: Path, arguments: list[str], code: str
) -> None:
    ran = run("submit", *(argument.format(album=album) for argument in arguments), "--json")

    assert ran.code == 2
    assert ran.document["error"]["code"] == code
    assert jobs(database) == []


def test_faces_are_looked_for_when_the_model_that_serves_was_trained_so(
    run: Run, database: Database, album: Path
) -> None:
    run("submit", album)
    with database.write() as session:
        manifest = {"backbone": "b", "recipe": "head", "faces": "detect"}
        model = register_model(session, sha256="m" * 64, manifest=manifest, run_id=None, parent_id=None, now=ledger.NOW)
        activate_model(session, model, who="test", why="first", now=ledger.NOW)
    run("submit", album)
    run("submit", album, "--faces", "crop")
    assert [job.faces_mode for job in reversed(jobs(database))] == ["crop", "detect", "crop"]


def test_waiting_for_a_job_with_errors_ends_with_1(
    run: Run, database: Database, finished_job: Job, album: Path
) -> None:
    """The job that was finished is found again under its key, so there is nothing left to wait for."""
    give_key(database, finished_job, digest_of=run("submit", album, "--json").document["job"])

    ran = run("submit", album, "--idempotency-key", "done", "--wait", "--json")

    assert ran.code == 1
    assert ran.document["job"] == finished_job.public_id
    assert ran.document["state"] == "done"
    assert ran.document["items"] == {"faces": 3, "no_face": 1, "error": 1}
    assert ran.document["faces"] == {"identified": 1, "unknown": 2, "ambiguous": 0, "low_quality": 1}


def give_key(database: Database, job: Job, *, digest_of: str) -> None:
    """Let a job be the one that was submitted under the key `done`, with the request of another."""
    with database.write() as session:
        digest = session.query(Job).filter_by(public_id=digest_of).one().request_digest
        found = session.get_one(Job, job.id)
        found.idempotency_key, found.request_digest = "done", digest


def jobs(database: Database) -> list[Job]:
    with database.read() as session:
        return list_jobs(session, limit=10)


def _serve(database: Database, *points: OperatingPoint) -> None:
    rule = asdict(replace(labelled.RULE, other_points=points))
    manifest = {"backbone": "compact", "recipe": "compact", "faces": "crop", "rule": rule}
    with database.write() as session:
        model = register_model(session, sha256="a" * 64, manifest=manifest, run_id=None, parent_id=None, now=ledger.NOW)
        activate_model(session, model, who="ada", why="test", now=ledger.NOW)


def test_a_job_may_ask_for_another_share_of_strangers(run: Run, database: Database, album: Path) -> None:
    _serve(database, *(OperatingPoint(fpir=at, threshold=0.5, margin=0.0) for at in (0.001, 0.1)))
    ran = run("submit", album, "--threshold-fpir", "0.003", "--json")
    assert (ran.code, ran.document["threshold_fpir"]) == (3, 0.003)  # no Redis here
    assert "0.3 %" in run("job", "show", ran.document["job"]).out
    assert [job.fpir for job in jobs(database)] == [0.003]


def test_a_share_of_strangers_that_the_model_cannot_tell_is_refused(run: Run, database: Database, album: Path) -> None:
    _serve(database)
    ran = run("submit", album, "--threshold-fpir", "0.003")
    assert ran.code == 2
    assert "a threshold for 0.01 of strangers only" in ran.err
    assert jobs(database) == []
    assert run("submit", album, "--threshold-fpir", "0.01").code == 3


@pytest.mark.parametrize("share", ["-1", "0", "0.5", "nan", "1%"])
def test_what_is_no_share_of_strangers_is_wrong_usage(run: Run, album: Path, share: str) -> None:
    ran = run("submit", album, "--threshold-fpir", share)
    assert ran.code == 2
    assert f"{share} is no share of strangers from 0.0001 to 0.2" in ran.err
