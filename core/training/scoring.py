"""Works the open-set scorecard out: what a model does with photos of people it knows and of strangers.

Plain functions of arrays, for the figures in a model's manifest and for `facefleet evaluate` alike. Reads no photo,
runs no network, prints nothing.
"""

import math
from collections.abc import Sequence

import numpy as np

from core.training.curves import coverage_curve, reliability_curve
from core.training.scorecard import NO_GROUP, CurvePoint, GroupFigures, RateAtFpir, Scorecard, ScoredPhotos
from core.training.sums import SummedPhotos, calibration_error, difference, make_rate, sum_up

FPIRS = (0.003, 0.01, 0.05)
"""Shares of strangers that may get a name, for which the known people's rate is told."""


def make_scorecard(
    known: ScoredPhotos, strangers: ScoredPhotos, *, fpir_target: float, groups: Sequence[str] = (), seed: int = 0
) -> Scorecard:
    """Work all figures out.

    Args:
        known: photos of people in the gallery; may be empty.
        strangers: photos of others; may be empty.
        fpir_target: what the model's rule was chosen for.
        groups: names of the groups, by number.
        seed: of the resamples.
    """
    sums = sum_up(known, strangers, groups=len(groups), asked=np.array(FPIRS), seed=seed)
    mine, others = sums.known, sums.strangers
    named, named_right = mine["named"] + others["named"], mine["named right"]
    confidence, stated, right, similarity = (
        np.concatenate([getattr(known, name), getattr(strangers, name)])
        for name in ("confidence", "stated", "right", "similarity")
    )
    return Scorecard(
        photos=(len(known), len(strangers)),
        people=(known.people, strangers.people),
        no_face=(_count_without_face(known), _count_without_face(strangers)),
        low_quality=(_count_poor(known), _count_poor(strangers)),
        no_group=(_count_without_group(known), _count_without_group(strangers)),
        rank1=make_rate(mine["right"], mine["photos"], mine.people),
        tpir=make_rate(named_right, mine["photos"], mine.people),
        named_wrong=make_rate(mine["named"] - named_right, mine["photos"], mine.people),
        fpir=make_rate(others["named"], others["photos"], others.people),
        fpir_target=fpir_target,
        unknown_recall=make_rate(others["photos"] - others["named"], others["photos"], others.people),
        wrong_names=make_rate(named - named_right, named, sums.people),
        tpir_at_fpir=tuple(_at_fpir(sums, fpir) for fpir in FPIRS),
        expected_calibration_error=calibration_error(sums),
        reliability=reliability_curve(confidence[stated], right[stated]),
        curve=_curve(sums),
        coverage=coverage_curve(confidence, right, np.isfinite(similarity)),
        groups=tuple(
            _group(sums, number, name, known.people_of(number), strangers.people_of(number))
            for number, name in enumerate(groups)
        ),
    )


def _count_without_face(photos: ScoredPhotos) -> int:
    return int((~photos.found).sum())


def _count_without_group(photos: ScoredPhotos) -> int:
    return int((photos.group == NO_GROUP).sum())


def _count_poor(photos: ScoredPhotos) -> int:
    """Count photos whose face is below the quality gate."""
    return int((photos.found & ~np.isfinite(photos.similarity)).sum())


def _at_fpir(sums: SummedPhotos, fpir: float) -> RateAtFpir:
    """Return the rate at one of FPIRS."""
    needed = math.ceil(1.0 / fpir - 1e-9)
    if sums.strangers.people < needed or not len(sums.fpirs):
        return RateAtFpir(fpir=fpir, tpir=None, threshold=None, strangers_needed=needed)
    at = int(np.flatnonzero(sums.fpirs == fpir)[0])
    threshold = float(sums.thresholds[at])
    return RateAtFpir(
        fpir=fpir,
        tpir=make_rate(sums.named_right_at[:, at], sums.known["photos"], sums.known.people),
        threshold=threshold if math.isfinite(threshold) else None,
        strangers_needed=needed,
    )


def _curve(sums: SummedPhotos) -> tuple[CurvePoint, ...]:
    """Return TPIR against FPIR, in ascending order of the FPIR."""
    points = []
    for at in np.argsort(sums.fpirs, kind="stable"):
        rate = make_rate(sums.named_right_at[:, at], sums.known["photos"], sums.known.people)
        points.append(CurvePoint(fpir=float(sums.fpirs[at]), tpir=rate.rate or 0.0, low=rate.low, high=rate.high))
    return tuple(points)


def _group(sums: SummedPhotos, number: int, name: str, people: int, strangers: int) -> GroupFigures:
    """Return how a group fares."""
    mine, others = sums.known, sums.strangers
    photos = mine[f"photos of {number}"]
    return GroupFigures(
        name=name,
        people=people,
        rank1=make_rate(mine[f"right of {number}"], photos, people),
        tpir=make_rate(mine[f"named right of {number}"], photos, people),
        tpir_difference=difference(mine, "named right", number, people),
        strangers=strangers,
        fpir=make_rate(others[f"named of {number}"], others[f"photos of {number}"], strangers),
        fpir_difference=difference(others, "named", number, strangers),
    )
