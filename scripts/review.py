"""`facefleet review`: the queue of what is most worth a label.

Asking stands in scripts/review_loop.py, many answers at once in scripts/review_bulk.py.
"""

import sys
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.output import write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.clusters import OpenCluster
    from db.engine import Database
    from db.review import FaceToReview

_SIMILARITY = click.FloatRange(-1.0, 1.0)


@command(
    "review",
    example="facefleet review --pictures pictures/\n"
    "facefleet review --json --limit 50\n"
    "facefleet review --accept-above 0.6 --reject-below 0.4",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, help="With --json: how many entries to print.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a picture of what is asked about into this folder, as PNG.",
)
@click.option(
    "--accept-above",
    type=_SIMILARITY,
    metavar="F",
    help="Without asking one by one: who is at least this similar to the nearest person is that person.",
)
@click.option(
    "--reject-below",
    type=_SIMILARITY,
    metavar="F",
    help="Without asking one by one: who is less similar than this to the nearest person is not that person.",
)
@click.option("--yes", is_flag=True, help="Accept and reject without a question.")
def review(
    invocation: Invocation,
    limit: int,
    pictures: Path | None,
    accept_above: float | None,
    reject_below: float | None,
    yes: bool,
) -> None:
    """Go through the faces that are most worth a label, and say who they are.

    First faces whose name a model contradicts since it was given, then ambiguous ones, then those near the threshold of
    their model, then clusters, the largest first, then single unknown ones. Every answer is stored at once and can be
    taken back.
    """
    from scripts.review_bulk import review_many
    from scripts.review_loop import ReviewLoop, Typed

    settings = Settings.from_env()
    invocation.on_interrupt = "What was answered is stored."
    many = accept_above is not None or reject_below is not None
    _check(invocation, many=many, yes=yes)
    with open_database(settings) as database:
        if many:
            review_many(database, invocation, accept_above, reject_below, yes=yes)
        elif invocation.as_json:
            entries = list(islice(queue(database), limit + 1))
            write_json({"entries": [entry_document(each) for each in entries[:limit]], "more": len(entries) > limit})
        else:
            ReviewLoop(database, Typed(), author=current_user(), settings=settings, folder=pictures).run(
                queue(database)
            )


def queue(database: "Database") -> "Iterator[FaceToReview | OpenCluster]":
    """Yield what is worth a label, the most first; each page is read when it is asked for."""
    from db.review import Reason, faces_to_review

    sure, last = (Reason.DISAGREEMENT, Reason.AMBIGUOUS, Reason.NEAR_THRESHOLD), Reason.UNKNOWN
    faces = (faces_to_review(database, reason) for reason in sure)
    return chain(chain.from_iterable(faces), _clusters(database), faces_to_review(database, last))


def entry_document(entry: "FaceToReview | OpenCluster") -> dict[str, Any]:
    """Return an entry of the queue as JSON values."""
    from db.clusters import OpenCluster
    from scripts.cluster import cluster_document

    if isinstance(entry, OpenCluster):
        return {"reason": "cluster", **cluster_document(entry)}
    return {
        "reason": entry.reason.value,
        "face": entry.face,
        "uri": entry.uri,
        "box": [round(side, 2) for side in entry.box_xyxy_px],
        "outcome": entry.outcome.value,
        "candidate": entry.candidate,
        "similarity": entry.similarity,
        "runner_up": entry.runner_up,
        "runner_up_similarity": entry.runner_up_similarity,
        "threshold": entry.threshold,
        "model": entry.model,
        "said": entry.said,
    }


def _check(invocation: Invocation, *, many: bool, yes: bool) -> None:
    """Refuse to ask where nobody can answer.

    Raises:
        UsageError: stdin or stdout is no terminal, and neither the queue nor all answers at once are wanted.
    """
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if many and not yes and (invocation.as_json or not terminal):
        raise click.UsageError("--accept-above and --reject-below ask before they label. Add --yes, or use a terminal.")
    if not many and not invocation.as_json and not terminal:
        raise click.UsageError("A review asks questions, and this is no terminal. Add --json to print the queue.")


def _clusters(database: "Database") -> "Iterator[OpenCluster]":
    """Yield the open clusters of more than one face, the largest first."""
    from db.clusters import open_clusters

    after: OpenCluster | None = None
    while True:
        with database.read() as session:
            page = open_clusters(session, 20, after, least_faces=2)
        yield from page
        if not page:
            return
        after = page[-1]
