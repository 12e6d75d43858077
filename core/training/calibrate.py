"""Chooses the reject rule and the calibration of the confidence from how photos of held-out people and photos scored.

Runs no network: the scores come from core.training.rehearsal.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.faces.match import candidates, confidences
from core.faces.rule import DEFAULT_FPIR, OTHER_FPIRS, OperatingPoint, RejectRule
from core.training.logistic import fit_logistic
from core.training.metrics import expected_calibration_error

_FEW_PEOPLE = 6
# Reasons and evidence for these: docs/decisions/0008-reject-rule-from-few-people.md
_KNOWN_REFUSED = 0.1
_BELOW_LOWERED, _BELOW_MOVED = 0.97, 0.95
_MADE_UP_PEOPLE_WEIGH = 60.0
"""As many people left out as made-up people weigh, in telling where strangers come to lie: docs/decisions/0025."""
_DEVIATION_OF_ONE = 0.1  # a single photo shows no spread; this is about what strangers' scores have on real faces
_LEAD_SHARE = 0.6  # unseen photos have shorter leads than those learned from
_MOST_MARGIN = 0.25
_RIDGE = 1e-3  # keeps the calibration finite where right and wrong do not overlap
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
class Trial:
    """How a rehearsal scored what it had not seen."""

    known: Probes
    """Held-out photos of people in its gallery; may be empty."""
    strangers: Probes
    """Photos of people who are not; empty where there were too few people to leave one out."""
    made_up: Probes
    """Photos of people who do not exist, made from those it knows."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A rule and how it did on what it was chosen from."""

    rule: RejectRule
    expected_calibration_error: float | None
    """Of the stated confidence, cross-validated, 0..1; None with too few photos to say."""
    known: Probes
    strangers: Probes
    details: Mapping[str, Any] = field(default_factory=dict)
    """More about the confidence, as a manifest keeps it."""


