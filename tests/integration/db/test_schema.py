"""Migrations: from empty to the models, any number of times and by several at once; never backwards."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import bindparam, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import DatabaseSchemaError
from core.records import FaceOutcome, RankedPerson
from db import jobs, schema
from db.chunks import ChunkLease
from db.engine import Database
from db.rankings import ranking_of
from db.review import Reason, faces_to_review
from db.tables import Base, Chunk, Face, UtcDateTime
from tests import ledger

ROOT = Path(__file__).resolve().parents[3]
_UPGRADE = """
import sys
from db import schema
from db.engine import Database
print(*schema.upgrade(Database(sys.argv[1])))
"""


def set_revision(database: Database, revision: str) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_migrations_from_empty_give_the_models(empty_database: Database) -> None:
    assert schema.upgrade(empty_database) == (None, schema.head_revision())
    with empty_database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    schema.check(empty_database)


def test_jobs_of_the_first_version_run_on_after_the_upgrade(empty_database: Database) -> None:
    """One is half done, with a chunk in work; one is done."""
    _make_version_0001_with_jobs(empty_database)
    assert schema.upgrade(empty_database) == ("0001", schema.head_revision())
    schema.check(empty_database)

    running, done = (ledger.get_job(empty_database, job_id) for job_id in (1, 2))
    assert [(job.last_claim, job.max_parallel, job.decided_before) for job in (running, done)] == [(0, None, 0)] * 2
    assert (running.resumed_at, done.state, done.finished_at) == (running.started_at, "done", ledger.NOW)
    held = ChunkLease(chunk_id=2, job_id=1, faces_mode="crop", fpir=None, first_ordinal=2, item_count=2, token="t")
    with empty_database.write() as session:
        model_id = ledger.add_model(session)
    ledger.finish(empty_database, held, ledger.results_of(held), model_id)
    lease = ledger.must_claim(empty_database, 3)
    ledger.finish(empty_database, lease, ledger.results_of(lease), model_id)
    job = ledger.get_job(empty_database, 1)
    assert (job.state, job.items_faces, job.last_claim) == ("done", 6, 1)


def _upgrade_to(database: Database, revision: str) -> None:
    config = schema._config()
    with database.write() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, revision)


def test_faces_of_before_are_reviewed_in_their_order_and_keep_their_rankings(empty_database: Database) -> None:
    """Schema 0011 stores rankings in another form and the review's order with each face."""
    _upgrade_to(empty_database, "0006")
    _insert_faces_of_0006(empty_database)
    schema.upgrade(empty_database)

    asked = {
        reason: [entry.key.ordinal for entry in faces_to_review(empty_database, reason)]
        for reason in (Reason.NEAR_THRESHOLD, Reason.AMBIGUOUS, Reason.UNKNOWN)
    }
    assert asked == {Reason.NEAR_THRESHOLD: [2, 1], Reason.AMBIGUOUS: [4, 3], Reason.UNKNOWN: [5]}
    with empty_database.read() as session:
        face = session.get_one(Face, (1, 0, 0))
    assert ranking_of(face) == (RankedPerson(person_id=1, similarity=0.9),)


def test_a_face_still_needs_its_photo_after_the_upgrade(empty_database: Database) -> None:
    """The migration takes other foreign keys of faces away, on SQLite by rewriting the table's declaration."""
    _upgrade_to(empty_database, "0006")
    _insert_faces_of_0006(empty_database)
    schema.upgrade(empty_database)

    keys = inspect(empty_database.engine).get_foreign_keys("faces")
    assert [(key["referred_table"], key["constrained_columns"]) for key in keys] == [("items", ["job_id", "ordinal"])]
    with pytest.raises(IntegrityError), empty_database.write() as session:
        session.execute(text("UPDATE faces SET ordinal = 99 WHERE ordinal = 0"))
    if empty_database.is_sqlite:
        with empty_database.read() as session:
            assert session.scalars(text("PRAGMA integrity_check")).all() == ["ok"]
            assert session.execute(text("PRAGMA foreign_key_check")).all() == []


def test_chunks_of_before_say_what_their_results_hold(empty_database: Database) -> None:
    """Schema 0014: three chunks of two photos each, of which the last is not done."""
    _upgrade_to(empty_database, "0006")
    _insert_faces_of_0006(empty_database)
    _upgrade_to(empty_database, "0012")
    later = ledger.NOW + timedelta(hours=1)
    with empty_database.write() as session:
        session.execute(text("UPDATE faces SET confidence = similarity / 2, model_id = model_id + ordinal % 2"))
        decided = text("UPDATE items SET decided_at = :now").bindparams(bindparam("now", ledger.NOW, UtcDateTime()))
        session.execute(decided)
        anew = text("UPDATE faces SET decided_at = :now, model_id = 2 WHERE ordinal IN (2, 3)")
        session.execute(anew.bindparams(bindparam("now", later, UtcDateTime())))
        for number, state in enumerate(["done", "done", "queued"]):
            chunk = {"job_id": 1, "first_ordinal": 2 * number, "item_count": 2, "state": state, "attempts": 1}
            _insert(session, "chunks", chunk)
    schema.upgrade(empty_database)

    holds = (Chunk.model_id, Chunk.face_model_id, Chunk.decided_until, Chunk.top_confidence, Chunk.top_unnamed)
    with empty_database.read() as session:
        found = [tuple(row) for row in session.execute(select(*holds).order_by(Chunk.id))]
    assert found == [
        (1, None, ledger.NOW, 0.45, 0.0),  # faces of two models
        (1, 2, later, 0.3, 0.3),
        (None,) * 5,
    ]


