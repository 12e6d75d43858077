"""The old model serves until the new one has proved itself; a failed swap changes nothing but a record."""

import gc
import itertools
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from core.models.engine import Engine, load_engine
from core.models.export import write_artifact
from core.models.holder import ModelHolder
from core.models.known import Known
from core.models.runner import Runner
from core.models.store import ModelStore
from core.models.wanted import WantedModel
from core.nets.compact import CompactNetwork
from core.nets.servable import Servable
from tests.engines import StubLoader, serve, wanted
from tests.factories import make_artifact, make_artifact_of, make_manifest, make_network, put_bytes
from tests.gpu import GPU, ON_GPU, device_bytes
from tests.networks import OutOfMemory, with_nan_weights


@pytest.fixture
def loader() -> StubLoader:
    return StubLoader()


@pytest.fixture
def holder(loader: StubLoader) -> Iterator[ModelHolder]:
    made = ModelHolder(loader)
    yield made
    loader.let_go()
    made.close()


def place(holder: ModelHolder) -> tuple[int, int | None]:
    """The version that serves, and its generation."""
    assert holder.current is not None
    return holder.current.version, holder.current.generation


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not fact():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.002)


def test_a_holder_holds_nothing_at_first(holder: ModelHolder) -> None:
    assert (holder.switch(), holder.current, holder.beside, holder.failures) == (None, None, None, ())
    assert not holder.is_loading
    assert holder.wait_loaded(0)


def test_a_model_that_is_wanted_serves_from_the_next_switch_on(holder: ModelHolder) -> None:
    holder.want(wanted(1, generation=1))
    assert holder.wait_loaded(30)
    assert holder.current is None
    holder.switch()
    assert place(holder) == (1, 1)


def test_the_old_model_serves_while_the_new_one_loads(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(1, generation=1))
    loader.hold()
    holder.want(wanted(2, generation=2))
    holder.switch()
    assert (place(holder), holder.is_loading) == ((1, 1), True)
    loader.let_go()
    assert holder.wait_loaded(30)
    holder.switch()
    assert (place(holder), holder.is_loading) == ((2, 2), False)
    assert loader.open_shas == ["2" * 64]  # the old one's memory is free


def test_the_same_generation_is_not_loaded_again(holder: ModelHolder, loader: StubLoader) -> None:
    loader.hold()
    for _ in range(3):
        holder.want(wanted(1, generation=1))
    loader.let_go()
    serve(holder, wanted(1, generation=1))
    serve(holder, wanted(1, generation=1))
    assert loader.calls == {"1" * 64: 1}


def test_an_older_generation_changes_nothing(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(2, generation=5))
    serve(holder, wanted(1, generation=4))
    holder.want(None)
    assert place(holder) == (2, 5)
    assert list(loader.calls) == ["2" * 64]


def test_activating_the_same_bytes_again_takes_no_load(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(1, generation=1))
    serve(holder, wanted(1, generation=3))
    assert (place(holder), loader.calls["1" * 64]) == ((1, 3), 1)
    assert loader.open_shas == ["1" * 64]


def test_generations_that_were_overtaken_before_they_were_begun_are_not_loaded(
    holder: ModelHolder, loader: StubLoader
) -> None:
    loader.hold()
    for number in (1, 2, 3):
        holder.want(wanted(number, generation=number))
        until(lambda: loader.calls.total() == 1)
    loader.let_go()
    assert holder.wait_loaded(30)
    holder.switch()
    assert place(holder) == (3, 3)
    assert list(loader.calls) == ["1" * 64, "3" * 64]
    assert loader.open_shas == ["3" * 64]


def test_a_model_that_was_overtaken_while_it_loaded_serves_until_the_newer_one_does(
    holder: ModelHolder, loader: StubLoader
) -> None:
    """Otherwise none would ever serve while models are activated faster than they load."""
    serve(holder, wanted(1, generation=1))
    loader.hold()
    holder.want(wanted(2, generation=2))
    until(lambda: loader.calls.total() == 2)
    holder.want(wanted(3, generation=3))
    loader.break_file("3" * 64)
    loader.let_go()
    assert holder.wait_loaded(30)
    holder.switch()
    assert place(holder) == (2, 2)


def test_going_back_while_the_new_model_loads_leaves_the_old_one_where_it_is(
    holder: ModelHolder, loader: StubLoader
) -> None:
    serve(holder, wanted(1, generation=1))
    loader.hold()
    holder.want(wanted(2, generation=2))
    until(lambda: loader.calls.total() == 2)
    serve(holder, wanted(1, generation=3))
    loader.let_go()
    until(lambda: len(loader.engines) == 2 and loader.engines[1].is_closed)
    holder.switch()
    assert place(holder) == (1, 3)
    assert loader.open_shas == ["1" * 64]


