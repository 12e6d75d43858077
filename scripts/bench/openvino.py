"""A pretrained embedder in OpenVINO, as those use it who want speed: preprocessing compiled in, in either mode.

Imports OpenVINO where it is used: it is an extra. Finds no face.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from core.models.openvino import import_openvino, openvino_core
from core.weights.spec import ChannelOrder, WeightsSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKAGE = "openvino"
_TRIAL_S = 0.4


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to run a network."""

    hint: str
    """OpenVINO's PERFORMANCE_HINT: `THROUGHPUT` or `LATENCY`."""
    batch: int
    """Crops in one request."""

    @property
    def name(self) -> str:
        """As reports have it."""
        return f"{self.hint}, {self.batch} a request"


WAYS = tuple(Way(hint=hint, batch=batch) for hint in ("THROUGHPUT", "LATENCY") for batch in (1, 8, 32))


class OpenVinoEmbedder:
    """A compiled network. One call at a time.

    Args:
        spec: how to feed it.
        files: the bytes of its files by name.
        way: how to run it.
        order: of the colours of the crops that it will be given.
        threads: cores; None: all that this process may use.
    """

    def __init__(
        self,
        spec: WeightsSpec,
        files: Mapping[str, bytes],
        way: Way,
        *,
        order: ChannelOrder,
        threads: int | None = None,
    ) -> None:
        openvino = import_openvino()
        self.way = way
        options: dict[str, Any] = {"PERFORMANCE_HINT": way.hint}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        compiled = openvino_core().compile_model(_read_network(spec, files, way.batch, order), "CPU", options)
        self.precision = _type_name(compiled.get_property("INFERENCE_PRECISION_HINT"))
        """What it computes in; OpenVINO chooses by the chip."""
        self._queue = openvino.AsyncInferQueue(compiled)  # as many requests as the mode thinks best
        self._queue.set_callback(_keep_answer)

    def embed(self, crops: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        """Embed crops (uint8 [N, S, S, 3]); return float32 [N, D] of unit length."""
        answers: list[Any] = [None] * -(-len(crops) // self.way.batch)
        for number in range(len(answers)):
            part = crops[number * self.way.batch : (number + 1) * self.way.batch]
            if len(part) < self.way.batch:  # its shape is fixed
                part = np.concatenate((part, np.zeros((self.way.batch - len(part), *part.shape[1:]), np.uint8)))
            self._queue.start_async({0: part}, (answers, number))
        self._queue.wait_all()
        vectors = np.concatenate(answers)[: len(crops)].reshape(len(crops), -1)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def fastest_embedder(
    spec: WeightsSpec,
    files: Mapping[str, bytes],
    ways: Sequence[Way],
    *,
    order: ChannelOrder,
    threads: int | None = None,
) -> OpenVinoEmbedder:
    """Compile a network in each way, try each on made-up crops, and return the fastest."""
    if spec.embedder is None:
        raise ValueError(f"{spec.name} embeds nothing")
    size = spec.embedder.input_size_px
    crops = np.random.default_rng(0).integers(0, 255, (64, size, size, 3), np.uint8)
    best: tuple[float, OpenVinoEmbedder] | None = None
    for way in ways:
        embedder = OpenVinoEmbedder(spec, files, way, order=order, threads=threads)
        speed = _speed(embedder, crops)
        if best is None or speed > best[0]:
            best = speed, embedder
    if best is None:
        raise ValueError("no way was given")
    return best[1]


def _speed(embedder: OpenVinoEmbedder, crops: "NDArray[np.uint8]") -> float:
    """Return crops a second."""
    embedder.embed(crops)
    begun_s, done = time.perf_counter(), 0
    while (passed_s := time.perf_counter() - begun_s) < _TRIAL_S:
        embedder.embed(crops)
        done += len(crops)
    return done / passed_s


def _read_network(spec: WeightsSpec, files: Mapping[str, bytes], batch: int, order: ChannelOrder) -> Any:
    """Return the network for a fixed batch of bytes, with what comes before it inside."""
    openvino = import_openvino()
    from openvino.preprocess import PrePostProcessor

    if spec.embedder is None:
        raise ValueError(f"{spec.name} embeds nothing")
    graph = spec.embedder.graph
    weights = files.get(str(PurePath(graph).with_suffix(".bin")), b"")
    core = openvino_core()
    network = core.read_model(files[graph], weights) if weights else core.read_model(files[graph])
    size = spec.embedder.input_size_px
    network.reshape([batch, 3, size, size])
    feeding = PrePostProcessor(network)
    feeding.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps = feeding.input().preprocess().convert_element_type(openvino.Type.f32)
    if order is not spec.embedder.channel_order:
        steps = steps.reverse_channels()
    if any(spec.embedder.mean):
        steps = steps.mean(list(spec.embedder.mean))
    if any(scale != 1.0 for scale in spec.embedder.scale):
        steps.scale([1.0 / scale for scale in spec.embedder.scale])
    feeding.input().model().set_layout(openvino.Layout("NCHW"))
    return feeding.build()


def _keep_answer(request: Any, place: tuple[list[Any], int]) -> None:
    answers, number = place
    answers[number] = request.get_output_tensor(0).data.copy()


def _type_name(precision: Any) -> str:
    """Return OpenVINO's name of a type: `bf16`, `f32`."""
    return str(getattr(precision, "get_type_name", lambda: precision)())