def score_probes(
    embeddings: NDArray[np.float32],
    logits: NDArray[np.float32],
    gallery: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> Probes:
    """Score photos against a gallery.

    Args:
        embeddings (float32 [N, D]): as long as core.faces.lengths says.
        logits (float32 [N, C]): the candidate is their maximum.
        gallery (float32 [C, D] or [C, K, D]): one row a person, or several.
        truth (int64 [N]): class of each; any number outside 0..C-1 is a stranger's, one number a stranger.
    """
    candidate, similarity, runner_up = candidates(embeddings, logits, gallery)
    return Probes(
        similarity=similarity,
        margin=similarity - runner_up,
        right=candidate == truth,
        people=len(np.unique(truth)),
    )


def calibrate(
    trials: Sequence[Trial], enrolled: Probes, made_up: Probes, *, fpir: float = DEFAULT_FPIR, skew: float = 0.0
) -> Calibration:
    """Choose threshold and margin, and fit the confidence.

    Args:
        trials: one a rehearsal, each with strangers of its own.
        enrolled: the final network's own training photos.
        made_up: photos of people who do not exist, made from those the final network knows.
        fpir: share of strangers that may get a name, between 0 and 1.
        skew: of strangers' scores, where they are few; see `upper_bound`.
    """
    known = joined([trial.known for trial in trials])
    strangers = joined([trial.strangers for trial in trials])
    others: tuple[OperatingPoint, ...] = ()
    if len(strangers):
        rehearsed = joined([trial.made_up for trial in trials])
        choose = functools.partial(stranger_rule, strangers, known, skew=skew)
        if len(rehearsed) and len(made_up):
            choose = functools.partial(made_up_rule, strangers, known, rehearsed, made_up)
        threshold, margin, how = choose(fpir)
        others = in_order(_point(share, *choose(share)) for share in OTHER_FPIRS)
    else:
        threshold, margin, how = enrolled_rule(enrolled)
    coefficients, error = _fit_confidence(known, strangers, threshold)
    rule = RejectRule(
        threshold=threshold,
        margin=margin,
        fpir_target=fpir,
        basis=how,
        calibration=coefficients,
        other_points=others,
    )
    return Calibration(rule=rule, expected_calibration_error=error, known=known, strangers=strangers)


def in_order(points: Iterable[OperatingPoint]) -> tuple[OperatingPoint, ...]:
    """Return points by ascending share; none refuses fewer strangers than one for a larger share.

    Each is estimated for itself, so chance may put them the wrong way round; the stricter of two is taken then.
    """
    ordered: list[OperatingPoint] = []
    for point in sorted(points, key=lambda each: each.fpir, reverse=True):
        before = ordered[-1] if ordered else point
        stricter = {name: max(getattr(point, name), getattr(before, name)) for name in ("threshold", "margin")}
        ordered.append(replace(point, **stricter))
    return tuple(reversed(ordered))


def _point(share: float, threshold: float, margin: float, _how: str) -> OperatingPoint:
    return OperatingPoint(fpir=share, threshold=threshold, margin=margin)


def joined(parts: Sequence[Probes]) -> Probes:
    """Return the probes of several networks as one; none of their people may be the same."""
    if not parts:
        return NO_PROBES
    return Probes(
        similarity=np.concatenate([part.similarity for part in parts]),
        margin=np.concatenate([part.margin for part in parts]),
        right=np.concatenate([part.right for part in parts]),
        people=sum(part.people for part in parts),
    )


def named(probes: Probes, rule: RejectRule) -> NDArray[np.bool_]:
    """Say which photos the rule gives a name, bool [N]."""
    return (probes.similarity >= rule.threshold) & (probes.margin >= rule.margin)


def stranger_rule(strangers: Probes, known: Probes, fpir: float, skew: float = 0.0) -> tuple[float, float, str]:
    """Return threshold and margin that strangers pass together with probability `fpir`, and how they were found.

    A stranger is refused for a low similarity or for a short lead, so both are weighed as one score: the lead, raised
    by as much as strangers' leads lie below their similarities, or the similarity, whichever is less. The bound for
    that score is the threshold, and less the raise it is the margin.

    Args:
        strangers: people left out of the rehearsals; at least one photo.
        known: photos held out of people in the rehearsals; may be empty.
        fpir: between 0 and 1.
        skew: see `upper_bound`.
    """
    raised = float(strangers.similarity.mean() - strangers.margin.mean())
    bound, how = upper_bound(_weighed(strangers, raised), _weighed(known, raised), strangers.people, fpir, skew)
    return bound, max(0.0, bound - raised), how


def made_up_rule(
    strangers: Probes, known: Probes, rehearsed: Probes, made_up: Probes, fpir: float
) -> tuple[float, float, str]:
    """Return threshold and margin of a network that was trained from scratch, and how they were found.

    Strangers at hand are few, and none of them was tried on this network. Of people who do not exist there are as many
    as one likes, and it can be asked about them. The threshold is the similarity that a share `fpir` of them reaches,
    moved by what the bound for the people left out of rehearsals differs from what made-up people reached there: the
    less, the fewer people those were. It is never so low that more than one in twenty of their photos would pass. A
    lead that is no longer than strangers have on average is none.
    docs/decisions/0025-several-prototypes.md has the evidence.

    Args:
        strangers: people left out of the rehearsals; at least one photo.
        known: photos held out of people in the rehearsals; may be empty.
        rehearsed: made-up people, scored by the rehearsals; at least one.
        made_up: made-up people, scored by the final network; at least one.
        fpir: between 0 and 1.
    """
    scores, people = strangers.similarity.astype(np.float64), strangers.people
    bound, how = upper_bound(scores, known.similarity.astype(np.float64), people, fpir)
    before, after = (float(np.quantile(probes.similarity, 1.0 - fpir)) for probes in (rehearsed, made_up))
    moved = after + people / (people + _MADE_UP_PEOPLE_WEIGH) * (bound - before)
    threshold = max(moved, min(bound, float(np.quantile(scores, _BELOW_MOVED))))
    how = f"{1.0 - fpir:.0%} quantile of made-up people, moved by {threshold - after:+.3f} for the {how}"
    return threshold, max(0.0, float(strangers.margin.mean())), how


def upper_bound(
    scores: NDArray[np.float64], known: NDArray[np.float64], people: int, fpir: float, skew: float = 0.0
) -> tuple[float, str]:
    """Return the score that a new stranger reaches with probability `fpir`, and how it was found, in words.

    With 1 / fpir people or more it is the quantile of the scores. With fewer it is the prediction bound of a normal
    distribution, as if each person had one photo of their own mean and all photos told of the spread; a skew is allowed
    for to the first order (Cornish and Fisher, "Moments and cumulants ...", 1938). A few look-alikes
    can drive that bound beyond every score that was seen; where it would refuse more than a tenth of the known, it goes
    no further than that, or than what nearly all photos of the strangers stay below, whichever is more.

    Args:
        scores (float64 [N]): of strangers' photos, N >= 1.
        known (float64 [M]): of photos of people in the gallery, M >= 0.
        people: how many different people the strangers are, >= 1.
        fpir: between 0 and 1.
        skew: of the distribution that the scores come from; too few of them are at hand to see it in them.
    """
    source = f"{1.0 - fpir:.0%} {{}} of {len(scores)} photos of {people} people left out of rehearsals"
    if people * fpir >= 1.0:
        # A little more: the stranger who sets the bound does not reach it, also where scores are compared in float32.
        return float(np.quantile(scores, 1.0 - fpir, method="higher")) + 1e-6, source.format("quantile")
    deviation = float(scores.std(ddof=1)) if len(scores) > 1 else _DEVIATION_OF_ONE
    reach = student_quantile(1.0 - fpir, max(len(scores) - 1, 1))
    reach += (reach**2 - 1.0) / 6.0 * skew
    bound = float(scores.mean()) + reach * math.sqrt(1.0 + 1.0 / people) * deviation
    if people >= _FEW_PEOPLE and len(known) and bound > (far := _far_enough(scores, known)):
        return far, source.format("prediction bound") + ", lowered to name most of the known"
    rough = "rough, from very few strangers: " if people < _FEW_PEOPLE else ""
    return bound, rough + source.format("prediction bound")


def _far_enough(scores: NDArray[np.float64], known: NDArray[np.float64]) -> float:
    """Return the score that most of the known reach, or nearly no stranger's photo, whichever is more."""
    return float(max(np.quantile(known, _KNOWN_REFUSED), np.quantile(scores, _BELOW_LOWERED)))


def enrolled_rule(enrolled: Probes) -> tuple[float, float, str]:
    """Return a strict guess where no stranger was at hand: nearly what the photos that were learned from have."""
    own = enrolled.similarity[enrolled.right] if enrolled.right.any() else enrolled.similarity
    leads = enrolled.margin[enrolled.right]
    margin = float(np.clip(_LEAD_SHARE * np.quantile(leads, 0.01), 0.0, _MOST_MARGIN)) if len(leads) else 0.0
    how = (
        "a guess that no stranger has tested, because there are too few people to leave one out: "
        "nearly the similarity of the training photos themselves"
    )
    return float(own.mean() - own.std()), margin, how


def _weighed(probes: Probes, raised: float) -> NDArray[np.float64]:
    """Return the similarity or the raised lead, whichever is less: float64 [N]."""
    return np.minimum(probes.similarity.astype(np.float64), probes.margin.astype(np.float64) + raised)


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
        other = fold != half
        coefficients = fit_logistic(features[other], right[other], np.ones(int(other.sum())), ridge=_RIDGE)
        stated[fold == half] = _confidence(features[fold == half], coefficients)
    coefficients = fit_logistic(features, right, np.ones(len(right)), ridge=_RIDGE)
    return coefficients, expected_calibration_error(stated, right)


def _features(probes: Probes) -> NDArray[np.float64]:
    return np.stack([probes.similarity, probes.margin], axis=1).astype(np.float64)


def _confidence(features: NDArray[np.float64], coefficients: tuple[float, float, float]) -> NDArray[np.float64]:
    return confidences(features[:, 0].astype(np.float32), features[:, 1].astype(np.float32), coefficients)
