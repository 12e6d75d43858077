"""Chooses the reject rule and the calibration of the confidence from how photos of held-out people and photos scored.

Runs no network: the scores come from core.training.rehearsal.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from core.faces.match import candidates, confidences
from core.faces.rule import RejectRule
from core.training.metrics import expected_calibration_error

DEFAULT_FPIR = 0.01
_ENOUGH_PEOPLE = 6
_DEVIATION_OF_ONE = 0.1  # a single photo shows no spread; this is about what strangers' scores have on real faces
_LEAD_SHARE = 0.6  # unseen photos have shorter leads than those learned from
_MOST_MARGIN = 0.25
_RIDGE = 1e-3  # a photo, on the slopes: keeps the calibration finite where right and wrong do not overlap
_FEWEST_TO_CALIBRATE = 5  # of each, right and wrong
_DEFAULT_SLOPE = 20.0


@dataclass(frozen=True, kw_only=True)
class Probes:
    """How photos scored against a gallery. One row a photo."""

    similarity: NDArray[np.float32]
    """[N] to the candidate."""
    margin: NDArray[np.float32]
    """[N] lead over the runner-up."""
    right: NDArray[np.bool_]
    """[N] whether the candidate is whom the photo shows; all false for strangers."""
    people: int
    """How many different people the photos show."""

    def __len__(self) -> int:
        return len(self.similarity)


NO_PROBES = Probes(
    similarity=np.empty(0, np.float32), margin=np.empty(0, np.float32), right=np.empty(0, np.bool_), people=0
)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A rule and how it did on what it was chosen from."""

    rule: RejectRule
    expected_calibration_error: float | None
    """Of the stated confidence, cross-validated, 0..1; None with too few photos to say."""
    known: Probes
    strangers: Probes


def score_probes(
    embeddings: NDArray[np.float32],
    logits: NDArray[np.float32],
    gallery: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> Probes:
    """Score photos against a gallery.

    Args:
        embeddings (float32 [N, D]): unit length.
        logits (float32 [N, C]): the candidate is their maximum.
        gallery (float32 [C, D]): unit rows.
        truth (int64 [N]): class of each; any number outside 0..C-1 is a stranger's, one number a stranger.
    """
    candidate, similarity, runner_up = candidates(embeddings, logits, gallery)
    return Probes(
        similarity=similarity,
        margin=similarity - runner_up,
        right=candidate == truth,
        people=len(np.unique(truth)),
    )


def calibrate(known: Probes, strangers: Probes, enrolled: Probes, *, fpir: float = DEFAULT_FPIR) -> Calibration:
    """Choose threshold and margin, and fit the confidence.

    Args:
        known: held-out photos of people in the gallery; may be empty.
        strangers: photos of people who are not; empty where there were too few people to leave one out.
        enrolled: the final network's own training photos.
        fpir: share of strangers that may get a name, between 0 and 1.
    """
    threshold, how = stranger_threshold(strangers, fpir) if len(strangers) else enrolled_threshold(enrolled)
    coefficients, error = _fit_confidence(known, strangers, threshold)
    rule = RejectRule(
        threshold=threshold, margin=_margin(enrolled), fpir_target=fpir, basis=how, calibration=coefficients
    )
    return Calibration(rule=rule, expected_calibration_error=error, known=known, strangers=strangers)


def named(probes: Probes, rule: RejectRule) -> NDArray[np.bool_]:
    """Say which photos the rule gives a name, bool [N]."""
    return (probes.similarity >= rule.threshold) & (probes.margin >= rule.margin)


def stranger_threshold(strangers: Probes, fpir: float) -> tuple[float, str]:
    """Return the similarity that strangers pass with probability `fpir`, and how it was found, in words.

    With 1 / fpir people or more it is the quantile of their scores. With fewer the tail must be extrapolated, and two
    guides err on either side. The highest score of k people is too lax: a new person passes it with probability
    1 / (k + 1), however many photos they have (measured on drawn faces: 12.5 % for k = 8, 25 % for k = 3). The
    prediction bound of a normal distribution is too strict, as strangers' scores have a short upper tail (measured:
    none of 356 strangers passed it). The threshold lies halfway. docs/decisions/0008-reject-rule-from-few-people.md
    """
    scores = strangers.similarity.astype(np.float64)
    source = f"{len(scores)} photos of {strangers.people} people left out of a rehearsal training"
    # The next number up: the stranger who set the threshold does not pass it.
    quantile = np.nextafter(np.quantile(strangers.similarity, 1.0 - fpir, method="higher"), np.float32(np.inf))
    if strangers.people * fpir >= 1.0:
        return float(quantile), f"{1.0 - fpir:.0%} quantile of {source}"
    deviation = float(scores.std(ddof=1)) if len(scores) > 1 else _DEVIATION_OF_ONE
    reach = student_quantile(1.0 - fpir, max(len(scores) - 1, 1)) * math.sqrt(1.0 + 1.0 / strangers.people)
    bound = float(scores.mean()) + reach * deviation
    rough = "rough, from very few strangers: " if strangers.people < _ENOUGH_PEOPLE else ""
    how = f"{rough}halfway from the highest score to the {1.0 - fpir:.0%} prediction bound of {source}"
    return max(float(quantile), (float(quantile) + bound) / 2.0), how


def enrolled_threshold(enrolled: Probes) -> tuple[float, str]:
    """Return a strict guess where no stranger was at hand: nearly the similarity of photos that were learned from."""
    own = enrolled.similarity[enrolled.right] if enrolled.right.any() else enrolled.similarity
    how = (
        "a guess that no stranger has tested, because there are too few people to leave one out: "
        "nearly the similarity of the training photos themselves"
    )
    return float(own.mean() - own.std()), how


def student_quantile(p: float, degrees: int) -> float:
    """Return the quantile of Student's t distribution, to 2 % from 5 degrees of freedom on and p <= 0.999.

    The expansion about the normal quantile of Abramowitz and Stegun, 26.7.5; below 5 degrees it falls short.
    """
    z = NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / degrees**power for power, term in enumerate(terms, start=1))


