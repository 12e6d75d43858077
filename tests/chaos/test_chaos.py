"""The short form of the suite: a handful of cases that tell in a minute whether work gets lost."""

import re

import pytest

from tests.chaos.cases import Case, all_cases
from tests.chaos.runner import MissingError, run_case
from tests.chaos.tally import header
from tests.integration.workers.fleet import ROOT
from tests.missing import missing

_SHORT = [pytest.param(case, kind, id=f"{case.name}-{kind}") for case in all_cases() for kind in case.short]


@pytest.mark.one_database
@pytest.mark.parametrize(("case", "kind"), _SHORT)
def test_nothing_is_lost_and_nothing_is_stored_twice(case: Case, kind: str, request: pytest.FixtureRequest) -> None:
    postgres = request.getfixturevalue("postgres_server") if kind == "postgresql" else None
    try:
        tally = run_case(case, kind, 0, postgres)
    except MissingError as reason:
        missing(str(reason))
    print(header(), tally, sep="\n")
    assert (tally.missing, tally.stored_twice) == (0, 0)
    assert tally.outcomes == tally.submitted


def test_every_case_is_documented_as_it_is() -> None:
    page = (ROOT / "docs" / "chaos.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([\w-]+)` \| ([\w, ]+) \| (.+) \|$", page, re.M)
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    assert documented == [
        (case.name, ", ".join(names[kind] for kind in case.databases), case.what) for case in all_cases()
    ]


def test_every_case_says_what_it_is_and_is_played_somewhere() -> None:
    cases = all_cases()
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert case.what.endswith("."), case.name
        assert case.databases, case.name
        assert set(case.short) <= set(case.databases), case.name