def test_a_model_stands_beside_the_one_that_serves_and_steps_aside(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(1, generation=1), wanted(2, None))
    until(lambda: holder.switch() is not None and holder.beside is not None)
    assert holder.beside is not None
    assert (place(holder), holder.beside.version, holder.beside.generation) == ((1, 1), 2, None)
    holder.want(wanted(1, generation=1), None)
    holder.switch()
    assert holder.beside is None
    assert loader.open_shas == ["1" * 64]


def test_a_model_beside_that_is_activated_serves_at_once(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(1, generation=1), wanted(2, None))
    until(lambda: holder.switch() is not None and holder.beside is not None)
    holder.want(wanted(2, generation=2), None)
    holder.switch()
    assert (place(holder), holder.beside) == ((2, 2), None)
    assert (loader.calls["2" * 64], loader.open_shas) == (1, ["2" * 64])


def test_another_model_beside_frees_the_one_before_at_once(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(1, generation=1), wanted(2, None))
    until(lambda: holder.switch() is not None and holder.beside is not None)
    loader.hold()
    holder.want(wanted(1, generation=1), wanted(3, None))
    holder.switch()
    assert (holder.beside, loader.open_shas) == (None, ["1" * 64])


def test_a_failed_swap_leaves_the_old_model_serving_and_says_why(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(1, generation=1))
    loader.break_file("2" * 64)
    serve(holder, wanted(2, generation=2))
    assert (place(holder), holder.is_loading) == ((1, 1), False)
    [failure] = holder.failures
    assert (failure.model.version, failure.code, failure.attempts) == (2, "artifact_missing", 1)
    assert "is gone" in failure.message


def test_an_error_that_no_one_foresaw_leaves_the_old_model_serving_too(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(1, generation=1))
    loader.bad["2" * 64] = OSError("the machine is on fire")
    serve(holder, wanted(2, generation=2))
    assert place(holder) == (1, 1)
    assert [(failed.code, failed.message) for failed in holder.failures] == [
        ("internal_error", "the machine is on fire")
    ]


def test_where_none_serves_the_one_before_does_until_the_newer_one_can(holder: ModelHolder, loader: StubLoader) -> None:
    loader.break_file("2" * 64)
    for _ in range(2):  # as a worker polls: the first time it does not know yet that the newer one fails
        holder.want(wanted(2, generation=2), None, wanted(1, generation=1))
        assert holder.wait_loaded(30)
    until(lambda: holder.switch() is not None)
    assert (place(holder), [failed.model.version for failed in holder.failures]) == ((1, 1), [2])
    loader.bad.clear()
    serve(holder, wanted(2, generation=3))
    assert place(holder) == (2, 3)


def test_the_one_before_is_not_loaded_where_another_serves(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(1, generation=1))
    loader.break_file("3" * 64)
    for _ in range(2):
        holder.want(wanted(3, generation=3), None, wanted(2, generation=2))
        assert holder.wait_loaded(30)
    assert "2" * 64 not in loader.calls


def test_a_newer_generation_does_not_wait_for_a_failed_one(holder: ModelHolder, loader: StubLoader) -> None:
    loader.break_file("1" * 64)
    serve(holder, wanted(1, generation=1))
    serve(holder, wanted(2, generation=2))
    assert (place(holder), holder.failures) == ((2, 2), ())


def test_the_same_model_activated_anew_is_tried_at_once(holder: ModelHolder, loader: StubLoader) -> None:
    loader.break_file("1" * 64)
    serve(holder, wanted(1, generation=1))
    loader.bad.clear()
    serve(holder, wanted(1, generation=2))
    assert place(holder) == (1, 2)


def test_a_failure_beside_says_so_and_touches_nothing_else(holder: ModelHolder, loader: StubLoader) -> None:
    loader.break_file("2" * 64)
    serve(holder, wanted(1, generation=1), wanted(2, None))
    until(lambda: bool(holder.failures))
    assert [(failed.model.version, failed.model.generation) for failed in holder.failures] == [(2, None)]
    assert (place(holder), holder.beside) == ((1, 1), None)


def test_a_closed_holder_holds_nothing(holder: ModelHolder, loader: StubLoader) -> None:
    serve(holder, wanted(1, generation=1))
    holder.close()
    holder.close()
    assert (holder.current, loader.open_shas) == (None, [])


