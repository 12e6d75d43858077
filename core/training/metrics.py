"""The figures of a recogniser, as plain functions of arrays.

Closed set: everybody is known. Open set: strangers too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOBODY = -1
"""As a truth: a stranger. As a given name: none, the face was refused."""


@dataclass(frozen=True, kw_only=True)
class OpenSetFigures:
    """How photos of known people and of strangers ended, as counts."""

    named_right: int
    """Known people who got their own name."""
    refused: int
    """Known people who got no name."""
    named_wrong: int
    """Known people who got another's name."""
    strangers_refused: int
    strangers_named: int
    """Strangers who got a name: false positives."""

    @property
    def known(self) -> int:
        """Photos of known people."""
        return self.named_right + self.refused + self.named_wrong

    @property
    def strangers(self) -> int:
        """Photos of strangers."""
        return self.strangers_refused + self.strangers_named

    @property
    def tpir(self) -> float | None:
        """True-positive identification rate, 0..1; None without known people."""
        return self.named_right / self.known if self.known else None

    @property
    def fpir(self) -> float | None:
        """False-positive identification rate, 0..1; None without strangers."""
        return self.strangers_named / self.strangers if self.strangers else None


@dataclass(frozen=True, kw_only=True)
class PersonFigures:
    """How one person fares."""

    class_index: int
    photos: int
    """Test photos of this person."""
    named: int
    """Test photos, of whomever, that got this person's name."""
    precision: float | None
    """Share of those that are right; None when there are none."""
    recall: float | None
    """Share of the person's photos that got the name; None when there are none."""


def top_k_accuracy(truth: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> float:
    """Return the share of rows whose truth is among the k highest scores.

    Args:
        truth (int64 [N]): 0..C-1, N >= 1.
        scores (float32 [N, C]): higher is likelier.
        k: at least 1; more than C counts as C.
    """
    own = scores[np.arange(len(truth)), truth]
    higher = (scores > own[:, None]).sum(axis=1)
    return float((higher < k).mean())


def confusion_matrix(truth: NDArray[np.int64], given: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count truths against given names.

    Args:
        truth (int64 [N]): 0..C-1, or NOBODY for a stranger.
        given (int64 [N]): 0..C-1, or NOBODY for a refusal.
        classes: C.

    Returns:
        int64 [C + 1, C + 1]: row = truth, column = given; the last row holds strangers, the last column refusals.
    """
    side = classes + 1
    flat = np.where(truth == NOBODY, classes, truth) * side + np.where(given == NOBODY, classes, given)
    return np.bincount(flat, minlength=side * side).reshape(side, side).astype(np.int64)


def open_set_figures(matrix: NDArray[np.int64]) -> OpenSetFigures:
    """Sum up a matrix out of `confusion_matrix`."""
    known = matrix[:-1]
    named_right = int(np.trace(known[:, :-1]))
    refused = int(known[:, -1].sum())
    return OpenSetFigures(
        named_right=named_right,
        refused=refused,
        named_wrong=int(known.sum()) - named_right - refused,
        strangers_refused=int(matrix[-1, -1]),
        strangers_named=int(matrix[-1, :-1].sum()),
    )


def person_table(matrix: NDArray[np.int64]) -> tuple[PersonFigures, ...]:
    """Return each person's figures out of a matrix of `confusion_matrix`, in class order."""
    right = np.diag(matrix)[:-1]
    photos, named = matrix[:-1].sum(axis=1), matrix[:, :-1].sum(axis=0)
    return tuple(
        PersonFigures(
            class_index=index,
            photos=int(photos[index]),
            named=int(named[index]),
            precision=float(right[index] / named[index]) if named[index] else None,
            recall=float(right[index] / photos[index]) if photos[index] else None,
        )
        for index in range(len(right))
    )


def expected_calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Return the mean gap between stated confidence and share of right answers, over bins of equal size.

    Args:
        confidence (float64 [N]): 0..1, N >= 1.
        right (bool [N]): whether each answer was right.
        bins: how many, at most N are used.
    """
    order = np.argsort(confidence, kind="stable")
    gaps = [
        len(rows) * abs(float(confidence[rows].mean()) - float(right[rows].mean()))
        for rows in np.array_split(order, min(bins, len(order)))
    ]
    return sum(gaps) / len(order)
