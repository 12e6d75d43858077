"""What people said of a face against what a model said: which labels hold, and what is decided under them.

Pure: asks no database. Light: neither numpy nor torch.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.faces.rule import RejectRule
from core.records import FaceOutcome, FaceResult, RankedPerson, Verdict

Box = tuple[float, float, float, float]
"""(x1, y1, x2, y2) in pixels of the upright original photo."""

SAME_FACE_IOU = 0.5
"""Boxes that overlap at least this much are of one face. Detection keeps no two that overlap more than 0.3."""

REASONS = {Verdict.NOT_A_FACE: "not_a_face", Verdict.IGNORE: "ignored"}
"""Reason codes of faces that get no name because a person said so."""

_WHOLE_RANKING = 5
"""A ranking of fewer people than this names everybody whom the model knows (core.faces.match)."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """One label that was not undone."""

    label_id: int
    verdict: Verdict
    person_id: int | None
    """None: the verdict is about no person; of `is_not`: this is nobody who can be named."""
    counts_as: int | None
    """Whom that person was merged into, or that person."""
    box_xyxy_px: Box | None
    """Which face of the photo; None for its only one."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What holds of one face after all that was said of it."""

    last_word: Said | None = None
    """`is`, `not_a_face`, `ignore`, or `is_not` of everybody: each takes the place of the one before."""
    is_not: Mapping[int, Said] = field(default_factory=dict)
    """By whom a person counts as: this is not that person. Of several people at once."""

    @property
    def person(self) -> Said | None:
        """What says whose face it is; None when nothing does."""
        return self.last_word if self.last_word and self.last_word.verdict is Verdict.IS else None

    @property
    def is_stranger(self) -> bool:
        """Whether it was said to be nobody who can be named."""
        return self.last_word is not None and self.last_word.verdict is Verdict.IS_NOT

    @property
    def label_id(self) -> int | None:
        """The label that decides; None when nothing was said."""
        if self.last_word is not None:
            return self.last_word.label_id
        return max((said.label_id for said in self.is_not.values()), default=None)


def held_of(said: Iterable[Said]) -> Held:
    """Return what holds of a face after all that was said of it, given in order of time.

    What contradicts something earlier takes it back; what does not stands beside it.
    """
    last_word: Said | None = None
    is_not: dict[int, Said] = {}
    for each in said:
        person = each.counts_as
        about_person = last_word is not None and last_word.verdict is Verdict.IS and last_word.counts_as == person
        if each.verdict is Verdict.IS_NOT and person is not None:
            is_not[person] = each
            last_word = None if about_person else last_word
        elif each.verdict is Verdict.IS and about_person and each.box_xyxy_px is None:
            continue  # said before, and then which face was meant
        else:
            last_word = each
            if each.verdict is Verdict.IS and person is not None:
                is_not.pop(person, None)
    return Held(last_word=last_word, is_not=is_not)


def said_of_face(said: Iterable[Said], box_xyxy_px: Box | None, *, alone: bool) -> list[Said]:
    """Return what was said of one face of a photo.

    Args:
        said: of the photo.
        box_xyxy_px: the face's; None when the photo is one face, of which everything was said.
        alone: whether it is the photo's only face that may be meant. What names a person without saying which face is
            said of such a face alone; what takes a name away without saying which face is said of all.
    """
    return [each for each in said if _bears(each, box_xyxy_px, alone)]


def faces_spoken_of(said: Sequence[Said]) -> list[tuple[Box | None, Held]]:
    """Return the faces of a photo that labels tell apart, with what holds of each.

    While a name holds that was given without saying which face is meant, the photo is one face: nobody has said yet
    that it shows others.
    """
    whole = held_of(said)
    boxes: list[Box] = []
    for each in reversed(said):  # the newest box of a face is kept
        if each.box_xyxy_px is not None and not any(same_face(each.box_xyxy_px, box) for box in boxes):
            boxes.append(each.box_xyxy_px)
    if not boxes or (whole.person is not None and whole.person.box_xyxy_px is None):
        return [(None, whole)] if said else []
    boxes.sort()
    return [(box, held_of(said_of_face(said, box, alone=False))) for box in boxes]


