from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from core.clock import utc_now
from core.models.devices import describe_device
from core.models.tuning import Candidate, Fate, Tuning, TuningKey
from core.models.tuning_cache import TuningCache
from core.models.variants import variants_for
from core.settings import Settings
from db.engine import Database
from db.nodes import NodeReport, report_node
from db.registry import activate_model, get_model, register_model
from db.swaps import FailedSwap, report_failures
from scripts import check_engine, check_machine, check_services
from scripts.check import Finding, Level, run_check
from tests import ledger
from tests.unit.scripts.runner import Run


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def settings(home: Path, **changes: Any) -> Settings:
    return Settings(home=home, **changes)


def test_a_fresh_installation_has_warnings_and_no_failure(run: Run, home: Path) -> None:
    ran = run("doctor", "--json")

    assert ran.code == 0
    assert ran.document["ok"] is True
    found = {check["name"]: check for check in ran.document["checks"]}
    assert found["torch"]["level"] == "ok"
    assert found["redis"] == {
        "name": "redis",
        "level": "warn",
        "detail": "no `facefleet up` runs, and FACEFLEET_REDIS_URL is not set",
        "remedy": "facefleet up",
    }
    assert not home.exists(), "a look changes nothing"


def test_a_service_that_is_set_and_away_fails(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFLEET_REDIS_URL", "redis://127.0.0.1:1/0")

    ran = run("doctor")

    assert ran.code == 1
    assert "FAIL  redis" in ran.out


def test_a_bad_setting_is_a_finding(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFLEET_LEASE_S", "soon")

    ran = run("doctor", "--json")

    assert ran.code == 1
    assert [check["name"] for check in ran.document["checks"]] == ["settings"]


def test_a_misspelt_setting_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFLEET_REDIS_URI", "redis://localhost")

    (finding,) = check_machine.check_settings(settings(home))
    assert finding.level is Level.WARN
    assert "did you mean FACEFLEET_REDIS_URL?" in finding.detail


def test_a_home_below_a_file_that_is_not_made_yet_is_fine(tmp_path: Path) -> None:
    assert levels(check_machine.check_disk(settings(tmp_path / "a" / "b"))) == [Level.OK]


def test_every_accepted_format_can_be_read(home: Path) -> None:
    (finding,) = check_machine.check_codecs(settings(home))
    assert finding.level is Level.OK
    assert "HEIF" in finding.detail
    assert "AVIF" in finding.detail


def test_tables_of_another_version_fail(home: Path, database: Database) -> None:
    with database.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = 'other'")

    (finding,) = run_check("database", check_services.check_database, settings(home))
    assert finding.level is Level.FAIL
    assert "newer version of facefleet" in finding.detail


def test_a_model_whose_file_is_gone_fails(home: Path, database: Database) -> None:
    activate(database)

    (finding,) = run_check("model", check_services.check_model, settings(home))
    assert finding.level is Level.FAIL
    assert "holds no artifact" in finding.detail


def test_a_worker_that_cannot_load_the_model_fails(home: Path, database: Database) -> None:
    activate(database)
    report(database, "train", "t/0")
    report(database, "identify", "w/0", model_error="The file is damaged.")

    findings = check_services.check_workers(settings(home))
    assert levels(findings) == [Level.FAIL, Level.OK]
    assert findings[0].detail == "w/0: The file is damaged."


def test_a_worker_behind_the_active_model_is_a_warning(home: Path, database: Database) -> None:
    activate(database)
    report(database, "train", "t/0")
    report(database, "identify", "w/0")
    report(database, "identify", "w/1", generation=1)

    findings = check_services.check_workers(settings(home))
    assert levels(findings) == [Level.WARN, Level.OK]
    assert "w/0 do not serve" in findings[0].detail


def test_a_model_that_should_stand_beside_and_cannot_be_loaded_is_a_warning(home: Path, database: Database) -> None:
    activate(database)
    report(database, "train", "t/0")
    report(database, "identify", "w/0", generation=1)
    with database.write() as session:
        other = ledger.add_model(session, "b" * 64)
        failure = FailedSwap(
            model_id=other, generation=None, code="artifact_missing", message="It is gone.", attempts=1, at=ledger.NOW
        )
        report_failures(session, "w/0", [failure], ledger.NOW)

    findings = check_services.check_workers(settings(home))
    assert levels(findings) == [Level.WARN, Level.OK]
    assert "w/0 cannot load v2, which should stand beside: It is gone." in findings[0].detail
    assert findings[0].remedy == "facefleet model show v2"


def _key_here(**changes: Any) -> TuningKey:
    """What a worker on this machine's CPU measures for."""
    cpu = torch.device("cpu")
    place = describe_device(cpu)
    key = TuningKey(
        backbone="compact",
        input_size_px=112,
        embedding_dim=128,
        buckets=(8,),
        device=place.name,
        capabilities=place.capabilities,
        threads=1,
        libraries=place.libraries,
        variants=tuple(variant.name for variant in variants_for(cpu)),
    )
    return replace(key, **changes)


TUNING = Tuning(
    variant="onednn",
    candidates=(
        Candidate(variant="plain", fate=Fate.MEASURED, seconds=((8, 0.02),)),
        Candidate(variant="onednn", fate=Fate.MEASURED, seconds=((8, 0.004),)),
        Candidate(variant="channels_last", fate=Fate.MEASURED, seconds=((8, 0.01),)),
        Candidate(variant="bf16", fate=Fate.PARITY, reason="It differs."),
        Candidate(variant="optimised", fate=Fate.BUDGET),
    ),
    budget_s=1.5,
    measured_at=datetime(2026, 11, 2, 10, 11, tzinfo=UTC),
)


def activate_compact(database: Database) -> None:
    manifest = {"backbone": "compact", "recipe": "quick", "input_size_px": 112, "embedding_dim": 128}
    with database.write() as session:
        model = register_model(session, sha256="c" * 64, manifest=manifest, run_id=None, parent_id=None, now=ledger.NOW)
        activate_model(session, model, who="test", why="test", now=ledger.NOW)


def test_how_the_active_model_is_run_here_is_shown_with_what_was_compared(
    run: Run, home: Path, database: Database
) -> None:
    activate_compact(database)
    cache = TuningCache(home / "tuning")
    cache.store(_key_here(), TUNING)
    elsewhere = [{"device": "Another"}, {"libraries": ("torch 1.0",)}, {"backbone": "seed"}, {"input_size_px": 96}]
    for change in elsewhere:
        cache.store(_key_here(**change), TUNING)

    [engine] = [check for check in run("doctor", "--json").document["checks"] if check["name"] == "engine"]
    assert engine["level"] == "ok"
    assert engine["detail"] == (
        f"v1 on {_key_here().device}, 1 thread, 8 crops at once: onednn, 2,000 images/s (measured 2026-11-02 10:11Z); "
        "others: channels_last 800, plain 400; not right: bf16; not tried, as the time was over: optimised"
    )
    figures = engine["figures"]
    assert (figures["variant"], figures["images_per_s"], figures["threads"]) == ("onednn", 2000.0, 1)
    assert [each["fate"] for each in figures["candidates"]] == ["measured", "measured", "measured", "parity", "budget"]
    assert figures["candidates"][0]["seconds"] == {"8": 0.02}


def test_slots_with_other_threads_are_shown_apart(home: Path, database: Database) -> None:
    activate_compact(database)
    for threads in (1, 2):
        TuningCache(home / "tuning").store(_key_here(threads=threads), TUNING)
    findings = check_engine.check_engine(settings(home))
    assert sorted(finding.figures["threads"] for finding in findings if finding.figures) == [1, 2]


def test_a_model_that_was_not_run_here_yet_is_no_problem(home: Path, database: Database) -> None:
    (finding,) = check_engine.check_engine(settings(home))
    assert (finding.level, finding.detail) == (Level.OK, "no model is active: none is run")
    activate_compact(database)
    (finding,) = check_engine.check_engine(settings(home))
    assert (finding.level, finding.figures) == (Level.OK, None)
    assert "how to run v1 was not measured here yet" in finding.detail


def activate(database: Database) -> None:
    with database.write() as session:
        model = get_model(session, f"v{ledger.add_model(session)}")
        activate_model(session, model, who="test", why="test", now=ledger.NOW)


def report(database: Database, role: str, name: str, **changes: Any) -> None:
    now = utc_now()
    word = NodeReport(name=name, role=role, host="host", pid=1, device="cpu", started_at=now, **changes)
    with database.write() as session:
        report_node(session, word, now, advanced=False)


def test_work_that_does_not_advance_fails_with_the_reason(home: Path, database: Database) -> None:
    ledger.add_job(database, items=4)  # long ago
    activate(database)
    report(database, "identify", "w/0")

    (finding,) = check_services.check_work(settings(home))
    assert finding.level is Level.FAIL
    assert "w/0 report but do not advance" in finding.detail


def test_work_that_waits_for_a_redis_that_is_away_says_so(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.add_job(database, items=4)
    activate(database)
    report(database, "identify", "w/0")

    monkeypatch.setenv("FACEFLEET_REDIS_URL", "redis://127.0.0.1:1/0")
    [work] = [check for check in run("doctor", "--json").document["checks"] if check["name"] == "work"]
    assert "Redis takes no bells" in work["detail"]
