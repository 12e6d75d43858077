from pathlib import Path
from typing import Any

import pytest

from core.clock import utc_now
from core.settings import Settings
from db.engine import Database
from db.nodes import NodeReport, report_node
from db.registry import activate_model, get_model
from db.swaps import FailedSwap, report_failures
from scripts import check_machine, check_services
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
