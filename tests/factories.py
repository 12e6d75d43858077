"""Makes tiny valid things in milliseconds: faces, networks, manifests and artifacts."""

import dataclasses
import io
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from core.faces.rule import RejectRule
from core.models.artifact import Golden, pack_artifact
from core.models.export import draw_golden_crops, write_artifact
from core.models.manifest import Manifest
from core.models.runner import to_outputs
from core.models.store import ModelStore
from core.records import FacesMode, PersonClass

TINY_SIZE_PX = 16


class TinyServable(nn.Module):
    """Knows people by the mean colour of three bands of a crop: embedding [9] of unit length, logits its cosines."""

    def __init__(self, gallery: Tensor) -> None:
        super().__init__()
        self.register_buffer("gallery", gallery)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        bands = F.adaptive_avg_pool2d(crops.to(torch.float32) / 255.0, (3, 1)).flatten(1)
        embeddings = F.normalize(bands - 0.45, dim=1)
        return embeddings, 10.0 * embeddings @ self.gallery.t()


def make_rule(threshold: float = 0.85, margin: float = 0.05) -> RejectRule:
    """A reject rule with a plain calibration."""
    return RejectRule(
        threshold=threshold, margin=margin, fpir_target=0.01, basis="default", calibration=(-8.0, 10.0, 4.0)
    )


def make_classes(*names: str) -> tuple[PersonClass, ...]:
    """Classes with person ids 101, 102, ..."""
    return tuple(PersonClass(person_id=101 + i, name=name) for i, name in enumerate(names))


def make_face(person: int, size_px: int = TINY_SIZE_PX, shade: int = 0) -> NDArray[np.uint8]:
    """Draw the `person`-th face: three bands of colour, uint8 [S, S, 3] RGB; `shade` (0..10) makes another photo."""
    colours = np.random.default_rng(person).integers(0, 230, (3, 3))
    bands = np.repeat(colours, [size_px // 3, size_px // 3, size_px - 2 * (size_px // 3)], axis=0) + shade
    return np.repeat(bands[:, None, :], size_px, axis=1).astype(np.uint8)


def make_network(people: int, size_px: int = TINY_SIZE_PX) -> TinyServable:
    """A servable that knows `make_face(0)` to `make_face(people - 1)`."""
    crops = np.stack([make_face(person, size_px).transpose(2, 0, 1) for person in range(people)])
    embeddings, _ = TinyServable(torch.zeros(people, 9))(torch.from_numpy(crops))
    return TinyServable(embeddings).eval()


def make_manifest(classes: Sequence[PersonClass] = (), **changes: object) -> Manifest:
    """A manifest that fits `make_network(len(classes))`."""
    manifest = Manifest(
        classes=tuple(classes) or make_classes("Ada", "Grace", "Edsger"),
        backbone="tiny",
        recipe="none",
        input_size_px=TINY_SIZE_PX,
        embedding_dim=9,
        faces=FacesMode.CROP,
        decode="test",
        rule=make_rule(),
        epochs=1,
        seed=0,
        train_count=3,
        test_count=3,
        dataset_digest="0" * 64,
        torch_version=torch.__version__,
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        metrics={"test_accuracy": 1.0},
    )
    return dataclasses.replace(manifest, **changes)


def make_staged(folder: Path, classes: Sequence[PersonClass] = (), **changes: object) -> Path:
    """Write a tiny model as training would leave it, and return its file."""
    manifest = make_manifest(classes, **changes)
    network = make_network(len(manifest.classes), manifest.input_size_px)
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / "staged.pt"
    write_artifact(network, network.gallery.numpy(), manifest, staged)
    return staged


def make_artifact(store: ModelStore, classes: Sequence[PersonClass] = (), **changes: object) -> str:
    """Put a tiny model that knows `make_face(i)` as `classes[i]` into a store.

    Args:
        store: where it goes.
        classes: whom it knows; three people when empty.
        changes: fields of its manifest (`rule=make_rule(threshold=2.0)` names nobody).

    Returns:
        Its sha256.
    """
    with tempfile.TemporaryDirectory() as folder:
        return store.put(make_staged(Path(folder), classes, **changes))


def make_artifact_of(store: ModelStore, network: nn.Module, manifest: Manifest, golden: Golden | None = None) -> str:
    """Put any network into a store under any manifest, unchecked: this is how wrong models are made.

    Args:
        store: where it goes.
        network: need not fit the manifest.
        manifest: what the artifact claims.
        golden: the batch and the answers it claims; those of `make_network` when None.
    """
    people = len(manifest.classes)
    right = make_network(people, manifest.input_size_px)
    data = pack_artifact(
        torch.jit.script(network.eval()), manifest, right.gallery.numpy(), golden or make_golden(right, manifest)
    )
    return put_bytes(store, data)


def make_golden(network: nn.Module, manifest: Manifest) -> Golden:
    """A golden batch with the answers of a network."""
    crops = draw_golden_crops(manifest.input_size_px)
    with torch.inference_mode():
        return Golden(crops=crops, outputs=to_outputs(network(torch.from_numpy(crops))))


def put_bytes(store: ModelStore, data: bytes) -> str:
    """Put any bytes into a store, model or not."""
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "staged.pt"
        staged.write_bytes(data)
        return store.put(staged)


def make_photo(person: int, *, width_px: int = 48, height_px: int = 48, shade: int = 0, format: str = "PNG") -> bytes:
    """The bytes of a photo of the `person`-th face."""
    face = Image.fromarray(make_face(person, 48, shade)).resize((width_px, height_px), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    face.save(buffer, format)
    return buffer.getvalue()
