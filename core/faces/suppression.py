"""Non-maximum suppression with torchvision's kernel, which is loaded without the rest of torchvision.

`import torchvision` brings its models, datasets and torch's compiler: 1.2 s of computing and 160 MB in every worker
process, of which nothing is used.
"""

import importlib.util
from pathlib import Path

import torch
from torch import Tensor

_KERNELS = "_C_stable*"


def load_kernels() -> None:
    """Make `torch.ops.torchvision` known; calling it again does nothing.

    Raises:
        ImportError: torchvision is not installed, or was built for another torch.
    """
    if hasattr(torch.ops.torchvision, "nms"):
        return
    found = importlib.util.find_spec("torchvision")
    places = found.submodule_search_locations if found else None
    for library in (file for place in places or () for file in sorted(Path(place).glob(_KERNELS))):
        try:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise ImportError(f"torchvision does not fit this torch: {error}") from error
        return
    raise ImportError("torchvision has no kernels where they are looked for: is it installed, and version 0.29?")


def suppress_overlaps(boxes: Tensor, scores: Tensor, photo_of: Tensor, max_overlap: float) -> Tensor:
    """Of boxes of one photo that overlap, keep the one with the best score. Scriptable once the kernels are loaded.

    Args:
        boxes (float32 [M, 4]): (x1, y1, x2, y2) in pixels, all of them positive or near it.
        scores (float32 [M]): of each box.
        photo_of (int64 [M]): boxes of different photos do not compete.
        max_overlap: the least intersection over union that drops a box is above this.

    Returns:
        int64 [K]: which boxes are kept, the best score first.
    """
    if boxes.numel() == 0:
        return torch.empty((0,), dtype=torch.int64, device=boxes.device)
    # Each photo's boxes are set apart from all others', so that one call does for a batch.
    apart = photo_of.to(boxes.dtype) * (boxes.max() - boxes.min() + 1.0)
    kept: Tensor = torch.ops.torchvision.nms(boxes + apart[:, None], scores, max_overlap)
    return kept
