import re
from datetime import timedelta

import pytest

from db.engine import Database
from db.tables import Job
from scripts.common import current_user
from scripts.documents import job_document
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


def test_the_state_of_a_job_counts_its_failures_by_code_and_says_how_to_try_again(
    run: Run, database: Database, finished_job: Job
) -> None:
    failures = run("job", "show", finished_job.public_id, "--json").document["failures_by_code"]

    assert failures == [{"code": "photo_broken", "photos": 1, "message": "The photo is truncated."}]
    shown = run("job", "show", finished_job.public_id).out
    assert re.search(r"^photo_broken +1 +The photo is truncated.$", shown, re.MULTILINE)
    assert f"facefleet job retry {finished_job.public_id}" in shown


def test_speed_and_time_left_are_counted_since_the_job_was_last_resumed(database: Database) -> None:
    job = ledger.get_job(database, ledger.add_job(database, items=100)[0])
    job.items_faces, job.decided_before, job.resumed_at = 60, 40, ledger.NOW + timedelta(hours=1)

    document = job_document(job, ledger.NOW + timedelta(hours=1, seconds=10))

    assert (document["images_per_s"], document["eta_s"], document["seconds"]) == (2.0, 20.0, 3610.0)


def test_a_paused_job_has_no_time_left_and_says_how_to_go_on(run: Run, database: Database) -> None:
    job = ledger.get_job(database, ledger.add_job(database, items=4)[0])
    ledger.must_claim(database, 1)

    paused = run("job", "pause", job.public_id, "--json")
    assert (paused.code, paused.document["state"], paused.document["changed"]) == (0, "paused", True)
    again = run("job", "pause", job.public_id)
    assert (again.code, again.out) == (0, f"Job {job.public_id} is paused already.\n")
    shown = run("job", "show", job.public_id, "--json").document
    assert shown["eta_s"] is None
    assert f"facefleet job resume {job.public_id}" in shown["waits_because"]


def test_without_redis_a_resumed_job_is_recorded_and_the_user_told(run: Run, database: Database) -> None:
    job = ledger.get_job(database, ledger.add_job(database, items=4)[0])
    run("job", "pause", job.public_id)

    resumed = run("job", "resume", job.public_id, "--json")
    assert (resumed.code, resumed.document["state"], resumed.document["changed"]) == (3, "running", True)
    assert f"Job {job.public_id} is recorded as running" in resumed.err
    assert run("job", "resume", job.public_id).code == 0


def test_a_cancelled_job_ends_at_once_with_an_outcome_for_every_photo(run: Run, database: Database) -> None:
    job = ledger.get_job(database, ledger.add_job(database, items=500, chunk_size=2)[0])

    ran = run("job", "cancel", job.public_id, "--json")
    assert (ran.code, ran.document["state"], ran.document["items"]["error"]) == (0, "cancelled", 500)
    assert run("job", "cancel", job.public_id).out == f"Job {job.public_id} is cancelled already.\n"
    [failures] = run("job", "show", job.public_id, "--json").document["failures_by_code"]
    assert (failures["code"], failures["photos"]) == ("cancelled", 500)
    assert "facefleet job retry" in failures["message"]
    assert run("job", "watch", job.public_id).code == 1


def test_a_retry_says_how_many_photos_are_tried_again(run: Run, database: Database, finished_job: Job) -> None:
    ran = run("job", "retry", finished_job.public_id, "--json")

    assert (ran.code, ran.document["state"], ran.document["retried"]) == (3, "running", 1)  # no Redis here
    refused = run("job", "retry", finished_job.public_id, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (2, "job_state")
    assert "Nothing was changed" in refused.err


def test_a_job_that_is_done_cannot_be_paused(run: Run, finished_job: Job) -> None:
    ran = run("job", "pause", finished_job.public_id)

    assert ran.code == 2
    assert ran.err == f"Error: Job {finished_job.public_id} is done and cannot be paused. Nothing was changed.\n"


def test_what_people_did_to_a_job_is_shown_with_their_names(run: Run, database: Database) -> None:
    job = ledger.get_job(database, ledger.add_job(database, items=4)[0])
    assert run("job", "show", job.public_id, "--json").document["history"] == []
    run("job", "pause", job.public_id)
    run("job", "cancel", job.public_id)

    history = run("job", "show", job.public_id, "--json").document["history"]
    assert [(entry["action"], entry["before"], entry["who"]) for entry in history] == [
        ("job.cancel", "paused", current_user()),
        ("job.pause", "running", current_user()),
    ]
    shown = run("job", "show", job.public_id).out
    assert re.search(rf"Z +{current_user()} +cancel\n.*Z +{current_user()} +pause$", shown, re.MULTILINE)


@pytest.mark.parametrize("command", ["show", "watch", "pause", "resume", "cancel", "retry"])
def test_an_unknown_job_is_wrong_usage(run: Run, database: Database, command: str) -> None:
    ran = run("job", command, "j0", "--json")

    assert ran.code == 2
    assert ran.document["error"]["code"] == "unknown_id"
