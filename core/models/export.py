"""Turns a trained network into an artifact: scripted, and only if it answers as the eager network does."""

import copy
import hashlib
import logging
import random
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.disk import sync_file
from core.errors import ModelParityError
from core.images.decode import DECODE_PATH
from core.images.drawn_people import draw_people
from core.images.drawn_photo import take_photo
from core.models.artifact import Artifact, Golden, pack_artifact, unpack_artifact
from core.models.freezing import freeze_network
from core.models.manifest import Manifest
from core.models.parity import BFLOAT16_TOLERANCE, EXPORT_TOLERANCE, Outputs, check_outputs, check_parity
from core.models.runner import to_outputs
from core.models.scripting import script_network
from core.records import FacesMode

if TYPE_CHECKING:
    from core.training.request import TrainedNetwork

_log = logging.getLogger(__name__)

_CPU = torch.device("cpu")
_GOLDEN_COUNT = 8
_GOLDEN_SEED = 20


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a model stands on beside what it learned: how it was shown faces, and weights that were taken over."""

    faces: FacesMode
    template: tuple[tuple[float, float], ...] | None = None
    """Where landmarks lie in its crops; None for whole-photo crops."""
    detector: bytes | None = None
    """The file of the detector's weights; None for whole-photo crops."""
    backbone_sha256: str | None = None
    """Of a pretrained backbone's weights."""
    licence: str | None = None
    """Of weights that were taken over."""


WHOLE_PHOTOS = Origin(faces=FacesMode.CROP)
"""Nothing: all was trained here, on photos that are one face each."""


def export_model(
    trained: "TrainedNetwork",
    staged: Path,
    *,
    dataset_digest: str,
    created_at: datetime,
    parent: str | None = None,
    origin: Origin = WHOLE_PHOTOS,
) -> Manifest:
    """Write a trained network as one file that is ready for the model store.

    Args:
        trained: what training gave.
        staged: the file to write; its folder exists.
        dataset_digest: sha256 of the frozen dataset.
        created_at: aware, UTC.
        parent: sha256 of the artifact it was trained on from.
        origin: what it stands on.

    Returns:
        The manifest inside the file.

    Raises:
        ModelParityError: the compiled network does not answer as the eager one; nothing was written.
        OSError: the file cannot be written.
    """
    manifest = Manifest(
        classes=trained.classes,
        backbone=trained.backbone,
        recipe=trained.recipe,
        input_size_px=trained.input_size_px,
        embedding_dim=trained.embedding_dim,
        faces=origin.faces,
        decode=DECODE_PATH,
        rule=trained.rule,
        epochs=len(trained.epochs),
        seed=trained.seed,
        train_count=trained.train_count,
        test_count=trained.test_count,
        dataset_digest=dataset_digest,
        torch_version=torch.__version__,
        created_at=created_at,
        parent=parent,
        template=origin.template,
        detector_sha256=None if origin.detector is None else hashlib.sha256(origin.detector).hexdigest(),
        backbone_sha256=origin.backbone_sha256,
        licence=origin.licence,
        metrics=trained.metrics,
    )
    write_artifact(trained.network, trained.gallery.detach().cpu().numpy(), manifest, staged, origin.detector)
    return manifest


def write_artifact(
    network: nn.Module,
    gallery: NDArray[np.float32],
    manifest: Manifest,
    staged: Path,
    detector: bytes | None = None,
) -> None:
    """Compile a servable, check it and write it through to the disk.

    Args:
        network: a scriptable servable on any device; left as it is.
        gallery (float32 [C, D] or [C, K, D]): one row a class, or several.
        manifest: describes it.
        staged: the file to write.
        detector: the weights of the detector that it was trained behind.

    Raises:
        ModelParityError: the network does not fit its manifest, or eager, scripted and reloaded do not agree, in
            batches and one by one; nothing was written.
        OSError: the file cannot be written.
    """
    eager = _in_eval_mode(network)
    crops = draw_golden_crops(manifest.input_size_px)
    golden = Golden(crops=crops, outputs=_answer(eager, crops))
    check_outputs(
        golden.outputs,
        count=len(crops),
        dim=manifest.embedding_dim,
        classes=len(manifest.classes),
        what="The trained network",
    )
    scripted = script_network(eager)
    # The network itself is not frozen: for a GPU, and for other ways to run it than are known today.
    parts = scripted, manifest, gallery.astype(np.float32), golden, detector
    frozen = _frozen_copies(scripted, unpack_artifact(pack_artifact(*parts)))
    data = pack_artifact(*parts, frozen)
    reloaded = unpack_artifact(data)
    noise = _draw_noise(manifest.input_size_px)
    on_noise = Golden(crops=noise, outputs=_answer(eager, noise))
    for name, compiled in (
        ("scripted", frozen[torch.float32]),
        ("reloaded", torch.jit.freeze(reloaded.load_module(_CPU))),
        ("frozen", cast("torch.jit.ScriptModule", reloaded.load_frozen(torch.float32))),
    ):
        _check_agrees(compiled, golden, on_noise, f"The {name} network")
    with staged.open("wb") as file:
        file.write(data)
        sync_file(file)


