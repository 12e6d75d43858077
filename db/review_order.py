"""Which faces the review asks about for what their model made of them, and in what order: stored with each face.

Few faces are asked about, so the index of them is small, and deciding about a face seldom touches it.
"""

from core.records import FaceOutcome

NEAR = 0.05
"""How far from the threshold a similarity is near it. Two thirds of LFW's known people who get no name lie within it,
and nine tenths of the strangers who get one, learned from three photos (docs/decisions/0016-clusters.md)."""


def review_order(outcome: str, similarity: float | None, threshold: float | None) -> float | None:
    """Return a face's place in the review among those of its outcome: the lowest is asked first.

    Ambiguous faces come by falling similarity, the others by how far they are from the threshold.

    Args:
        outcome: of the face.
        similarity: to its candidate.
        threshold: of the model that decided; None when it has no reject rule.

    Returns:
        None for a face that the review does not ask about for that.
    """
    if similarity is None or threshold is None:
        return None
    if outcome == FaceOutcome.AMBIGUOUS:
        return 1.0 - similarity
    named_hardly = outcome == FaceOutcome.IDENTIFIED and similarity <= threshold + NEAR
    nearly_named = outcome == FaceOutcome.UNKNOWN and similarity >= threshold - NEAR
    return abs(similarity - threshold) if named_hardly or nearly_named else None
