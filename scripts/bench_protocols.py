"""Counts what a backbone is worth on photos it has seen: verification, and identification among strangers.

Heads and their reject rules are trained and chosen by the code of core.training that makes models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import InputError
from core.training.calibrate import Probes, named
from core.training.head import train_on
from core.training.protocols import draw_pairs, threshold_at_fpir, tpir_at, verify_pairs
from core.training.prototypes import Embeddings, calibrate_head
from core.training.request import TrainingRequest
from scripts.bench_seen import SeenPhotos
from workers.preparation import HEAD_RECIPE

FPIRS = (0.01, 0.003)
"""Shares of strangers that may get a name, for the usual report."""
_NO_FACE = -1.0
"""Similarity of a photo without a face to anything."""


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


def measure_verification(seen: SeenPhotos, draws: int) -> dict[str, Any]:
    """Verify all pairs of one person against as many of two, drawn several times."""
    figures = []
    for draw in range(draws):
        generator = np.random.default_rng(draw)
        pairs = draw_pairs(seen.owners, generator)
        cosines = np.einsum("nd,nd->n", seen.vectors[pairs.first], seen.vectors[pairs.second])
        both = seen.found[pairs.first] & seen.found[pairs.second]
        scores = np.where(both, cosines, _NO_FACE).astype(np.float32)
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
    known: SeenPhotos, strangers: SeenPhotos, photos_a_person: int, draws: int, on_draw: Callable[[int], None]
) -> dict[str, Any]:
    """Learn people from a few photos each, drawn several times, and try the others and the strangers.

    Raises:
        InputError: fewer than two people have more photos than are learned from.
    """
    good = [int((known.good & (known.owners == owner)).sum()) for owner in np.unique(known.owners)]
    check_people(good, photos_a_person, "photos with a good face")
    done = []
    for number in range(draws):
        done.append(_try(known, strangers, photos_a_person, number))
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


def _try(known: SeenPhotos, strangers: SeenPhotos, photos_a_person: int, number: int) -> Draw:
    """Learn from some photos, and try the rest."""
    learned, tried, labels = _draw_photos(known, photos_a_person, np.random.default_rng([photos_a_person, number]))
    request = TrainingRequest(classes=(), train=(), test=(), recipe=HEAD_RECIPE, seed=number)
    photos = _embeddings(known.vectors[learned], labels[learned])
    final, rehearsals, _ = train_on(photos, request, lambda _: None, lambda: False)
    rule = calibrate_head(rehearsals, final, photos).rule
    probes = _without_names(final.probe(_embeddings(known.vectors[tried], labels[tried])), known.found[tried])
    given = named(probes, rule) & known.good[tried]
    tpir, rule_fpir = None, None
    if len(strangers):
        others = _without_names(final.probe(_embeddings(strangers.vectors, strangers.owners)), strangers.found)
        thresholds = [threshold_at_fpir(others.similarity, fpir) for fpir in FPIRS]
        tpir = tuple(tpir_at(threshold, probes.similarity, probes.right) for threshold in thresholds)
        rule_fpir = float((named(others, rule) & strangers.good).mean())
    return Draw(
        people=int(labels.max()) + 1,
        photos=len(tried),
        rank1=float(probes.right.mean()),
        tpir=tpir,
        rule_tpir=float((given & probes.right).mean()),
        rule_named_wrong=float((given & ~probes.right).mean()),
        rule_fpir=rule_fpir,
    )


def _draw_photos(
    known: SeenPhotos, photos_a_person: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw the photos to learn from among the good ones.

    Returns:
        Rows to learn from, rows to try (all others of the same people), and the class of every photo (-1: of none).
    """
    learned: list[NDArray[np.int64]] = []
    labels = np.full(len(known), -1, np.int64)
    for owner in np.unique(known.owners):
        rows = np.flatnonzero((known.owners == owner) & known.good)
        if len(rows) > photos_a_person:
            labels[known.owners == owner] = len(learned)
            learned.append(generator.choice(rows, photos_a_person, replace=False))
    chosen = np.sort(np.concatenate(learned))
    return chosen, np.setdiff1d(np.flatnonzero(labels >= 0), chosen), labels


def _embeddings(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Embeddings:
    return Embeddings(vectors=torch.from_numpy(vectors), labels=torch.from_numpy(labels))


def _without_names(probes: Probes, found: NDArray[np.bool_]) -> Probes:
    """Take a photo without a face as near to nobody."""
    return Probes(
        similarity=np.where(found, probes.similarity, np.float32(_NO_FACE)),
        margin=np.where(found, probes.margin, np.float32(0.0)),
        right=probes.right & found,
        people=probes.people,
    )
