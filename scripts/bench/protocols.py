"""Counts what a backbone is worth on photos it has seen: verification, and identification among strangers.

Heads and their reject rules are trained and chosen by the code of core.training that makes models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import InputError
from core.faces.match import confidences
from core.training.calibrate import joined, named
from core.training.metrics import expected_calibration_error
from core.training.protocols import draw_pairs, threshold_at_fpir, tpir_at, verify_pairs
from scripts.bench.galleries import try_doubling, try_one_person, try_swapped
from scripts.bench.learning import (
    NO_FACE,
    Backbone,
    draw_photos,
    learn,
    probe_known,
    probe_strangers,
    share_named,
)
from scripts.bench.seen import SeenPhotos

FPIRS = (0.01, 0.003)
"""Shares of strangers that may get a name, for the usual report."""
UNKNOWN = Backbone(name="the backbone")


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One choice of the photos that are learned from, and what came of it. Rates are 0..1."""

    people: int
    """People learned."""
    photos: int
    """Other photos of theirs, which were tried."""
    rank1: float
    """Share of them whose nearest person is the right one."""
    tpir: tuple[float, ...] | None
    """Share that is named right, under the thresholds that let FPIRS of these very strangers pass; None without any."""
    rule_tpir: float
    """Share that the model's own rule and the quality gate name right."""
    rule_named_wrong: float
    """Share that they give another's name."""
    rule_fpir: float | None
    """Share of strangers that they give a name; None without any."""
    calibration_error: float | None
    """Mean gap between stated confidence and share of right candidates, strangers among them; None without any."""
    doubled: tuple[float, float] | None
    """Share of strangers named with half of the people, and when the others were enrolled afterwards."""
    swapped_rank1: float | None
    """`rank1` where some labels were swapped; None where there are too few to swap."""


def measure_verification(seen: SeenPhotos, draws: int) -> dict[str, Any]:
    """Verify all pairs of one person against as many of two, drawn several times."""
    figures = []
    for draw in range(draws):
        generator = np.random.default_rng(draw)
        pairs = draw_pairs(seen.owners, generator)
        similarities = np.einsum("nd,nd->n", seen.vectors[pairs.first], seen.vectors[pairs.second])
        both = seen.found[pairs.first] & seen.found[pairs.second]
        scores = np.where(both, similarities, NO_FACE).astype(np.float32)
        figures.append(verify_pairs(scores, pairs, seen.owners, generator))
    return {
        "pairs_within": figures[0].pairs_within,
        "pairs_across": figures[0].pairs_across,
        "draws": draws,
        "best_accuracy": spread([each.best_accuracy for each in figures]),
        "best_threshold": spread([each.best_threshold for each in figures]),
        "folds": figures[0].folds,
        "fold_accuracy": spread([each.fold_accuracy for each in figures]),
        "fold_standard_error": spread([each.fold_error for each in figures]),
    }


def measure_identification(
    known: SeenPhotos,
    strangers: SeenPhotos,
    photos_a_person: int,
    draws: int,
    on_draw: Callable[[int], None],
    backbone: Backbone = UNKNOWN,
) -> dict[str, Any]:
    """Learn people from a few photos each, drawn several times, and try the others and the strangers.

    Raises:
        InputError: fewer than two people have more photos than are learned from.
    """
    good = [int((known.good & (known.owners == owner)).sum()) for owner in np.unique(known.owners)]
    check_people(good, photos_a_person, "photos with a good face")
    done = []
    for number in range(draws):
        done.append(_try(known, strangers, photos_a_person, number, backbone))
        on_draw(number + 1)
    return {
        "photos_a_person": photos_a_person,
        "draws": draws,
        "people": done[0].people,
        "photos": done[0].photos,
        "rank1": spread([each.rank1 for each in done]),
        "tpir_at_fpir": None
        if done[0].tpir is None
        else {f"{fpir:g}": spread([each.tpir[at] for each in done if each.tpir]) for at, fpir in enumerate(FPIRS)},
        "rule": {
            "tpir": spread([each.rule_tpir for each in done]),
            "named_wrong": spread([each.rule_named_wrong for each in done]),
            "fpir": spread([each.rule_fpir for each in done]),
            "expected_calibration_error": spread([each.calibration_error for each in done]),
        },
        "galleries": {
            "one_person_fpir": spread(try_one_person(known, strangers, photos_a_person, backbone)),
            "half_fpir": spread([each.doubled and each.doubled[0] for each in done]),
            "doubled_fpir": spread([each.doubled and each.doubled[1] for each in done]),
            "swapped_rank1": spread([each.swapped_rank1 for each in done]),
        },
    }


def check_people(counts: Sequence[int], photos_a_person: int, what: str) -> None:
    """Refuse to learn where there is too little.

    Args:
        counts: photos of each person.
        photos_a_person: how many are learned from.
        what: they are, in the plural.

    Raises:
        InputError: fewer than two people have more.
    """
    enough = sum(count > photos_a_person for count in counts)
    if enough < 2:
        raise InputError(
            f"{enough} of {len(counts)} people have more than {photos_a_person} {what}, and it takes two: that many "
            "are learned from, the others are tried. Nothing was measured. Add photos, or lower --photos-a-person."
        )


def spread(values: Sequence[float | None]) -> dict[str, float] | None:
    """Return mean and range; None where a draw has no such figure."""
    there = [value for value in values if value is not None]
    if len(there) < len(values):
        return None
    return {"mean": float(np.mean(there)), "min": min(there), "max": max(there)}


def _try(known: SeenPhotos, strangers: SeenPhotos, photos_a_person: int, number: int, backbone: Backbone) -> Draw:
    """Learn from some photos, and try the rest."""
    draw = draw_photos(known, photos_a_person, number)
    learned = learn(known.vectors[draw.learned], draw.labels[draw.learned], number, backbone)
    probes = probe_known(learned.head, known, draw.tried, draw.labels)
    given = named(probes, learned.rule) & known.good[draw.tried]
    tpir, everybody = None, probes
    if len(strangers):
        others = probe_strangers(learned.head, strangers)
        thresholds = [threshold_at_fpir(others.similarity, fpir) for fpir in FPIRS]
        tpir = tuple(tpir_at(threshold, probes.similarity, probes.right) for threshold in thresholds)
        everybody = joined([probes, others])
    stated = confidences(everybody.similarity, everybody.margin, learned.rule.calibration)
    return Draw(
        people=draw.people,
        photos=len(draw.tried),
        rank1=float(probes.right.mean()),
        tpir=tpir,
        rule_tpir=float((given & probes.right).mean()),
        rule_named_wrong=float((given & ~probes.right).mean()),
        rule_fpir=share_named(learned, strangers),
        calibration_error=expected_calibration_error(stated, everybody.right) if len(strangers) else None,
        doubled=try_doubling(known, strangers, draw, number, backbone),
        swapped_rank1=try_swapped(known, draw, number, backbone),
    )
