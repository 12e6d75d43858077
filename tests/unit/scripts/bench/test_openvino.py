"""OpenVINO runs the very network that facefleet runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER, ChannelOrder
from core.weights.store import WeightsStore
from scripts.bench.openvino import Way

pytest.importorskip("openvino", reason="OpenVINO comes with the extra `bench`")


@pytest.mark.parametrize(
    "way", [Way(hint="THROUGHPUT", batch=1), Way(hint="LATENCY", batch=8)], ids=lambda way: way.name
)
def test_either_mode_gives_the_embeddings_that_are_known(test_data: Path, way: Way) -> None:
    from scripts.bench.openvino import OpenVinoEmbedder

    store = WeightsStore.from_settings(replace(Settings(), weights=str(test_data / "weights")))
    spec = store.get_spec(DEFAULT_EMBEDDER)
    files = {file.name: store.read_verified(spec, file) for file in spec.files}
    known = np.load(test_data / "weights" / DEFAULT_EMBEDDER / "parity.npz")
    bgr, expected = (known[name] for name in known.files[:2])
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)

    for order, crops in ((ChannelOrder.BGR, bgr), (ChannelOrder.RGB, bgr[..., ::-1])):
        embedder = OpenVinoEmbedder(spec, files, way, order=order, threads=1)
        vectors = embedder.embed(np.ascontiguousarray(crops))
        assert (vectors * expected).sum(axis=1).min() > 0.999
