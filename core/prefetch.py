"""Runs blocking work ahead of the one who needs it: a few threads, results in order, a deadline for every piece.

A thread that does not come back is given up and replaced, as Python cannot stop it. Knows nothing of photos.
"""

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, InvalidStateError
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger(__name__)
_LOOK_S = 1.0


class Prefetcher:
    """A bounded pipeline from items to values. The threads stay between calls; one call at a time.

    Args:
        threads: how many pieces of work run at once, >= 1.
        ahead: how many items are begun or finished before they are asked for: this bounds the memory.
        timeout_s: how long one item's work may take before it is given up.
        most_weight: once the values that wait to be asked for weigh so much, only the next one is worked on.
    """

    def __init__(self, *, threads: int, ahead: int, timeout_s: float, most_weight: int = 1) -> None:
        self._threads = threads
        self._most_weight = most_weight
        self._ahead = max(threads, ahead)
        self._timeout_s = timeout_s
        self._look_s = min(_LOOK_S, timeout_s / 4)
        self._queue: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._hands: list[_Hand] = []
        self._stuck: list[_Hand] = []

    @property
    def stuck_threads(self) -> int:
        """Threads that were given up and have not come back yet."""
        self._stuck = [hand for hand in self._stuck if hand.is_alive()]
        return len(self._stuck)

    def map(
        self,
        work: Callable[[T], R],
        too_slow: Callable[[T], R],
        items: Iterable[T],
        on_wait: Callable[[], None],
        weigh: Callable[[R], int] = lambda _: 0,
    ) -> Generator[R, None, None]:
        """Yield a value for every item, in their order. Close the iterator when it is left early.

        Args:
            work: makes an item's value, on a thread; what it raises is raised here.
            too_slow: makes the value of an item whose work took longer than the deadline.
            items: read no further ahead than the bound.
            on_wait: called about every second while the next value is not there.
            weigh: says how much a value weighs; never raises.
        """
        upcoming = iter(items)
        scales = _Scales(self._most_weight, weigh)
        tickets: deque[_Ticket] = deque()
        self._fill_up_hands()
        try:
            while True:
                tickets.extend(
                    self._submit(work, too_slow, item, scales) for item in islice(upcoming, self._ahead - len(tickets))
                )
                if not tickets:
                    return
                yield self._value_of(tickets.popleft(), on_wait)
        finally:
            for ticket in tickets:
                ticket.future.cancel()
            scales.give_up()

    def close(self) -> None:
        """Let the threads end after what they are at."""
        for _ in self._hands:
            self._queue.put(None)
        self._hands = []
        self._queue = queue.SimpleQueue()

    def _submit(self, work: Callable[[T], R], too_slow: Callable[[T], R], item: T, scales: "_Scales") -> "_Ticket":
        ticket = _Ticket(lambda: work(item), lambda: too_slow(item), scales)
        self._queue.put(ticket)
        return ticket

    def _value_of(self, ticket: "_Ticket", on_wait: Callable[[], None]) -> Any:
        """Wait for a value, giving up what hangs meanwhile."""
        ticket.scales.await_ticket(ticket)
        while not ticket.future.done():
            self._give_up_late_hands()
            try:
                ticket.future.exception(timeout=self._look_s)
            except TimeoutError:
                on_wait()
        value = ticket.future.result()
        ticket.scales.take_off(value)
        return value

    def _give_up_late_hands(self) -> None:
        """Settle every piece of work that passed its deadline, and replace the thread that is at it."""
        now = time.monotonic()
        for hand in list(self._hands):
            ticket = hand.ticket
            if ticket is not None and now > ticket.begun_s + self._timeout_s and ticket.settle(ticket.too_slow):
                _log.warning("%s hangs for %.1f s and is given up", hand.name, now - ticket.begun_s)
                self._hands.remove(hand)
                self._stuck.append(hand)
        self._fill_up_hands()

    def _fill_up_hands(self) -> None:
        while len(self._hands) < self._threads:
            hand = _Hand(self._queue)
            self._hands.append(hand)
            hand.start()


class _Ticket:
    """One item's work. Whoever settles it first has said its value: the thread, or the one who gave the thread up."""

    def __init__(self, work: Callable[[], Any], too_slow: Callable[[], Any], scales: "_Scales") -> None:
        self.work = work
        self.too_slow = too_slow
        self.scales = scales
        self.future: Future[Any] = Future()
        self.begun_s = 0.0

    def settle(self, make: Callable[[], Any]) -> bool:
        """Make the value; return whether it counts."""
        value, error = None, None
        try:
            value = make()
        except BaseException as raised:  # raised again where the value is awaited
            error = raised
        if error is None:
            self.scales.put_on(value)
        try:
            self.future.set_result(value) if error is None else self.future.set_exception(error)
        except InvalidStateError:
            if error is None:
                self.scales.take_off(value)
            return False
        return True


class _Scales:
    """Weighs the values of one call that wait to be asked for, and holds work back while they weigh too much."""

    def __init__(self, most: float, weigh: Callable[[Any], int]) -> None:
        self._most = most
        self._weigh = weigh
        self._weight = 0
        self._awaited: _Ticket | None = None
        self._changed = threading.Condition()

    def hold(self, ticket: _Ticket) -> None:
        """Wait until there is room for one more value, or this one is asked for."""
        with self._changed:
            self._changed.wait_for(lambda: self._weight < self._most or self._awaited is ticket)

    def await_ticket(self, ticket: _Ticket) -> None:
        """Say which value is asked for: its work may begin whatever the others weigh."""
        with self._changed:
            self._awaited = ticket
            self._changed.notify_all()

    def put_on(self, value: Any) -> None:
        """Count a value that is there."""
        with self._changed:
            self._weight += self._weigh(value)

    def take_off(self, value: Any) -> None:
        """Count it no longer."""
        with self._changed:
            self._weight -= self._weigh(value)
            self._changed.notify_all()

    def give_up(self) -> None:
        """Let everybody through: no value will be asked for any more."""
        with self._changed:
            self._most = math.inf
            self._changed.notify_all()


class _Hand(threading.Thread):
    """A thread that works off tickets until it is given up or told to end."""

    def __init__(self, tickets: "queue.SimpleQueue[_Ticket | None]") -> None:
        super().__init__(name="prefetch", daemon=True)
        self._tickets = tickets
        self.ticket: _Ticket | None = None
        """What it is at."""

    def run(self) -> None:
        """Work until the queue says None, or until a value came too late."""
        while (ticket := self._tickets.get()) is not None:
            ticket.scales.hold(ticket)
            if not ticket.future.set_running_or_notify_cancel():
                continue
            ticket.begun_s = time.monotonic()
            self.ticket = ticket
            if not ticket.settle(ticket.work):
                return
            self.ticket = None
