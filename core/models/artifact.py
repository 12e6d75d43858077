"""The artifact: one TorchScript file that holds the network, its manifest, gallery and golden batch, and its detector.

Packs and unpacks bytes; says nothing about where they lie or whether the answers are right.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from core.memory import is_out_of_memory
from core.models.manifest import Manifest
from core.models.members import GALLERY, MANIFEST, corrupt, read_array, read_gallery, read_members
from core.models.parity import Outputs

_CROPS, _EMBEDDINGS, _LOGITS = "golden_crops.u8", "golden_embeddings.f32", "golden_logits.f32"
_MEMBERS = (MANIFEST, GALLERY, _CROPS, _EMBEDDINGS, _LOGITS)
_DETECTOR = "detector.onnx"
_FROZEN = {torch.float32: "frozen_float32.pt", torch.bfloat16: "frozen_bfloat16.pt"}


@dataclass(frozen=True, kw_only=True)
class Golden:
    """A batch with known answers, run at every load."""

    crops: NDArray[np.uint8]
    """[G, 3, S, S] RGB. Drawn, never a person's photo."""
    outputs: Outputs
    """What the network answered before it was compiled."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An artifact's parts."""

    manifest: Manifest
    gallery: NDArray[np.float32]
    """[C, D], one unit row a class."""
    golden: Golden
    load_module: Callable[[torch.device], torch.jit.ScriptModule]
    """Loads the network onto a device; every call gives a copy of its own."""
    load_frozen: Callable[[torch.dtype], torch.jit.ScriptModule | None]
    """Loads the network frozen, onto the CPU; told the precision that it is to compute in. None where there is no such
    copy."""
    detector: bytes | None
    """The file of the detector's weights; None when the model takes whole photos."""


def pack_artifact(
    module: torch.jit.ScriptModule,
    manifest: Manifest,
    gallery: NDArray[np.float32],
    golden: Golden,
    detector: bytes | None = None,
    frozen: Mapping[torch.dtype, torch.jit.ScriptModule] | None = None,
) -> bytes:
    """Put everything into one file's bytes; what it holds is in `Artifact`.

    Frozen copies are given by the precision that they compute in: float32 and bfloat16.
    """
    arrays: dict[str, NDArray[np.generic]] = {
        GALLERY: gallery,
        _CROPS: golden.crops,
        _EMBEDDINGS: golden.outputs.embeddings,
        _LOGITS: golden.outputs.logits,
    }
    extra = {name: np.ascontiguousarray(array).tobytes() for name, array in arrays.items()}
    if detector is not None:
        extra[_DETECTOR] = detector
    extra |= {_FROZEN[precision]: _saved(copy, {}) for precision, copy in (frozen or {}).items()}
    return _saved(module, {MANIFEST: manifest.to_json().encode(), **extra})


def unpack_artifact(data: bytes) -> Artifact:
    """Take an artifact's bytes apart. The network's code is not touched before the manifest is understood.

    Args:
        data: the bytes of the file; kept for as long as the artifact is.

    Returns:
        Its parts; the gallery has been checked, the network has not run.

    Raises:
        ArtifactCorruptError: these are not the bytes of an artifact.
        ManifestVersionError: the manifest is in a format that this version does not read.
    """
    members = read_members(io.BytesIO(data), len(data), _MEMBERS, optional=(_DETECTOR,))
    manifest = Manifest.from_json(members[MANIFEST])
    size, dim, classes = manifest.input_size_px, manifest.embedding_dim, len(manifest.classes)
    gallery = read_gallery(members, manifest)
    crops = read_array(members, _CROPS, np.uint8, (-1, 3, size, size))
    outputs = Outputs(
        embeddings=read_array(members, _EMBEDDINGS, np.float32, (len(crops), dim)),
        logits=read_array(members, _LOGITS, np.float32, (len(crops), classes)),
    )
    return Artifact(
        manifest=manifest,
        gallery=gallery,
        golden=Golden(crops=crops, outputs=outputs),
        load_module=lambda device: _load_module(data, device),
        load_frozen=lambda precision: _load_frozen(data, precision),
        detector=_detector(members, manifest),
    )


def _detector(members: dict[str, bytes], manifest: Manifest) -> bytes | None:
    """Return the detector's weights, which are those that the manifest names."""
    data = members.get(_DETECTOR)
    found = None if data is None else hashlib.sha256(data).hexdigest()
    if found != manifest.detector_sha256:
        raise corrupt(f"its detector has sha256 {found} where its manifest names {manifest.detector_sha256}")
    return data


def _saved(module: torch.jit.ScriptModule, extra: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer, _extra_files=extra)
    return buffer.getvalue()


def _load_frozen(data: bytes, precision: torch.dtype) -> torch.jit.ScriptModule | None:
    name = _FROZEN.get(precision)
    if name is None:
        return None
    found = read_members(io.BytesIO(data), len(data), (), optional=(name,))
    return _load_module(found[name], torch.device("cpu")) if found else None


def _load_module(data: bytes, device: torch.device) -> torch.jit.ScriptModule:
    """Load the network; loading runs none of its code."""
    try:
        module = torch.jit.load(io.BytesIO(data), map_location=device)  # type: ignore[no-untyped-call]
        return cast("torch.jit.ScriptModule", module.eval())
    except (RuntimeError, ValueError, AttributeError, UnicodeDecodeError) as error:
        if is_out_of_memory(error):
            raise
        raise corrupt(f"torch cannot load it ({str(error).splitlines()[0]})") from error
