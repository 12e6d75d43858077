"""`facefleet review --accept-above, --reject-below`: labels many faces of the queue at once."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.records import Verdict
from scripts.common import Invocation, current_user
from scripts.output import say, show_count, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.engine import Database
    from db.redecide import FaceKey
    from db.review import FaceToReview

_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """From which similarity to the nearest person on a face is accepted, and below which it is rejected."""

    accept_above: float | None
    reject_below: float | None

    def verdict(self, entry: "FaceToReview") -> Verdict | None:
        """Return what is said of a face, or None where it is left for a person to look at."""
        if entry.candidate_id is None:
            return None
        if self.accept_above is not None and entry.similarity >= self.accept_above:
            return Verdict.IS
        if self.reject_below is not None and entry.similarity < self.reject_below:
            return Verdict.IS_NOT
        return None


def review_many(
    database: "Database", invocation: Invocation, accept_above: float | None, reject_below: float | None, *, yes: bool
) -> None:
    """Accept and reject the ambiguous faces and those near the threshold, after one question.

    Raises:
        UsageError: some faces would be both.
    """
    if accept_above is not None and reject_below is not None and accept_above < reject_below:
        raise click.UsageError(f"--accept-above {accept_above:g} lies below --reject-below {reject_below:g}.")
    bounds = Bounds(accept_above=accept_above, reject_below=reject_below)
    accepted, rejected = _count(database, bounds)
    what = f"{show_count(accepted, 'face')} accepted as the nearest person, {show_count(rejected, 'face')} rejected"
    if accepted + rejected and not yes and not click.confirm(f"{what}. Store these labels?", err=True):
        click.echo("Nothing was labelled.")
        return
    added = _label(database, bounds, accepted + rejected)
    if invocation.as_json:
        write_json({"accepted": accepted, "rejected": rejected, "labels": added})
    else:
        click.echo(f"{what}: {show_count(added, 'new label')}.")
        if added:
            say("Take one back: facefleet label FACE --undo. Learn from them: facefleet retrain")


def _doubtful(database: "Database") -> "Iterator[FaceToReview]":
    from db.review import Reason, faces_to_review

    reasons = (Reason.AMBIGUOUS, Reason.NEAR_THRESHOLD)
    return chain.from_iterable(faces_to_review(database, reason, _PAGE) for reason in reasons)


def _count(database: "Database", bounds: Bounds) -> tuple[int, int]:
    """Return how many faces would be accepted, and how many rejected."""
    counts: dict[Verdict | None, int] = defaultdict(int)
    with show_progress("Counting faces"):
        for entry in _doubtful(database):
            counts[bounds.verdict(entry)] += 1
    return counts[Verdict.IS], counts[Verdict.IS_NOT]


def _label(database: "Database", bounds: Bounds, total: int) -> int:
    """Label page by page, each in a transaction of its own; return the number of new labels."""
    said: dict[tuple[Verdict, int], list[FaceKey]] = defaultdict(list)
    added = waiting = done = 0
    with show_progress("Labelling", total, unit="faces") as bar:
        for entry in _doubtful(database):
            verdict = bounds.verdict(entry)
            if verdict is None or entry.candidate_id is None:
                continue
            said[verdict, entry.candidate_id].append(entry.key)
            waiting, done = waiting + 1, done + 1
            if waiting == _PAGE:
                added += _store(database, said)
                said.clear()
                waiting = 0
                bar.update(done=done)
        return added + _store(database, said)


def _store(database: "Database", said: "dict[tuple[Verdict, int], list[FaceKey]]") -> int:
    from db.labels import label_faces
    from db.tables import Person

    author, now = current_user(), utc_now()
    added = 0
    if said:
        with database.write() as session:
            for (verdict, person_id), keys in said.items():
                person: Any = session.get(Person, person_id)
                added += label_faces(session, keys, verdict, person=person, author=author, now=now)
    return added
