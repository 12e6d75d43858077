"""Stages are timed in each thread, each moment for the innermost, and the pipeline says which it is in."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.images.decode import DecodeLimits
from core.images.read import PhotoReader
from core.models.engine import load_engine
from core.models.store import ModelStore
from core.recognise import Recogniser
from core.records import PhotoTask
from core.stages import Spent, Stage, StageTimes, Stopwatch, untimed
from tests.factories import make_artifact, make_photo


def compute(size: int = 2_000_000) -> None:
    sum(range(size))


def on_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_time_counts_for_the_innermost_stage() -> None:
    watch = Stopwatch()
    with watch.stage(Stage.DECIDE):
        with watch.stage(Stage.EMBED):
            compute()
        compute(1000)

    inner, outer = watch.stages[Stage.EMBED], watch.stages[Stage.DECIDE]
    assert list(watch.stages) == [Stage.DECIDE, Stage.EMBED]
    assert inner.computing_s > outer.computing_s > 0
    assert inner.wall_s >= inner.computing_s * 0.5
    assert (inner.entered, outer.entered) == (1, 1)


def test_a_stage_that_fails_is_left() -> None:
    watch = Stopwatch()
    with pytest.raises(ValueError, match="broken"), watch.stage(Stage.READ):
        raise ValueError("broken")
    compute(100_000)
    before = watch.stages[Stage.READ].computing_s
    with watch.stage(Stage.DECODE):
        pass

    assert watch.stages[Stage.READ].computing_s == before


def test_a_stage_inside_itself_counts_once() -> None:
    watch = Stopwatch()
    with watch.stage(Stage.ALIGN), watch.stage(Stage.ALIGN):
        compute(100_000)

    assert watch.stages[Stage.ALIGN].entered == 2
    assert 0 < watch.stages[Stage.ALIGN].computing_s <= watch.stages[Stage.ALIGN].wall_s * 1.5


def test_nothing_is_timed_unless_somebody_asks() -> None:
    with untimed(Stage.READ) as nothing:
        assert nothing is None


def test_the_stages_of_all_threads_are_summed_in_the_order_of_the_pipeline() -> None:
    times = StageTimes()

    def read() -> None:
        with times.stage(Stage.READ):
            compute(100_000)

    with times.stage(Stage.EMBED):
        compute(100_000)
    on_a_thread(read)
    on_a_thread(read)

    assert list(times.spent()) == [Stage.READ, Stage.EMBED]
    assert times.spent()[Stage.READ].entered == 2
    assert times.spent()[Stage.READ].computing_s > 0


def test_what_is_read_while_others_compute_overlaps() -> None:
    times = StageTimes()

    def read() -> None:
        with times.stage(Stage.READ):
            compute()

    with times.stage(Stage.EMBED):
        on_a_thread(read)

    read_spent = times.spent()[Stage.READ]
    assert read_spent.beside_s == pytest.approx(read_spent.wall_s)


def test_what_is_read_while_it_is_awaited_does_not_overlap() -> None:
    times = StageTimes()

    def read() -> None:
        with times.stage(Stage.READ):
            compute()

    with times.stage(Stage.AWAIT):
        on_a_thread(read)

    read_spent = times.spent()[Stage.READ]
    assert read_spent.wall_s > 0
    assert read_spent.beside_s == pytest.approx(0.0, abs=1e-6)


def test_what_was_spent_since_a_look_is_a_difference() -> None:
    before = Spent(wall_s=1.0, computing_s=0.5, beside_s=0.25, entered=2)
    after = Spent(wall_s=1.0, computing_s=0.5, beside_s=0.25, entered=2)
    after.add(Spent(wall_s=2.0, computing_s=1.0, beside_s=0.5, entered=3))

    assert after.since(before) == Spent(wall_s=2.0, computing_s=1.0, beside_s=0.5, entered=3)


def test_the_pipeline_says_which_stage_it_is_in(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    sha256 = make_artifact(store)
    engine = load_engine(store.path(sha256), sha256, "cpu", batch_size=4)
    photos = [tmp_path / f"{number}.png" for number in range(9)]
    for number, photo in enumerate(photos):
        photo.write_bytes(make_photo(number % 3))
    times = StageTimes()
    recogniser = Recogniser(PhotoReader(), engine, DecodeLimits(), read_threads=2, time_stage=times.stage)

    recogniser.recognise([PhotoTask(ordinal=number, uri=str(photo)) for number, photo in enumerate(photos)])
    recogniser.close()

    entered = {stage: spent.entered for stage, spent in times.spent().items()}
    assert entered == {Stage.READ: 9, Stage.DECODE: 9, Stage.AWAIT: 4, Stage.EMBED: 3, Stage.DECIDE: 3}
    assert all(spent.wall_s > 0 for spent in times.spent().values())
