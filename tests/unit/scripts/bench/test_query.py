"""`facefleet bench query` and `facefleet bench submit` on small ledgers, and what they refuse."""

from pathlib import Path

import pytest

from db.engine import Database
from scripts.bench.query import LIMIT_MS
from scripts.bench.query_picture import draw_query
from scripts.bench.questions import QUESTIONS
from tests.unit.scripts.runner import Run

FIGURES = {"p50_ms": 4.0, "p95_ms": 9.0, "max_ms": 30.0}


def test_a_small_ledger_is_asked_every_question(run: Run) -> None:
    ran = run("bench", "query", "--rows", 1000, "--repeats", 1, "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    assert [each["filter"] for each in document["filters"]] == [question.name for question in QUESTIONS]
    assert 500 < document["rows"] < 4000
    slow = {each["filter"] for each in document["filters"] if each["p95_ms"] > LIMIT_MS}
    assert set(document["missed"]) == slow
    assert document["database"]["kind"] == "sqlite"
    assert document["database"]["bytes"] > 100_000


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_picture_names_each_filter(tmp_path: Path, suffix: str) -> None:
    machine = {"cores": 2, "cpu": "made up"}
    filters = [{"filter": "--person", **FIGURES}, {"filter": "--since", **FIGURES, "p95_ms": 25.0}]
    document = {"rows": 1000, "page": 100, "limit_ms": 20.0, "filters": filters, "missed": ["--since"]}
    picture = tmp_path / f"query{suffix}"
    draw_query(picture, {**document, "database": {"kind": "sqlite"}, "machine": machine})
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG") if suffix == ".png" else b"--person" in data and b"--since" in data


@pytest.mark.parametrize("command", ["query", "submit"])
def test_a_database_in_use_is_left_alone(run: Run, database: Database, command: str) -> None:
    ran = run("bench", command, "--database", database.url)
    assert ran.code == 2
    assert "holds tables already. Nothing was measured" in ran.err


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(run: Run) -> None:
    ran = run("bench", "query", "--picture", "query.pdf")
    assert ran.code == 2
    assert "neither .png nor .svg" in ran.err


def test_photos_are_submitted_with_a_redis_of_its_own(run: Run) -> None:
    ran = run("bench", "submit", "--items", 300, "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    assert (document["items"], document["bells"]) == (300, 3)  # 300 photos are three chunks of 128
    assert document["items_per_s"] == pytest.approx(300 / document["seconds"], rel=0.05)
    assert "300 photos in" in run("bench", "submit", "--items", 300).out
