"""A model answers and decides on a GPU as on a CPU, in every way in which it may be run there."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.models.devices import find_device
from core.models.engine import load_engine
from core.models.export import draw_golden_crops, write_artifact
from core.models.known import Known
from core.models.parity import Outputs, check_parity
from core.models.store import ModelStore
from core.models.tuning import Fate
from core.models.tuning_cache import TuningCache
from core.models.variants import PLAIN, VARIANTS, Variant, variants_for
from core.nets.registry import NETWORKS
from core.nets.servable import Servable
from tests.drawn import KNOWN, decisions, many_looks, rule_off_the_edge, train_drawn
from tests.factories import make_manifest
from tests.gpu import GPU, ON_GPU, on_every_device

LONG_S = 600.0

Stored = tuple[ModelStore, str]


@pytest.fixture(scope="module", params=["compact", "seed"])
def untrained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A store with an untrained network of 64 pixels in it."""
    torch.manual_seed(0)
    servable = Servable(NETWORKS[request.param].build(3, 64)).eval()
    folder = tmp_path_factory.mktemp(request.param)
    manifest = make_manifest(backbone=request.param, input_size_px=64, embedding_dim=servable.embedding_dim)
    gallery = np.eye(3, servable.embedding_dim, dtype=np.float32)
    write_artifact(servable, gallery, manifest, folder / "staged.pt")
    store = ModelStore(folder / "store")
    return store, store.put(folder / "staged.pt")


@on_every_device
def test_every_way_to_run_a_network_that_is_tried_on_a_device_is_right_there(
    untrained: Stored, device: str, tmp_path: Path
) -> None:
    store, sha256 = untrained
    cache = TuningCache(tmp_path)
    engine = load_engine(store.path(sha256), sha256, device, batch_size=8, tuning_budget_s=LONG_S, known=Known(cache))

    [(key, tuning)] = cache.list_tunings()
    fates = {each.variant: each.fate for each in tuning.candidates}
    assert fates == {variant.name: Fate.MEASURED for variant in variants_for(find_device(device))}
    assert key.buckets == ((8,) if device == "cpu" else (2, 4, 8))
    assert (engine.device, engine.variant) == (device, tuning.variant)


def ways(device: str, *marks: pytest.MarkDecorator) -> list[object]:
    """Every way to run a network on a device, as parameters of a test."""
    kind = torch.device(device).type
    return [pytest.param(device, way, marks=marks, id=f"{kind} {way.name}") for way in VARIANTS[kind]]


def require(device: str, variant: Variant) -> None:
    """Skip where a device is not asked to run a network in this way."""
    if variant not in variants_for(find_device(device)):
        pytest.skip(f"{device} computes in {variant.precision} no faster")


@pytest.mark.parametrize(("device", "variant"), [*ways("cpu"), *ways(GPU, *ON_GPU)])
def test_the_answers_are_those_of_a_cpu_in_full_precision(untrained: Stored, device: str, variant: Variant) -> None:
    """Of crops in batches of every size, full or not."""
    require(device, variant)
    store, sha256 = untrained
    there = load_engine(store.path(sha256), sha256, device, batch_size=8, variants=[variant])
    plain = load_engine(store.path(sha256), sha256, "cpu", batch_size=8, variants=[PLAIN])
    for count in (1, 3, 8, 21):
        crops = np.resize(draw_golden_crops(64), (count, 3, 64, 64))
        expected, answer = (Outputs(embeddings=e, logits=n) for e, n in (plain.run(crops), there.run(crops)))
        check_parity(expected, answer, variant.tolerance, f"{count} crops")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A store with a network in it that has learned drawn people."""
    return train_drawn(tmp_path_factory.mktemp("trained"))


@pytest.mark.parametrize(("device", "variant"), [*ways("cpu", pytest.mark.long), *ways(GPU, *ON_GPU)])
def test_of_a_thousand_drawn_faces_one_at_most_is_decided_otherwise_than_on_a_cpu_in_full_precision(
    trained: Stored, device: str, variant: Variant
) -> None:
    require(device, variant)
    store, sha256 = trained
    looks = many_looks()
    plain = load_engine(store.path(sha256), sha256, "cpu", batch_size=32, variants=[PLAIN])
    there = load_engine(store.path(sha256), sha256, device, batch_size=32, variants=[variant])
    rule = rule_off_the_edge(plain, looks)

    expected = decisions(plain, looks, rule)
    same = [one == other for one, other in zip(expected, decisions(there, looks, rule), strict=True)]
    assert len(same) > 1000
    assert {who for _, who in expected} == {None, *range(KNOWN)}  # some of everybody are named, and some are not
    assert sum(same) >= 0.999 * len(same)
