"""Two models' answers to the same photo, face by face, and whether they agree. Light: neither numpy nor torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.faces.corrections import same_face
from core.records import Agreement, FaceResult


@dataclass(frozen=True, kw_only=True)
class ScoredFace:
    """One face as two models see it; one of them at least found it."""

    active: FaceResult | None
    """What the model says that decides; None when it did not find the face."""
    shadow: FaceResult | None
    """What the model beside it says; None when it did not find the face."""

    def agreement(self, counts_as: Mapping[int, int]) -> Agreement:
        """Compare the names.

        Args:
            counts_as: whom merged people count as, by person.
        """
        if self.active is None:
            return Agreement.FOUND
        if self.shadow is None:
            return Agreement.UNSEEN
        one, other = (
            None if face.person_id is None else counts_as.get(face.person_id, face.person_id)
            for face in (self.active, self.shadow)
        )
        if one == other:
            return Agreement.SAME
        if one is None:
            return Agreement.GAINED
        return Agreement.LOST if other is None else Agreement.RENAMED


def pair_faces(active: Sequence[FaceResult], shadow: Sequence[FaceResult]) -> list[ScoredFace]:
    """Bring the faces together that two models found in one photo: those at the same place are the same.

    Args:
        active: of the model that decides, in their order.
        shadow: of the other one.

    Returns:
        One entry a face: those of the deciding model in their order, then those that only the other one found.
    """
    left = list(shadow)
    scored: list[ScoredFace] = []
    for face in active:
        match = next((each for each in left if same_face(each.box_xyxy_px, face.box_xyxy_px)), None)
        if match is not None:
            left.remove(match)
        scored.append(ScoredFace(active=face, shadow=match))
    return scored + [ScoredFace(active=None, shadow=face) for face in left]
