"""An engine answers as its golden batch says, whatever the batch size, and a wrong model never becomes an engine."""

import ctypes
import io
import multiprocessing
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import (
    ArtifactCorruptError,
    ArtifactMissingError,
    ManifestVersionError,
    ModelError,
    ModelParityError,
    SettingError,
)
from core.models.artifact import pack_artifact
from core.models.engine import CROPS_A_THREAD, Engine, load_engine
from core.models.export import draw_golden_crops
from core.models.parity import BFLOAT16_TOLERANCE, SERVING_TOLERANCE, Outputs, check_parity
from core.models.runner import to_outputs
from core.models.store import ModelStore
from core.models.variants import PLAIN, VARIANTS, Variant, variants_for
from core.nets.servable import Servable
from tests.factories import (
    TINY_SIZE_PX,
    TinyServable,
    make_artifact,
    make_artifact_of,
    make_classes,
    make_face,
    make_golden,
    make_manifest,
    make_network,
    put_bytes,
)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


def load(store: ModelStore, sha256: str, *, batch_size: int = 8, **options: object) -> Engine:
    return load_engine(store.path(sha256), sha256, "cpu", batch_size=batch_size, **options)


def make_crops(count: int) -> np.ndarray:
    crops = [make_face(i % 3, shade=i % 7).transpose(2, 0, 1) for i in range(count)]
    return np.array(crops, np.uint8).reshape(count, 3, TINY_SIZE_PX, TINY_SIZE_PX)


def test_an_engine_answers_as_the_network_it_was_made_from(store: ModelStore) -> None:
    engine = load(store, make_artifact(store))
    embeddings, logits = engine.run(make_crops(20))
    expected, expected_logits = make_network(3)(torch.from_numpy(make_crops(20)))
    np.testing.assert_allclose(embeddings, expected.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logits, expected_logits.numpy(), rtol=1e-5, atol=1e-5)
    assert logits.argmax(axis=1).tolist() == [i % 3 for i in range(20)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 16, 17])
