"""The gate: whether a new model may take the place of the one that serves, from what both say of the same photos.

Pure figures: asks no network and no database. Why it is so: docs/decisions/0018-gate.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.training.answers import Answers
from core.training.chance import chance_of_fewer, chance_of_loss
from core.training.scoring import make_scorecard

CHANCE = 0.1
"""A loss that chance alone brings about as often as this, or more often, is not held against a model."""
REHEARSAL_TOLERANCE = 0.05
"""The least tolerance between rehearsals, which are of other photos, other people and galleries of other sizes."""
_STRANGERS_TOLERATED = 2.0
"""Times the share of strangers that a rule was chosen for: the least tolerance of names that rehearsals gave them."""
_FEW = 20
"""With fewer held-out photos the rehearsals are compared as well."""
_RATES = ("photos", "people", "rank1", "tpir", "named_wrong", "fpir")


class Measure(StrEnum):
    """What is counted. The value is how it is told to people."""

    NAMED_RIGHT = "named right"  # photos of known people that got the right name
    NEAREST_RIGHT = "nearest right"  # photos of known people whose nearest person is right, named or not
    NAMED_WRONG = "named wrong"  # photos of known people that got another's name
    STRANGERS_NAMED = "strangers named"  # photos of strangers that got a name


_RIGHT = {Measure.NAMED_RIGHT, Measure.NEAREST_RIGHT}
"""Of these, more is better; the others count mistakes."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """So many photos out of so many."""

    count: int
    of: int

    @property
    def share(self) -> float:
        """0..1; 0 of no photos."""
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison of the two models."""

    measure: Measure
    paired: bool
    """Whether both were asked about the same held-out photos; otherwise each has its own rehearsals."""
    candidate: Share
    active: Share
    lost: int | None
    gained: int | None
    """Photos on which the candidate alone is worse, and better; None where they are not the same photos."""
    chance: float
    """How often chance alone makes one of two equally good models look as much worse, 0..1."""
    tolerance: float
    passed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Contender:
    """One of the two models."""

    people: frozenset[int]
    """Whom it knows, as they count."""
    fpir_target: float
    """Share of strangers that its rule was chosen to name."""
    backbone_sha256: str | None
    """Of pretrained weights; None when its network was trained from scratch."""
    rehearsal: Mapping[str, Any] | None
    """The scorecard of its rehearsals; None where there is none."""
    answers: Answers | None
    """To the held-out photos; None without any, or where it could not be asked."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a model may serve, and what that is based on."""

    passed: bool
    checks: tuple[Check, ...] = ()
    measured: bool = True
    """Whether anything showed how well the two know people."""
    same_backbone: bool = False
    """Whether both see faces through the same pretrained weights."""
    same_target: bool = True
    """Whether both rules were chosen for the same share of strangers."""
    lost_people: tuple[str, ...] = ()
    """Whom the active model knows and the new one does not, though their labels hold."""
    people_known: int = 0
    """How many the active model knows."""
    new_people: int = 0
    photos: int = 0
    """Held-out photos of people whom both know."""
    tolerance: float = 0.0
    scorecards: Mapping[str, Any] | None = None
    """Rates of both on the held-out photos, with their intervals; None without any."""

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that speak against the model."""
        return tuple(check for check in self.checks if not check.passed)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "checks": [asdict(check) for check in self.checks]}


def compare(
    candidate: Contender,
    active: Contender,
    truth: NDArray[np.int64],
    lost_people: Sequence[str],
    *,
    tolerance: float,
) -> Verdict:
    """Compare a new model with the one that serves.

    Args:
        candidate: the new one.
        active: the one that serves.
        truth (int64 [N]): whom each held-out photo shows, as they count; NOBODY where that is not known.
        lost_people: whom the active model knows and the new one does not, though their labels hold.
        tolerance: share of the photos by which it may be worse, 0..1.
    """
    same_target = bool(np.isclose(candidate.fpir_target, active.fpir_target))
    known, strangers = _held_out(candidate, active, truth)
    checks = _compare_answers(candidate, active, truth, known, strangers, tolerance, same_target)
    checks += _compare_rehearsals(candidate, active, int(known.sum()), int(strangers.sum()), tolerance, same_target)
    measured = any(check.measure in _RIGHT for check in checks)
    same_backbone = candidate.backbone_sha256 is not None and candidate.backbone_sha256 == active.backbone_sha256
    kept = len(lost_people) <= tolerance * len(active.people)
    return Verdict(
        passed=all(check.passed for check in checks) and kept and (measured or same_backbone),
        checks=tuple(checks),
        measured=measured,
        same_backbone=same_backbone,
        same_target=same_target,
        lost_people=tuple(lost_people),
        people_known=len(active.people),
        new_people=len(candidate.people - active.people),
        photos=int(known.sum()),
        tolerance=tolerance,
        scorecards=_scorecards(candidate, active, truth, known, strangers),
    )


def _held_out(
    candidate: Contender, active: Contender, truth: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which photos show people whom both know, and which show people whom neither does, bool [N] each.

    Those of people whom one of the two alone knows are not compared.
    """
    if candidate.answers is None or active.answers is None:
        return np.zeros(len(truth), bool), np.zeros(len(truth), bool)
    usable = candidate.answers.usable & active.answers.usable
    by_new, by_old = (np.isin(truth, list(each.people)) for each in (candidate, active))
    return usable & by_new & by_old, usable & ~by_new & ~by_old


