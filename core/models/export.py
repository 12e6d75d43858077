"""Turns a trained network into an artifact: scripted, frozen, and only if it answers as the eager network does."""

import copy
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from core.disk import sync_file
from core.images.decode import DECODE_PATH
from core.models.artifact import Golden, pack_artifact, unpack_artifact
from core.models.manifest import Manifest
from core.models.parity import EXPORT_TOLERANCE, Outputs, check_outputs, check_parity
from core.models.variants import to_outputs
from core.records import FacesMode

if TYPE_CHECKING:
    from core.training.request import TrainedNetwork

_GOLDEN_COUNT = 8
_GOLDEN_SEED = 20


def export_model(
    trained: "TrainedNetwork",
    staged: Path,
    *,
    dataset_digest: str,
    created_at: datetime,
    parent: str | None = None,
    licence: str | None = None,
) -> Manifest:
    """Write a trained network as one file that is ready for the model store.

    Args:
        trained: what training gave, from photos that are one face each.
        staged: the file to write; its folder exists.
        dataset_digest: sha256 of the frozen dataset.
        created_at: aware, UTC.
        parent: sha256 of the artifact it was trained on from.
        licence: licence of weights that were taken over.

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
        faces=FacesMode.CROP,
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
        licence=licence,
        metrics=trained.metrics,
    )
    write_artifact(trained.network, trained.gallery.detach().cpu().numpy(), manifest, staged)
    return manifest


def write_artifact(network: nn.Module, gallery: NDArray[np.float32], manifest: Manifest, staged: Path) -> None:
    """Compile a servable, check it and write it through to the disk.

    Args:
        network: a scriptable servable on any device; left as it is.
        gallery (float32 [C, D]): unit rows.
        manifest: describes it.
        staged: the file to write.

    Raises:
        ModelParityError: the network does not fit its manifest, or eager, scripted and reloaded do not agree, in
            batches and one by one; nothing was written.
        OSError: the file cannot be written.
    """
    eager = copy.deepcopy(network).cpu().eval()
    crops = draw_golden_crops(manifest.input_size_px)
    golden = Golden(crops=crops, outputs=_answer(eager, crops))
    check_outputs(
        golden.outputs,
        count=len(crops),
        dim=manifest.embedding_dim,
        classes=len(manifest.classes),
        what="The trained network",
    )
    scripted = torch.jit.freeze(torch.jit.script(eager))
    data = pack_artifact(scripted, manifest, gallery.astype(np.float32), golden)
    reloaded = unpack_artifact(data).load_module(torch.device("cpu"))
    for name, compiled in (("scripted", scripted), ("reloaded", reloaded)):
        _check_agrees(eager, compiled, golden, f"The {name} network")
    with staged.open("wb") as file:
        file.write(data)
        sync_file(file)


def draw_golden_crops(size_px: int) -> NDArray[np.uint8]:
    """Draw the crops of a golden batch: soft patches of colour, nobody's face, the same for every model of a size.

    Returns:
        uint8 [8, 3, size_px, size_px] RGB.
    """
    coarse = torch.from_numpy(np.random.default_rng(_GOLDEN_SEED).integers(0, 256, (_GOLDEN_COUNT, 3, 8, 8)))
    soft = F.interpolate(coarse.float(), size=(size_px, size_px), mode="bilinear", align_corners=False)
    return np.asarray(soft.round().to(torch.uint8).numpy())


def _check_agrees(eager: nn.Module, compiled: nn.Module, golden: Golden, what: str) -> None:
    """Compare on the golden batch, on noise, and one by one; twice, as the second run is the specialised one."""
    noise = np.random.default_rng(_GOLDEN_SEED).integers(0, 256, golden.crops.shape, dtype=np.uint8)
    on_noise = _answer(eager, noise)
    for _ in range(2):
        check_parity(golden.outputs, _answer(compiled, golden.crops), EXPORT_TOLERANCE, f"{what}, on the golden batch,")
        check_parity(on_noise, _answer(compiled, noise), EXPORT_TOLERANCE, f"{what}, on noise,")
    singly = [_answer(compiled, crop[None]) for crop in golden.crops]
    joined = Outputs(
        embeddings=np.concatenate([one.embeddings for one in singly]),
        logits=np.concatenate([one.logits for one in singly]),
    )
    check_parity(golden.outputs, joined, EXPORT_TOLERANCE, f"{what}, one crop at a time,")


def _answer(network: nn.Module, crops: NDArray[np.uint8]) -> Outputs:
    with torch.inference_mode():
        return to_outputs(network(torch.from_numpy(crops)))
