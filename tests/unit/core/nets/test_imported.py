"""A pretrained embedder answers as where it comes from, in every form it is run in, and only from the known bytes."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.errors import WeightsUnreadableError
from core.faces.lengths import LEAST, MOST, FeatureLength
from core.models.engine import load_engine
from core.models.export import write_artifact
from core.models.store import ModelStore
from core.models.variants import VARIANTS, Variant
from core.nets.imported import Embedder, ImportedNetwork, build_embedder, load_embedder
from core.nets.read_onnx import read_onnx
from core.nets.servable import Servable
from core.weights.spec import ChannelOrder, EmbedderSpec, WeightsFile, WeightsKind, WeightsSpec
from tests.factories import make_manifest
from tests.unit.core.nets.onnx_graphs import onnx_bytes, steps

NAME = "face-reidentification-retail-0095"
RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(5, 3, 3, 3)).astype(np.float32)
SMALL = EmbedderSpec(
    graph="small.onnx",
    input_size_px=4,
    channel_order=ChannelOrder.BGR,
    mean=(100.0, 110.0, 120.0),
    scale=(0.01, 0.02, 0.03),
    embedding_dim=5,
    template=((0.3, 0.4),) * 5,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Run on one core: threads that wait for a busy neighbour cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_file(pads: int = 1) -> bytes:
    """Write a network of one convolution and a mean over its map."""
    options = {"pads": [pads] * 4}
    nodes = steps(("Conv", ["x", "w"], options), ("GlobalAveragePool", ["v0"], {}))
    return onnx_bytes(nodes, {"w": WEIGHT})


def described(files: dict[str, bytes], embedder: EmbedderSpec) -> WeightsSpec:
    """Describe an embedder of these files."""
    known = tuple(
        WeightsFile(name=name, url="", sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        for name, data in files.items()
    )
    return WeightsSpec(
        name="small",
        kind=WeightsKind.EMBEDDER,
        licence="Apache-2.0",
        source="https://example.com/small",
        files=known,
        embedder=embedder,
    )


@pytest.mark.parametrize("order", ChannelOrder)
@pytest.mark.parametrize("pads", [0, 1])
def test_crops_are_fed_as_the_description_says(order: ChannelOrder, pads: int) -> None:
    embedder = build_embedder(read_onnx(small_file(pads)), replace(SMALL, channel_order=order))
    pixels = torch.from_numpy(RANDOM.integers(0, 256, (3, 3, 4, 4)).astype(np.float32))  # RGB
    fed = pixels.flip(1) if order is ChannelOrder.BGR else pixels
    mean, scale = (torch.tensor(numbers).reshape(1, 3, 1, 1) for numbers in (SMALL.mean, SMALL.scale))
    expected = F.conv2d((fed - mean) * scale, torch.from_numpy(WEIGHT), padding=pads).mean(dim=(2, 3))
    with torch.inference_mode():
        torch.testing.assert_close(embedder(pixels / 255.0), expected, atol=1e-5, rtol=1e-5)


def test_preprocessing_that_fits_into_the_first_layer_is_no_pass_of_its_own() -> None:
    assert isinstance(build_embedder(read_onnx(small_file(0)), SMALL).prepare, torch.nn.Identity)


def test_an_embedder_is_frozen_until_it_is_asked_to_learn() -> None:
    embedder = build_embedder(read_onnx(small_file()), SMALL)
    assert not any(parameter.requires_grad for parameter in embedder.parameters())
    assert not embedder.training
    network = ImportedNetwork(embedder, 3)
    assert [name for name, p in network.named_parameters() if p.requires_grad] == ["head.prototypes"]


def test_many_networks_stand_on_one_embedder() -> None:
    embedder = build_embedder(read_onnx(small_file()), SMALL)
    first, second = ImportedNetwork(embedder, 3), ImportedNetwork(embedder, 2)
    assert first.backbone is second.backbone
    assert (first.gallery().shape, second.gallery().shape) == ((3, 5), (2, 5))
    assert (first.input_size_px, first.embedding_dim) == (4, 5)


def test_logits_are_scaled_cosines_and_classes_can_be_dropped() -> None:
    network = ImportedNetwork(build_embedder(read_onnx(small_file()), SMALL), 4, scale=10.0)
    features = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    cosines = F.normalize(features, dim=1) @ network.gallery().T
    assert torch.allclose(network.classify(features), 10.0 * cosines, atol=1e-5)
    network.keep_classes(2)
    assert torch.allclose(network.classify(features), 10.0 * cosines[:, :2], atol=1e-5)


LENGTHS = torch.tensor([[0.1], [0.8], [1.0], [1.2], [9.0]])  # of features, in typical ones


@pytest.mark.parametrize("compiled", [False, True])
def test_long_features_make_short_embeddings_within_bounds(compiled: bool) -> None:
    says = replace(SMALL, length=FeatureLength(typical=3.0, power=0.5))
    network = ImportedNetwork(build_embedder(read_onnx(small_file()), says), 2)
    to_embeddings = torch.jit.script(network.lengthening) if compiled else network.to_embeddings
    looks = F.normalize(torch.randn(5, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    embeddings = to_embeddings(3.0 * LENGTHS * looks)
    expected = torch.tensor([[MOST], [0.8**-0.5], [1.0], [1.2**-0.5], [LEAST]]).clamp(LEAST, MOST)
    torch.testing.assert_close(embeddings, looks * expected)


def test_a_backbone_that_is_to_be_trained_or_of_which_nothing_is_known_makes_unit_embeddings() -> None:
    says = replace(SMALL, length=FeatureLength(typical=3.0, power=0.5))
    features = LENGTHS * torch.ones(5, 5)
    for description, trainable in ((says, True), (SMALL, False)):
        network = ImportedNetwork(build_embedder(read_onnx(small_file()), description), 2, trainable=trainable)
        torch.testing.assert_close(network.to_embeddings(features), F.normalize(features, dim=1))


def test_people_count_for_as_much_as_they_are_long_until_they_are_dropped() -> None:
    network = ImportedNetwork(build_embedder(read_onnx(small_file()), SMALL), 3, scale=10.0)
    people = torch.tensor([0.9, 1.0, 1.1])[:, None] * F.normalize(torch.randn(3, 5), dim=1)
    network.head.set_prototypes(people[:, None])
    torch.testing.assert_close(network.gallery(), people)
    features = torch.randn(4, 5)
    torch.testing.assert_close(network.classify(features), 10.0 * F.normalize(features, dim=1) @ people.T)
    network.keep_classes(2)
    torch.testing.assert_close(network.gallery(), people[:2])


def test_an_embedding_of_another_length_than_stated_is_refused() -> None:
    with pytest.raises(WeightsUnreadableError, match="embeddings of 5 numbers, and 7 are stated"):
        build_embedder(read_onnx(small_file()), replace(SMALL, embedding_dim=7))


def test_files_come_from_a_folder_or_from_memory(tmp_path: Path) -> None:
    files = {"small.onnx": small_file()}
    (tmp_path / "small.onnx").write_bytes(files["small.onnx"])
    spec = described(files, SMALL)
    x = torch.rand(2, 3, 4, 4)
    with torch.inference_mode():
        assert torch.equal(load_embedder(tmp_path, spec)(x), load_embedder(files, spec)(x))


def test_only_the_known_bytes_are_read(tmp_path: Path) -> None:
    files = {"small.onnx": small_file()}
    spec = described(files, SMALL)
    altered = bytearray(files["small.onnx"])
    altered[-1] ^= 1
    with pytest.raises(WeightsUnreadableError, match=r"small\.onnx .* has sha256 .* is known"):
        load_embedder({"small.onnx": bytes(altered)}, spec)
    for empty in ({}, tmp_path):
        with pytest.raises(WeightsUnreadableError, match=r"small\.onnx (is missing|cannot be read)"):
            load_embedder(empty, spec)


def test_a_description_that_does_not_add_up_is_refused() -> None:
    files = {"small.onnx": small_file()}
    for spec, words in (
        (replace(described(files, SMALL), kind=WeightsKind.DETECTOR, embedder=None), "a detector, not an embedder"),
        (described(files, replace(SMALL, graph="small.pt")), "neither .xml"),
        (described({"other.onnx": small_file()}, SMALL), "names no file small.onnx"),
        (described({"small.xml": b""}, replace(SMALL, graph="small.xml")), "names no file small.bin"),
    ):
        with pytest.raises(WeightsUnreadableError) as refusal:
            load_embedder({file.name: small_file() if file.size_bytes else b"" for file in spec.files}, spec)
        assert words in str(refusal.value)


@pytest.fixture(scope="module")
def known(test_data: Path) -> tuple[Embedder, np.ndarray, np.ndarray]:
    """The real embedder, 16 aligned crops (uint8 [16, 3, 128, 128] RGB), and OpenVINO's embeddings of them."""
    folder = test_data / "weights" / NAME
    files = {name: (folder / name).read_bytes() for name in (f"{NAME}.xml", f"{NAME}.bin")}
    spec = EmbedderSpec(
        graph=f"{NAME}.xml",
        input_size_px=128,
        channel_order=ChannelOrder.BGR,
        mean=(0.0, 0.0, 0.0),
        scale=(1.0, 1.0, 1.0),
        embedding_dim=256,
        template=((0.3, 0.4),) * 5,
    )
    parity = np.load(folder / "parity.npz")
    crops = np.ascontiguousarray(parity["crops_bgr_u8"][..., ::-1].transpose(0, 3, 1, 2))
    expected = parity["embeddings_f32"]
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    return load_embedder(folder, described(files, spec)), crops, unit


