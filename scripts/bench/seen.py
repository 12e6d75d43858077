"""Shows photos to a pretrained backbone as a worker would, with a model that knows nobody. Keeps vectors, no photos."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.clock import utc_now
from core.faces.rescore import read_vectors
from core.faces.rule import RejectRule
from core.records import ErrorRecord, FacesMode, PersonClass, PhotoResult
from core.settings import Settings
from scripts.looking import open_recogniser, recognise_all
from scripts.progress import show_progress
from scripts.scorecard import main_face
from workers.preparation import HEAD_RECIPE, Preparation, prepare_training

if TYPE_CHECKING:
    from core.recognise import Recogniser

_NOBODY = PersonClass(person_id=0, name="nobody")
_NO_NAMES = RejectRule(threshold=2.0, margin=0.0, fpir_target=0.0, basis="names nobody", calibration=(0.0, 0.0, 0.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenPhotos:
    """What became of some photos; a row for each that could be used."""

    vectors: NDArray[np.float32]
    """[N, D] unit embedding of the face that the photo is about; zeros where there is none."""
    owners: NDArray[np.int64]
    """[N] whom it shows."""
    found: NDArray[np.bool_]
    """[N] whether it shows a face."""
    good: NDArray[np.bool_]
    """[N] whether that face passes the quality gate."""
    several: NDArray[np.bool_]
    """[N] whether it shows more faces than one."""
    errors: tuple[tuple[str, ErrorRecord], ...]
    """Photos that could not be used, and why."""

    def __len__(self) -> int:
        return len(self.owners)

    def to_json(self) -> dict[str, int]:
        """Return what was found, as counts."""
        return {
            "photos": len(self) + len(self.errors),
            "errors": len(self.errors),
            "no_face": int((~self.found).sum()),
            "several_faces": int(self.several.sum()),
            "poor_face": int((self.found & ~self.good).sum()),
        }


@contextmanager
def open_backbone(settings: Settings, backbone: str) -> Iterator["Recogniser"]:
    """Make a model that knows nobody out of pretrained weights, and load it as a worker does.

    Raises:
        WeightsMissingError: the backbone's or the detector's weights are not on this machine.
        UnknownWeightsError: no set has the backbone's name.
    """
    with TemporaryDirectory(prefix="facefleet-bench-") as folder:
        artifact = Path(folder) / "nobody.pt"
        with show_progress(f"Loading {backbone}"):
            write_nobody(settings, backbone, artifact)
        sha256 = hashlib.sha256(artifact.read_bytes()).hexdigest()
        with open_recogniser(settings, artifact, sha256, label=f"Compiling {backbone}") as recogniser:
            yield recogniser


def write_nobody(settings: Settings, backbone: str, artifact: Path) -> None:
    """Write a model that knows nobody out of pretrained weights.

    Raises: as `open_backbone`.
    """
    options = {"backbone": backbone, "faces": FacesMode.DETECT}
    _export(prepare_training(HEAD_RECIPE, options, settings, device="cpu", threads=1), artifact)


def store_nobody(settings: Settings, backbone: str) -> str:
    """Make a model that knows nobody out of pretrained weights, and put it into the store; return its sha256.

    Raises: as of `open_backbone`.
    """
    from core.models.store import ModelStore

    with TemporaryDirectory(prefix="facefleet-bench-") as folder:
        artifact = Path(folder) / "nobody.pt"
        write_nobody(settings, backbone, artifact)
        return ModelStore.from_settings(settings).put(artifact)


def look_at(
    recogniser: "Recogniser", labelled: Mapping[str, Sequence[str]], strangers: Sequence[str]
) -> tuple[SeenPhotos, SeenPhotos]:
    """Look at the photos of known people, by name, and of strangers."""
    uris = [uri for photos in labelled.values() for uri in photos]
    owners = [number for number, photos in enumerate(labelled.values()) for _ in photos]
    with show_progress("Looking at photos", len(uris) + len(strangers), unit="photos") as bar:
        dim = recogniser.engine.manifest.embedding_dim
        known = gather(recognise_all(recogniser, uris, bar), owners, dim)
        return known, gather(recognise_all(recogniser, strangers, bar, before=len(uris)), [-1] * len(strangers), dim)


def gather(results: Iterable[PhotoResult], owners: Sequence[int], dim: int) -> SeenPhotos:
    """Gather what was seen.

    Args:
        results: one a photo, out of a model with a pretrained backbone.
        owners: whom each photo shows.
        dim: D, the length of its embeddings.
    """
    rows: list[dict[str, Any]] = []
    errors: list[tuple[str, ErrorRecord]] = []
    for result, owner in zip(results, owners, strict=True):
        if result.error is not None:
            errors.append((result.uri, result.error))
        else:
            rows.append({"owner": owner, "several": len(result.faces) > 1, "face": main_face(result)})
    faces = [row["face"] for row in rows]
    return SeenPhotos(
        vectors=_vectors([None if face is None else face.embedding.vector for face in faces], dim),
        owners=np.array([row["owner"] for row in rows], np.int64),
        found=np.array([face is not None for face in faces], bool),
        good=np.array([face is not None and not face.quality_reasons for face in faces], bool),
        several=np.array([row["several"] for row in rows], bool),
        errors=tuple(errors),
    )


def _vectors(stored: Sequence[bytes | None], dim: int) -> NDArray[np.float32]:
    """Read embeddings as they are stored: float32 [N, D], zeros for None."""
    vectors = np.zeros((len(stored), dim), np.float32)
    there = [row for row, vector in enumerate(stored) if vector is not None]
    vectors[there] = read_vectors(b"".join(vector for vector in stored if vector is not None), dim)
    return vectors


def _export(preparation: Preparation, artifact: Path) -> None:
    """Write a model of this backbone whose one class is nobody's."""
    from core.models.export import export_model
    from core.nets.imported import ImportedNetwork
    from core.nets.servable import Servable
    from core.training.request import TrainedNetwork

    assert preparation.embedder is not None  # noqa: S101 - the recipe needs one
    network = ImportedNetwork(preparation.embedder, 1)
    nobody = TrainedNetwork(
        network=Servable(network).eval(),
        gallery=network.gallery().detach(),
        classes=(_NOBODY,),
        backbone=preparation.backbone,
        recipe=HEAD_RECIPE,
        input_size_px=network.input_size_px,
        embedding_dim=network.embedding_dim,
        rule=_NO_NAMES,
        metrics={},
        epochs=(),
        skipped=(),
        seed=0,
        train_count=0,
        test_count=0,
    )
    export_model(
        nobody, artifact, dataset_digest=hashlib.sha256().hexdigest(), created_at=utc_now(), origin=preparation.origin
    )
