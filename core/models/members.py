"""What lies in an artifact beside its network: read out of the file as a zip archive, and checked. Needs no torch."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ArtifactCorruptError
from core.faces.vectors import are_embeddings
from core.models.manifest import Manifest

MANIFEST, GALLERY = "manifest.json", "gallery.f32"
N = TypeVar("N", np.float32, np.uint8)
_INFLATION = 20
"""Only the code inside is compressed, about 1:5; what would grow further is no model."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GalleryFile:
    """Whom a model knows, without its network."""

    manifest: Manifest
    gallery: NDArray[np.float32]
    """[C, D], one row a class; [C, K, D] where a class has several."""


def open_gallery(path: Path) -> GalleryFile:
    """Read an artifact's manifest and gallery, and nothing else of it.

    Args:
        path: the file; that its bytes are the registered ones is the caller's to verify.

    Raises:
        ArtifactCorruptError: it is no artifact.
        ManifestVersionError: the manifest is in a format that this version does not read.
    """
    with path.open("rb") as file:
        members = read_members(file, path.stat().st_size, (MANIFEST, GALLERY))
    manifest = Manifest.from_json(members[MANIFEST])
    return GalleryFile(manifest=manifest, gallery=read_gallery(members, manifest))


def read_members(file: BinaryIO, size: int, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, bytes]:
    """Return extra files of a TorchScript archive by name, after bounding what it would inflate to.

    Args:
        file: the archive.
        size: its bytes.
        names: what must be in it.
        optional: what may be in it.

    Raises:
        ArtifactCorruptError: it is no archive, or does not hold them.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            inflated = sum(member.file_size for member in archive.infolist())
            if inflated > _INFLATION * size:
                raise corrupt(f"it would inflate from {size} to {inflated} bytes")
            paths = {name.partition("/extra/")[2]: name for name in archive.namelist()}
            there = [name for name in optional if name in paths]
            return {name: archive.read(paths[name]) for name in [*names, *there]}
    except KeyError as error:
        raise corrupt(f"it holds no {error}") from error
    except (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise corrupt(str(error)) from error


def read_gallery(members: dict[str, bytes], manifest: Manifest) -> NDArray[np.float32]:
    """Return the gallery (float32 [C, D], or [C, K, D] with several rows a class), whose rows are as long as
    embeddings may be.

    Raises:
        ArtifactCorruptError: it does not fit the manifest.
    """
    gallery = read_array(members, GALLERY, np.float32, (len(manifest.classes), -1, manifest.embedding_dim))
    if not are_embeddings(gallery):
        raise corrupt("its gallery holds rows that are longer or shorter than an embedding")
    return gallery[:, 0] if gallery.shape[1] == 1 else gallery


def read_array(members: dict[str, bytes], name: str, dtype: type[N], shape: tuple[int, ...]) -> NDArray[N]:
    """Give a stored array its type and shape; every dimension is at least 1, and one of -1 as large as it takes.

    Raises:
        ArtifactCorruptError: it does not have them.
    """
    try:
        array = np.frombuffer(members[name], dtype=dtype).reshape(shape).copy()
    except ValueError as error:
        raise corrupt(f"its {name} does not fit its manifest ({error})") from error
    if array.size == 0:
        raise corrupt(f"its {name} is empty")
    return array


def corrupt(fact: str) -> ArtifactCorruptError:
    """Return the error of a file that is no usable model."""
    return ArtifactCorruptError(
        f"The model's file is not usable: {fact}. The model that serves goes on serving; "
        "put the file back from a backup, activate another model version, or train again."
    )
