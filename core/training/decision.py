"""Gives a trained head its reject rule and its confidence: gathers how the rehearsals fared and hands that on.

How a threshold is chosen from it is in core.training.operating, or in core.training.calibrate for a backbone of whose
similarities nothing was published.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from core.faces.impostors import ImpostorScores, PublishedScores
from core.faces.rule import DEFAULT_FPIR, RejectRule
from core.training.calibrate import NO_PROBES, Calibration, Probes, Trial, calibrate, joined
from core.training.confidence import (
    STRANGER_SHARE,
    Confidence,
    fit_confidence,
    make_known,
    make_strangers,
    own_similarity,
)
from core.training.operating import Evidence, LeftOut, choose_operating_point, fit_impostors
from core.training.prototypes import Embeddings, HeadTrial, KnownPeople

NO_PHOTOS = Embeddings(vectors=torch.empty(0, 1), labels=torch.empty(0, dtype=torch.int64))
_GUMBEL_SKEW = 1.14  # of the best of many unrelated scores, which is what a stranger's similarity is
_MOST_SCORES = 1_000_000
"""Of one rehearsal, for centre and spread: their quantiles are exact to a thousandth."""
_FEWEST_TO_MOVE = 10
"""People whose scores tell how a threshold moves with the gallery, where nothing was published."""


def calibrate_head(
    rehearsals: Sequence[HeadTrial],
    final: KnownPeople,
    photos: Embeddings,
    *,
    unseen: Embeddings | None = None,
    published: PublishedScores | None = None,
    backbone: str = "the backbone",
    strangers: Embeddings = NO_PHOTOS,
    fpir: float = DEFAULT_FPIR,
) -> Calibration:
    """Choose the final head's reject rule and fit its confidence.

    Args:
        rehearsals: trained; none with a single person.
        final: the head that is kept, trained.
        photos: what it learned from.
        unseen: several photos of each of some people, from which nothing was learned; None where the backbone learned
            from none: then the photos themselves tell how much those of one person differ.
        published: of the backbone; None where nothing was.
        backbone: its name, for the basis.
        strangers: photos of people who are none of the head's, by label.
        fpir: share of strangers that may get a name, above 0 and below 1.
    """
    trials = [
        Trial(known=each.head.probe(each.held_out), strangers=each.head.probe(each.strangers), made_up=NO_PROBES)
        for each in rehearsals
    ]
    labelled = _each_a_person(final.probe(strangers))
    evidence = Evidence(
        left_out=tuple(map(_left_out, rehearsals, [trial.strangers for trial in trials])),
        strangers=labelled,
        gallery_size=len(final.gallery),
    )
    if published is None:
        return _without_published(trials, final, photos, evidence, fpir)
    point = choose_operating_point(evidence, published, backbone, fpir)
    known, refusable = (joined([*parts]) for parts in ([t.known for t in trials], [t.strangers for t in trials]))
    refusable = joined([refusable, labelled])
    own = own_similarity(*_arrays(photos if unseen is None else unseen), published)
    made = make_known(published, point.impostors, evidence.gallery_size, len(photos) / evidence.gallery_size, own)
    confidence = _confidence(known, refusable, made, point.impostors, evidence.gallery_size)
    rule = RejectRule(
        threshold=point.threshold,
        margin=point.margin,
        fpir_target=fpir,
        basis=point.basis,
        calibration=confidence.coefficients,
        people=evidence.gallery_size,
        impostors=point.impostors,
        stranger_share=STRANGER_SHARE,
        other_points=point.other_points,
    )
    return Calibration(
        rule=rule,
        expected_calibration_error=confidence.expected_calibration_error,
        known=known,
        strangers=refusable,
        details=confidence.to_json(),
    )


def _without_published(
    trials: Sequence[Trial], final: KnownPeople, photos: Embeddings, evidence: Evidence, fpir: float
) -> Calibration:
    """Choose by the labels alone; the rule can be moved to another gallery where they tell how."""
    tried = [*trials]
    if len(evidence.strangers):
        tried.append(Trial(known=NO_PROBES, strangers=evidence.strangers, made_up=NO_PROBES))
    none_seen = not any(len(trial.strangers) for trial in tried)
    found = calibrate(tried, final.probe(photos) if none_seen else NO_PROBES, NO_PROBES, fpir=fpir, skew=_GUMBEL_SKEW)
    enough = evidence.people >= _FEWEST_TO_MOVE
    impostors = fit_impostors(evidence, ImpostorScores(centre=0.0, spread=0.1), own_only=True) if enough else None
    return replace(found, rule=replace(found.rule, people=evidence.gallery_size, impostors=impostors))


def _arrays(photos: Embeddings) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    return photos.vectors.numpy(), photos.labels.numpy()


def _confidence(known: Probes, strangers: Probes, made: Probes, impostors: ImpostorScores, people: int) -> Confidence:
    # A single person has no runner-up, and rehearsals of two people know a single one.
    return fit_confidence(known, strangers, made, make_strangers(impostors, people), with_margin=people > 2)


def _left_out(rehearsal: HeadTrial, probes: Probes) -> LeftOut:
    gallery = rehearsal.head.gallery.numpy()
    vectors = rehearsal.strangers.vectors.numpy()
    rows = max(_MOST_SCORES // len(gallery), 1)
    some = np.random.default_rng(0).permutation(len(vectors))[:rows]
    return LeftOut(
        best=probes.similarity,
        people_of=rehearsal.strangers.labels.numpy(),
        gallery_size=len(gallery),
        scores=(vectors[some] @ gallery.T).reshape(-1),
    )


def _each_a_person(probes: Probes) -> Probes:
    """Take each photo of a labelled stranger for a person: nobody said which of them are the same."""
    return replace(probes, people=len(probes))
