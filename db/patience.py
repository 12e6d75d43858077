"""PostgreSQL connections that do not wait for ever: an answer that does not come is an error.

Keepalives find a peer that is gone. They do not find one that lives and stays silent: a proxy that swallows traffic, a
server that hangs, a statement that waits for a lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from sqlalchemy import Connection

V = TypeVar("V")

STATEMENT_TIMEOUT_S = 60.0
"""Far beyond any statement of ours but a migration. The server gives up after it, and the client a little later."""

IDLE_TIMEOUT_S = 30.0
"""Far beyond what we compute between two statements of a transaction that writes. The server ends it after that."""

_LATER_S = 10.0

CONNECT_ARGS: dict[str, Any] = {
    # Bounds a start against a dead host.
    "connect_timeout": 5,
    # Keepalives find a peer that vanished while we wait for it, and the user timeout one that vanished while we speak.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}

# What the server is to do on its side: also let go of the locks of a client that vanished, and compile no statement.
# It took half a second for one that then ran 17 ms, as it was thought to be long.
SERVER_OPTIONS = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_S * 1000:.0f} -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 "
    "-c tcp_keepalives_count=3 -c tcp_user_timeout=25000 -c jit=off"
)


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server is silent for too long."""

    patience_s: float | None = STATEMENT_TIMEOUT_S + _LATER_S
    """Seconds that one answer may take; None: as long as it takes."""

    def wait(self, gen: PQGen[V], interval: float = 0.1, timeout: float | None = None) -> V:
        """Wait for the server, at most as long as the patience lasts.

        Raises:
            OperationalError: it did not answer; the connection is closed.
        """
        if timeout is not None or self.patience_s is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.patience_s)
        except errors._WaitTimeout as error:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.patience_s:.0f} s") from error


def bound_idleness(connection: Connection) -> None:
    """Have PostgreSQL end this transaction, and free its locks, when its client stays silent in the midst of it.

    For transactions that write: behind a pooler or proxy the server's own connection lives on when the client's is
    lost, and what the transaction had locked would stay locked for ever. One that only reads may idle: somebody may be
    paging through its rows.
    """
    if connection.get_execution_options().get("facefleet_write", False):
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_TIMEOUT_S * 1000:.0f}")


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Let the statements of this transaction take as long as they take, on PostgreSQL. For migrations."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, PatientConnection):
        yield
        return
    driver.patience_s = None
    try:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        yield
    finally:
        driver.patience_s = PatientConnection.patience_s
