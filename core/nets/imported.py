"""Pretrained embedders as networks of this package: files and their description in, a backbone with a head out.

Does not know where files come from or which are known; core/weights does.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePath

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import WeightsUnreadableError
from core.faces.lengths import LEAST, MOST, SAYS_NOTHING, FeatureLength
from core.nets.assemble import assemble
from core.nets.fold import take_first_affine
from core.nets.graph import Graph
from core.nets.heads import CosineNetwork
from core.nets.layers import Affine, ReverseChannels
from core.nets.read_onnx import read_onnx
from core.nets.read_openvino import read_openvino
from core.nets.servable import Arithmetic
from core.weights.spec import ChannelOrder, EmbedderSpec, WeightsFile, WeightsSpec


class ToEmbeddings(nn.Module):
    """Gives features the length that an embedding has. Scriptable.

    Args:
        length: what the length of the features says.
    """

    def __init__(self, length: FeatureLength) -> None:
        super().__init__()
        self.typical, self.power = length.typical, length.power
        self.least, self.most = LEAST, MOST

    def forward(self, features: Tensor) -> Tensor:
        """Map features (float32 [N, D]) to embeddings (float32 [N, D])."""
        embeddings = F.normalize(features, dim=1)
        if self.power > 0.0:
            lengths = torch.linalg.vector_norm(features, dim=1, keepdim=True) / self.typical
            embeddings = embeddings * lengths.pow(-self.power).clamp(self.least, self.most)
        return embeddings


class Embedder(nn.Module):
    """A pretrained backbone with its preprocessing. Scriptable; its weights are frozen until `requires_grad_(True)`.

    Args:
        prepare: float32 crops [N, 3, S, S], RGB in 0..1, to what the backbone takes.
        backbone: that to features [N, D]; begins with an `Arithmetic`.
        input_size_px: S.
        embedding_dim: D.
        length: what the length of the features says.
    """

    def __init__(
        self,
        prepare: nn.Module,
        backbone: nn.Module,
        *,
        input_size_px: int,
        embedding_dim: int,
        length: FeatureLength = SAYS_NOTHING,
    ) -> None:
        super().__init__()
        self.prepare = prepare
        self.backbone = backbone
        self.input_size_px = input_size_px
        self.embedding_dim = embedding_dim
        self.to_embeddings = ToEmbeddings(length)

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (float32 [N, 3, S, S], RGB in 0..1) to features (float32 [N, D], of any length)."""
        features: Tensor = self.backbone(self.prepare(x))
        return features


class ImportedNetwork(CosineNetwork):
    """A pretrained embedder with a cosine head of its own.

    Args:
        embedder: shared, not copied: many networks may stand on one.
        classes: C, the rows of the head.
        scale: what cosines are multiplied by to make logits.
        trainable: whether its backbone is to be trained, after which the length of its features says something else:
            all its embeddings have length 1.
    """

    def __init__(self, embedder: Embedder, classes: int, scale: float = 16.0, *, trainable: bool = False) -> None:
        super().__init__(
            embedder.backbone,
            input_size_px=embedder.input_size_px,
            embedding_dim=embedder.embedding_dim,
            classes=classes,
            scale=scale,
        )
        self.preprocessing = embedder.prepare
        self.lengthening = ToEmbeddings(SAYS_NOTHING) if trainable else embedder.to_embeddings

    def prepare(self, x: Tensor) -> Tensor:
        """Shift and scale crops (float32 [N, 3, S, S], RGB in 0..1) as the backbone was trained on."""
        prepared: Tensor = self.preprocessing(x)
        return prepared

    def to_embeddings(self, features: Tensor) -> Tensor:
        """Map features (float32 [N, D]) to embeddings (float32 [N, D])."""
        embeddings: Tensor = self.lengthening(features)
        return embeddings


def load_embedder(source: Path | Mapping[str, bytes], spec: WeightsSpec) -> Embedder:
    """Read and build a pretrained embedder.

    Args:
        source: the folder of its files, or their bytes by name.
        spec: what is known of it. The sha256 of a file is checked on the very bytes that are read.

    Returns:
        The embedder in eval mode, float32, on the CPU.

    Raises:
        WeightsUnreadableError: a file is missing, is not the one that is known, or holds no such network.
        UnknownOperatorError: the network uses what the importer does not know.
    """
    if spec.embedder is None:
        raise _unusable(spec, f"it is a {spec.kind}, not an embedder")
    files = {file.name: _read_checked(source, file, spec) for file in spec.files}
    return build_embedder(_read_graph(files, spec, spec.embedder.graph), spec.embedder)


def build_embedder(graph: Graph, spec: EmbedderSpec) -> Embedder:
    """Build an embedder from its graph and the way it wants to be fed.

    Raises:
        WeightsUnreadableError: the graph does not fit the input size or the embedding's length that is stated.
        UnknownOperatorError: it uses what the importer does not know.
    """
    scale, mean = (torch.tensor(numbers).reshape(1, 3, 1, 1) for numbers in (spec.scale, spec.mean))
    feeding = [Affine(255.0 * scale, -mean * scale)]  # of pixels 0..1
    reordering = [ReverseChannels()] if spec.channel_order is ChannelOrder.BGR else []
    network = assemble(graph, spec.input_size_px, [*reordering, *feeding])
    # What cannot be merged into the first convolution stays in float32 whatever the backbone computes in.
    prepare = take_first_affine(network)
    embedder = Embedder(
        prepare,
        nn.Sequential(Arithmetic(), network, nn.Flatten()),
        input_size_px=spec.input_size_px,
        embedding_dim=spec.embedding_dim,
        length=spec.length,
    )
    with torch.no_grad():
        found = embedder(torch.zeros(1, 3, spec.input_size_px, spec.input_size_px)).shape[1]
    if found != spec.embedding_dim:
        raise WeightsUnreadableError(
            f"The network gives embeddings of {found} numbers, and {spec.embedding_dim} are stated. No model was made "
            "from it. Correct what is stated, or get its files again from their source."
        )
    return embedder.requires_grad_(False).eval()


def _read_checked(source: Path | Mapping[str, bytes], file: WeightsFile, spec: WeightsSpec) -> bytes:
    try:
        data = (source / file.name).read_bytes() if isinstance(source, Path) else source[file.name]
    except KeyError as error:
        raise _unusable(spec, f"its file {file.name} is missing") from error
    except OSError as error:
        raise _unusable(spec, f"its file {file.name} cannot be read ({error.strerror})") from error
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise _unusable(
            spec, f"its file {file.name} ({len(data)} bytes) has sha256 {found}, and {file.sha256} is known"
        )
    return data


def _read_graph(files: Mapping[str, bytes], spec: WeightsSpec, name: str) -> Graph:
    suffix, weights = PurePath(name).suffix, str(PurePath(name).with_suffix(".bin"))
    needed = {".onnx": {name}, ".xml": {name, weights}}.get(suffix)
    if needed is None:
        raise _unusable(spec, f"its graph {name} is neither .xml (OpenVINO IR) nor .onnx")
    if not needed <= set(files):
        raise _unusable(spec, f"it names no file {', '.join(sorted(needed - set(files)))}")
    return read_onnx(files[name]) if suffix == ".onnx" else read_openvino(files[name], files[weights])


def _unusable(spec: WeightsSpec, fact: str) -> WeightsUnreadableError:
    return WeightsUnreadableError(
        f"The weights {spec.name} cannot be used: {fact}. No model was made from them. "
        f"Get them again from their source: {spec.source}"
    )
