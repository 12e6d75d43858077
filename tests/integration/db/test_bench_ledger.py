"""What `facefleet bench scale` measures of a ledger, with the functions that workers call."""

import pytest

from db.engine import Database
from scripts.bench.ledger import LedgerCosts, measure_ledger
from scripts.simulate_costs import Linear

pytestmark = pytest.mark.one_database


def test_the_cost_of_a_ledger_is_measured_with_its_own_functions(database: Database) -> None:
    costs = measure_ledger(database, 20_000, repeats=5)
    assert costs.rows == 20_000
    assert costs.commit.free.client.photo_s + costs.commit.held.client.photo_s > 0.0
    _check_kind(costs, database.is_sqlite)


def _check_kind(costs: LedgerCosts, is_sqlite: bool) -> None:
    parts = (costs.claim.free, costs.claim.held, costs.commit.free, costs.commit.held)
    if is_sqlite:  # its work is the worker's own, and its one lock is held from beginning to end
        assert all(part.server == Linear() and part.trips == 0 for part in parts)
        assert costs.commit.held.client.of(128) > costs.commit.free.client.of(128)
    else:  # faces are written before the row of the job is locked
        assert costs.commit.free.server.of(128) > costs.commit.held.server.of(128)
        assert all(part.trips >= 2 for part in parts)
        assert costs.result_server_s > 0.0
