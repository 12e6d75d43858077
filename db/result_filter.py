"""Which results are wanted, and from where on: what a page of them is asked by."""

from dataclasses import dataclass
from datetime import datetime

from core.records import ItemOutcome


@dataclass(frozen=True, kw_only=True)
class ResultFilter:
    """Which results are wanted; every None wants all."""

    job_id: int | None = None
    person_id: int | None = None
    """Identified as this person, or as one who counts as the same."""
    outcome: str | None = None
    """An outcome of a face or of an item without a face."""
    model_id: int | None = None
    since: datetime | None = None
    """Decided at this time or later."""
    min_confidence: float | None = None

    @property
    def shows_faces_alone(self) -> bool:
        """Whether no photo without a face can be among them."""
        of_faces = self.outcome is not None and self.outcome not in (ItemOutcome.NO_FACE, ItemOutcome.ERROR)
        return of_faces or self.person_id is not None or self.min_confidence is not None


@dataclass(frozen=True, kw_only=True)
class ResultKey:
    """A place in the order of all results: after one of them, or after all of a photo."""

    job_id: int
    ordinal: int
    """Of the photo in its job."""
    face_index: int | None = None
    """None: after the photo."""
