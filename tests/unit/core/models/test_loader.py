"""Loading goes on in the background, in turn, gives way to serving, and does not try what failed in a hot loop."""

import time
from collections.abc import Callable, Iterator

import pytest

from core.models.loader import LOADING_SHARE, LONGEST_REST_S, BackgroundLoader
from core.models.wanted import FIRST_PAUSE_S, LONGEST_PAUSE_S, WantedModel
from tests.engines import StubEngine, StubLoader, wanted


class Loading:
    """A loader with a clock that the test turns, and what it handed over."""

    def __init__(self, load: Callable[[str], StubEngine]) -> None:
        self.now_s = 0.0
        self.loaded: list[int] = []
        self.ends = 0
        self.loader = BackgroundLoader(load, on_loaded=self._take, on_end=self._end, now=lambda: self.now_s)

    def _take(self, model: WantedModel, engine: StubEngine) -> None:
        self.loaded.append(model.version)

    def _end(self) -> None:
        self.ends += 1

    def request(self, *models: WantedModel) -> None:
        self.loader.request(models)

    def turn_to(self, now_s: float, *models: WantedModel) -> None:
        """Let it be later, and poll as a worker does."""
        self.now_s = now_s
        self.request(*models)

    def wait_ends(self, ends: int) -> None:
        until(lambda: self.ends >= ends)
        assert self.ends == ends


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not fact():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.002)


@pytest.fixture
def stub() -> StubLoader:
    return StubLoader()


@pytest.fixture
def loading(stub: StubLoader) -> Iterator[Loading]:
    made = Loading(stub)
    yield made
    stub.let_go()
    made.loader.close()


def test_the_most_wanted_is_loaded_first_and_each_once(loading: Loading, stub: StubLoader) -> None:
    loading.request(wanted(2, 2), wanted(1, None))
    loading.wait_ends(1)
    loading.turn_to(LONGEST_REST_S, wanted(1, None))
    loading.wait_ends(2)
    assert (loading.loaded, stub.calls.total()) == ([2, 1], 2)


def test_what_waits_and_is_not_wanted_any_more_is_not_loaded(loading: Loading, stub: StubLoader) -> None:
    stub.hold()
    loading.request(wanted(1, 1), wanted(2, None))
    until(lambda: stub.calls.total() == 1)
    loading.request(wanted(3, 3))
    stub.let_go()
    loading.wait_ends(1)
    loading.turn_to(LONGEST_REST_S, wanted(3, 3))
    loading.wait_ends(2)
    assert loading.loaded == [1, 3]


def test_a_failure_is_tried_again_after_a_pause_that_doubles_up_to_a_limit(loading: Loading, stub: StubLoader) -> None:
    bad = wanted(1, 1)
    stub.break_file(bad.sha256)
    loading.request(bad)
    pause_s, due_s = FIRST_PAUSE_S, 0.0
    for attempt in range(1, 10):
        loading.wait_ends(attempt)
        failure = loading.loader.failure_of(bad)
        assert failure is not None
        assert (failure.attempts, failure.retry_s - failure.failed_s) == (attempt, pause_s)
        due_s += pause_s
        loading.turn_to(due_s - 0.001, bad)
        assert loading.ends == attempt
        loading.turn_to(due_s, bad)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    assert pause_s == LONGEST_PAUSE_S


def test_a_failure_that_is_mended_is_forgotten(loading: Loading, stub: StubLoader) -> None:
    bad = wanted(1, 1)
    stub.break_file(bad.sha256)
    loading.request(bad)
    loading.wait_ends(1)
    stub.bad.clear()
    loading.turn_to(FIRST_PAUSE_S, bad)
    loading.wait_ends(2)
    assert (loading.loaded, loading.loader.failure_of(bad)) == ([1], None)


def test_a_failed_model_keeps_no_other_from_loading(loading: Loading, stub: StubLoader) -> None:
    stub.break_file(wanted(1, 1).sha256)
    loading.request(wanted(1, 1), wanted(2, None))
    loading.wait_ends(2)
    assert loading.loaded == [2]


def test_it_rests_so_that_loading_takes_a_small_share_of_a_core(stub: StubLoader) -> None:
    def compute(sha256: str) -> StubEngine:
        until_s = time.thread_time() + 0.02
        while time.thread_time() < until_s:
            pass
        return stub(sha256)

    loading = Loading(compute)
    loading.request(wanted(1, 1))
    loading.wait_ends(1)
    loading.turn_to(0.02 / LOADING_SHARE - 0.001, wanted(2, 2))
    assert not loading.loader.wait_for(wanted(2, 2), 0.05)
    loading.turn_to(LONGEST_REST_S, wanted(2, 2))
    loading.wait_ends(2)
    assert loading.loaded == [1, 2]
    loading.loader.close()