def faces_alone(faces: Sequence[FaceResult]) -> frozenset[int]:
    """Return the index of the only face of a photo, or of the only one that passed the quality gate; else nothing."""
    if len(faces) == 1:
        return frozenset({faces[0].index})
    good = [face.index for face in faces if not gate_reasons(face.quality_reasons)]
    return frozenset(good) if len(good) == 1 else frozenset()


def face_box(face: FaceResult) -> Box | None:
    """Return which face of its photo a face is; None when nothing was looked for, and the photo is the face."""
    return face.box_xyxy_px if face.landmarks_px else None


def gate_reasons(reasons: Iterable[str]) -> tuple[str, ...]:
    """Return what the quality gate said, without what a person said."""
    return tuple(reason for reason in reasons if reason not in REASONS.values())


def correct(
    face: FaceResult,
    held: Held,
    rule: RejectRule | None,
    counts_as: Mapping[int, int],
    *,
    anew: bool = False,
    keep_candidate: bool = True,
) -> FaceResult:
    """Return a face as it is decided under what holds of it.

    Candidate, similarity and confidence stay what the model said, unless the candidate may not be the person.

    Args:
        face: as the model decided it, or as it is stored.
        held: what people said of it.
        rule: of the model; without one, what cannot be left as it was decided gets no name.
        counts_as: whom merged people count as, by person.
        anew: its outcome is not the model's own, so decide from its ranking.
        keep_candidate: whether the candidate stays where it may; otherwise the most similar who may.
    """
    excluded = held.is_not.keys()
    touched = any(
        ranked.person_id in counts_as or _is_excluded(ranked.person_id, excluded, counts_as) for ranked in face.top_k
    )
    decided = face
    if touched or anew or _is_excluded(face.candidate_id, excluded, counts_as):
        first = _choice(face, excluded, counts_as) if keep_candidate else None
        decided = _decide(face, rule, excluded, counts_as, first)
        if not touched and decided.candidate_id == face.candidate_id:
            decided = replace(decided, confidence=face.confidence)
    return _under_last_word(decided, held.last_word)


def as_counted(face: FaceResult, rule: RejectRule, counts_as: Mapping[int, int]) -> FaceResult:
    """Return a face as a model decides it when merged people are one person, under whom they count as.

    Args:
        face: as the model decided it.
        rule: of the model.
        counts_as: whom merged people count as, by person.
    """
    if not counts_as:
        return face
    face = correct(face, Held(), rule, counts_as)
    best: dict[int, RankedPerson] = {}
    for ranked in face.top_k:
        person_id = counts_as.get(ranked.person_id, ranked.person_id)
        best.setdefault(person_id, replace(ranked, person_id=person_id))
    return replace(
        face,
        person_id=None if face.person_id is None else counts_as.get(face.person_id, face.person_id),
        candidate_id=None if face.candidate_id is None else counts_as.get(face.candidate_id, face.candidate_id),
        top_k=tuple(best.values()),
    )


def _under_last_word(face: FaceResult, word: Said | None) -> FaceResult:
    """Return a face as the last word on it has it; without one, as the model and the quality gate have it."""
    reasons = gate_reasons(face.quality_reasons)
    outcome, person_id = FaceOutcome.LOW_QUALITY if reasons else face.outcome, None
    if word is None:
        person_id = face.candidate_id if outcome is FaceOutcome.IDENTIFIED else None
    elif word.verdict is Verdict.IS:
        outcome, person_id = FaceOutcome.IDENTIFIED, word.person_id
    elif word.verdict in REASONS:
        outcome, reasons = FaceOutcome.LOW_QUALITY, (*reasons, REASONS[word.verdict])
    elif outcome is not FaceOutcome.LOW_QUALITY:
        outcome = FaceOutcome.UNKNOWN
    return replace(face, outcome=outcome, person_id=person_id, quality_reasons=reasons)


