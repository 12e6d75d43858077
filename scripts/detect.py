"""`facefleet detect`: what detection sees in one photo, as a table and as a picture. Stores nothing, names nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import InputError, SourceNotFoundError
from core.images.uris import has_scheme, local_uri
from core.records import FaceOutcome
from core.settings import Settings
from scripts.common import Invocation, command
from scripts.files import replacing
from scripts.output import add_row, make_console, make_table, say, show_count, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from PIL import Image

    from core.images.decode import DecodedPhoto

_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_QUALITY = 92
_WIDE = 110  # columns of a terminal that has room for landmarks
_DETECTOR, _EMBEDDER = "yunet", "face-reidentification-retail-0095"


@dataclass(frozen=True, kw_only=True)
class _Face:
    """One face, as detection sees it."""

    number: int
    """Left to right, then top to bottom, from 0, as in the ids of faces."""
    box_xyxy_px: tuple[float, float, float, float]
    landmarks_px: tuple[tuple[float, float], ...]
    score: float
    """How sure the detector is that it is a face, 0..1."""
    quality: float
    """0..1, higher is better."""
    reasons: tuple[str, ...]
    """Why the quality gate refuses it; empty where it passes."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "face": self.number,
            "box": [round(value, 2) for value in self.box_xyxy_px],
            "landmarks": [[round(x, 2), round(y, 2)] for x, y in self.landmarks_px],
            "score": round(self.score, 4),
            "quality": {"score": round(self.quality, 4), "reasons": list(self.reasons)},
        }


@command("detect", example="facefleet detect party.jpg\nfacefleet detect party.jpg --picture faces.jpg")
@click.argument("file")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.jpg",
    help="Save the photo with boxes, landmarks and reasons, as JPEG or PNG. One of the same name is replaced.",
)
def detect(invocation: Invocation, file: str, picture: Path | None) -> None:
    """Find the faces in one photo and show what is found: boxes, landmarks, quality and reasons.

    FILE is a photo, or the URI of one. Faces are numbered from 0, left to right, then top to bottom.
    """
    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was written."
    uri = _find_photo(file)
    format_ = _check_picture(picture, file) if picture else None
    photo = _read(uri, settings)
    faces = _find_faces(photo, settings)
    if picture and format_:
        with replacing(picture) as stream:
            _draw(photo, faces).save(stream, format_, quality=_QUALITY)
    if invocation.as_json:
        size = {"width": photo.width_px, "height": photo.height_px}
        saved = str(picture) if picture else None
        write_json({"file": file, **size, "faces": [face.to_json() for face in faces], "picture": saved})
    else:
        _print(faces, photo, picture)


def _find_photo(file: str) -> str:
    """Return the photo's URI.

    Raises:
        InputError: there is no such file, or it is a folder.
    """
    if has_scheme(file):
        return file
    path = Path(file).absolute()
    if path.is_dir():
        raise InputError(
            f"{file} is a folder. Nothing was looked at. Name one photo; `facefleet submit` takes folders."
        )
    if not path.exists():
        raise SourceNotFoundError(f"There is no file {file}. Nothing was looked at. Correct the path.")
    return local_uri(str(path))


def _check_picture(picture: Path, file: str) -> str:
    """Return the format of the picture to write.

    Raises:
        UsageError: its name says none, or it would take the photo's place.
    """
    format_ = _FORMATS.get(picture.suffix.lower())
    if format_ is None:
        raise click.UsageError(f"{picture} has no name of a JPEG or PNG. End it with .jpg or .png.")
    if picture.exists() and Path(file).exists() and picture.samefile(file):
        raise click.UsageError("The picture would take the photo's place. Give it another name.")
    return format_


def _read(uri: str, settings: Settings) -> "DecodedPhoto":
    """Read the photo as workers do. The user names it, so FACEFLEET_IMAGE_ROOTS does not bind.

    Raises:
        PhotoError: it cannot be used.
        SourceUnreachableError: the place it lies in did not answer.
    """
    from core.images.decode import DecodeLimits, decode_photo
    from core.images.read import PhotoReader

    with PhotoReader(max_bytes=settings.max_photo_bytes) as reader:
        return decode_photo(reader.read(uri), DecodeLimits.from_settings(settings))


