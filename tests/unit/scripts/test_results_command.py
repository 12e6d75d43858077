import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from core.records import FaceOutcome
from db.engine import Database
from db.people import get_or_add_person
from db.tables import Job
from scripts.result_formats import COLUMNS, flatten
from tests import ledger
from tests.unit.scripts.runner import Run

ROOT = Path(__file__).resolve().parents[3]


def test_a_row_has_the_keys_that_scripts_rely_on(run: Run, finished_job: Job) -> None:
    first = json.loads(run("results", "--format", "jsonl").out.splitlines()[0])

    decided_at, model = first.pop("decided_at"), first.pop("model")
    assert first == {
        "job": finished_job.public_id,
        "item": 0,
        "uri": "file:///album/0000.jpg",
        "outcome": "identified",
        "face": f"{finished_job.public_id}-0-0",
        "box": [10.0, 20.0, 110.0, 140.5],
        "person": "Ada Lovelace",
        "candidate": "Ada Lovelace",
        "confidence": 0.96875,
        "similarity": 0.625,
        "quality": {"score": 0.75, "reasons": []},
        "label": None,
        "error": None,
    }
    assert decided_at == "2026-11-23T12:00:00.123456+00:00"
    assert model == "v1"


def test_a_refused_face_has_a_candidate_and_no_person(run: Run, finished_job: Job) -> None:
    (row,) = [row for row in jsonl(run, "--outcome", "unknown") if row["item"] == 1]

    assert row["person"] is None
    assert row["candidate"] == "Ada Lovelace"


def test_a_photo_without_a_face_has_one_row(run: Run, finished_job: Job) -> None:
    rows = jsonl(run)

    assert [(row["item"], row["outcome"]) for row in rows] == [
        (0, "identified"),
        (1, "unknown"),
        (2, "unknown"),
        (2, "low_quality"),
        (3, "no_face"),
        (4, "error"),
    ]
    assert rows[4]["box"] is rows[4]["quality"] is rows[4]["face"] is None
    assert rows[5]["error"] == {"code": "photo_broken", "message": "The photo is truncated."}


def test_all_formats_agree_row_for_row_and_value_for_value(run: Run, finished_job: Job, tmp_path: Path) -> None:
    rows = jsonl(run)
    run("results", "--format", "parquet", "--output", tmp_path / "rows.parquet")

    flat = [flatten(row) for row in rows]
    from_csv = list(csv.DictReader(io.StringIO(run("results", "--format", "csv").out)))
    from_parquet = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert run("results", "--json").document == {"results": rows}
    assert from_csv == [{name: "" if value is None else str(value) for name, value in row.items()} for row in flat]
    assert [{**row, "decided_at": row["decided_at"].isoformat()} for row in from_parquet] == flat
    table = run("results", "--format", "table").out.splitlines()[2:]
    assert [line.split()[0] for line in table] == [row["uri"] for row in rows]


def test_parquet_columns_have_the_stated_types(run: Run, finished_job: Job, tmp_path: Path) -> None:
    run("results", "--format", "parquet", "--output", tmp_path / "rows.parquet")

    schema = parquet.read_schema(tmp_path / "rows.parquet")
    assert {field.name: str(field.type).partition("[")[0] for field in schema} == COLUMNS


