"""What a training run needs beside its labels: how photos become crops, and the pretrained parts it stands on.

Torch is imported where it is used.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
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
"""The recipe that trains a head on pretrained weights."""
FINETUNE_RECIPE = "finetune"
"""The recipe that trains pretrained weights and the head on them."""
PRETRAINED_RECIPES = (HEAD_RECIPE, FINETUNE_RECIPE)
"""The recipes that stand on pretrained weights; the others train a network from scratch."""

_built: dict[WeightsSpec, "Embedder"] = {}
"""The backbone of this process's last run, by all that is known of it: of a run's files every byte is pinned there."""

_SEEING = 2
"""To be raised when the code changes that finds, aligns, judges or embeds the face of a labelled photo: what is kept of
photos is then not used any more."""

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
    way: str | None = None
    """sha256 over all that decides what a photo is to the backbone, where that stays as it is: photos that were seen in
    the same way need not be seen again. None where the backbone is trained."""


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
    from core.finding import SourceOnDemand
    from core.models.export import Origin
    from core.reading import CropReader

    store = WeightsStore.from_settings(settings)
    faces = FacesMode(options.get("faces") or FacesMode.CROP)
    basis = _pretrained(store, options["backbone"], recipe, faces) if recipe in PRETRAINED_RECIPES else _scratch(recipe)
    detector, licences = None, [basis.licence]
    if faces is FacesMode.DETECT:
        found_with = store.get_spec(DETECTOR)
        (file,) = found_with.files
        detector = store.read_verified(found_with, file)
        licences.append(_licence(found_with))
    make_source = partial(_source, detector, basis.template, basis.size_px, settings, device, threads)
    origin = Origin(
        faces=faces,
        template=basis.template if faces is FacesMode.DETECT else None,
        detector=detector,
        backbone_sha256=basis.backbone_sha256,
        licence="; ".join(filter(None, licences)) or None,
    )
    return Preparation(
        load_crop=CropReader(_reader(settings), SourceOnDemand(make_source)),
        embedder=basis.embedder,
        backbone=basis.backbone,
        published=basis.published,
        origin=origin,
        way=None if basis.frozen is None else _digest_way(basis.frozen, origin, basis.size_px, device),
    )


@dataclass(frozen=True, kw_only=True)
class _Basis:
    """What networks begin from."""

    backbone: str
    size_px: int
    template: tuple[tuple[float, float], ...]
    embedder: "Embedder | None" = None
    backbone_sha256: str | None = None
    """Of weights that stay as they are; None where they are trained: then the embeddings are the model's own."""
    published: "PublishedScores | None" = None
    licence: str | None = None
    frozen: WeightsSpec | None = None
    """Of weights that stay as they are."""


def _pretrained(store: WeightsStore, name: str, recipe: str, faces: FacesMode) -> _Basis:
    spec = store.get_spec(name)
    template = _template(spec)
    embedder = _build_embedder(spec, {file.name: store.read_verified(spec, file) for file in spec.files})
    frozen = recipe == HEAD_RECIPE
    # They were measured on aligned faces: photos that are taken whole resemble each other more.
    published = spec.embedder.scores if spec.embedder and faces is FacesMode.DETECT else None
    return _Basis(
        backbone=spec.name,
        size_px=embedder.input_size_px,
        template=template,
        embedder=embedder,
        backbone_sha256=spec.digest if frozen else None,
        published=published,
        licence=_licence(spec),
        frozen=spec if frozen else None,
    )


def _build_embedder(spec: WeightsSpec, files: Mapping[str, bytes]) -> "Embedder":
    """Return the network that these files hold: that of the run before, if it was built from the very same.

    To read and build one takes as long as to train a head. Nobody changes it: networks share it or copy it.
    """
    from core.nets.imported import load_embedder

    if _built.get(spec) is None:
        _built.clear()
        _built[spec] = load_embedder(files, spec)
    return _built[spec]


def _scratch(recipe: str) -> _Basis:
    from core.finding import DEFAULT_TEMPLATE
    from core.nets.registry import NETWORKS
    from core.training.recipes import recipe_named

    spec = NETWORKS[recipe_named(recipe).backbone or ""]
    return _Basis(backbone=spec.name, size_px=spec.input_size_px, template=DEFAULT_TEMPLATE)


def _digest_way(backbone: WeightsSpec, origin: "Origin", size_px: int, device: str) -> str:
    """Return sha256 over all that decides what a labelled photo is to a backbone."""
    import torch

    from core.faces.quality import QualityGate
    from core.images.decode import DECODE_PATH

    found = None if origin.detector is None else hashlib.sha256(origin.detector).hexdigest()
    way = {
        "seeing": _SEEING,
        "backbone": backbone.digest,
        "embedder": asdict(replace(backbone.embedder, scores=None)) if backbone.embedder else None,
        "faces": origin.faces.value,
        "template": origin.template,
        "input_size_px": size_px,
        "detector": found,
        "gate": asdict(QualityGate()),
        "decode": DECODE_PATH,
        "device": torch.device(device).type,
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(way, sort_keys=True).encode()).hexdigest()


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