def _margin(enrolled: Probes) -> float:
    """Return a lead that nearly all unseen photos will have, from the one that 99 % of the training photos have."""
    leads = enrolled.margin[enrolled.right]
    if len(leads) == 0:
        return 0.0
    return float(np.clip(_LEAD_SHARE * np.quantile(leads, 0.01), 0.0, _MOST_MARGIN))


def _fit_confidence(
    known: Probes, strangers: Probes, threshold: float
) -> tuple[tuple[float, float, float], float | None]:
    """Return the coefficients and the cross-validated calibration error; defaults where there is too little to fit."""
    features = np.concatenate([_features(known), _features(strangers)])
    right = np.concatenate([known.right, strangers.right])
    if min(right.sum(), (~right).sum()) < _FEWEST_TO_CALIBRATE:
        return (-_DEFAULT_SLOPE * threshold, _DEFAULT_SLOPE, 0.0), None
    fold = np.arange(len(right)) % 2
    stated = np.empty(len(right))
    for half in (0, 1):
        stated[fold == half] = _confidence(features[fold == half], _fit_logistic(features, right, fold != half))
    coefficients = _fit_logistic(features, right, np.ones(len(right), dtype=bool))
    return coefficients, expected_calibration_error(stated, right)


def _features(probes: Probes) -> NDArray[np.float64]:
    return np.stack([probes.similarity, probes.margin], axis=1).astype(np.float64)


def _confidence(features: NDArray[np.float64], coefficients: tuple[float, float, float]) -> NDArray[np.float64]:
    return confidences(features[:, 0].astype(np.float32), features[:, 1].astype(np.float32), coefficients)


def _fit_logistic(
    features: NDArray[np.float64], right: NDArray[np.bool_], use: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Fit P(right) by penalised maximum likelihood; a higher similarity or lead never lowers it."""
    columns = [0, 1]
    while True:
        design = np.column_stack([np.ones(int(use.sum())), features[use][:, columns]])
        weights = _newton(design, right[use].astype(np.float64))
        if (weights[1:] >= 0.0).all():
            break
        del columns[int(weights[1:].argmin())]
    slopes = dict(zip(columns, weights[1:].tolist(), strict=True))
    return float(weights[0]), slopes.get(0, 0.0), slopes.get(1, 0.0)


def _newton(design: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minimise the logistic loss plus a ridge on the slopes; each step is halved until the loss falls."""
    penalty = np.diag([0.0] + [_RIDGE * len(target)] * (design.shape[1] - 1))
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-design @ weights))
        gradient = design.T @ (p - target) + penalty @ weights
        curvature = (design.T * (p * (1.0 - p))) @ design + penalty + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        scale = 1.0
        while scale > 1e-4 and _loss(design, target, penalty, weights - scale * step) > _loss(
            design, target, penalty, weights
        ):
            scale /= 2.0
        weights = weights - scale * step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _loss(
    design: NDArray[np.float64], target: NDArray[np.float64], penalty: NDArray[np.float64], weights: NDArray[np.float64]
) -> float:
    score = design @ weights
    return float((np.logaddexp(0.0, score) - target * score).sum() + 0.5 * weights @ penalty @ weights)