def test_the_answer_to_a_crop_does_not_depend_on_its_batch(store: ModelStore, count: int) -> None:
    engine = load(store, make_artifact(store))
    embeddings, logits = engine.run(make_crops(count))
    assert embeddings.shape == (count, 9) and logits.shape == (count, 3)
    assert embeddings.dtype == logits.dtype == np.float32
    for row, crop in enumerate(make_crops(count)):
        one, one_logits = engine.run(crop[None])
        np.testing.assert_allclose(embeddings[row], one[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(logits[row], one_logits[0], rtol=1e-5, atol=1e-5)


def test_crops_may_lie_in_memory_in_any_way(store: ModelStore) -> None:
    engine = load(store, make_artifact(store))
    crops = make_crops(5)
    expected, _ = engine.run(crops)
    channels_last = np.ascontiguousarray(crops.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for same in (channels_last, torch.from_numpy(crops), torch.from_numpy(channels_last)):
        np.testing.assert_allclose(engine.run(same)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "crops",
    [np.zeros((2, 3, 16, 16), np.float32), np.zeros((2, 3, 15, 16), np.uint8), np.zeros((3, 16, 16), np.uint8)],
    ids=["float", "wrong size", "no batch"],
)
def test_crops_of_another_shape_or_type_are_refused(store: ModelStore, crops: np.ndarray) -> None:
    with pytest.raises(ValueError, match="crops must be uint8"):
        load(store, make_artifact(store)).run(crops)


def test_an_engine_says_what_it_is(store: ModelStore) -> None:
    sha256 = make_artifact(store, make_classes("Ada", "Grace"))
    engine = load(store, sha256)
    assert (engine.sha256, engine.device, engine.batch_size) == (sha256, "cpu", 8)
    assert engine.manifest == make_manifest(make_classes("Ada", "Grace"))
    assert np.array_equal(engine.gallery, make_network(2).gallery.numpy())
    assert engine.variant in {variant.name for variant in VARIANTS["cpu"]}


FULL_PRECISION = [variant for variant in VARIANTS["cpu"] if variant.precision is torch.float32]
HALF_PRECISION = [variant for variant in VARIANTS["cuda"] if variant.precision is torch.float16]  # right on CPUs too
LOW_PRECISION = [variant for variant in VARIANTS["cpu"] if variant.precision is torch.bfloat16]


@pytest.mark.parametrize("variant", FULL_PRECISION, ids=lambda variant: variant.name)
def test_every_way_to_run_a_model_gives_the_same_answers(store: ModelStore, variant: Variant) -> None:
    engine = load(store, make_artifact(store), variants=[variant])
    expected, _ = make_network(3)(torch.from_numpy(make_crops(9)))
    assert engine.variant == variant.name
    np.testing.assert_allclose(engine.run(make_crops(9))[0], expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", [*LOW_PRECISION, *HALF_PRECISION], ids=lambda variant: variant.name)
def test_low_precision_is_close_and_answers_in_full(
    compact: tuple[ModelStore, str, Servable], variant: Variant
) -> None:
    store, sha256, servable = compact
    crops = draw_golden_crops(32)
    embeddings, logits = load(store, sha256, variants=[variant]).run(crops)
    with torch.inference_mode():
        expected = to_outputs(servable(torch.from_numpy(crops)))
    assert embeddings.dtype == logits.dtype == np.float32
    assert 1e-6 < np.abs(embeddings - expected.embeddings).max() < 1e-2  # it did compute in another precision
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, rtol=1e-5, atol=1e-5)
    check_parity(expected, Outputs(embeddings=embeddings, logits=logits), variant.tolerance, "it")


def test_low_precision_does_not_pass_for_full() -> None:
    assert {variant.tolerance for variant in LOW_PRECISION} == {BFLOAT16_TOLERANCE}
    assert {variant.tolerance for variant in [*FULL_PRECISION, *HALF_PRECISION]} == {SERVING_TOLERANCE}


def test_a_network_that_has_no_backbone_is_run_in_full_precision(store: ModelStore) -> None:
    sha256 = make_artifact(store)
    assert load(store, sha256, variants=[LOW_PRECISION[0], PLAIN]).variant == PLAIN.name
    with pytest.raises(ModelParityError, match="no backbone"):
        load(store, sha256, variants=LOW_PRECISION[:1])


def test_low_precision_is_tried_only_where_the_chip_has_it() -> None:
    capabilities = torch.cpu.get_capabilities()
    wired = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))
    tried = variants_for(torch.device("cpu"))
    assert tried == (VARIANTS["cpu"] if wired else tuple(FULL_PRECISION))


class _CrashingOnChannelsLast(TinyServable):
    """Runs in one memory layout and not in another, as a device whose kernel is missing."""

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        rows = crops.view(-1, 3 * 16 * 16).to(torch.float32)
        bands = F.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (3, 1)).flatten(1)
        embeddings = F.normalize(bands - 0.45, dim=1)
        return embeddings, 10.0 * embeddings @ self.gallery.t() + 0.0 * rows[:, :1]


def test_a_way_that_crashes_leaves_the_others(store: ModelStore) -> None:
    sha256 = make_artifact_of(store, _CrashingOnChannelsLast(make_network(3).gallery), make_manifest())
    last = next(variant for variant in FULL_PRECISION if variant.name == "channels_last")
    assert load(store, sha256, variants=[last, PLAIN]).variant == PLAIN.name
    with pytest.raises(ModelParityError, match="golden batch"):
        load(store, sha256, variants=[last])


def test_a_model_that_was_saved_frozen_still_serves(store: ModelStore) -> None:
    frozen = torch.jit.freeze(torch.jit.script(make_network(3)))
    golden = make_golden(make_network(3), make_manifest())
    data = pack_artifact(frozen, make_manifest(), make_network(3).gallery.numpy(), golden)
    engine = load(store, put_bytes(store, data))
    np.testing.assert_allclose(engine.run(make_crops(3))[1].argmax(axis=1), [0, 1, 2])