def _find_faces(photo: "DecodedPhoto", settings: Settings) -> list[_Face]:
    """Find, align and judge the faces of a photo in its full size, on the CPU.

    Raises:
        WeightsMissingError: the detector's weights are not here.
        WeightsAlteredError: they are not what they should be.
    """
    weights = _read_weights(settings)
    with show_progress("Looking for faces"):
        import numpy as np

        from core.faces.align import align_faces
        from core.faces.detect import load_detector
        from core.faces.detect_scale import prepare_for_detection
        from core.faces.quality import judge_faces

        (found,) = load_detector(weights.detector, "cpu").detect([prepare_for_detection(photo.pixels)])
        template = np.asarray(weights.template)
        aligned = align_faces(photo.pixels, found.landmarks_px, template, weights.size_px)
        judged = judge_faces(aligned.crops, found, aligned.residuals, template)
    return [
        _Face(
            number=number,
            box_xyxy_px=tuple(box),
            landmarks_px=tuple((x, y) for x, y in points),
            score=score,
            quality=quality.score,
            reasons=tuple(reason.value for reason in quality.reasons),
        )
        for number, (box, points, score, quality) in enumerate(
            zip(found.boxes_xyxy_px.tolist(), found.landmarks_px.tolist(), found.scores.tolist(), judged, strict=True)
        )
    ]


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """What detection needs."""

    detector: bytes
    template: tuple[tuple[float, float], ...]
    """Where an aligned face has its landmarks, which is where quality is measured."""
    size_px: int


def _read_weights(settings: Settings) -> _Weights:
    from core.weights.store import WeightsStore

    store = WeightsStore.from_settings(settings)
    yunet = store.get_spec(_DETECTOR)
    embedder = store.get_spec(_EMBEDDER).embedder
    assert embedder is not None  # noqa: S101 - held by the catalogue
    return _Weights(
        detector=store.read_verified(yunet, yunet.files[0]), template=embedder.template, size_px=embedder.input_size_px
    )


def _draw(photo: "DecodedPhoto", faces: Sequence[_Face]) -> "Image.Image":
    """Draw what was found onto a copy of the photo."""
    from core.images.annotate import Mark, annotate_photo
    from core.images.fonts import Fonts

    marks = [
        Mark(
            box_xyxy_px=face.box_xyxy_px,
            text=f"{face.number}\u2002{_show_quality(face)}",
            outcome=FaceOutcome.LOW_QUALITY if face.reasons else None,
            landmarks_px=face.landmarks_px,
        )
        for face in faces
    ]
    return annotate_photo(photo, marks, Fonts(), caption="" if faces else "no face")


def _show_quality(face: _Face) -> str:
    return ", ".join(face.reasons).replace("_", " ") or f"{face.quality:.2f}"


def _print(faces: Sequence[_Face], photo: "DecodedPhoto", picture: Path | None) -> None:
    """Print the table, and what was found in words. A narrow terminal shows no landmarks: --json has them."""
    console = make_console()
    wide = console.width >= _WIDE
    table = make_table([">Face", ">Box", ">Score", ">Quality", "Reasons", *(["Landmarks"] if wide else [])])
    for face in faces:
        box = " ".join(f"{value:.0f}" for value in face.box_xyxy_px)
        landmarks = " ".join(f"{x:.0f},{y:.0f}" for x, y in face.landmarks_px)
        cells = [face.number, box, f"{face.score:.2f}", f"{face.quality:.2f}", ", ".join(face.reasons), landmarks]
        add_row(table, *cells[: None if wide else -1])
    if faces:
        console.print(table)
    passed = sum(not face.reasons for face in faces)
    count = f"{show_count(len(faces), 'face')}, {passed:,} good enough to be named" if faces else "no face"
    say(f"{photo.width_px:,} x {photo.height_px:,} pixels: {count}.")
    if picture:
        say(f"{picture}: the photo with what was found.")
