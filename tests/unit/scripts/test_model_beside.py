"""`model shadow` and `model canary` begin, end, and show what a model beside the active one says or decides."""

import pytest

from core.faces.agreement import ScoredFace
from core.records import FaceOutcome
from db import beside, registry, shadow
from db.engine import Database
from db.shadow import ChunkScore
from tests import ledger
from tests.ledger import NOW
from tests.unit.scripts.runner import Run


@pytest.fixture
def versions(database: Database) -> tuple[str, str]:
    """The active model, and a candidate."""
    with database.write() as session:
        active, other = ledger.add_model(session, "a" * 64), ledger.add_model(session, "b" * 64)
        registry.activate_model(session, registry.get_model(session, f"v{active}"), who="t", why="t", now=NOW)
    return f"v{active}", f"v{other}"


def standing(database: Database) -> tuple[str, float | None, float | None] | None:
    with database.read() as session:
        found = beside.model_beside(session)
    return None if found is None else (found.version, found.shadow_share, found.canary_share)


def score(database: Database, versions: tuple[str, str]) -> None:
    """Have the active model decide a chunk of two photos, of which the other one names the second."""
    (ada,) = ledger.add_people(database, "Ada")
    job_id, (chunk_id,) = ledger.add_job(database, items=2)
    active, other = (int(version[1:]) for version in versions)
    unknown, named = ledger.face(), ledger.face(outcome=FaceOutcome.IDENTIFIED, person_id=ada)
    lease = ledger.must_claim(database, chunk_id)
    ledger.finish(database, lease, [ledger.result(0, unknown), ledger.result(1, unknown)], active)
    faces = [(0, [ScoredFace(active=unknown, shadow=unknown)]), (1, [ScoredFace(active=unknown, shadow=named)])]
    made = ChunkScore(
        model_id=other, active_id=active, chunk_id=chunk_id, job_id=job_id, photos=2, seconds=0.25, faces=faces
    )
    with database.write() as session:
        shadow.store_score(session, made, NOW)


@pytest.mark.parametrize(("name", "shares"), [("shadow", (0.25, None)), ("canary", (None, 0.25))])
def test_a_model_stands_beside_the_active_one_and_steps_aside(
    run: Run, database: Database, versions: tuple[str, str], name: str, shares: tuple[float | None, float | None]
) -> None:
    _, other = versions
    ran = run("model", name, other, "--share", "0.25")
    assert (ran.code, standing(database)) == (0, (other, *shares))
    assert "25.0 % of the chunks" in ran.out
    assert run("model", name, other, "--json").document["share"] == 0.25
    assert run("model", name, other, "--off").code == 0
    assert standing(database) is None
    assert run("model", name, other, "--json").document["share"] is None


@pytest.mark.parametrize("name", ["shadow", "canary"])
@pytest.mark.parametrize(
    "options",
    [("--share", "0"), ("--share", "1.5"), ("--off",), ("--share", "0.5", "--off")],
    ids=["none", "more than all", "not there", "both"],
)
def test_what_makes_no_sense_changes_nothing(
    run: Run, database: Database, versions: tuple[str, str], name: str, options: tuple[str, ...]
) -> None:
    ran = run("model", name, versions[1], *options)
    assert (ran.code, standing(database)) == (2, None)


def test_the_active_model_cannot_stand_beside_itself(run: Run, database: Database, versions: tuple[str, str]) -> None:
    assert run("model", "shadow", versions[0], "--share", "0.5").code == 2


def test_a_shadow_that_scored_nothing_says_so(run: Run, versions: tuple[str, str]) -> None:
    ran = run("model", "shadow", versions[1])
    assert ran.code == 0
    assert "Nothing was compared yet" in ran.err


def test_agreement_and_differences_are_reported(run: Run, database: Database, versions: tuple[str, str]) -> None:
    score(database, versions)
    document = run("model", "shadow", versions[1], "--json").document
    assert (document["against"], document["chunks"], document["photos"], document["agreed"]) == (
        [versions[0]],
        1,
        2,
        0.5,
    )
    assert document["faces"] == {"same": 1, "renamed": 0, "gained": 1, "lost": 0, "unseen": 0, "found": 0}
    [difference] = document["differences"]
    assert (difference["item"], difference["agreement"], difference["active"], difference["shadow"]) == (
        1,
        "gained",
        "unknown",
        "Ada",
    )
    ran = run("model", "shadow", versions[1])
    assert "50.00 % of 2 faces" in ran.out
    assert "unknown \u2192 Ada  file:///album/0001.jpg" in ran.out
    assert run("model", "shadow", versions[1], "--limit", "0", "--json").document["differences"] == []


def test_what_a_canary_decided_stands_beside_what_the_active_model_did(
    run: Run, database: Database, versions: tuple[str, str]
) -> None:
    score(database, versions)
    document = run("model", "canary", versions[1], "--json").document
    assert document["faces"][versions[0]]["unknown"] == 2
    assert document["faces"][versions[1]]["unknown"] == 0
    assert "2 (100.0 %)" in run("model", "canary", versions[1]).out