def decide_from_ranking(
    ranking: Sequence[RankedPerson],
    rule: RejectRule,
    excluded: Collection[int],
    counts_as: Mapping[int, int],
    first: RankedPerson | None = None,
) -> tuple[FaceOutcome, RankedPerson | None, float]:
    """Decide about a face from its ranking, without some people, under the model's reject rule.

    Args:
        ranking: the nearest people, most similar first.
        rule: of the model that ranked them.
        excluded: people who it is not, as they count.
        counts_as: whom merged people count as: their classes are no rivals.
        first: the classifier's choice, where that is not the most similar.

    Returns:
        The outcome, the candidate or None, and their lead over the next person who it may be.
    """
    best: dict[int, RankedPerson] = {}
    for ranked in ranking:
        person = counts_as.get(ranked.person_id, ranked.person_id)
        if person not in excluded:
            best.setdefault(person, ranked)
    if first is None:
        first = next(iter(best.values()), None)
    if first is None:
        return FaceOutcome.UNKNOWN, None, 0.0
    itself = counts_as.get(first.person_id, first.person_id)
    # Whom a ranking leaves out is no more similar than its last.
    beyond = -1.0 if len(ranking) < _WHOLE_RANKING else ranking[-1].similarity
    rival = next((ranked.similarity for person, ranked in best.items() if person != itself), beyond)
    margin = first.similarity - rival
    if not first.similarity >= rule.threshold:
        return FaceOutcome.UNKNOWN, first, margin
    return FaceOutcome.IDENTIFIED if margin >= rule.margin else FaceOutcome.AMBIGUOUS, first, margin


def same_face(one: Box, other: Box) -> bool:
    """Say whether two boxes of a photo are of one face."""
    shared = max(0.0, min(one[2], other[2]) - max(one[0], other[0])) * max(
        0.0, min(one[3], other[3]) - max(one[1], other[1])
    )
    return shared > 0.0 and shared >= SAME_FACE_IOU * (_area(one) + _area(other) - shared)


def _bears(said: Said, box: Box | None, alone: bool) -> bool:
    if box is None:
        return True
    if said.box_xyxy_px is None:
        return alone or said.verdict is not Verdict.IS
    return same_face(said.box_xyxy_px, box)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _is_excluded(person_id: int | None, excluded: Collection[int], counts_as: Mapping[int, int]) -> bool:
    return person_id is not None and counts_as.get(person_id, person_id) in excluded


def _choice(face: FaceResult, excluded: Collection[int], counts_as: Mapping[int, int]) -> RankedPerson | None:
    """Return the classifier's choice, where it may be."""
    if face.candidate_id is None or face.similarity is None or _is_excluded(face.candidate_id, excluded, counts_as):
        return None
    return RankedPerson(person_id=face.candidate_id, similarity=face.similarity)


def _decide(
    face: FaceResult,
    rule: RejectRule | None,
    excluded: Collection[int],
    counts_as: Mapping[int, int],
    first: RankedPerson | None,
) -> FaceResult:
    """Decide about a face from its ranking."""
    outcome, candidate, margin = decide_from_ranking(face.top_k, rule or _NOBODY, excluded, counts_as, first)
    return replace(
        face,
        outcome=outcome,
        candidate_id=candidate.person_id if candidate else None,
        similarity=candidate.similarity if candidate else None,
        confidence=_confidence(candidate, margin, rule) if candidate and rule else None,
    )


def _confidence(candidate: RankedPerson, margin: float, rule: RejectRule) -> float:
    """Return P(right), 0..1, as core.faces.match states it."""
    intercept, w_similarity, w_margin = rule.calibration
    score = intercept + w_similarity * candidate.similarity + w_margin * margin
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, score))))


_NOBODY = RejectRule(threshold=2.0, margin=0.0, fpir_target=0.0, basis="none", calibration=(0.0, 0.0, 0.0))
