"""Work is done ahead, in order, within bounds, and a piece that hangs costs its own value only."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from core.prefetch import Prefetcher


def nothing() -> None:
    """Waited on without interest."""


def late(item: object) -> str:
    return f"{item} late"


def until(condition: Callable[[], bool], deadline_s: float = 20.0) -> bool:
    """Wait until a condition holds; say whether it did before the deadline."""
    waiting, end = threading.Event(), time.monotonic() + deadline_s
    while not condition() and time.monotonic() < end:
        waiting.wait(0.005)
    return condition()


@pytest.fixture
def prefetcher() -> Iterator[Prefetcher]:
    prefetcher = Prefetcher(threads=3, ahead=5, timeout_s=0.5)
    yield prefetcher
    prefetcher.close()


def test_values_come_in_the_order_of_their_items(prefetcher: Prefetcher) -> None:
    assert list(prefetcher.map(lambda x: x * x, late, range(500), nothing)) == [x * x for x in range(500)]
    assert list(prefetcher.map(str, late, [], nothing)) == []


def test_work_runs_ahead_but_no_further_than_the_bound() -> None:
    prefetcher = Prefetcher(threads=2, ahead=4, timeout_s=20)
    begun: list[int] = []
    values = prefetcher.map(lambda x: begun.append(x) or x, late, range(50), nothing)
    for consumed in range(1, 51):
        next(values)
        reach = min(50, consumed + 3)
        assert until(lambda reach=reach: len(begun) == reach)
        assert len(begun) <= reach
    prefetcher.close()


def test_heavy_values_hold_further_work_back_until_they_are_taken() -> None:
    prefetcher = Prefetcher(threads=2, ahead=20, timeout_s=20, most_weight=10)
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    values = prefetcher.map(work, late, range(20), nothing, weigh=lambda _: 5)
    assert next(values) == 0
    for consumed in range(1, 20):
        # Two values lie there, and a thread that found room before them may add a third.
        assert until(lambda consumed=consumed: len(begun) >= min(20, consumed + 2))
        assert len(begun) <= consumed + 3
        assert next(values) == consumed
    assert list(values) == []
    prefetcher.close()


def test_values_heavier_than_all_room_still_come_one_after_the_other() -> None:
    prefetcher = Prefetcher(threads=3, ahead=9, timeout_s=20, most_weight=1)
    assert list(prefetcher.map(str, late, range(50), nothing, weigh=lambda _: 1000)) == [str(i) for i in range(50)]
    prefetcher.close()


def test_threads_that_are_held_back_are_free_after_the_call_was_left_early() -> None:
    prefetcher = Prefetcher(threads=2, ahead=9, timeout_s=20, most_weight=1)
    values = prefetcher.map(str, late, range(50), nothing, weigh=lambda _: 1000)
    next(values)
    values.close()
    assert list(prefetcher.map(str, late, range(50), nothing)) == [str(i) for i in range(50)]
    prefetcher.close()


def test_items_are_taken_no_earlier_than_needed() -> None:
    prefetcher = Prefetcher(threads=2, ahead=4, timeout_s=20)
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    values = prefetcher.map(str, late, items(), nothing)
    next(values)
    assert len(taken) == 4
    values.close()
    prefetcher.close()


def test_work_that_hangs_is_given_up_and_its_neighbours_go_on(prefetcher: Prefetcher) -> None:
    gate = threading.Event()

    def work(item: int) -> str:
        if item % 7 == 1:
            gate.wait()
        return str(item)

    values = list(prefetcher.map(work, late, range(20), nothing))
    assert values == [late(x) if x % 7 == 1 else str(x) for x in range(20)]
    assert prefetcher.stuck_threads == 3
    gate.set()
    assert until(lambda: prefetcher.stuck_threads == 0)


def test_the_pool_is_whole_again_after_every_thread_hung(prefetcher: Prefetcher) -> None:
    gate = threading.Event()
    assert list(prefetcher.map(lambda _: gate.wait(), late, range(4), nothing)) == [late(x) for x in range(4)]
    assert list(prefetcher.map(str, late, range(7), nothing)) == [str(x) for x in range(7)]
    gate.set()


def test_threads_that_hang_in_a_call_that_was_left_do_not_block_the_next(prefetcher: Prefetcher) -> None:
    gate = threading.Event()
    values = prefetcher.map(lambda x: gate.wait() if x else x, late, range(4), nothing)
    assert next(values) == 0
    values.close()
    assert list(prefetcher.map(str, late, range(9), nothing)) == [str(x) for x in range(9)]
    gate.set()


def test_a_value_that_comes_after_the_deadline_is_not_taken_for_another(prefetcher: Prefetcher) -> None:
    gate = threading.Event()
    first = list(prefetcher.map(lambda x: gate.wait() and "stale", late, range(3), nothing))
    gate.set()
    assert first == [late(x) for x in range(3)]
    assert list(prefetcher.map(str, late, range(3), nothing)) == ["0", "1", "2"]


def test_what_work_raises_is_raised_to_the_consumer_and_the_pool_survives(prefetcher: Prefetcher) -> None:
    values = prefetcher.map(lambda x: 1 // x, late, [1, 0, 1], nothing)
    assert next(values) == 1
    with pytest.raises(ZeroDivisionError):
        next(values)
    assert list(prefetcher.map(str, late, range(3), nothing)) == ["0", "1", "2"]


def test_someone_who_waits_long_is_told_again_and_again() -> None:
    prefetcher, gate, calls = Prefetcher(threads=1, ahead=1, timeout_s=60.0), threading.Event(), []

    def on_wait() -> None:
        calls.append(1)
        if len(calls) == 2:
            gate.set()

    assert list(prefetcher.map(lambda x: gate.wait() and x, late, [7], on_wait)) == [7]
    assert len(calls) == 2
    prefetcher.close()


def test_work_that_was_not_begun_is_dropped_when_the_call_is_left(prefetcher: Prefetcher) -> None:
    gate, begun = threading.Event(), []

    def work(item: int) -> int:
        begun.append(item)
        if item:
            gate.wait()
        return item

    values = prefetcher.map(work, late, range(5), nothing)
    next(values)
    assert until(lambda: len(begun) == 4)
    values.close()
    gate.set()
    list(prefetcher.map(str, late, range(3), nothing))
    assert sorted(begun) == [0, 1, 2, 3]


def test_closing_ends_the_threads() -> None:
    before = set(threading.enumerate())
    prefetcher = Prefetcher(threads=3, ahead=5, timeout_s=1)
    list(prefetcher.map(str, late, range(5), nothing))
    mine = set(threading.enumerate()) - before
    assert len(mine) == 3
    assert all(thread.daemon for thread in mine)
    prefetcher.close()
    assert until(lambda: not any(thread.is_alive() for thread in mine))
