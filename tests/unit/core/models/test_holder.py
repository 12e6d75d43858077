"""The old model serves until the new one has proved itself; a failed swap changes nothing but a record."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.models.engine import Engine, load_engine
from core.models.holder import ModelHolder
from core.models.store import ModelStore
from tests.factories import make_artifact, make_artifact_of, make_manifest, make_network, put_bytes


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


class Loader:
    """Loads engines and counts how often."""

    def __init__(self, store: ModelStore) -> None:
        self.store = store
        self.calls = 0

    def __call__(self, sha256: str) -> Engine:
        self.calls += 1
        return load_engine(self.store.path(sha256), sha256, "cpu", batch_size=4)


@pytest.fixture
def loader(store: ModelStore) -> Loader:
    return Loader(store)


def test_a_holder_holds_nothing_at_first(loader: Loader) -> None:
    holder = ModelHolder(loader)
    assert holder.current is None
    assert holder.failure is None


def test_an_offered_model_serves(store: ModelStore, loader: Loader) -> None:
    holder, sha256 = ModelHolder(loader), make_artifact(store)
    assert holder.offer(version=1, generation=1, sha256=sha256)
    assert holder.current is not None
    assert (holder.current.version, holder.current.generation, holder.current.engine.sha256) == (1, 1, sha256)


def test_a_newer_generation_replaces_the_model_and_the_old_one_is_freed(store: ModelStore, loader: Loader) -> None:
    holder, first, second = ModelHolder(loader), make_artifact(store), make_artifact(store, seed=1)
    holder.offer(version=1, generation=1, sha256=first)
    assert holder.current is not None
    old = weakref.ref(holder.current.engine)
    assert holder.offer(version=2, generation=2, sha256=second)
    gc.collect()
    assert old() is None
    assert holder.current.engine.sha256 == second


def test_a_chunk_that_runs_keeps_the_model_it_began_with(store: ModelStore, loader: Loader) -> None:
    holder = ModelHolder(loader)
    holder.offer(version=1, generation=1, sha256=make_artifact(store))
    serving = holder.current
    holder.offer(version=2, generation=2, sha256=make_artifact(store, seed=1))
    assert serving is not None
    assert serving.version == 1
    assert len(serving.engine.run(_crops())[0]) == 1


def test_the_same_generation_is_not_loaded_again(store: ModelStore, loader: Loader) -> None:
    holder, sha256 = ModelHolder(loader), make_artifact(store)
    assert holder.offer(version=1, generation=1, sha256=sha256)
    assert holder.offer(version=1, generation=1, sha256=sha256)
    assert loader.calls == 1


def test_an_older_generation_changes_nothing(store: ModelStore, loader: Loader) -> None:
    holder, sha256 = ModelHolder(loader), make_artifact(store)
    holder.offer(version=2, generation=5, sha256=sha256)
    assert not holder.offer(version=1, generation=4, sha256=make_artifact(store, seed=1))
    assert holder.current is not None
    assert holder.current.version == 2


def test_activating_the_same_bytes_again_takes_no_load(store: ModelStore, loader: Loader) -> None:
    holder, sha256 = ModelHolder(loader), make_artifact(store)
    holder.offer(version=1, generation=1, sha256=sha256)
    assert holder.offer(version=1, generation=3, sha256=sha256)
    assert holder.current is not None
    assert (holder.current.generation, loader.calls) == (3, 1)


BAD: dict[str, tuple[Callable[[ModelStore], str], str]] = {
    "missing": (lambda store: "0" * 64, "artifact_missing"),
    "junk": (lambda store: put_bytes(store, b"junk"), "artifact_corrupt"),
    "wrong class count": (lambda store: make_artifact_of(store, make_network(4), make_manifest()), "model_parity"),
}


@pytest.mark.parametrize(("make", "code"), BAD.values(), ids=BAD.keys())
def test_a_model_that_fails_leaves_the_old_one_serving_and_says_why(
    store: ModelStore, loader: Loader, make: Callable[[ModelStore], str], code: str
) -> None:
    holder, good = ModelHolder(loader), make_artifact(store)
    holder.offer(version=1, generation=1, sha256=good)
    assert not holder.offer(version=2, generation=2, sha256=make(store))
    assert holder.current is not None and holder.failure is not None
    assert (holder.current.version, holder.current.generation) == (1, 1)
    assert len(holder.current.engine.run(_crops())[0]) == 1
    assert (holder.failure.version, holder.failure.generation, holder.failure.code) == (2, 2, code)
    assert holder.failure.message


def test_an_error_that_no_one_foresaw_leaves_the_old_one_serving_too(store: ModelStore, loader: Loader) -> None:
    sha256 = make_artifact(store)

    def load(wanted: str) -> Engine:
        if wanted != sha256:
            raise OSError("the machine is on fire")
        return loader(wanted)

    holder = ModelHolder(load)
    holder.offer(version=1, generation=1, sha256=sha256)
    assert not holder.offer(version=2, generation=2, sha256="f" * 64)
    assert holder.current is not None and holder.failure is not None
    assert holder.current.version == 1
    assert (holder.failure.code, holder.failure.message) == ("internal_error", "the machine is on fire")


def test_a_failed_generation_is_left_alone_for_a_while_and_then_tried_again(store: ModelStore, loader: Loader) -> None:
    now = [0.0]
    holder = ModelHolder(loader, retry_after_s=30.0, now=lambda: now[0])
    sha256 = make_artifact(store)
    aside = store.path(sha256).rename(store.root / "aside")
    assert not holder.offer(version=1, generation=1, sha256=sha256)
    aside.rename(store.root / f"{sha256}.pt")
    now[0] = 29.0
    assert not holder.offer(version=1, generation=1, sha256=sha256)
    assert loader.calls == 1
    now[0] = 31.0
    assert holder.offer(version=1, generation=1, sha256=sha256)
    assert holder.failure is None


def test_a_newer_generation_does_not_wait_for_a_failed_one(store: ModelStore, loader: Loader) -> None:
    holder = ModelHolder(loader)
    assert not holder.offer(version=1, generation=1, sha256="0" * 64)
    assert holder.offer(version=2, generation=2, sha256=make_artifact(store, seed=1))
    assert holder.failure is None


def test_a_closed_holder_holds_nothing(store: ModelStore, loader: Loader) -> None:
    holder = ModelHolder(loader)
    holder.offer(version=1, generation=1, sha256=make_artifact(store))
    holder.close()
    holder.close()
    assert holder.current is None


def _crops() -> np.ndarray:
    return np.zeros((1, 3, 16, 16), np.uint8)
