"""An exported model answers as the network it was made from, or is not written at all."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import ModelParityError
from core.images.decode import DECODE_PATH
from core.models.artifact import unpack_artifact
from core.models.export import draw_golden_crops, export_model, write_artifact
from core.models.parity import BFLOAT16_TOLERANCE, EXPORT_TOLERANCE, Outputs, check_parity
from core.models.runner import to_outputs
from core.nets.registry import NETWORKS
from core.nets.servable import Servable
from core.records import EpochProgress
from core.training.request import TrainedNetwork
from tests.factories import TinyServable, make_classes, make_face, make_manifest, make_network, make_rule


def test_a_reloaded_model_answers_as_the_eager_network(tmp_path: Path) -> None:
    network = make_network(3)
    staged = tmp_path / "model.pt"
    write_artifact(network, network.gallery.numpy(), make_manifest(), staged)
    artifact = unpack_artifact(staged.read_bytes())
    reloaded = artifact.load_module(torch.device("cpu"))
    crops = torch.from_numpy(np.stack([make_face(person).transpose(2, 0, 1) for person in range(3)]))
    check_parity(to_outputs(network(crops)), to_outputs(reloaded(crops)), EXPORT_TOLERANCE, "reloaded")
    check_parity(artifact.golden.outputs, _answer(network, artifact.golden.crops), EXPORT_TOLERANCE, "golden")
    assert np.array_equal(artifact.gallery, network.gallery.numpy())
    assert artifact.manifest == make_manifest()


def test_frozen_copies_answer_as_the_network_in_their_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Servable(NETWORKS["compact"].build(3, 32)).eval()
    manifest = make_manifest(input_size_px=32, embedding_dim=network.embedding_dim)
    write_artifact(network, np.eye(3, network.embedding_dim, dtype=np.float32), manifest, tmp_path / "model.pt")
    artifact = unpack_artifact((tmp_path / "model.pt").read_bytes())
    full, low = artifact.load_frozen(torch.float32), artifact.load_frozen(torch.bfloat16)
    assert full is not None and low is not None
    golden = artifact.golden
    check_parity(golden.outputs, _answer(full, golden.crops), EXPORT_TOLERANCE, "float32")
    check_parity(golden.outputs, _answer(low, golden.crops), BFLOAT16_TOLERANCE, "bfloat16")
    assert not np.array_equal(_answer(low, golden.crops).embeddings, _answer(full, golden.crops).embeddings)


def test_a_network_without_a_backbone_has_no_copy_in_bfloat16(tmp_path: Path) -> None:
    network = make_network(3)
    write_artifact(network, network.gallery.numpy(), make_manifest(), tmp_path / "model.pt")
    artifact = unpack_artifact((tmp_path / "model.pt").read_bytes())
    assert artifact.load_frozen(torch.float32) is not None
    assert artifact.load_frozen(torch.bfloat16) is None


@pytest.mark.parametrize("backbone", sorted(NETWORKS))
def test_every_network_that_can_be_trained_can_be_exported(backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = 64
    network = Servable(NETWORKS[backbone].build(3, size)).eval()
    gallery = np.eye(3, network.embedding_dim, dtype=np.float32)
    manifest = make_manifest(input_size_px=size, embedding_dim=network.embedding_dim)
    write_artifact(network, gallery, manifest, tmp_path / "model.pt")
    artifact = unpack_artifact((tmp_path / "model.pt").read_bytes())
    assert artifact.golden.outputs.embeddings.shape == (8, network.embedding_dim)


def test_the_manifest_says_what_training_gave(tmp_path: Path) -> None:
    network = make_network(2)
    trained = TrainedNetwork(
        network=network,  # type: ignore[arg-type]
        gallery=network.gallery,
        classes=make_classes("Ada", "Grace"),
        backbone="tiny",
        recipe="quick",
        input_size_px=16,
        embedding_dim=9,
        rule=make_rule(threshold=0.7),
        metrics={"test_accuracy": 1.0},
        epochs=(_epoch(1), _epoch(2)),
        skipped=(),
        seed=7,
        train_count=5,
        test_count=4,
    )
    made = datetime(2026, 5, 6, tzinfo=UTC)
    manifest = export_model(trained, tmp_path / "model.pt", dataset_digest="d" * 64, created_at=made, parent="e" * 64)
    assert manifest == unpack_artifact((tmp_path / "model.pt").read_bytes()).manifest
    assert (manifest.classes, manifest.rule, manifest.metrics) == (trained.classes, trained.rule, trained.metrics)
    assert (manifest.epochs, manifest.seed, manifest.train_count, manifest.test_count) == (2, 7, 5, 4)
    assert (manifest.dataset_digest, manifest.parent, manifest.created_at) == ("d" * 64, "e" * 64, made)
    assert (manifest.decode, manifest.torch_version) == (DECODE_PATH, torch.__version__)


def test_the_golden_crops_are_the_same_everywhere() -> None:
    assert np.array_equal(draw_golden_crops(16), draw_golden_crops(16))
    assert draw_golden_crops(16).std(axis=(1, 2, 3)).min() > 20  # pictures, not blanks


def test_exporting_leaves_the_trained_network_as_it_was(tmp_path: Path) -> None:
    network = make_network(3).train()
    write_artifact(network, network.gallery.numpy(), make_manifest(), tmp_path / "model.pt")
    assert network.training
    assert isinstance(network, nn.Module) and not isinstance(network, torch.jit.ScriptModule)


class _BatchDependent(TinyServable):
    """Answers otherwise when it sees one crop alone."""

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        embeddings, logits = self.base(crops)
        return embeddings, logits + crops.shape[0]

    def base(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        bands = torch.nn.functional.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (3, 1)).flatten(1)
        return torch.nn.functional.normalize(bands, dim=1), bands @ self.gallery.t()


class _OtherWhenScripted(TinyServable):
    """Answers otherwise when it is compiled."""

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        bands = torch.nn.functional.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (3, 1)).flatten(1)
        logits = bands @ self.gallery.t()
        if torch.jit.is_scripting():
            logits = logits * 1.1
        return torch.nn.functional.normalize(bands, dim=1), logits


def _with_nan() -> nn.Module:
    network = make_network(3)
    network.gallery[1, 2] = float("nan")
    return network


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (_BatchDependent(make_network(3).gallery), "one crop at a time"),
        (_OtherWhenScripted(make_network(3).gallery), "differs"),
        (_with_nan(), "not finite"),
        (make_network(4), r"\(8, 3\) is due"),
    ],
    ids=["batch dependent", "other when scripted", "nan weights", "a class too many"],
)
def test_a_network_that_does_not_agree_with_itself_is_not_written(
    network: nn.Module, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelParityError, match=reason):
        write_artifact(network, make_network(3).gallery.numpy(), make_manifest(), tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    manifest = make_manifest(metrics={"test_accuracy": float("inf")})
    with pytest.raises(ValueError, match="JSON"):
        write_artifact(make_network(3), make_network(3).gallery.numpy(), manifest, tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


def _answer(network: nn.Module, crops: np.ndarray) -> Outputs:
    return to_outputs(network(torch.from_numpy(crops)))


def _epoch(number: int) -> EpochProgress:
    return EpochProgress(
        epoch=number,
        epochs=2,
        train_loss=1.0,
        train_accuracy=0.5,
        val_loss=None,
        val_accuracy=None,
        learning_rate=0.1,
        seconds=1.0,
    )