def _insert_faces_of_0006(database: Database) -> None:
    """A model with a threshold of 0.5, and six photos of one face each."""
    faces = [("identified", 0.9), ("identified", 0.54), ("unknown", 0.47), ("ambiguous", 0.6), ("ambiguous", 0.7)]
    faces += [("unknown", 0.2)]
    with database.write() as session:
        model = {"id": 1, "sha256": "a" * 64, "state": "active", "backbone": "x", "recipe": "x"}
        manifest = {"rule": {"threshold": 0.5}}
        _insert(session, "models", {**model, "manifest": json.dumps(manifest), "created_at": ledger.NOW})
        _insert(session, "people", {"id": 1, "name": "Ada", "name_key": "ada", "created_at": ledger.NOW})
        _insert(session, "jobs", _job_values(1, "done", len(faces)))
        for ordinal, (outcome, similarity) in enumerate(faces):
            photo = {"job_id": 1, "ordinal": ordinal}
            _insert(session, "items", {**photo, "uri": f"{ordinal}.jpg", "outcome": "faces", "model_id": 1})
            found = {"x1": 0.0, "y1": 0.0, "x2": 9.0, "y2": 9.0, "landmarks_px": "[]", "quality_reasons": "[]"}
            top_k = json.dumps([{"person_id": 1, "similarity": similarity}])
            decided = {"outcome": outcome, "similarity": similarity, "top_k": top_k, "model_id": 1, "candidate_id": 1}
            _insert(session, "faces", {**photo, "face_index": 0, **found, **decided})


def _job_values(job_id: int, state: str, decided: int) -> dict[str, object]:
    """A row of jobs, as all versions have it."""
    values: dict[str, object] = {"id": job_id, "public_id": f"j{job_id}", "state": state, "total": 6}
    values |= {"items_faces": decided, "faces_mode": "crop", "skipped": "[]"}
    values |= dict.fromkeys(("name", "request_digest"), "x")
    values |= dict.fromkeys(("created_at", "touched_at", "started_at"), ledger.NOW)
    values |= {"finished_at": ledger.NOW if state == "done" else None}
    values |= dict.fromkeys(("items_no_face", "items_error", "skipped_count"), 0)
    return values | {f"faces_{outcome}": 0 for outcome in FaceOutcome}


def _make_version_0001_with_jobs(database: Database) -> None:
    _upgrade_to(database, "0001")
    with database.write() as session:
        for job_id, state, decided in ((1, "running", 2), (2, "done", 6)):
            _insert(session, "jobs", _job_values(job_id, state, decided))
        for ordinal in range(6):
            outcome = "faces" if ordinal < 2 else None
            _insert(session, "items", {"job_id": 1, "ordinal": ordinal, "uri": f"{ordinal}.jpg", "outcome": outcome})
        for number, state in enumerate(["done", "claimed", "queued"]):
            chunk = {"job_id": 1, "first_ordinal": 2 * number, "item_count": 2, "state": state, "attempts": 1}
            _insert(session, "chunks", {**chunk, "lease_token": "t" if state == "claimed" else None})


def _insert(session: Session, table: str, values: dict[str, object]) -> None:
    marks = ", ".join(f":{name}" for name in values)
    times = [bindparam(name, type_=UtcDateTime()) for name in values if name.endswith("_at")]
    session.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})").bindparams(*times), values)


def test_a_second_upgrade_changes_nothing(database: Database) -> None:
    job_id, _ = ledger.add_job(database, items=4)
    head = schema.head_revision()
    assert schema.upgrade(database) == (head, head)
    assert ledger.get_job(database, job_id).total == 4


def test_processes_that_upgrade_at_once_all_succeed(empty_database: Database) -> None:
    program = [sys.executable, "-c", _UPGRADE, empty_database.url]
    started = [
        subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ends = [(process.communicate(timeout=60), process.returncode) for process in started]
    assert [code for _, code in ends] == [0, 0, 0], ends
    head = schema.head_revision()
    assert sorted(out.split() for (out, _), _ in ends) == sorted([[head, head], [head, head], ["None", head]])
    schema.check(empty_database)


def test_a_database_without_tables_is_told_how_to_get_them(empty_database: Database) -> None:
    with pytest.raises(DatabaseSchemaError, match=r"no facefleet tables.*facefleet db upgrade"):
        schema.check(empty_database)
    with pytest.raises(DatabaseSchemaError, match="facefleet db upgrade"), empty_database.read() as session:
        jobs.list_jobs(session, limit=1)
    assert inspect(empty_database.engine).get_table_names() == []


def test_a_newer_database_is_left_alone(database: Database) -> None:
    set_revision(database, "9999")
    for refused in (schema.check, schema.upgrade):
        with pytest.raises(DatabaseSchemaError, match=r"newer facefleet \(schema 9999"):
            refused(database)
    with database.read() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_an_upgrade_that_breaks_leaves_nothing(empty_database: Database) -> None:
    """A foreign table stands where a later table of the migration belongs."""
    with empty_database.write() as session:
        session.execute(text("CREATE TABLE faces (id INTEGER)"))
    with pytest.raises(Exception, match="faces"):
        schema.upgrade(empty_database)
    assert inspect(empty_database.engine).get_table_names() == ["faces"]
