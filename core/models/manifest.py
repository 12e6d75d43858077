"""The manifest of a model: everything about it that is not a weight, as strict JSON inside the artifact.

Knows the format, not the file it lies in. Light: no torch.
"""

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, NoReturn, Self

from core.errors import ArtifactCorruptError, ManifestVersionError
from core.faces.rule import RejectRule
from core.records import FacesMode, PersonClass

FORMAT_VERSION = 1
LANDMARKS = 5


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a model is, what it was made from, and how to use its answers."""

    classes: tuple[PersonClass, ...]
    """Whom class index i stands for; at least one."""
    backbone: str
    """Name of the network."""
    recipe: str
    """Name of the training recipe."""
    input_size_px: int
    """Side of the square crops."""
    embedding_dim: int
    """Length of an embedding."""
    faces: FacesMode
    """What it was trained on: faces found in photographs, or photos that are one face already."""
    decode: str
    """Name of the path from bytes to crop; training and serving take the same one."""
    rule: RejectRule
    """When a similarity is enough for a name."""
    epochs: int
    """Epochs it was trained for."""
    seed: int
    """Seed of its training."""
    train_count: int
    test_count: int
    """Photos it was trained on and measured on."""
    dataset_digest: str
    """sha256 of the frozen dataset."""
    torch_version: str
    """The torch that compiled it."""
    created_at: datetime
    """Aware, UTC."""
    template: tuple[tuple[float, float], ...] | None = None
    """Where the five landmarks of an aligned face lie, in fractions of the crop's side; None for whole-photo crops."""
    detector_sha256: str | None = None
    """Weights of the detector it was trained behind, which lie in the artifact; None for whole-photo crops."""
    backbone_sha256: str | None = None
    """Weights of a pretrained backbone, by which embeddings of several models are told to be comparable; None when the
    backbone was trained with the model."""
    parent: str | None = None
    """sha256 of the artifact it was trained on from."""
    licence: str | None = None
    """Licence of weights that were taken over; None when all were trained here."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Figures on held-out data: JSON values, finite."""

    def __post_init__(self) -> None:
        """Refuse what no network can be.

        Raises:
            ValueError: it has no class, or a size below 1, or a time without zone, or it wants faces found and does not
                say with what.
        """
        if not self.classes or self.input_size_px < 1 or self.embedding_dim < 1:
            raise ValueError(
                f"a model needs classes and sizes, not {len(self.classes)} classes, crops of {self.input_size_px} px "
                f"and embeddings of {self.embedding_dim}"
            )
        if self.created_at.tzinfo is None:
            raise ValueError(f"created_at {self.created_at} has no time zone")
        if self.faces is FacesMode.DETECT and (self.detector_sha256 is None or not self.template):
            raise ValueError("a model for faces that are found needs a detector and a template")
        if self.template is not None and [len(point) for point in self.template] != [2] * LANDMARKS:
            raise ValueError(f"a template has {LANDMARKS} points, not {self.template}")

    def to_json(self) -> str:
        """Write the manifest as strict JSON (no NaN, sorted keys).

        Raises:
            ValueError: a figure is not finite.
        """
        document = {"format_version": FORMAT_VERSION, **asdict(self), "created_at": self.created_at.isoformat()}
        return json.dumps(document, allow_nan=False, sort_keys=True, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a manifest back.

        Raises:
            ManifestVersionError: it was written in a format that this version does not read.
            ArtifactCorruptError: it is not a manifest.
        """
        document = _parse(text)
        _check_version(document.pop("format_version", None))
        try:
            return cls(**_typed(document))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ArtifactCorruptError(f"The model's manifest cannot be read: {error}. {_REMEDY}") from error


_REMEDY = "The file is not a model of this program or was damaged: activate another model version, or train again."


def _parse(text: str | bytes) -> dict[str, Any]:
    """Read strict JSON: no NaN, no infinity, an object at the top."""
    try:
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ArtifactCorruptError(f"The model's manifest is not strict JSON: {error}. {_REMEDY}") from error
    if not isinstance(document, dict):
        raise ArtifactCorruptError(f"The model's manifest is not a JSON object. {_REMEDY}")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


def _check_version(version: object) -> None:
    if version != FORMAT_VERSION:
        raise ManifestVersionError(
            f"The model's manifest has format version {version!r}; this facefleet reads version {FORMAT_VERSION}. "
            "The model that serves goes on serving. Upgrade the workers, or train the model again with this version."
        )


def _typed(document: dict[str, Any]) -> dict[str, Any]:
    """Give every value of a parsed manifest the type that its field declares."""
    values = {
        **document,
        "classes": tuple(PersonClass(**_checked(PersonClass, person)) for person in document["classes"]),
        "faces": FacesMode(document["faces"]),
        "rule": RejectRule.from_json(document["rule"]),
        "created_at": datetime.fromisoformat(document["created_at"]),
    }
    if values.get("template") is not None:
        values["template"] = tuple((float(x), float(y)) for x, y in values["template"])
    return _checked(Manifest, values)


def _checked(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` when every one has the plain type that the field of `cls` declares."""
    for declared in fields(cls):
        value, wanted = values.get(declared.name), _plain(declared.type)
        if declared.name in values and not (isinstance(value, wanted) and not isinstance(value, bool)):
            raise TypeError(f"{declared.name} is {value!r}")
    return values


def _plain(annotation: Any) -> tuple[type, ...]:
    """Return the classes that a field's annotation allows, without their parameters."""
    arms = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return tuple(typing.get_origin(arm) or arm for arm in arms)