def another_file(store: ModelStore) -> str:
    """A good file under the name of another one."""
    good, other = make_artifact(store, seed=1), make_artifact(store, seed=2)
    store.path(other).unlink()
    store.path(good).rename(store.root / f"{other}.pt")
    return other


BAD: dict[str, tuple[Callable[[ModelStore], str], str]] = {
    "missing": (lambda store: "0" * 64, "artifact_missing"),
    "corrupt": (lambda store: put_bytes(store, b"junk"), "artifact_corrupt"),
    "wrong hash": (another_file, "artifact_corrupt"),
    "NaN weights": (lambda store: make_artifact_of(store, with_nan_weights(), make_manifest()), "model_parity"),
    "wrong class count": (lambda store: make_artifact_of(store, make_network(4), make_manifest()), "model_parity"),
    "out of memory": (
        lambda store: make_artifact_of(store, OutOfMemory(make_network(3).gallery), make_manifest()),
        "model_too_large_for_memory",
    ),
}


@pytest.mark.parametrize(("make", "code"), BAD.values(), ids=BAD.keys())
def test_a_real_model_that_fails_leaves_the_real_one_serving(
    tmp_path: Path, make: Callable[[ModelStore], str], code: str
) -> None:
    store = ModelStore(tmp_path)
    holder = ModelHolder(lambda sha256: _load(store, sha256))
    serve(holder, WantedModel(version=1, sha256=make_artifact(store), generation=1))
    serve(holder, WantedModel(version=2, sha256=make(store), generation=2))
    assert place(holder) == (1, 1)
    assert [failure.code for failure in holder.failures] == [code]
    assert holder.current is not None
    assert len(holder.current.engine.run(np.zeros((1, 3, 16, 16), np.uint8))[0]) == 1
    holder.close()


def test_an_engine_that_was_replaced_is_let_go(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    holder = ModelHolder(lambda sha256: _load(store, sha256))
    serve(holder, WantedModel(version=1, sha256=make_artifact(store), generation=1))
    assert holder.current is not None
    old = weakref.ref(holder.current.engine)
    serve(holder, WantedModel(version=2, sha256=make_artifact(store, seed=1), generation=2))
    gc.collect()
    assert old() is None
    holder.close()


def _load(store: ModelStore, sha256: str) -> Engine:
    return load_engine(store.path(sha256), sha256, "cpu", batch_size=4)


def _two_models(folder: Path) -> tuple[ModelStore, list[str]]:
    """A store with two untrained compact networks in it, of some MiB each."""
    store, shas = ModelStore(folder / "store"), []
    for seed in range(2):
        torch.manual_seed(seed)
        servable = Servable(CompactNetwork(3, 64)).eval()
        manifest = make_manifest(input_size_px=64, embedding_dim=servable.embedding_dim, seed=seed)
        write_artifact(servable, servable.network.gallery().numpy(), manifest, folder / "staged.pt")
        shas.append(store.put(folder / "staged.pt"))
    return store, shas


def _networks_held() -> int:
    gc.collect()
    return sum(type(each) is Runner for each in gc.get_objects())


@pytest.mark.parametrize(
    ("device", "swaps"), [pytest.param("cpu", 6, marks=pytest.mark.long), pytest.param(GPU, 50, marks=ON_GPU)]
)
def test_swaps_take_no_more_memory_of_the_device_however_many_there_are(
    tmp_path: Path, device: str, swaps: int
) -> None:
    store, shas = _two_models(tmp_path)
    known, held_before = Known(), _networks_held()
    # On this clock ten seconds pass between two looks, so that the loader rests after no load.
    hours = itertools.count(0.0, 10.0)
    holder = ModelHolder(
        lambda sha256: load_engine(store.path(sha256), sha256, device, batch_size=8, known=known),
        now=lambda: next(hours),
    )
    crops, settled = np.zeros((8, 3, 64, 64), np.uint8), (0, 0)
    for number in range(1, swaps + 1):
        serve(holder, WantedModel(version=number, sha256=shas[number % 2], generation=number))
        assert place(holder) == (number, number)
        assert holder.current is not None
        assert np.isfinite(holder.current.engine.run(crops)[0]).all()
        if number == 5:  # by then the libraries have what they keep
            settled = device_bytes(device)
    assert _networks_held() - held_before == 1
    for before, after in zip(settled, device_bytes(device), strict=True):
        assert after <= before + (1 << 20), "a network has more"
    holder.close()
    assert _networks_held() == held_before
