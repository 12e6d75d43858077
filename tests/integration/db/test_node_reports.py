"""Worker nodes: the last word of each, and when its work last went forward."""

from dataclasses import replace
from datetime import timedelta

from db import nodes
from db.engine import Database
from db.nodes import NodeReport
from db.tables import Worker
from tests.ledger import NOW

REPORT = NodeReport(name="host/0", role="identify", host="host", pid=7, device="cpu", started_at=NOW)
LATER = NOW + timedelta(seconds=5)


def report(database: Database, said: NodeReport, seconds: int, *, advanced: bool) -> None:
    with database.write() as session:
        nodes.report_node(session, said, NOW + timedelta(seconds=seconds), advanced=advanced)


def listed(database: Database) -> list[Worker]:
    with database.read() as session:
        return nodes.list_nodes(session)


def test_being_seen_is_not_going_forward(database: Database) -> None:
    report(database, REPORT, 0, advanced=True)
    report(database, replace(REPORT, model_error="the file is gone"), 5, advanced=False)
    (node,) = listed(database)
    assert (node.seen_at, node.advanced_at, node.model_error) == (LATER, NOW, "the file is gone")


def test_a_slot_that_stopped_is_not_listed_until_it_reports_again(database: Database) -> None:
    report(database, REPORT, 0, advanced=False)
    with database.write() as session:
        nodes.report_stop(session, "host/0", NOW)
    assert listed(database) == []
    report(database, REPORT, 5, advanced=False)
    assert [node.stopped_at for node in listed(database)] == [None]


def test_slots_unseen_for_long_are_forgotten(database: Database) -> None:
    report(database, REPORT, 0, advanced=False)
    report(database, replace(REPORT, name="host/1"), 5, advanced=False)
    with database.write() as session:
        nodes.forget_nodes(session, unseen_since=LATER)
    assert [node.name for node in listed(database)] == ["host/1"]