def _in_eval_mode(network: nn.Module) -> nn.Module:
    """Return the network as it will serve: itself where it is so already, as torch compiles anew what was copied."""
    on_cpu = all(tensor.device == _CPU for tensor in (*network.parameters(), *network.buffers()))
    if on_cpu and not any(module.training for module in network.modules()):
        return network
    return copy.deepcopy(network).cpu().eval()


def _frozen_copies(scripted: torch.jit.ScriptModule, artifact: Artifact) -> dict[torch.dtype, torch.jit.ScriptModule]:
    """Freeze a network in each precision in which it answers right on a CPU.

    Args:
        scripted: left as it is.
        artifact: holds it, so that a copy of its own can be turned into bfloat16.
    """
    copies = {torch.float32: freeze_network(scripted, torch.float32)}
    golden = artifact.golden
    try:
        low = freeze_network(artifact.load_module(_CPU), torch.bfloat16)
        check_parity(golden.outputs, _answer(low, golden.crops), BFLOAT16_TOLERANCE, "The network in bfloat16")
    except ModelParityError as refusal:
        _log.info("the model gets no copy in bfloat16: %s", refusal)
        return copies
    return {**copies, torch.bfloat16: low}


def draw_golden_crops(size_px: int) -> NDArray[np.uint8]:
    """Draw the crops of a golden batch: faces of people who do not exist, the same for every model of a size.

    Faces, because networks answer what looks like nothing they were trained on less steadily: patches of colour gave
    face-reidentification-retail-0095 in bfloat16 a mean cosine of 0.9984 to float32, drawn faces 0.9993, photos 0.9996.

    Returns:
        uint8 [8, 3, size_px, size_px] RGB.
    """
    return _draw_golden_crops(size_px).copy()


@lru_cache(maxsize=4)
def _draw_golden_crops(size_px: int) -> NDArray[np.uint8]:
    people = draw_people(_GOLDEN_COUNT, random.Random(_GOLDEN_SEED))
    photos = [take_photo(person, size_px, random.Random(f"golden/{i}")) for i, person in enumerate(people)]
    return np.ascontiguousarray(np.stack([np.asarray(photo) for photo in photos]).transpose(0, 3, 1, 2))


def _draw_noise(size_px: int) -> NDArray[np.uint8]:
    """Draw crops of noise, as many as a golden batch has: uint8 [8, 3, size_px, size_px]."""
    return np.random.default_rng(_GOLDEN_SEED).integers(0, 256, (_GOLDEN_COUNT, 3, size_px, size_px), dtype=np.uint8)


def _check_agrees(compiled: nn.Module, golden: Golden, noise: Golden, what: str) -> None:
    """Compare on the golden batch, on noise, and one by one; twice, as the second run is the specialised one."""
    for _ in range(2):
        check_parity(golden.outputs, _answer(compiled, golden.crops), EXPORT_TOLERANCE, f"{what}, on the golden batch,")
        check_parity(noise.outputs, _answer(compiled, noise.crops), EXPORT_TOLERANCE, f"{what}, on noise,")
    singly = [_answer(compiled, crop[None]) for crop in golden.crops]
    joined = Outputs(
        embeddings=np.concatenate([one.embeddings for one in singly]),
        logits=np.concatenate([one.logits for one in singly]),
    )
    check_parity(golden.outputs, joined, EXPORT_TOLERANCE, f"{what}, one crop at a time,")


def _answer(network: nn.Module, crops: NDArray[np.uint8]) -> Outputs:
    with torch.inference_mode():
        return to_outputs(network(torch.from_numpy(crops)))
