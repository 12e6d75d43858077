"""The doorbell: tells workers through Redis that chunks or a run wait in the ledger. Losing a ring loses nothing.

Light: knows the queues' and tasks' names, not the tasks. Never hangs: a silent Redis is an error within seconds.
"""

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kombu.connection import Connection
from kombu.exceptions import KombuError
from kombu.utils.url import maybe_sanitize_url
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from core.errors import RedisRefusedError, RedisUnreachableError
from db.claims import count_due_chunks
from db.engine import Database
from workers.protocol import IDENTIFY_QUEUE, IDENTIFY_TASK, TRAIN_QUEUE, TRAIN_TASK, transport_options

MOST_BELLS = 64
"""Bells for chunks that wait at once: what the slots of a fleet take until the sweeper looks again."""

_PATIENCE_S = 2.0
_PROBE, _PROBE_MS = "facefleet.probe", 1000
_BATCH = 500  # messages a round trip; measured flat from 200 to 2,000


_REFUSALS: tuple[tuple[type[RedisError], str, str, str], ...] = (
    (ReadOnlyError, "", "it is a read-only replica", "Point FACEFLEET_REDIS_URL at the primary."),
    (
        OutOfMemoryError,
        "",
        "its memory is full",
        "Raise its maxmemory, or remove what else it holds; a bell takes about a kilobyte.",
    ),
    (ResponseError, "MISCONF", "it cannot write its own files", "Free space on its disk; its log says more."),
)
"""What Redis says when it lives and takes nothing: the error, a word of it, the reason and the remedy."""


class Doorbell:
    """A connection for ringing, made when it is first needed. Threads take turns."""

    def __init__(self, redis_url: str) -> None:
        self.shown_url = str(maybe_sanitize_url(redis_url))
        """The URL without its password, for people."""
        self._turn = threading.Lock()  # one that finds the connection broken closes it
        options = transport_options(patience_s=_PATIENCE_S)
        self._connection: Any = Connection(redis_url, transport_options=options)  # type: ignore[no-untyped-call]

    def ring_chunks(self, bells: int) -> None:
        """Ring for chunks: for any that are due, as a bell names none.

        Raises:
            RedisUnreachableError: Redis did not answer; some of the bells may have rung.
        """
        self._ring(IDENTIFY_QUEUE, IDENTIFY_TASK, [()] * bells)

    def ring_run(self, run_id: int) -> None:
        """Ring for a training run.

        Raises:
            RedisUnreachableError: Redis did not answer.
        """
        self._ring(TRAIN_QUEUE, TRAIN_TASK, [(run_id,)])

    def waiting(self) -> int:
        """Return how many bells for chunks no worker has taken yet.

        Raises:
            RedisUnreachableError: Redis did not answer.
        """
        return self._length(IDENTIFY_QUEUE)

    def waiting_runs(self) -> int:
        """Return how many bells for training runs no trainer has taken yet.

        Raises:
            RedisUnreachableError: Redis did not answer.
        """
        return self._length(TRAIN_QUEUE)

    def check(self) -> None:
        """Ask Redis whether it would take a bell.

        Raises:
            RedisUnreachableError: it gave no sign of life.
            RedisRefusedError: it lives, and takes nothing.
        """
        with self._translated():
            self._client().set(_PROBE, "", px=_PROBE_MS)

    def close(self) -> None:
        """Close the connection. A later call opens it again."""
        self._connection.release()

    def _ring(self, queue: str, task: str, calls: Sequence[tuple[int, ...]]) -> None:
        with self._translated():
            producer = self._connection.Producer(auto_declare=False, serializer="json")
            with producer.batch(max_size=_BATCH):
                for ids in calls:
                    headers, body = _message(task, ids)
                    # The nameless exchange leads to the queue without a binding, which a flushed Redis has lost.
                    producer.publish(
                        body,
                        exchange="",
                        routing_key=queue,
                        headers=headers,
                        correlation_id=headers["id"],
                        delivery_mode=2,
                    )

    def _length(self, queue: str) -> int:
        with self._translated():
            return int(self._client().llen(queue))

    def _client(self) -> Any:
        """Return the Redis client of the open channel."""
        return self._connection.default_channel.client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what kombu and redis-py say of an absent Redis into our words, and start anew next time."""
        with self._turn:
            try:
                self._connection.ensure_connection(
                    max_retries=1, interval_start=0, interval_step=0, timeout=_PATIENCE_S
                )
                yield
            except (RedisError, KombuError, OSError) as error:
                self._connection.collect(socket_timeout=_PATIENCE_S)
                raise self._error(error) from error

    def _error(self, error: Exception) -> RedisUnreachableError:
        refusal = _refusal(error)
        if refusal is not None:
            return RedisRefusedError(
                f"Redis at {self.shown_url} takes no bells: {refusal[0]}. Nothing is lost: what the database holds is "
                f"rung again when it does. {refusal[1]}"
            )
        return RedisUnreachableError(
            f"Redis at {self.shown_url} did not answer ({_first_line(error)}). Nothing is lost: what the database "
            f"holds is rung again when Redis is back. Check FACEFLEET_REDIS_URL and that Redis runs, or start "
            f"everything on this machine with `facefleet up`."
        )


def _message(task: str, ids: Sequence[int]) -> tuple[dict[str, Any], list[Any]]:
    """Return the headers and the body of a call of `task(*ids)`: version 2 of Celery's message protocol."""
    task_id = str(uuid.uuid4())
    headers = {"lang": "py", "task": task, "id": task_id, "root_id": task_id, "parent_id": None, "group": None}
    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return headers, [list(ids), {}, embedded]


def ring_for_due_chunks(database: Database, doorbell: Doorbell) -> int:
    """Ring until as many bells wait as chunks are due, MOST_BELLS at most; return how many were rung.

    A bell that finds work goes back into the queue by itself (workers/tasks.py). So few bells are enough for any
    backlog, and the queue in Redis stays as short.

    Raises:
        DatabaseUnreachableError: the ledger did not say what is due.
        RedisUnreachableError: Redis did not answer; some of the bells may have rung.
    """
    with database.read() as session:
        due = count_due_chunks(session, MOST_BELLS)
    missing = due - doorbell.waiting() if due else 0
    if missing > 0:
        doorbell.ring_chunks(missing)
    return max(0, missing)


def _refusal(error: BaseException | None) -> tuple[str, str] | None:
    """Return why Redis takes nothing and what to do, if that is what it said; kombu may have wrapped it."""
    while error is not None:
        for kind, word, reason, remedy in _REFUSALS:
            if isinstance(error, kind) and word in str(error):
                return reason, remedy
        error = error.__cause__ or error.__context__
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