def _compare_answers(
    candidate: Contender,
    active: Contender,
    truth: NDArray[np.int64],
    known: NDArray[np.bool_],
    strangers: NDArray[np.bool_],
    tolerance: float,
    same_target: bool,
) -> list[Check]:
    """Compare what both say of the same photos."""
    if candidate.answers is None or active.answers is None:
        return []
    counted = {}
    if known.any() and same_target:
        counted[Measure.NAMED_RIGHT] = [each.named & each.right(truth) for each in (candidate.answers, active.answers)]
        counted[Measure.NAMED_WRONG] = [each.named & ~each.right(truth) for each in (candidate.answers, active.answers)]
    elif known.any():  # names come and go with the threshold, which was asked to be another
        counted[Measure.NEAREST_RIGHT] = [each.right(truth) for each in (candidate.answers, active.answers)]
    checks = [_pair(measure, mine[known], its[known], tolerance) for measure, (mine, its) in counted.items()]
    if strangers.any():
        mine, its = candidate.answers.named[strangers], active.answers.named[strangers]
        checks.append(_pair(Measure.STRANGERS_NAMED, mine, its, tolerance, allowed=candidate.fpir_target))
    return checks


def _pair(
    measure: Measure,
    mine: NDArray[np.bool_],
    its: NDArray[np.bool_],
    tolerance: float,
    allowed: float | None = None,
) -> Check:
    """Compare two models photo by photo.

    Args:
        measure: what is counted.
        mine (bool [N]): which photos count of the candidate.
        its (bool [N]): which of the active model.
        tolerance: share of the photos.
        allowed: a share of the photos up to which a candidate's mistakes are as they should be; None: none is.
    """
    lost, gained = int((its & ~mine).sum()), int((mine & ~its).sum())
    if measure not in _RIGHT:
        lost, gained = gained, lost
    chance = chance_of_loss(lost, gained)
    share = Share(count=int(mine.sum()), of=len(mine))
    worse = lost - gained > tolerance * len(mine) and chance < CHANCE
    return Check(
        measure=measure,
        paired=True,
        candidate=share,
        active=Share(count=int(its.sum()), of=len(its)),
        lost=lost,
        gained=gained,
        chance=chance,
        tolerance=tolerance,
        passed=not worse or _is_allowed(share, allowed),
    )


def _compare_rehearsals(
    candidate: Contender, active: Contender, known: int, strangers: int, tolerance: float, same_target: bool
) -> list[Check]:
    """Compare what networks did that had never seen some photos and people, where there are few held-out photos."""
    wanted = []
    if known < _FEW:
        wanted.append((Measure.NAMED_RIGHT, "tpir") if same_target else (Measure.NEAREST_RIGHT, "rank1"))
    if strangers < _FEW:
        wanted.append((Measure.STRANGERS_NAMED, "fpir"))
    checks = []
    for measure, key in wanted:
        mine, its = (_rehearsed(each, key) for each in (candidate, active))
        if mine is None or its is None:
            continue
        if measure is Measure.STRANGERS_NAMED:
            allowed = candidate.fpir_target
            checks.append(_side_by_side(measure, mine, its, max(tolerance, _STRANGERS_TOLERATED * allowed), allowed))
        else:
            checks.append(_side_by_side(measure, mine, its, max(tolerance, REHEARSAL_TOLERANCE), None))
    return checks


def _rehearsed(contender: Contender, key: str) -> Share | None:
    rate = (contender.rehearsal or {}).get(key)
    return Share(count=rate["count"], of=rate["of"]) if rate and rate["of"] else None


def _is_allowed(mistakes: Share, allowed: float | None) -> bool:
    return allowed is not None and mistakes.share <= allowed


def _side_by_side(measure: Measure, mine: Share, its: Share, tolerance: float, allowed: float | None) -> Check:
    """Compare shares of different photos."""
    first, second = (
        (mine, its) if measure in _RIGHT else (its, mine)
    )  # the first has fewer where the candidate is worse
    chance = chance_of_fewer(first.count, first.of, second.count, second.of)
    worse = second.share - first.share > tolerance and chance < CHANCE
    return Check(
        measure=measure,
        paired=False,
        candidate=mine,
        active=its,
        lost=None,
        gained=None,
        chance=chance,
        tolerance=tolerance,
        passed=not worse or _is_allowed(mine, allowed),
    )


def _scorecards(
    candidate: Contender,
    active: Contender,
    truth: NDArray[np.int64],
    known: NDArray[np.bool_],
    strangers: NDArray[np.bool_],
) -> dict[str, Any] | None:
    """Return the rates of both models on the same photos."""
    if candidate.answers is None or active.answers is None or not (known.any() or strangers.any()):
        return None
    cards = {}
    for name, each, answers in (("candidate", candidate, candidate.answers), ("active", active, active.answers)):
        card = make_scorecard(
            answers.score(truth, known), answers.score(truth, strangers), fpir_target=each.fpir_target
        ).to_json()
        cards[name] = {rate: card[rate] for rate in _RATES}
    return cards
