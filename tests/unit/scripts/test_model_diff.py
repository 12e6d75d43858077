import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from core.records import Verdict
from db import labels, people
from db.engine import Database
from db.redecide import FaceKey
from db.tables import Base, Job
from tests import ledger
from tests.factories import make_photo
from tests.rescored import add_model, seen_face
from tests.unit.scripts.runner import Run

NAMES = ("Ada", "Grace", "Edsger")


@pytest.fixture
def who(database: Database) -> dict[str, int]:
    return dict(zip(NAMES, ledger.add_people(database, *NAMES), strict=True))


@pytest.fixture
def add(database: Database, home: Path, who: dict[str, int]) -> Callable[..., str]:
    """Adds a model that takes the n-th drawn face for the n-th of these people."""
    return lambda *names, **more: add_model(database, home / "artifacts", [(who[name], name) for name in names], **more)


@pytest.fixture
def job(database: Database, add: Callable[..., str], tmp_path: Path) -> Job:
    """Four photos, of the first three drawn faces and of a stranger, and v1 that knows Ada and Grace."""
    add("Ada", "Grace")
    photos = [make_photo(number, width_px=400, height_px=300) for number in range(4)]
    uris = [str(tmp_path / f"{number}.png") for number in range(4)]
    for uri, photo in zip(uris, photos, strict=True):
        Path(uri).write_bytes(photo)
    job_id, (chunk_id,) = ledger.add_job(database, items=4, chunk_size=4, uris=uris)
    results = [
        replace(ledger.result(number, seen_face(person)), sha256=hashlib.sha256(photos[number]).hexdigest())
        for number, person in enumerate([0, 1, 2, 7])
    ]
    ledger.finish(database, ledger.must_claim(database, chunk_id), results, 1)
    return ledger.get_job(database, job_id)


def row_counts(database: Database) -> list[int]:
    with database.read() as session:
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in Base.metadata.sorted_tables]


def test_who_gains_who_loses_and_who_changes_is_told(run: Run, job: Job, add: Callable[..., str]) -> None:
    add("Grace", "Edsger", "Ada")
    ran = run("model", "diff", "v1", "v2", "--json")

    assert ran.code == 0
    document = ran.document
    totals = {"before": "v1", "after": "v2", "faces": 4, "changed": 3, "gained": 1, "lost": 0, "renamed": 2}
    assert document.items() >= totals.items()
    assert document["people"] == [
        {"name": "Ada", "before": 1, "after": 1, "gained": 1, "lost": 1},
        {"name": "Grace", "before": 1, "after": 1, "gained": 1, "lost": 1},
        {"name": "Edsger", "before": 0, "after": 1, "gained": 1, "lost": 0},
    ]
    assert sorted((move["from"] or "", move["to"], move["faces"]) for move in document["moves"]) == [
        ("", "Ada", 1),
        ("Ada", "Grace", 1),
        ("Grace", "Edsger", 1),
    ]
    assert [(face["before"], face["after"]) for face in document["first"]] == [
        ("Ada", "Grace"),
        ("Grace", "Edsger"),
        ("unknown", "Ada"),
    ]
    assert document["first"][0]["face"] == f"{job.public_id}-0-0"


def test_nothing_is_written(run: Run, database: Database, job: Job, add: Callable[..., str]) -> None:
    add("Grace", "Ada")
    before = row_counts(database)
    run("model", "diff", "v1", "v2")
    assert row_counts(database) == before
    assert ledger.get_job(database, job.id).faces_identified == 0


def test_what_people_said_does_not_change(run: Run, database: Database, job: Job, add: Callable[..., str]) -> None:
    with database.write() as session:
        key = FaceKey(job_id=job.id, ordinal=0, face_index=0)
        ada = people.find_person(session, "Ada")
        labels.label_faces(session, [key], Verdict.IS, person=ada, author="me", now=ledger.NOW)
    add("Grace", "Edsger", "Ada")
    document = run("model", "diff", "v1", "v2", "--json").document
    assert [face["face"] for face in document["first"]] == [f"{job.public_id}-1-0", f"{job.public_id}-2-0"]


def test_the_changed_faces_are_drawn(run: Run, job: Job, add: Callable[..., str], tmp_path: Path) -> None:
    add("Ada", "Grace", "Edsger")
    ran = run("model", "diff", "v1", "v2", "--pictures", tmp_path / "changed", "--json")

    assert (ran.code, ran.document["pictures"]["pictures"], ran.document["pictures"]["failed"]) == (0, 1, 0)
    (picture,) = (tmp_path / "changed").iterdir()
    assert picture.name.startswith(f"{job.public_id}-000002-")


def test_as_many_faces_are_listed_as_wanted(run: Run, job: Job, add: Callable[..., str]) -> None:
    add("Grace", "Edsger", "Ada")
    document = run("model", "diff", "v1", "v2", "--limit", "1", "--json").document
    assert (document["changed"], len(document["first"])) == (3, 1)


def test_it_reads_as_a_table(run: Run, job: Job, add: Callable[..., str]) -> None:
    add("Grace", "Edsger", "Ada")
    ran = run("model", "diff", "v1", "v2")
    assert "4 faces: under v2, 1 gain a name, 0 lose it, 2 get another than under v1." in ran.out
    assert f"{job.public_id}-0-0  Ada \u2192 Grace" in ran.out


def test_models_of_different_backbones_cannot_be_compared(run: Run, job: Job, add: Callable[..., str]) -> None:
    add("Ada", backbone="cd" * 32)
    ran = run("model", "diff", "v1", "v2")

    assert ran.code == 2
    assert "different backbones" in ran.err


def test_the_same_model_changes_nothing(run: Run, job: Job) -> None:
    assert run("model", "diff", "v1", "v1", "--json").document["changed"] == 0
