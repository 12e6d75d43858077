"""What the gate decided, in words: for the run, the model and the history of what served."""

from core.training.gate import Check, Measure, Verdict

_MOST_NAMES = 5
_LEAST_PERCENT = 0.1
_COUNTED = {Measure.STRANGERS_NAMED: "photos of strangers"}


def explain(verdict: Verdict, active: str | None) -> str:
    """Return the reason for a verdict, in sentences.

    Args:
        verdict: of the gate.
        active: the version that served; None when none did.
    """
    if active is None:
        return "The first model: none served before it."
    against = [*_lost(verdict, active), *(_fact(check, active, full=True) for check in verdict.failed)]
    if not verdict.passed and not against:
        return (
            f"Nothing tells whether it is worse than {active}: there are no held-out photos of people whom both know, "
            "and no rehearsals to compare. Import held-out photos with `facefleet people import DIR --split test`."
        )
    facts = against or [_fact(check, active) for check in verdict.checks]
    head = f"Not worse than {active}" if verdict.passed else f"Worse than {active}"
    return " ".join([f"{head}: {'; '.join(facts)}." if facts else f"{head}.", *_remarks(verdict, active)])


def _fact(check: Check, active: str, *, full: bool = False) -> str:
    """Say what was counted; in full, why it speaks against the model."""
    if check.paired:
        what, mine = _COUNTED.get(check.measure, "held-out photos"), check.candidate
        fact = f"{check.measure} {mine.count:,} of {mine.of:,} {what}, {active} {check.active.count:,}"
    else:
        fact = (
            f"{check.measure} in rehearsal {_percent(check.candidate.share)} of {check.candidate.of:,} photos, "
            f"{active} {_percent(check.active.share)} of {check.active.of:,}"
        )
    if not full:
        return fact
    differ = "" if check.lost is None else f"{check.lost:,} lost and {check.gained:,} gained; "
    return (
        f"{fact} ({differ}{_percent(check.tolerance)} is tolerated, and chance alone does this "
        f"{_percent(check.chance)} of the time)"
    )


def _lost(verdict: Verdict, active: str) -> list[str]:
    """Name the people who would be known no longer, where they are too many."""
    lost = verdict.lost_people
    if len(lost) <= verdict.tolerance * verdict.people_known:
        return []
    more = len(lost) - _MOST_NAMES
    names = ", ".join(lost[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
    who = "person whom" if len(lost) == 1 else "people whom"
    return [
        f"it does not know {len(lost):,} {who} {active} knows and whose labels hold, as none of their training photos "
        f"could be used ({names})"
    ]


def _remarks(verdict: Verdict, active: str) -> list[str]:
    """Say what the comparison could not be based on."""
    if not verdict.passed:
        return []
    remarks = []
    if not verdict.measured:
        remarks.append(
            f"No held-out photo shows people whom both know, and no rehearsal does; it sees faces as {active} does, "
            "through the same pretrained weights."
        )
    elif not verdict.photos:
        remarks.append("No held-out photo could be compared, so each one's own rehearsals were.")
    if not verdict.same_target:
        remarks.append("Their rules were chosen for different shares of strangers, so names were not compared.")
    return remarks


def _percent(share: float) -> str:
    """Return 0..1 as a percentage, without digits that say nothing."""
    percent = 100.0 * share
    if 0.0 < percent < _LEAST_PERCENT:
        return f"less than {_LEAST_PERCENT:g} %"
    return f"{percent:.0f} %" if percent == round(percent) else f"{percent:.1f} %"
