"""What a training run needs beside its labels: how photos become crops, and the pretrained parts it stands on.

Torch is imported where it is used.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import UnknownWeightsError
from core.records import FacesMode
from core.settings import Settings
from core.weights.spec import DETECTOR, WeightsSpec
from core.weights.store import WeightsStore

if TYPE_CHECKING:
    from core.faces.impostors import PublishedScores
    from core.finding import FaceSource
    from core.images.read import PhotoReader
    from core.models.export import Origin
    from core.nets.imported import Embedder
    from core.reading import CropReader

HEAD_RECIPE = "head"
"""The recipe that trains a head on pretrained weights; the others train a network from scratch."""

DEFAULT_TOLERANCE = 0.01
"""Share of the held-out photos by which a model may be worse than the one that serves and take its place."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What a run is trained with."""

    load_crop: "CropReader"
    embedder: "Embedder | None"
    """The pretrained backbone; None when the network is trained from scratch."""
    backbone: str
    published: "PublishedScores | None"
    """What is known of its similarities, which are those of aligned faces; None for photos that are taken whole."""
    origin: "Origin"
    """What the model's manifest says of all this."""


def prepare_training(
    recipe: str, options: dict[str, Any], settings: Settings, *, device: str, threads: int
) -> Preparation:
    """Load what a run is trained with.

    Args:
        recipe: its name.
        options: the run's: `backbone` and `faces`.
        settings: limits, and where weights lie.
        device: as torch calls it.
        threads: cores to compute on.

    Raises:
        WeightsMissingError: pretrained weights are not on this machine.
        WeightsAlteredError: they are not what they should be.
        WeightsUnreadableError: they hold no network that can be used.
        UnknownWeightsError: no set has the backbone's name.
    """
    from core.finding import DEFAULT_TEMPLATE
    from core.models.export import Origin
    from core.nets.imported import load_embedder
    from core.nets.registry import NETWORKS
    from core.reading import CropReader
    from core.training.recipes import recipe_named

    store = WeightsStore.from_settings(settings)
    faces = FacesMode(options.get("faces") or FacesMode.CROP)
    if recipe == HEAD_RECIPE:
        spec = store.get_spec(options["backbone"])
        template = _template(spec)
        embedder = load_embedder({file.name: store.read_verified(spec, file) for file in spec.files}, spec)
        size_px = embedder.input_size_px
        backbone, backbone_sha256, licences = spec.name, spec.digest, [_licence(spec)]
        # They were measured on aligned faces: photos that are taken whole resemble each other more.
        published = spec.embedder.scores if spec.embedder and faces is FacesMode.DETECT else None
    else:
        embedder, backbone_sha256, published, licences = None, None, None, []
        backbone = recipe_named(recipe).backbone
        size_px, template = NETWORKS[backbone].input_size_px, DEFAULT_TEMPLATE
    detector = None
    if faces is FacesMode.DETECT:
        found_with = store.get_spec(DETECTOR)
        (file,) = found_with.files
        detector = store.read_verified(found_with, file)
        licences.append(_licence(found_with))
    return Preparation(
        load_crop=CropReader(_reader(settings), _source(detector, template, size_px, settings, device, threads)),
        embedder=embedder,
        backbone=backbone,
        published=published,
        origin=Origin(
            faces=faces,
            template=template if faces is FacesMode.DETECT else None,
            detector=detector,
            backbone_sha256=backbone_sha256,
            licence="; ".join(licences) or None,
        ),
    )


def _source(
    detector: bytes | None,
    template: tuple[tuple[float, float], ...],
    size_px: int,
    settings: Settings,
    device: str,
    threads: int,
) -> "FaceSource":
    """Return what makes labelled photos crops: the very thing that will make them of photos to identify."""
    from core.faces.detect import load_detector
    from core.faces.quality import QualityGate
    from core.finding import WholePhotos
    from core.images.decode import DecodeLimits
    from core.photographs import FoundFaces

    limits = DecodeLimits.from_settings(settings)
    if detector is None:
        return WholePhotos(limits=limits, size_px=size_px)
    return FoundFaces(
        limits=limits,
        detector=load_detector(detector, device, threads=threads),
        template=template,
        size_px=size_px,
        gate=QualityGate(),
    )


def _reader(settings: Settings) -> "PhotoReader":
    from core.images.read import PhotoReader

    return PhotoReader.from_settings(settings)


def _template(spec: WeightsSpec) -> tuple[tuple[float, float], ...]:
    if spec.embedder is None:
        raise UnknownWeightsError(
            f"{spec.name} is a {spec.kind} and no backbone; nothing was trained. Choose one: facefleet weights list"
        )
    return spec.embedder.template


def _licence(spec: WeightsSpec) -> str:
    return f"{spec.name}: {spec.licence}"
