"""Fits the stated confidence: the probability that a candidate is right, given photo and gallery, strangers counted in.

Runs no network.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.faces.impostors import ImpostorScores, PublishedScores
from core.faces.match import confidences
from core.training.calibrate import Probes, joined
from core.training.logistic import fit_logistic

STRANGER_SHARE = 0.5
"""Share of strangers among the faces of a photo collection that is taken for granted. Nobody labels everybody who walks
through the background; where there are fewer strangers, names are a little surer than stated."""
_MADE = 2000  # scores made of either kind: enough for three coefficients, fitted in milliseconds
_PRIOR_PHOTOS = 100.0
"""Made scores weigh as much as so many photos."""
_PRIOR_PEOPLE = 20.0
"""The published similarity of photos of one person weighs as much as that of so many people."""
_RIDGE = 1e-6  # made scores of known people and strangers overlap, so that hardly any is needed
_FEWEST = 5  # photos of each, right and wrong, without which nothing is said about how well it is calibrated
_BINS = 10

Coefficients = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Faces of like confidence, and how often their candidates were right."""

    share: float
    """Of all faces, 0..1."""
    stated: float
    """Mean confidence, 0..1."""
    right: float
    """Share whose candidate was right, 0..1."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """A calibration and what is known of how good it is."""

    coefficients: Coefficients
    """As in RejectRule."""
    reliability: tuple[ReliabilityBin, ...] | None
    """On photos that each fit had not seen; None where there were too few."""

    @property
    def expected_calibration_error(self) -> float | None:
        """Mean gap between stated and true share, 0..1; None where nothing tells."""
        return None if self.reliability is None else calibration_error(self.reliability)

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        return {
            "stranger_share": STRANGER_SHARE,
            "reliability": self.reliability and [asdict(each) for each in self.reliability],
        }


def fit_confidence(
    known: Probes, strangers: Probes, made_known: Probes, made_strangers: Probes, *, with_margin: bool = True
) -> Confidence:
    """Fit P(candidate right) on photos that were held out and on made scores; half of the faces are strangers'.

    Args:
        known: held-out photos of people in the gallery; may be empty.
        strangers: photos of others; may be empty.
        made_known: scores that such photos are expected to have.
        made_strangers: the same of strangers.
        with_margin: whether the lead over the runner-up tells anything.
    """

    def fit(use_known: Probes, use_strangers: Probes) -> Coefficients:
        parts = [use_known, made_known, use_strangers, made_strangers]
        weights = np.concatenate(
            [
                _shares(use_known, made_known, 1.0 - STRANGER_SHARE),
                _shares(use_strangers, made_strangers, STRANGER_SHARE),
            ]
        )
        everything = joined(parts)
        features = _features(everything) * (1.0, float(with_margin))
        return fit_logistic(features, everything.right, weights, ridge=_RIDGE)

    return Confidence(coefficients=fit(known, strangers), reliability=_try_in_halves(known, strangers, fit))


def make_strangers(impostors: ImpostorScores, people: int) -> Probes:
    """Make the best and second-best similarities that strangers are expected to have to a gallery."""
    generator = np.random.default_rng(0)
    first, second = generator.uniform(size=(2, _MADE))
    # The best of C uniform numbers is the C-th root of one, and the next one the best of the others below it.
    share_below = first ** (1.0 / people)
    best = _scores_at(impostors, share_below)
    runner_up = _scores_at(impostors, share_below * second ** (1.0 / (people - 1))) if people > 1 else -np.ones(_MADE)
    return _probes(best, best - runner_up, np.zeros(_MADE, bool))


def make_known(published: PublishedScores, impostors: ImpostorScores, people: int, photos: float, own: float) -> Probes:
    """Make the similarities that photos of known people are expected to have.

    Args:
        published: deviation of the similarity of one person's photos.
        impostors: of others.
        people: in the gallery.
        photos: that a person is learned from, mean.
        own: mean similarity of two photos of one person.
    """
    generator = np.random.default_rng(1)
    mean = replace(published, genuine_mean=own).genuine_to_mean_of(photos)
    genuine = np.clip(generator.normal(mean, published.genuine_deviation, _MADE), -1.0, 1.0)
    share_below = generator.uniform(size=_MADE) ** (1.0 / max(people - 1, 1))
    other = _scores_at(impostors, share_below) if people > 1 else -np.ones(_MADE)
    return _probes(np.maximum(genuine, other), np.abs(genuine - other), genuine > other)


def own_similarity(vectors: NDArray[np.float32], labels: NDArray[np.int64], published: PublishedScores) -> float:
    """Return how similar two photos of one person are, as the labelled photos and the published figure say.

    Args:
        vectors (float32 [N, D]): embeddings.
        labels (int64 [N]): 0..C-1, each at least once.
        published: of the backbone; people with a single photo say nothing.
    """
    counts = np.bincount(labels)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    several = counts > 1
    themselves = np.bincount(labels, np.square(vectors).sum(axis=1, dtype=np.float64))[several]
    pairs = (np.square(sums[several]).sum(axis=1) - themselves) / (counts[several] * (counts[several] - 1.0))
    total = float(pairs.sum()) + _PRIOR_PEOPLE * published.genuine_mean
    return float(np.clip(total / (len(pairs) + _PRIOR_PEOPLE), 0.05, 0.99))


def reliability_curve(
    stated: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[ReliabilityBin, ...]:
    """Sort faces by confidence into ten bins of equal weight.

    Args:
        stated (float64 [N]): confidence, 0..1; N >= 1.
        right (bool [N]): whether the candidate was right.
        weights (float64 [N]): what each face counts, above 0.
    """
    order = np.argsort(stated, kind="stable")
    shares = weights[order] / weights.sum()
    at = np.minimum(((np.cumsum(shares) - shares / 2.0) * _BINS).astype(int), _BINS - 1)
    rows = [(order[at == number], shares[at == number]) for number in np.unique(at)]
    return tuple(
        ReliabilityBin(
            share=float(share.sum()),
            stated=float(np.average(stated[row], weights=share)),
            right=float(np.average(right[row], weights=share)),
        )
        for row, share in rows
    )


def calibration_error(curve: tuple[ReliabilityBin, ...]) -> float:
    """Return the mean gap between stated confidence and the share that was right, 0..1."""
    return sum(each.share * abs(each.stated - each.right) for each in curve)


def _try_in_halves(
    known: Probes, strangers: Probes, fit: Callable[[Probes, Probes], Coefficients]
) -> tuple[ReliabilityBin, ...] | None:
    """Return how reliable fits on one half of the photos are on the other half."""
    right = np.concatenate([known.right, strangers.right])
    if min(int(right.sum()), int((~right).sum())) < _FEWEST:
        return None
    stated = []
    for probes in (known, strangers):
        each = np.empty(len(probes))
        for half in (0, 1):
            tried = np.arange(len(probes)) % 2 == half
            coefficients = fit(_rows(known, half), _rows(strangers, half))
            each[tried] = confidences(probes.similarity[tried], probes.margin[tried], coefficients)
        stated.append(each)
    shares = (1.0 - STRANGER_SHARE, STRANGER_SHARE)
    weights = [np.full(len(each), share / len(each)) for each, share in zip(stated, shares, strict=True) if len(each)]
    return reliability_curve(np.concatenate(stated), right, np.concatenate(weights))


def _rows(probes: Probes, without: int) -> Probes:
    """Return every second photo: those whose place is not `without` modulo 2."""
    use = np.arange(len(probes)) % 2 != without
    return Probes(
        similarity=probes.similarity[use], margin=probes.margin[use], right=probes.right[use], people=probes.people
    )


def _shares(seen: Probes, made: Probes, total: float) -> NDArray[np.float64]:
    """Return what seen photos, then made scores count; together `total`."""
    everything = len(seen) + _PRIOR_PHOTOS
    return np.concatenate(
        [np.full(len(seen), total / everything), np.full(len(made), total * _PRIOR_PHOTOS / everything / len(made))]
    )


def _features(probes: Probes) -> NDArray[np.float64]:
    return np.stack([probes.similarity, probes.margin], axis=1).astype(np.float64)


def _scores_at(impostors: ImpostorScores, share_below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the similarities to a single person that these shares of impostors stay below."""
    edge = np.finfo(np.float64).eps
    return np.array([impostors.threshold(float(1.0 - share), 1) for share in np.clip(share_below, edge, 1.0 - edge)])


def _probes(similarity: NDArray[np.float64], margin: NDArray[np.float64], right: NDArray[np.bool_]) -> Probes:
    return Probes(
        similarity=similarity.astype(np.float32), margin=margin.astype(np.float32), right=right, people=len(right)
    )
