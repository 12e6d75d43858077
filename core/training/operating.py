"""Chooses a head's reject rule: from people left out, from labelled strangers, and from what was published.

Runs no network and trains nothing.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.faces.impostors import ImpostorScores, PublishedScores
from core.faces.rule import OTHER_FPIRS, OperatingPoint
from core.training.calibrate import Probes, in_order

_PRIOR_NAMED = 3.0
"""The published scores weigh as much as so many people as would show three false names: 300 at 1 %."""
_PRIOR_PAIRS = 25.0
"""They fix centre and spread as much as those of so many pairs of people do: of seven or eight people. The spread of 25
pairs is 14 % off (one deviation); those of press photos and of a laboratory's differ by 18 %
(docs/decisions/0014-thresholds-for-any-gallery.md)."""
_FEWEST_PEOPLE = 10
"""Below this the rule says that there are too few labels to tell."""
_AMBIGUOUS_ODDS = 9.0
"""A runner-up that is more than a ninth as likely makes an answer ambiguous."""
_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """How people scored whom a rehearsal had left out."""

    best: NDArray[np.float32]
    """[N] each photo's similarity to the nearest person of the rehearsal."""
    people_of: NDArray[np.int64]
    """[N] whom each photo shows."""
    gallery_size: int
    """People that the rehearsal knows."""
    scores: NDArray[np.float32]
    """Similarities of those photos to single people of the rehearsal, all of them or a sample, in any order."""

    @cached_property
    def people(self) -> int:
        """People who were left out."""
        return len(np.unique(self.people_of))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """What each photo counts, so that each person counts the same: float64 [N], together 1."""
        _, at, counts = np.unique(self.people_of, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / counts[at] / max(len(counts), 1), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a threshold is chosen from."""

    left_out: tuple[LeftOut, ...]
    """One for each rehearsal; each person is left out of one at most."""
    strangers: Probes
    """Labelled strangers, scored by the head that is kept; may be empty. Each photo counts as a person."""
    gallery_size: int
    """People that the head knows which is kept."""

    @property
    def people(self) -> int:
        """People who were left out."""
        return sum(each.people for each in self.left_out)

    @property
    def photos(self) -> int:
        """Their photos."""
        return sum(len(each.best) for each in self.left_out)


@dataclass(frozen=True, kw_only=True)
class ChosenPoint:
    """Threshold and margin, and what they were chosen by."""

    threshold: float
    margin: float
    impostors: ImpostorScores
    """How similar strangers are to single people of this gallery, as far as is known."""
    basis: str
    """In words."""
    other_points: tuple[OperatingPoint, ...]
    """The same for OTHER_FPIRS."""


def choose_operating_point(evidence: Evidence, published: PublishedScores, backbone: str, fpir: float) -> ChosenPoint:
    """Return the threshold that strangers pass with probability `fpir`.

    Three sources are weighed by the number of people they stand for (a Dirichlet process whose base measure are the
    published scores): the published scores, moved and stretched to the centre and spread that the user's own people
    have to each other; the people that rehearsals left out, each as one however many photos; and labelled strangers.
    All are brought to the size of the gallery that is kept. docs/decisions/0014-thresholds-for-any-gallery.md

    Args:
        evidence: how those fared.
        published: of the backbone.
        backbone: its name, for the basis.
        fpir: above 0, below 1.
    """
    impostors = fit_impostors(evidence, published.impostors)
    threshold = _threshold_at(fpir, evidence, impostors)
    others = {share: _threshold_at(share, evidence, impostors) for share in OTHER_FPIRS}
    return ChosenPoint(
        threshold=threshold,
        margin=margin_for(threshold, impostors),
        impostors=impostors,
        basis=_basis(evidence, backbone, fpir),
        other_points=in_order(
            OperatingPoint(fpir=share, threshold=other, margin=margin_for(other, impostors))
            for share, other in others.items()
        ),
    )


def _threshold_at(fpir: float, evidence: Evidence, impostors: ImpostorScores) -> float:
    """Return the least threshold that no more strangers are expected to reach, to 2e-15."""
    low, high = -1.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if expected_fpir(middle, evidence, impostors, fpir) > fpir:
            low = middle
        else:
            high = middle
    return high


def expected_fpir(threshold: float, evidence: Evidence, impostors: ImpostorScores, fpir: float) -> float:
    """Return the share of strangers that is expected to reach a threshold, 0..1.

    Args:
        threshold: -1..1.
        evidence: what was seen.
        impostors: what is assumed where nothing was seen.
        fpir: the share that is aimed at: it says how much the assumption weighs.
    """
    people = evidence.gallery_size
    assumed = _PRIOR_NAMED / fpir
    weighed, total = assumed * impostors.share_above(threshold, people), assumed
    for each in evidence.left_out:
        named = float(each.weights @ (each.best >= threshold))
        weighed += each.people * _at_size(named, people / each.gallery_size)
        total += each.people
    weighed += float((evidence.strangers.similarity >= threshold).sum())
    return weighed / (total + len(evidence.strangers))


def fit_impostors(evidence: Evidence, published: ImpostorScores, *, own_only: bool = False) -> ImpostorScores:
    """Move published scores towards the centre and spread of the user's own people to each other.

    Each pair of people counts once, as an observation: of n people there are n (n - 1) / 2.

    Args:
        evidence: how similar those are.
        published: of the backbone.
        own_only: take nothing but the shape of the tail from the published scores.
    """
    scores = [each.scores for each in evidence.left_out if len(each.scores)]
    if not scores:
        return published
    low, centre, high = np.quantile(np.concatenate(scores), (0.1, 0.5, 0.9)).tolist()
    spread = (high - low) / 2.5631
    pairs = evidence.people * (evidence.people - 1) / 2.0
    own = 1.0 if own_only else pairs / (pairs + _PRIOR_PAIRS)
    if spread <= 0.0:
        return published
    return replace(
        published,
        centre=own * centre + (1.0 - own) * published.centre,
        spread=math.exp(own * math.log(spread) + (1.0 - own) * math.log(published.spread)),
    )


def margin_for(threshold: float, impostors: ImpostorScores) -> float:
    """Return the lead below which the runner-up is more than a ninth as likely as the candidate.

    One of the two is the person, the other an impostor with normal scores: the logarithm of their odds is the lead
    times the standard score of their similarity, divided by the spread. It is least at the threshold, and taken there.
    """
    above = max(threshold - impostors.centre, impostors.spread)
    return math.log(_AMBIGUOUS_ODDS) * impostors.spread**2 / above


def _at_size(share: float, times: float) -> float:
    """Return the share of strangers named by a gallery so many times as large."""
    return 1.0 if share >= 1.0 else -math.expm1(times * math.log1p(-share))


def _basis(evidence: Evidence, backbone: str, fpir: float) -> str:
    """Say how a rule was chosen."""
    sources: list[str] = []
    if evidence.left_out:
        sources.append(f"{evidence.photos} photos of {evidence.people} people left out of rehearsals")
    if len(evidence.strangers):
        sources.append(f"{len(evidence.strangers)} photos of labelled strangers")
    aim = f"{fpir:.3g} of strangers named by a gallery of {evidence.gallery_size:,}"
    prior = f"the published scores of {backbone}"
    if evidence.people + len(evidence.strangers) < _FEWEST_PEOPLE:
        seen = f", which {' and '.join(sources)} hardly change" if sources else ""
        return f"{aim}: the published operating point of {backbone}{seen}, because there are too few labels to tell"
    weight = f"{prior} counting as {_PRIOR_NAMED / fpir:,.0f} people"
    return f"{aim}: {' and '.join(sources)}, with {weight}"
