"""Finds faces and their landmarks in photos with YuNet, compiled to TorchScript, in batches on one device.

Decides neither whether a face is good enough nor whose it is, and reads no file: weights come as bytes.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.faces.detect_network import FaceDecoder, FaceDetectorNetwork, PhotoHeads
from core.faces.detect_scale import ScaledPhoto, canvas_of, prepare_for_detection, scale_photo, stack_photos
from core.faces.detect_weights import read_yunet
from core.models.devices import find_device
from core.models.openvino import OpenVinoNetwork, require_openvino
from core.records import EngineKind

_log = logging.getLogger(__name__)

MIN_SCORE = 0.6
"""Least score of a face, 0..1. What OpenCV's samples of YuNet take; the quality gate judges what passes."""
MAX_OVERLAP = 0.3
"""Of two boxes whose intersection over union is higher, only the one with the better score is a face."""
LARGER_LOOK_PX, SMALLER_LOOK_PX = 1280, 160
"""Longer sides in which photos are looked at again, one after the other, as long as they show no face: for small faces,
and for one that fills the photo."""
MAX_ENLARGEMENT = 2
"""What a small photo is enlarged by at most for the larger look."""

_CPU_BATCH_PIXELS = 4 * 256 * 256
"""With more at once a batch leaves the cache: 640 x 480 took 18 ms a photo in fours, 11 ms one by one."""
_CUDA_BATCH_PIXELS = 32 * 640 * 640
"""Its two largest layers take 200 MiB each of the device's memory; not timed."""
_LOOKED_AT_AGAIN = 8
"""Photos that are kept in memory in another size at once."""
_OFF_AT_MOST = 1e-2
"""Difference in what YuNet says: in a landmark, of 8 to 32 pixels of a photo as it is looked at."""
_SAME_COLUMN = 0.25
"""Widths of a face by which those above one another may lie apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """The faces of one photo, in pixels of the array that was given, in a stable order (see `order_faces`)."""

    boxes_xyxy_px: NDArray[np.float32]
    """[N, 4]: (x1, y1, x2, y2), 0 <= x1 < x2 <= width, 0 <= y1 < y2 <= height."""
    landmarks_px: NDArray[np.float32]
    """[N, 5, 2]: left eye, right eye, nose, left and right corner of the mouth, as seen in the picture; (x, y). They
    may lie outside the photo where the face is cut off."""
    scores: NDArray[np.float32]
    """[N], `MIN_SCORE`..1."""

    def __len__(self) -> int:
        return len(self.scores)

    def scaled(self, factor: float) -> "Detections":
        """Return the same faces in pixels of the photo at `factor` times the size."""
        return Detections(
            boxes_xyxy_px=self.boxes_xyxy_px * np.float32(factor),
            landmarks_px=self.landmarks_px * np.float32(factor),
            scores=self.scores,
        )


class Detector:
    """A face detector on one device. Made by `load_detector`; `detect` is called from one thread at a time."""

    def __init__(self, network: "_Network", device: torch.device, sha256: str) -> None:
        self.sha256 = sha256
        """Of the bytes of its ONNX file."""
        self.device = str(device)
        """Where it runs: `cpu`, `cuda:0`, ..."""
        self._network = network
        self._device = device
        self._batch_pixels = _CPU_BATCH_PIXELS if device.type == "cpu" else _CUDA_BATCH_PIXELS

    def detect(self, photos: Sequence[ScaledPhoto]) -> list[Detections]:
        """Find the faces of photos; those that show none are looked at again, larger and then smaller.

        Args:
            photos: made by `prepare_for_detection`, of any sizes.

        Returns:
            What each photo shows, in the photos' order. The same photo gives the same faces in any company, up to
            rounding.

        Raises:
            RuntimeError: the device failed.
        """
        found = self.look(photos)
        for side_of in (_larger_side, _smaller_side):
            empty = [number for number, faces in enumerate(found) if not len(faces)]
            for start in range(0, len(empty), _LOOKED_AT_AGAIN):
                part = empty[start : start + _LOOKED_AT_AGAIN]
                again = [scale_photo(photos[number].original, side_of(photos[number])) for number in part]
                for number, faces in zip(part, self.look(again), strict=True):
                    found[number] = faces
        return found

    def look(self, photos: Sequence[ScaledPhoto]) -> list[Detections]:
        """Look at photos once, those of like size together; as `detect`, without looking again."""
        found: dict[int, Detections] = {}
        like: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, photo in enumerate(photos):
            like[canvas_of(photo)].append(number)
        for canvas, numbers in like.items():
            at_once = max(1, self._batch_pixels // (canvas[0] * canvas[1]))
            for start in range(0, len(numbers), at_once):
                part = numbers[start : start + at_once]
                faces = self._run([photos[number] for number in part], canvas)
                found.update(zip(part, faces, strict=True))
        return [found[number] for number in range(len(photos))]

    def _run(self, photos: Sequence[ScaledPhoto], canvas: tuple[int, int]) -> Iterable[Detections]:
        """Run the network over one batch."""
        batch = torch.from_numpy(stack_photos(photos, canvas)).to(self._device)
        with torch.inference_mode():
            index, faces = self._network(batch)
        photo_of, rows = index.cpu().numpy(), faces.cpu().numpy()
        return [_to_detections(rows[photo_of == number], photo) for number, photo in enumerate(photos)]


_Network = Callable[[Tensor], tuple[Tensor, Tensor]]
"""As `FaceDetectorNetwork.forward`."""


def load_detector(
    data: bytes, device: str, *, threads: int | None = None, engine: EngineKind = EngineKind.TORCH
) -> Detector:
    """Build the detector from its weights, compile it and run it until it is compiled.

    Args:
        data: bytes of YuNet's ONNX file.
        device: `cpu`, `cuda` or `cuda:N`.
        threads: cores the network may use on the CPU (the process's setting); None leaves it as it is.
        engine: what may compute on a CPU. OpenVINO takes half of torch's time for it, and does it where it is right.

    Returns:
        A detector that has answered twice.

    Raises:
        WeightsUnreadableError: the bytes are not YuNet's.
        SettingError: there is no such device, or no OpenVINO where it is asked for.
    """
    place = find_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    heads = PhotoHeads(read_yunet(data)).eval().to(place).to(memory_format=torch.channels_last)
    decoder = FaceDecoder(min_score=MIN_SCORE, max_overlap=MAX_OVERLAP).eval()
    network: _Network | None = None
    if engine is EngineKind.OPENVINO and place.type == "cpu":
        require_openvino()
        network = _in_openvino(heads, decoder)
    if network is None:
        network = torch.jit.freeze(torch.jit.script(FaceDetectorNetwork(heads, decoder).eval()))
    detector = Detector(network, place, hashlib.sha256(data).hexdigest())
    blank = prepare_for_detection(np.zeros((SMALLER_LOOK_PX, SMALLER_LOOK_PX, 3), np.uint8))
    for _ in range(2):  # the first run profiles, the second compiles; other sizes then take no longer the first time
        detector.detect([blank])
    return detector


def _in_openvino(heads: PhotoHeads, decoder: FaceDecoder) -> _Network | None:
    """Have OpenVINO run YuNet, in float32; None where that fails or says something else than torch.

    In bfloat16 it would take a third less, and put landmarks off by up to a pixel.
    """
    noise = torch.randint(0, 256, (1, 96, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = heads(noise)
    module = torch.jit.freeze(torch.jit.script(heads))
    try:
        network = OpenVinoNetwork(module, (-1, -1, -1, 3), bfloat16=False, fixed=False)
        said = network(noise.numpy())
    except RuntimeError as error:
        _log.warning("OpenVINO does not run the detector (%s); torch does it instead", error)
        return None
    off = np.max([np.abs(level - due.numpy()).max() for level, due in zip(said, expected, strict=True)])
    if not off <= _OFF_AT_MOST:
        _log.warning("OpenVINO runs the detector with an error of %.2g; torch does it instead", off)
        return None
    decode = torch.jit.freeze(torch.jit.script(decoder))

    def find(photos: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = decode([torch.from_numpy(each) for each in network(photos.numpy())])
        return found

    return find


def order_faces(boxes_xyxy_px: NDArray[np.float32]) -> NDArray[np.intp]:
    """Number faces from left to right, those above one another from top to bottom.

    Faces are taken by the middle of their boxes. A column begins with the leftmost face that is in none yet, and takes
    in those that begin less than a quarter of the narrower face's width further right. So two faces side by side keep
    their order however their heights jitter, and two above one another however they jitter sideways.

    Args:
        boxes_xyxy_px (float32 [N, 4]): boxes of one photo.

    Returns:
        The rows in order, int [N].
    """
    middles = (boxes_xyxy_px[:, :2] + boxes_xyxy_px[:, 2:]) / 2
    widths = boxes_xyxy_px[:, 2] - boxes_xyxy_px[:, 0]
    columns = np.zeros(len(middles), np.intp)
    column, first = -1, 0
    for row in np.lexsort((middles[:, 1], middles[:, 0])):
        near = _SAME_COLUMN * min(widths[row], widths[first])
        if column < 0 or middles[row, 0] - middles[first, 0] >= near:
            column, first = column + 1, row
        columns[row] = column
    return np.lexsort((middles[:, 0], middles[:, 1], columns))


def _larger_side(photo: ScaledPhoto) -> int:
    """Return the longer side of a photo for the look at small faces."""
    return min(LARGER_LOOK_PX, MAX_ENLARGEMENT * photo.longer_px)


def _smaller_side(photo: ScaledPhoto) -> int:
    """Return the longer side of a photo for the look at a face that fills it."""
    return min(SMALLER_LOOK_PX, photo.longer_px)


def _to_detections(faces: NDArray[np.float32], photo: ScaledPhoto) -> Detections:
    """Bring a photo's faces, as the network gives them, to the original's pixels; clip boxes, and put them in order."""
    height, width = photo.original.shape[:2]
    points = faces[:, :14].reshape(-1, 7, 2) * np.asarray(photo.factor_xy, np.float32)
    boxes = points[:, :2].clip(0, (width, height)).reshape(-1, 4).astype(np.float32)
    inside = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    rows = inside[order_faces(boxes[inside])]
    return Detections(boxes_xyxy_px=boxes[rows], landmarks_px=points[rows, 2:], scores=faces[rows, 14])
