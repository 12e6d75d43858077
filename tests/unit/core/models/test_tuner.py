"""The fastest right way is looked for once for a kind of network, is never trusted blindly, and is looked for anew."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import ModelParityError
from core.models.engine import Engine, load_engine
from core.models.known import Known
from core.models.store import ModelStore
from core.models.tuning import Candidate, Fate, Tuning
from core.models.tuning_cache import TuningCache
from core.models.variants import PLAIN, VARIANTS, Variant
from tests.factories import (
    TinyServable,
    make_artifact,
    make_artifact_of,
    make_manifest,
    make_network,
)

CHANNELS_LAST = next(variant for variant in VARIANTS["cpu"] if variant.name == "channels_last")
OPTIMISED = next(variant for variant in VARIANTS["cpu"] if variant.name == "optimised")
BF16 = next(variant for variant in VARIANTS["cpu"] if variant.name == "bf16")  # of networks with a backbone alone
LONG_S = 600.0


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "artifacts")


@pytest.fixture
def cache(tmp_path: Path) -> TuningCache:
    return TuningCache(tmp_path / "tuning")


def load(
    store: ModelStore,
    sha256: str,
    cache: TuningCache,
    *,
    variants: tuple[Variant, ...] = (PLAIN, CHANNELS_LAST),
    budget_s: float = LONG_S,
) -> Engine:
    """Load a model as a process does that has just started."""
    return load_engine(
        store.path(sha256),
        sha256,
        "cpu",
        batch_size=4,
        variants=variants,
        tuning_budget_s=budget_s,
        known=Known(cache),
    )


def kept(cache: TuningCache) -> Tuning:
    [(_, tuning)] = cache.list_tunings()
    return tuning


def fates(cache: TuningCache) -> dict[str, Fate]:
    return {each.variant: each.fate for each in kept(cache).candidates}


def keep_choice(cache: TuningCache, variant: str) -> Tuning:
    """Change what is kept: another way was the fastest. Gives it figures where it had none."""
    [(key, tuning)] = cache.list_tunings()
    figures = Candidate(variant=variant, fate=Fate.MEASURED, seconds=((4, 0.5),))
    candidates = tuple(figures if each.variant == variant else each for each in tuning.candidates)
    changed = replace(tuning, variant=variant, candidates=candidates)
    cache.store(key, changed)
    return changed


def test_every_way_is_measured_once_and_the_fastest_kept(store: ModelStore, cache: TuningCache) -> None:
    engine = load(store, make_artifact(store), cache)
    tuning = kept(cache)
    assert not engine.tuning_cached
    assert fates(cache) == {"plain": Fate.MEASURED, "channels_last": Fate.MEASURED}
    assert [[bucket for bucket, _ in each.seconds] for each in tuning.candidates] == [[4], [4]]
    fastest = min(tuning.candidates, key=lambda each: each.seconds[-1][1])
    assert (engine.variant, engine.images_per_s) == (fastest.variant, fastest.images_per_s)


def test_a_process_that_starts_later_takes_the_choice_as_it_is(store: ModelStore, cache: TuningCache) -> None:
    sha256 = make_artifact(store)
    first = load(store, sha256, cache).variant
    other = next(name for name in ("plain", "channels_last") if name != first)
    changed = keep_choice(cache, other)  # it would not come out of measuring but by chance
    again = load(store, sha256, cache)
    assert (again.variant, again.tuning_cached, again.images_per_s) == (other, True, 8.0)
    assert kept(cache) == changed


def test_a_retrained_model_of_the_kind_is_run_as_the_one_before(store: ModelStore, cache: TuningCache) -> None:
    load(store, make_artifact(store), cache)
    retrained = load(store, make_artifact(store, seed=1), cache)
    assert retrained.tuning_cached
    another_kind = make_artifact_of(store, make_network(3), make_manifest(backbone="another"))
    assert not load(store, another_kind, cache).tuning_cached
    assert len(cache.list_tunings()) == 2


def test_other_threads_or_other_ways_are_another_question(store: ModelStore, cache: TuningCache) -> None:
    sha256, before = make_artifact(store), torch.get_num_threads()
    load(store, sha256, cache)
    assert not load(store, sha256, cache, variants=(PLAIN,)).tuning_cached
    try:
        torch.set_num_threads(before + 1)
        assert not load(store, sha256, cache).tuning_cached
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("wrong", [BF16, Variant(name="gone")], ids=["its answers are wrong", "nobody knows it"])
def test_a_choice_that_is_not_right_is_looked_for_anew_and_replaced(
    store: ModelStore, cache: TuningCache, wrong: Variant
) -> None:
    sha256 = make_artifact(store)
    load(store, sha256, cache, variants=(BF16, PLAIN))
    [(key, tuning)] = cache.list_tunings()
    assert fates(cache) == {"bf16": Fate.PARITY, "plain": Fate.MEASURED}
    figures = Candidate(variant=wrong.name, fate=Fate.MEASURED, seconds=((4, 0.5),))
    cache.store(key, replace(tuning, variant=wrong.name, candidates=(figures,)))

    engine = load(store, sha256, cache, variants=(BF16, PLAIN))
    assert (engine.variant, engine.tuning_cached) == ("plain", False)
    assert fates(cache) == {"bf16": Fate.PARITY, "plain": Fate.MEASURED}


def test_a_model_that_is_wrong_in_every_way_leaves_the_choice(store: ModelStore, cache: TuningCache) -> None:
    load(store, make_artifact(store), cache)
    before = kept(cache)
    with pytest.raises(ModelParityError):
        load(store, make_artifact_of(store, make_network(4), make_manifest()), cache)
    assert kept(cache) == before


def test_a_damaged_choice_is_looked_for_anew(store: ModelStore, cache: TuningCache, tmp_path: Path) -> None:
    sha256 = make_artifact(store)
    load(store, sha256, cache)
    [path] = (tmp_path / "tuning").iterdir()
    path.write_text("{")
    assert not load(store, sha256, cache).tuning_cached
    assert load(store, sha256, cache).tuning_cached


def test_what_there_was_no_time_for_is_told_and_measured_by_who_has_more(store: ModelStore, cache: TuningCache) -> None:
    sha256 = make_artifact(store)
    assert load(store, sha256, cache, budget_s=0.0).variant == PLAIN.name
    assert fates(cache) == {"plain": Fate.MEASURED, "channels_last": Fate.BUDGET}
    assert load(store, sha256, cache, budget_s=0.0).tuning_cached
    assert not load(store, sha256, cache).tuning_cached
    assert fates(cache) == {"plain": Fate.MEASURED, "channels_last": Fate.MEASURED}
    assert load(store, sha256, cache, budget_s=0.0).tuning_cached


class _Layouts(TinyServable):
    """Asks for more memory than any machine has in one memory layout, and not in another."""

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        bands = F.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (3, 1)).flatten(1)
        embeddings = F.normalize(bands - 0.45, dim=1)
        if not crops.is_contiguous():
            embeddings = embeddings + torch.zeros([1 << 24, 1 << 24])[:1, :9]
        return embeddings, 10.0 * embeddings @ self.gallery.t()


def test_a_way_without_room_leaves_the_others_and_is_tried_by_the_next_process(
    store: ModelStore, cache: TuningCache
) -> None:
    sha256 = make_artifact_of(store, _Layouts(make_network(3).gallery), make_manifest())
    for _ in range(2):
        engine = load(store, sha256, cache)
        assert (engine.variant, engine.tuning_cached) == ("plain", False)
        assert fates(cache) == {"plain": Fate.MEASURED, "channels_last": Fate.OUT_OF_MEMORY}


def test_a_process_does_not_measure_twice_what_found_no_room(store: ModelStore, cache: TuningCache) -> None:
    sha256 = make_artifact_of(store, _Layouts(make_network(3).gallery), make_manifest())
    known = Known(cache)
    loads = [
        load_engine(store.path(sha256), sha256, "cpu", batch_size=4, variants=(PLAIN, CHANNELS_LAST), known=known)
        for _ in range(2)
    ]
    assert [engine.tuning_cached for engine in loads] == [False, True]


class _Views(TinyServable):
    """Fails in one memory layout, as where a kernel is missing."""

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        rows = crops.view(-1, 3 * 16 * 16).to(torch.float32)
        bands = F.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (3, 1)).flatten(1)
        embeddings = F.normalize(bands - 0.45, dim=1)
        return embeddings, 10.0 * embeddings @ self.gallery.t() + 0.0 * rows[:, :1]


def test_a_way_that_does_not_run_is_told_with_the_reason(store: ModelStore, cache: TuningCache) -> None:
    sha256 = make_artifact_of(store, _Views(make_network(3).gallery), make_manifest())
    load(store, sha256, cache, variants=(CHANNELS_LAST, PLAIN))
    [refused] = [each for each in kept(cache).candidates if each.fate is not Fate.MEASURED]
    assert (refused.variant, refused.fate, refused.images_per_s) == ("channels_last", Fate.FAILED, None)
    assert "view size is not compatible" in (refused.reason or "")


def test_without_a_cache_a_process_remembers_for_itself(store: ModelStore) -> None:
    known, sha256 = Known(), make_artifact(store)
    loads = [load_engine(store.path(sha256), sha256, "cpu", batch_size=4, known=known) for _ in range(2)]
    assert [engine.tuning_cached for engine in loads] == [False, True]
    assert not load_engine(store.path(sha256), sha256, "cpu", batch_size=4).tuning_cached
