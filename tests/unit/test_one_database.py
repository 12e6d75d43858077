"""Of each slow test that runs on both databases, `make test` runs one; what runs on one alone always runs."""

from tests.one_database import not_chosen


def test_one_of_two_runs_and_always_the_same() -> None:
    pair = ["tests/a.py::test_it[sqlite]", "tests/a.py::test_it[postgresql]"]
    left_out = not_chosen(pair)
    assert len(left_out) == 1
    assert left_out < set(pair)
    assert not_chosen(pair[::-1]) == left_out


def test_about_half_of_them_run_on_each() -> None:
    kinds = ("sqlite", "postgresql")
    left_out = not_chosen([f"tests/a.py::test_{number}[case-{kind}]" for number in range(100) for kind in kinds])
    assert len(left_out) == 100
    assert 30 <= sum("sqlite" in node_id for node_id in left_out) <= 70


def test_what_runs_on_one_database_alone_or_on_none_always_runs() -> None:
    assert not_chosen(["a.py::test_a[photo-sqlite]", "a.py::test_b", "a.py::test_b[2]", "a.py::test_a[x]"]) == set()
