"""`facefleet bench scale` with unit costs from a file, what it measures of a ledger, and what it refuses."""

import dataclasses
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core.machine import describe_machine
from db.engine import Database
from scripts.bench.meter import Lap, Meter, Part, cost_of, fit
from scripts.bench.quiet import quietest, watching_others
from scripts.bench.scale_report import show_long
from scripts.simulate_costs import Linear, UnitCosts
from tests.unit.scripts.runner import Run
from tests.unit.scripts.test_simulate import VARIED

FEW = ("--workers", 1, "--workers", 40)


@pytest.fixture
def costs_file(tmp_path: Path) -> Path:
    """What a call with `--json` left, in as much as a later one reads it."""
    costs = dataclasses.replace(VARIED, machine=describe_machine(), detect=None)
    measured = {"median": 950.0, "min": 900.0, "max": 1000.0}
    check = [
        {
            "processes": 2,
            "measured": measured,
            "others": 0.05,
            "of_time_left": {name: rate / 0.95 for name, rate in measured.items()},
            "simulated": 980.0,
            "error": -0.02,
        }
    ]
    (tmp_path / "scale.json").write_text(json.dumps({"costs": costs.to_json(), "check": check}))
    return tmp_path / "scale.json"


def test_fleets_are_simulated_with_costs_from_a_file(run: Run, costs_file: Path) -> None:
    ran = run("bench", "scale", "--costs", costs_file, *FEW, "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    assert [fleet["workers"] for fleet in document["sweep"]] == [1, 40]
    assert document["sweep"][1]["ceiling"] == "the row of the job"
    assert document["sweep"][1]["duration_s"] == pytest.approx(1e9 / document["sweep"][1]["photos_per_s"])
    by_lever = {fleet["lever"]: fleet["photos_per_s"] for fleet in document["levers"]}
    assert by_lever["chunks of 64 photos"] < document["sweep"][1]["photos_per_s"] < by_lever["chunks of 256 photos"]
    assert by_lever["tables in 100 partitions"] == pytest.approx(document["sweep"][1]["photos_per_s"], rel=0.02)
    assert document["ladder"][0]["lever"] == "16 jobs at once"
    assert UnitCosts.from_json(document["costs"]).photo_bytes == 1000.0


def test_what_it_wrote_can_be_simulated_again_with_the_same_answer(run: Run, costs_file: Path, tmp_path: Path) -> None:
    first = run("bench", "scale", "--costs", costs_file, *FEW, "--json")
    (tmp_path / "again.json").write_text(first.out)
    assert run("bench", "scale", "--costs", tmp_path / "again.json", *FEW, "--json").document == first.document
    assert run("bench", "scale", "--costs", costs_file, *FEW, "--seed", 7, "--json").document != first.document


def test_the_tables_name_the_ceiling_and_what_was_measured(run: Run, costs_file: Path) -> None:
    out = run("bench", "scale", "--costs", costs_file, *FEW).out
    assert re.search(r"^ +2 +950 +5.0 % +1,000 \(947 to 1,053\) +980 +-2.0 %$", out, re.M)
    assert re.search(r"^ +40 +\d+,\d+ .* the row of the job +100 %$", out, re.M)
    assert re.search(r"^\+ 16 jobs at once ", out, re.M)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_picture_shows_the_same(run: Run, costs_file: Path, tmp_path: Path, suffix: str) -> None:
    picture = tmp_path / f"scale{suffix}"
    assert run("bench", "scale", "--costs", costs_file, *FEW, "--picture", picture).code == 0
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG") if suffix == ".png" else b"the row of the job" in data


def test_more_of_everything_is_faster(run: Run, costs_file: Path) -> None:
    def rate(*options: object) -> float:
        ran = run("bench", "scale", "--costs", costs_file, "--workers", 60, *options, "--json")
        return float(ran.document["sweep"][0]["photos_per_s"])

    rates = [
        rate(),
        rate("--jobs", 2),
        rate("--jobs", 2, "--databases", 3),
        rate("--jobs", 2, "--databases", 3, "--faster", 4),
    ]
    assert all(more > 1.05 * fewer for fewer, more in pairwise(rates))
    assert rate("--round-trip-ms", 5) < rate() / 3
    assert rate("--photo-bytes", 10**6, "--store-mb-s", 1000) == pytest.approx(1000, rel=0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--costs", "nowhere.json"), "nowhere.json cannot be read"),
        (("--costs", "{empty}"), "is not what `facefleet bench scale --json` writes"),
        (("--costs", "{other}"), "no unit costs"),
        (("--costs", "{costs}", "--faces", "detect"), "weights are not on this machine"),
        (("--costs", "{costs}", "--picture", "scale.pdf"), "neither .png nor .svg"),
        (("--workers", "0"), "--workers"),
        (("--count", "100"), "100 photos a round are too few for 4 processes"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    run: Run, costs_file: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "other.json").write_text('{"costs": {"database": "sqlite"}, "check": []}')
    places = {"empty": tmp_path / "empty.json", "other": tmp_path / "other.json", "costs": costs_file}
    ran = run("bench", "scale", *(option.format(**places) for option in options), "--json")
    assert ran.code == 2
    assert words in ran.document["error"]["message"]


def test_a_database_in_use_is_left_alone(run: Run, database: Database) -> None:
    ran = run("bench", "scale", "--database", database.url)
    assert ran.code == 2
    assert "holds tables already. Nothing was measured" in ran.err


def test_lines_are_found_through_costs_and_never_fall_below_nothing() -> None:
    line = fit({32: 0.0132, 128: 0.0228, 512: 0.0612})
    assert (line.fixed_s, line.photo_s) == (pytest.approx(0.010), pytest.approx(0.0001))
    assert fit({32: 0.003, 128: 0.002, 512: 0.001}) == Linear(fixed_s=pytest.approx(0.002))
    assert fit({32: 0.001, 512: 0.100}).fixed_s == 0.0
    assert fit({0: 0.002}) == Linear(fixed_s=0.002)


def lap(free: Part, held: Part, sync: Part) -> Lap:
    return Lap(free=free, held=held, sync=sync)


def test_a_transaction_is_told_apart_by_the_quicker_of_its_parts() -> None:
    usual = lap(
        Part(client_s=1.0, waited_s=2.0, trips=3),
        Part(client_s=4.0, waited_s=5.0, trips=6),
        Part(client_s=7.0, waited_s=8.0),
    )
    slow = lap(
        Part(client_s=9.0, waited_s=90.0, trips=3),
        Part(client_s=9.0, waited_s=90.0, trips=6),
        Part(client_s=9.0, waited_s=90.0),
    )
    cost = cost_of({128: [slow, usual, slow, usual]}, is_sqlite=False)
    assert (cost.free.client.of(128), cost.free.server.of(128), cost.free.trips) == (1.0, 2.0, 3.0)
    assert (cost.held.client.of(128), cost.held.server.of(128), cost.held.trips) == (4.0 + 7.0, 5.0, 6.0)
    assert cost.sync_s == 8.0


def test_a_meter_tells_the_lock_and_the_commit_apart(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    meter = Meter(database)
    with meter.lap() as reading, database.read() as session:
        session.connection().exec_driver_sql("SELECT 1")
    with meter.lap() as writing, database.write() as session:
        session.connection().exec_driver_sql("CREATE TABLE made_up (n INTEGER)")
    meter.close()
    database.close()
    assert reading.held == Part() == reading.sync
    assert reading.free.trips == 2  # BEGIN and the question
    assert writing.held.trips == 2
    assert writing.sync.client_s > 0.0


def test_the_quieter_half_of_the_rounds_counts() -> None:
    rounds: list[tuple[float, Any]] = [(0.5, "a"), (0.1, "b"), (0.3, "c"), (0.2, "d"), (0.9, "e")]
    assert quietest(rounds) == [(0.1, "b"), (0.3, "c"), (0.2, "d")]


def test_others_never_use_less_than_nothing_or_more_than_all() -> None:
    with watching_others() as others:
        sum(range(1_000_000))
    assert 0.0 <= others.share < 1.0
    assert 0.0 < others.left(8.0) <= 8.0


def test_long_durations_are_told_in_days() -> None:
    assert [show_long(seconds) for seconds in (90.0, 86_400.0, 864_000.0)] == ["1 min 30 s", "24 h 00 min", "10.0 days"]
