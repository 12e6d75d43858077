"""An artifact holds the detector that its model was trained behind, and no other."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from core.errors import ArtifactCorruptError
from core.models.artifact import unpack_artifact
from core.models.export import write_artifact
from core.records import FacesMode
from tests.factories import make_manifest, make_network

DETECTOR = b"the weights of a detector"
TEMPLATE = tuple((0.1 * i, 0.2) for i in range(5))


def write(folder: Path, detector: bytes | None, sha256: str) -> bytes:
    manifest = make_manifest(faces=FacesMode.DETECT, template=TEMPLATE, detector_sha256=sha256)
    network = make_network(len(manifest.classes))
    write_artifact(network, network.gallery.numpy(), manifest, folder / "staged.pt", detector)
    return (folder / "staged.pt").read_bytes()


def test_the_detector_travels_with_the_model(tmp_path: Path) -> None:
    artifact = unpack_artifact(write(tmp_path, DETECTOR, hashlib.sha256(DETECTOR).hexdigest()))
    assert artifact.detector == DETECTOR


@pytest.mark.parametrize("detector", [None, b"", b"the weights of another"])
def test_another_detector_than_the_manifests_is_not_written(detector: bytes | None, tmp_path: Path) -> None:
    with pytest.raises(ArtifactCorruptError, match="detector"):
        write(tmp_path, detector, hashlib.sha256(DETECTOR).hexdigest())
    assert not (tmp_path / "staged.pt").exists()


def test_several_rows_of_each_person_come_back_as_they_were(tmp_path: Path) -> None:
    manifest = make_manifest()
    network = make_network(len(manifest.classes))
    gallery = np.stack([network.gallery.numpy(), np.roll(network.gallery.numpy(), 1, axis=1)], axis=1)
    write_artifact(network, gallery, manifest, tmp_path / "staged.pt")
    read = unpack_artifact((tmp_path / "staged.pt").read_bytes()).gallery
    assert np.array_equal(read, gallery)
    assert read.shape == (len(manifest.classes), 2, manifest.embedding_dim)