@pytest.fixture(scope="module")
def stored(
    known: tuple[Embedder, np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The real embedder as the artifact of a model of three people; writing it compares eager, scripted, reloaded."""
    torch.manual_seed(0)
    network = ImportedNetwork(known[0], 3)
    manifest = make_manifest(input_size_px=128, embedding_dim=256)
    folder = tmp_path_factory.mktemp("imported")
    write_artifact(Servable(network), network.gallery().numpy(), manifest, folder / "staged.pt")
    store = ModelStore(folder / "store")
    sha256 = store.put(folder / "staged.pt")
    return store.path(sha256), sha256


def test_the_real_embedder_answers_as_openvino(known: tuple[Embedder, np.ndarray, np.ndarray]) -> None:
    embedder, crops, expected = known
    with torch.inference_mode():
        answer, _ = Servable(ImportedNetwork(embedder, 3)).eval()(torch.from_numpy(crops))
    assert (answer.numpy() * expected).sum(axis=1).min() >= 0.99999


def test_the_fastest_way_found_answers_as_openvino(
    stored: tuple[Path, str], known: tuple[Embedder, np.ndarray, np.ndarray]
) -> None:
    _, crops, expected = known
    engine = load_engine(*stored, "cpu", batch_size=4)
    cosines = (engine.run(crops)[0] * expected).sum(axis=1)
    assert cosines.mean() >= 0.999
    assert cosines.min() >= 0.998


@pytest.mark.parametrize(
    "variant",
    [
        variant
        for variant in (*VARIANTS["cpu"], *VARIANTS["cuda"])
        if variant.name in ("onednn_channels_last", "bf16_onednn_channels_last", "fp16_channels_last")
    ],
    ids=lambda v: v.name,
)
def test_full_precision_is_as_good_as_eager_and_low_precision_close(
    stored: tuple[Path, str], known: tuple[Embedder, np.ndarray, np.ndarray], variant: Variant
) -> None:
    _, crops, expected = known
    engine = load_engine(*stored, "cpu", batch_size=2, variants=[variant])
    cosines = (engine.run(crops)[0] * expected).sum(axis=1)
    if variant.precision is torch.bfloat16:
        assert 0.998 <= cosines.min() < 0.99999
        assert cosines.mean() >= 0.999
    else:
        assert cosines.min() >= (0.9999 if variant.precision is torch.float16 else 0.99999)


def test_the_real_embedder_has_nothing_left_to_merge(known: tuple[Embedder, np.ndarray, np.ndarray]) -> None:
    kinds = {type(module).__name__ for module in known[0].backbone.modules()}
    assert "PReLU" not in kinds
    assert "Affine" not in kinds
    assert "ReverseChannels" not in kinds
