import re

import pytest

from db.engine import Database
from db.tables import Job
from tests import ledger
from tests.unit.scripts.runner import Run


def test_a_job_that_is_done_is_shown_with_what_to_type_next(run: Run, database: Database, finished_job: Job) -> None:
    ran = run("job", "watch", finished_job.public_id)

    assert ran.code == 1
    assert re.search(r"^identified +1 +25.0 % +a name is given$", ran.out, re.MULTILINE)
    assert f"facefleet results --job {finished_job.public_id} --outcome error" in ran.out


def test_the_state_of_a_job_shows_its_failures(run: Run, finished_job: Job) -> None:
    document = run("job", "show", finished_job.public_id, "--json").document

    assert document["failures"] == [
        {
            "item": 4,
            "uri": "file:///album/0004.jpg",
            "error": {"code": "photo_broken", "message": "The photo is truncated."},
        }
    ]
    assert document["skipped"] == {"count": 0, "first": []}
    assert "photo_broken: The photo is truncated." in run("job", "show", finished_job.public_id).out


def test_a_job_without_workers_says_so(run: Run, database: Database) -> None:
    job = ledger.get_job(database, ledger.add_job(database, items=2)[0])

    assert "No worker runs" in run("job", "show", job.public_id).out
    assert "facefleet worker" in run("job", "show", job.public_id, "--json").document["waits_because"]


def test_jobs_are_listed_newest_first(run: Run, database: Database, finished_job: Job) -> None:
    newer = run("submit", __file__, "--json").document["job"]

    assert [job["job"] for job in run("job", "list", "--json").document["jobs"]] == [newer, finished_job.public_id]
    assert [job["job"] for job in run("job", "list", "--limit", "1", "--json").document["jobs"]] == [newer]
    assert finished_job.public_id in run("job", "list").out


def test_an_empty_list_says_what_to_type(run: Run, database: Database) -> None:
    assert "facefleet submit" in run("job", "list").out


@pytest.mark.parametrize("command", ["show", "watch"])
def test_an_unknown_job_is_wrong_usage(run: Run, database: Database, command: str) -> None:
    ran = run("job", command, "j0", "--json")

    assert ran.code == 2
    assert ran.document["error"]["code"] == "unknown_id"
