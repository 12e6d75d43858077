"""Turns what was seen in a photo into its one outcome. Runs no network and stores nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import ModelError
from core.records import (
    ErrorRecord,
    FaceEmbedding,
    FaceOutcome,
    FaceResult,
    ItemOutcome,
    PhotoResult,
    RankedPerson,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.faces.match import Match
    from core.finding import FaceCrop
    from core.reading import LoadedPhoto


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenFace:
    """A face that the network has looked at."""

    crop: "FaceCrop"
    match: "Match"
    embedding: FaceEmbedding | None


def embeddings_to_keep(
    embeddings: "NDArray[np.float32]", backbone_sha256: str | None
) -> list[FaceEmbedding] | list[None]:
    """Return what is stored of a batch's embeddings (float32 [N, D]): nothing unless the backbone is pretrained."""
    if backbone_sha256 is None:
        return [None] * len(embeddings)
    rounded = embeddings.astype("<f2")
    return [FaceEmbedding(backbone_sha256=backbone_sha256, vector=row.tobytes()) for row in rounded]


def photo_result(photo: "LoadedPhoto", seen: Sequence[SeenFace], people: Sequence[int]) -> PhotoResult:
    """Turn what became of a photo into its outcome.

    Args:
        photo: read and prepared, or with its error.
        seen: its faces, in the order of their numbers.
        people: the person's id for each class of the model.
    """
    error = photo.error or _no_answer(seen)
    faces = () if error else tuple(_face(number, face, people) for number, face in enumerate(seen))
    outcome = ItemOutcome.ERROR if error else ItemOutcome.FACES if faces else ItemOutcome.NO_FACE
    return PhotoResult(
        ordinal=photo.task.ordinal,
        uri=photo.task.uri,
        outcome=outcome,
        sha256=photo.sha256,
        width_px=photo.width_px,
        height_px=photo.height_px,
        faces=faces,
        error=error,
    )


def _no_answer(seen: Sequence[SeenFace]) -> ErrorRecord | None:
    """Return an error when the network's answer to a face was no finite number: that is not `unknown`."""
    if all(face.match.candidate is not None for face in seen):
        return None
    return ErrorRecord(
        code=ModelError.code,
        message="The model gave no usable answer for this photo. The other photos are not affected. "
        "Retry it under another model version, and train the model again.",
    )


def _face(number: int, face: SeenFace, people: Sequence[int]) -> FaceResult:
    """Turn a match into a face's outcome, with class indices turned into people."""
    crop, match = face.crop, face.match
    candidate = None if match.candidate is None else people[match.candidate]
    outcome = FaceOutcome.LOW_QUALITY if crop.quality_reasons else match.outcome
    return FaceResult(
        index=number,
        box_xyxy_px=crop.box_xyxy_px,
        landmarks_px=crop.landmarks_px,
        quality=crop.quality,
        quality_reasons=crop.quality_reasons,
        outcome=outcome,
        person_id=candidate if outcome is FaceOutcome.IDENTIFIED else None,
        candidate_id=candidate,
        similarity=match.similarity,
        confidence=match.confidence,
        top_k=tuple(RankedPerson(person_id=people[index], similarity=similarity) for index, similarity in match.top),
        embedding=face.embedding,
    )