def test_without_time_to_measure_the_first_way_is_taken(store: ModelStore) -> None:
    engine = load(store, make_artifact(store), variants=[PLAIN, *VARIANTS["cpu"]], tuning_budget_s=0.0)
    assert engine.variant == PLAIN.name


def test_loading_leaves_the_fusion_switch_as_it_was(store: ModelStore) -> None:
    before = torch.jit.onednn_fusion_enabled()
    load(store, make_artifact(store))
    assert torch.jit.onednn_fusion_enabled() == before


def test_the_number_of_threads_is_set(store: ModelStore) -> None:
    before = torch.get_num_threads()
    try:
        load(store, make_artifact(store), threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_closed_engine_says_so_and_can_be_closed_again(store: ModelStore) -> None:
    engine = load(store, make_artifact(store))
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.run(make_crops(1))


class _Heavy(TinyServable):
    """A tiny network with 18 MB of weights."""

    def __init__(self, gallery: Tensor) -> None:
        super().__init__(gallery)
        self.heavy = nn.Linear(9, 500_000, bias=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        bands = F.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (3, 1)).flatten(1)
        embeddings = F.normalize(bands - 0.45, dim=1)
        nothing = 0.0 * self.heavy(bands).sum(dim=1, keepdim=True)
        return embeddings, 10.0 * embeddings @ self.gallery.t() + nothing


@pytest.mark.parametrize(
    "variant",
    [FULL_PRECISION[0], pytest.param(FULL_PRECISION[1], marks=pytest.mark.long)],
    ids=lambda variant: variant.name,
)
def test_engines_that_are_let_go_free_their_memory(
    store: ModelStore, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own with one heap, where what other tests left behind does not blur the figure."""
    sha256 = make_artifact_of(store, _Heavy(make_network(3).gallery), make_manifest())
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        grown = process.submit(_growth_by_loading, store.path(sha256), sha256, variant).result()
    assert grown < 100e6  # twelve that stay would hold 216 MB


def _growth_by_loading(path: Path, sha256: str, variant: Variant) -> int:
    """Load and drop a model often; return by how many bytes the process grew after it had settled."""
    warnings.simplefilter("ignore")
    process, sizes = psutil.Process(), []
    for _ in range(2):
        for _ in range(12):
            load_engine(path, sha256, "cpu", batch_size=8, variants=[variant]).close()
        if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
            libc.malloc_trim(0)  # what the allocator keeps for the next model is no leak
        sizes.append(process.memory_info().rss)
    return sizes[1] - sizes[0]


def test_bytes_that_are_not_the_registered_ones_are_not_loaded(store: ModelStore) -> None:
    good, other = make_artifact(store), make_artifact(store, seed=1)
    with pytest.raises(ArtifactCorruptError, match=f"registered as {other}"):
        load_engine(store.path(good), other, "cpu", batch_size=8)


def test_a_bit_that_flipped_on_disk_is_noticed(store: ModelStore) -> None:
    sha256 = make_artifact(store)
    path = store.path(sha256)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(ArtifactCorruptError, match="damaged or exchanged"):
        load(store, sha256)


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissingError):
        load_engine(tmp_path / "gone.pt", "0" * 64, "cpu", batch_size=8)


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _pickle(data: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(data, buffer)
    return buffer.getvalue()


JUNK = {
    "empty": b"",
    "text": b"this is no model",
    "zeros": bytes(100_000),
    "zip without a model": _zip({"readme.txt": b"hello"}),
    "zip with an empty manifest": _zip({"archive/extra/manifest.json": b""}),
    "zip bomb": _zip({"archive/extra/manifest.json": bytes(50_000_000)}),
    "pickle": _pickle({"state_dict": torch.zeros(3)}),
    "script without extras": (lambda b: (torch.jit.save(torch.jit.script(make_network(3)), b), b.getvalue())[1])(
        io.BytesIO()
    ),
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_bytes_that_are_no_model_are_refused(store: ModelStore, junk: bytes) -> None:
    with pytest.raises(ArtifactCorruptError):
        load(store, put_bytes(store, junk))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_model_that_was_cut_off_before_it_was_registered_is_refused(store: ModelStore, share: float) -> None:
    data = store.path(make_artifact(store)).read_bytes()
    with pytest.raises(ArtifactCorruptError):
        load(store, put_bytes(store, data[: int(share * len(data))]))


def test_a_model_whose_code_is_junk_is_refused(store: ModelStore) -> None:
    def junk_code(name: str, data: bytes) -> bytes:
        return b"def forward(self" if name.endswith(".py") else data

    with pytest.raises(ArtifactCorruptError, match="torch cannot load it"):
        load(store, _rewritten(store, junk_code))


def test_a_manifest_of_the_future_is_refused_before_the_code_is_touched(store: ModelStore) -> None:
    def future(name: str, data: bytes) -> bytes:
        if name.endswith("manifest.json"):
            return data.replace(b'"format_version": 1', b'"format_version": 9')
        return b"junk" if name.endswith(".py") else data

    with pytest.raises(ManifestVersionError, match="9"):
        load(store, _rewritten(store, future))


def test_a_gallery_of_rows_that_no_embedding_is_as_long_as_is_refused(store: ModelStore) -> None:
    def doubled(name: str, data: bytes) -> bytes:
        return (2 * np.frombuffer(data, np.float32)).tobytes() if name.endswith("gallery.f32") else data

    with pytest.raises(ArtifactCorruptError, match="longer or shorter than an embedding"):
        load(store, _rewritten(store, doubled))


def _rewritten(store: ModelStore, change: Callable[[str, bytes], bytes]) -> str:
    """Store a good artifact with its members changed, as an attacker with a zip program would."""
    with zipfile.ZipFile(store.path(make_artifact(store))) as archive:
        members = {name: change(name, archive.read(name)) for name in archive.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return put_bytes(store, buffer.getvalue())


class _Single(TinyServable):
    def forward(self, crops: Tensor) -> Tensor:
        return F.normalize(F.adaptive_avg_pool2d(crops.to(torch.float32), (3, 1)).flatten(1), dim=1)


class _Long(TinyServable):
    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        bands = F.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (3, 1)).flatten(1)
        return bands, bands @ self.gallery.t()


class _Wide(TinyServable):
    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        bands = F.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (4, 1)).flatten(1)
        return F.normalize(bands, dim=1), torch.zeros(crops.shape[0], self.gallery.shape[0])


class _Crashing(TinyServable):
    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return crops.to(torch.float32) @ self.gallery, self.gallery


class _Doubles(TinyServable):
    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        bands = F.adaptive_avg_pool2d(crops.to(torch.float64) / 255.0, (3, 1)).flatten(1)
        embeddings = F.normalize(bands - 0.45, dim=1)
        return embeddings, 10.0 * embeddings @ self.gallery.t().to(torch.float64)


def _nan() -> nn.Module:
    network = make_network(3)
    network.gallery[0, 0] = float("nan")
    return network


WRONG = {
    "another person's weights": TinyServable(make_network(6).gallery[3:]),
    "NaN weights": _nan(),
    "a class too many": make_network(4),
    "a class too few": make_network(2),
    "one answer": _Single(make_network(3).gallery),
    "embeddings of any length": _Long(make_network(3).gallery),
    "embeddings of another dimension": _Wide(make_network(3).gallery),
    "float64": _Doubles(make_network(3).gallery),
    "a crash": _Crashing(make_network(3).gallery),
}


@pytest.mark.parametrize("network", WRONG.values(), ids=WRONG.keys())
def test_a_network_that_does_not_answer_as_its_golden_batch_is_refused(store: ModelStore, network: nn.Module) -> None:
    with pytest.raises(ModelParityError, match="is not used"):
        load(store, make_artifact_of(store, network, make_manifest()))


def test_golden_answers_that_are_not_finite_are_refused(store: ModelStore) -> None:
    golden = make_golden(make_network(3), make_manifest())
    nan = Outputs(embeddings=golden.outputs.embeddings, logits=np.full_like(golden.outputs.logits, np.nan))
    with pytest.raises(ModelParityError):
        load(store, make_artifact_of(store, make_network(3), make_manifest(), replace(golden, outputs=nan)))


@pytest.mark.parametrize("device", ["", "tpu", "cpu:x", "meta", f"cuda:{torch.cuda.device_count()}"])
def test_a_device_that_is_not_there_is_named(store: ModelStore, device: str) -> None:
    sha256 = make_artifact(store)
    with pytest.raises(SettingError):
        load_engine(store.path(sha256), sha256, device, batch_size=8)


def test_every_refusal_is_a_model_error_with_a_remedy(store: ModelStore) -> None:
    for sha256 in (put_bytes(store, b"junk"), make_artifact_of(store, make_network(4), make_manifest())):
        with pytest.raises(ModelError, match="train"):
            load(store, sha256)


def test_loading_does_not_need_the_file_to_stay(store: ModelStore) -> None:
    sha256 = make_artifact(store)
    engine = load(store, sha256)
    store.path(sha256).unlink()
    assert len(engine.run(make_crops(3))[0]) == 3


@pytest.mark.parametrize(
    ("buckets", "count", "sizes"),
    [
        *[((8, 32), *each) for each in ((1, [8]), (8, [8]), (9, [8, 8]), (16, [8, 8]), (17, [32]), (32, [32]))],
        *[((8, 32), *each) for each in ((33, [32, 8]), (70, [32, 32, 8]))],
        *[((1, 8), *each) for each in ((1, [1]), (3, [1, 1, 1]), (5, [8]), (10, [8, 1, 1]), (16, [8, 8]))],
    ],
)
def test_crops_are_run_in_few_sizes_that_are_at_least_half_full(
    buckets: tuple[int, ...], count: int, sizes: list[int]
) -> None:
    runner = _CountingRunner()
    engine = Engine(
        runner=runner,
        manifest=make_manifest(),
        gallery=np.eye(3, 9, dtype=np.float32),
        sha256="0" * 64,
        batch_size=32,
        buckets=buckets,
    )  # type: ignore[arg-type]
    embeddings, _ = engine.run(make_crops(count))
    assert runner.sizes == sizes
    assert embeddings[:, 0].tolist() == list(range(count))


@pytest.mark.parametrize("detector", [b"one", None], ids=["photographs", "crops"])
def test_a_lone_face_of_a_photograph_fills_a_batch(
    store: ModelStore, detector: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos that are a face each come in full batches; what finds faces may find one."""
    compiled: list[list[int]] = []

    def tune(artifact: object, place: object, variants: object, buckets: list[int], *_: object) -> None:
        compiled.append(buckets)
        raise ModelParityError("asked no further")

    monkeypatch.setattr("core.models.engine.unpack_artifact", lambda _: SimpleNamespace(detector=detector))
    monkeypatch.setattr("core.models.engine.tuned_runner", tune)
    full = CROPS_A_THREAD * torch.get_num_threads()
    for batch_size in (4 * full, 1):
        with pytest.raises(ModelParityError, match="no further"):
            load(store, put_bytes(store, b"a model"), batch_size=batch_size)
    assert compiled == [[1, full] if detector else [full], [1]]


class _CountingRunner:
    """Answers each crop with its number, and black ones, which fill a batch up, with -1."""

    device = torch.device("cpu")
    variant = PLAIN

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.answered = 0

    def answer(self, crops: Tensor) -> Outputs:
        self.sizes.append(len(crops))
        embeddings = np.full((len(crops), 9), -1, np.float32)
        shown = int(crops.flatten(1).any(dim=1).sum())
        embeddings[:shown, 0] = np.arange(self.answered, self.answered + shown)
        self.answered += shown
        return Outputs(embeddings=embeddings, logits=np.zeros((len(crops), 3), np.float32))
