"""The metrics of a trained network as they are stored in its manifest: plain JSON values, names instead of numbers."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.faces.match import decide
from core.faces.rule import RejectRule
from core.records import FaceOutcome, PersonClass
from core.training.calibrate import Calibration, named, score_probes
from core.training.metrics import (
    NOBODY,
    confusion_matrix,
    expected_calibration_error,
    open_set_figures,
    person_table,
    top_k_accuracy,
)
from core.training.scored import NONE_MISSED, MissedPhotos, score_rehearsed, score_tested
from core.training.scoring import make_scorecard

_MOST_CONFUSIONS = 50


def score(
    embeddings: NDArray[np.float32],
    logits: NDArray[np.float32],
    gallery: NDArray[np.float32],
    truth: NDArray[np.int64],
    rule: RejectRule,
    classes: Sequence[PersonClass],
    missed: MissedPhotos = NONE_MISSED,
) -> dict[str, Any]:
    """Judge a network and its rule on photos that neither has seen.

    Args:
        embeddings (float32 [N, D]): finite.
        logits (float32 [N, C]): finite.
        gallery (float32 [C, D] or [C, K, D]): one row a person, or several.
        truth (int64 [N]): 0..C-1, -1 for a stranger.
        rule: what decides about names.
        classes: C people.
        missed: photos that show no face to ask about; only the scorecard counts them.

    Returns:
        `photos`, `rank1_accuracy` and `top5_accuracy` (of known people, before the rule), the counts `named_right`,
        `refused`, `named_wrong`, `strangers_refused`, `strangers_named`, the rates `tpir` and `fpir`,
        `expected_calibration_error`, `people` (name, photos, named, precision, recall), `confusions` (is, named,
        photos; most frequent first) and `scorecard` (docs/scorecard.md). A rate without photos is None.
    """
    matches = decide(embeddings, logits, gallery, rule)
    given = np.array(
        [m.candidate if m.outcome is FaceOutcome.IDENTIFIED and m.candidate is not None else NOBODY for m in matches],
        dtype=np.int64,
    )
    matrix = confusion_matrix(truth, given, len(classes))
    known = truth != NOBODY
    figures = open_set_figures(matrix)
    right = logits.argmax(axis=1) == truth
    stated = np.array([match.confidence for match in matches])
    probes = score_probes(embeddings, logits, gallery, truth)
    tested, strangers = score_tested(probes, truth, given != NOBODY, rule, missed)
    return {
        "photos": len(truth),
        "rank1_accuracy": top_k_accuracy(truth[known], logits[known], 1) if known.any() else None,
        "top5_accuracy": top_k_accuracy(truth[known], logits[known], 5) if known.any() else None,
        **asdict(figures),
        "tpir": figures.tpir,
        "fpir": figures.fpir,
        "expected_calibration_error": expected_calibration_error(stated, right) if len(truth) else None,
        "people": _people(matrix, classes),
        "confusions": _confusions(matrix, classes),
        "scorecard": make_scorecard(tested, strangers, fpir_target=rule.fpir_target).to_json(),
    }


def describe(
    calibration: Calibration, held_out: Sequence[NDArray[np.int64]], strangers_shown: Sequence[NDArray[np.int64]]
) -> dict[str, Any]:
    """Return what the rule was chosen from and how sure it is: photo and people counts, rates before and after it.

    Args:
        calibration: the rule and how rehearsals scored what they had not seen.
        held_out: for each rehearsal, whom its photos of known people show.
        strangers_shown: for each rehearsal, whom its photos of strangers show.
    """
    known, strangers, rule = calibration.known, calibration.strangers, calibration.rule
    rows, stranger_rows = score_rehearsed(known, rule, held_out), score_rehearsed(strangers, rule, strangers_shown)
    return {
        "held_out_photos": len(known),
        "held_out_rank1_accuracy": float(known.right.mean()) if len(known) else None,
        "held_out_tpir": float((known.right & named(known, rule)).mean()) if len(known) else None,
        "stranger_photos": len(strangers),
        "stranger_people": strangers.people,
        "stranger_fpir": float(named(strangers, rule).mean()) if len(strangers) else None,
        "expected_calibration_error": calibration.expected_calibration_error,
        "scorecard": make_scorecard(rows, stranger_rows, fpir_target=rule.fpir_target).to_json(),
    }


def _people(matrix: NDArray[np.int64], classes: Sequence[PersonClass]) -> list[dict[str, Any]]:
    return [
        {
            "name": classes[person.class_index].name,
            "photos": person.photos,
            "named": person.named,
            "precision": person.precision,
            "recall": person.recall,
        }
        for person in person_table(matrix)
    ]


def _confusions(matrix: NDArray[np.int64], classes: Sequence[PersonClass]) -> list[dict[str, Any]]:
    """Return who was called by whose name, most frequent first; None is a stranger."""
    names: list[str | None] = [*(person.name for person in classes), None]
    wrong = matrix[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    pairs = np.argwhere(wrong)
    pairs = pairs[np.argsort(-wrong[pairs[:, 0], pairs[:, 1]], kind="stable")][:_MOST_CONFUSIONS]
    return [{"is": names[row], "named": names[column], "photos": int(wrong[row, column])} for row, column in pairs]