def test_parquet_goes_to_a_redirected_stdout(run: Run, finished_job: Job, tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(run("results", "--format", "parquet").out_bytes)

    assert parquet.read_table(tmp_path / "rows.parquet").num_rows == 6


def test_no_results_are_valid_in_every_format(run: Run, database: Database, tmp_path: Path) -> None:
    assert run("results", "--json").document == {"results": []}
    assert run("results", "--format", "jsonl").out == ""
    assert run("results", "--format", "csv").out == ",".join(COLUMNS) + "\r\n"
    run("results", "--format", "parquet", "--output", tmp_path / "rows.parquet")
    assert parquet.read_table(tmp_path / "rows.parquet").column_names == list(COLUMNS)
    assert "No result matches." in run("results").err


@pytest.mark.parametrize("name", ["=1+1", "+49", "-Anna", "@home"])
def test_a_name_is_no_formula_in_a_csv(run: Run, database: Database, name: str) -> None:
    with database.write() as session:
        person = get_or_add_person(session, name, ledger.NOW).id
    add_result(database, person)

    (row,) = csv.DictReader(io.StringIO(run("results", "--format", "csv").out))
    assert row["person"] == "'" + name
    assert jsonl(run)[0]["person"] == name


def test_names_with_commas_quotes_and_all_scripts_survive_every_format(
    run: Run, database: Database, tmp_path: Path
) -> None:
    name = 'Ångström, "Zoë" 山田'
    with database.write() as session:
        person = get_or_add_person(session, name, ledger.NOW).id
    add_result(database, person)

    run("results", "--format", "parquet", "--output", tmp_path / "rows.parquet")
    (row,) = csv.DictReader(io.StringIO(run("results", "--format", "csv").out))
    assert row["person"] == jsonl(run)[0]["person"] == name
    assert parquet.read_table(tmp_path / "rows.parquet")["person"].to_pylist() == [name]
    assert name in run("results").out


@pytest.mark.parametrize(
    ("filters", "items"),
    [
        (["--person", "ada lovelace"], [0]),
        (["--outcome", "low_quality"], [2]),
        (["--outcome", "error"], [4]),
        (["--outcome", "no_face"], [3]),
        (["--min-confidence", "0.5"], [0, 2, 2]),
        (["--model", "v1", "--limit", "2"], [0, 1]),
        (["--since", "2026-11-23T12:00"], [0, 1, 2, 2, 3, 4]),
        (["--since", "2026-11-23T13:01+01:00"], []),
        (["--since", "2026-11-24"], []),
    ],
)
def test_filters_choose_rows(run: Run, finished_job: Job, filters: list[str], items: list[int]) -> None:
    assert [row["item"] for row in jsonl(run, *filters)] == items


def test_results_of_one_job_leave_out_the_others(run: Run, database: Database, finished_job: Job) -> None:
    (person,) = ledger.add_people(database, "Grace Hopper")
    add_result(database, person)

    assert len(jsonl(run)) == 7
    assert len(jsonl(run, "--job", finished_job.public_id)) == 6


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        (["--job", "j0"], "unknown_id"),
        (["--person", "Nobody"], "unknown_id"),
        (["--model", "v9"], "unknown_id"),
        (["--outcome", "maybe"], "usage"),
        (["--since", "yesterday"], "usage"),
        (["--min-confidence", "1.1"], "usage"),
    ],
)
def test_a_filter_that_means_nothing_is_wrong_usage(
    run: Run, database: Database, filters: list[str], code: str
) -> None:
    ran = run("results", *filters, "--json")

    assert ran.code == 2
    assert ran.document["error"]["code"] == code


def test_two_ways_to_write_at_once_are_refused(run: Run, database: Database) -> None:
    assert run("results", "--json", "--format", "csv").code == 2


def test_with_a_file_json_tells_where_the_rows_are(run: Run, finished_job: Job, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"

    ran = run("results", "--format", "csv", "--output", file, "--json")

    assert ran.document == {"file": str(file), "format": "csv", "rows": 6}
    assert file.read_bytes() == run("results", "--format", "csv").out_bytes
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []


@pytest.mark.parametrize("format_", ["table", "jsonl", "csv", "parquet"])
def test_a_file_that_cannot_be_written_is_wrong_usage(
    run: Run, finished_job: Job, tmp_path: Path, format_: str
) -> None:
    ran = run("results", "--format", format_, "--output", tmp_path / "missing" / "rows", "--json")

    assert ran.code == 2
    assert "cannot be written" in ran.document["error"]["message"]


def test_a_reader_that_leaves_early_ends_the_command_quietly(database: Database, home: Path) -> None:
    add_results(database, 3000)
    command = [sys.executable, "-m", "scripts.main", "results", "--format", "jsonl"]
    env = {**os.environ, "FACEFLEET_HOME": str(home)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=env) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


def test_a_long_table_keeps_its_columns_from_page_to_page(run: Run, database: Database) -> None:
    add_results(database, 1200)

    lines = run("results").out.splitlines()
    assert len(lines) == 2 + 1200
    assert len({line.index("unknown") for line in lines[2:]}) == 1


def jsonl(run: Run, *filters: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("results", "--format", "jsonl", *filters).out.splitlines()]


def add_result(database: Database, person: int) -> None:
    """One more job with one photo that shows this person."""
    _, (chunk_id,) = ledger.add_job(database, items=1)
    lease = ledger.must_claim(database, chunk_id)
    with database.write() as session:
        model_id = ledger.add_model(session)
    named = ledger.face(outcome=FaceOutcome.IDENTIFIED, person_id=person)
    ledger.finish(database, lease, [ledger.result(0, named)], model_id)


def add_results(database: Database, photos: int) -> None:
    """One more job with so many photos of unknown people."""
    _, (chunk_id,) = ledger.add_job(database, items=photos, chunk_size=photos)
    lease = ledger.must_claim(database, chunk_id)
    with database.write() as session:
        model_id = ledger.add_model(session)
    ledger.finish(database, lease, ledger.results_of(lease), model_id)
