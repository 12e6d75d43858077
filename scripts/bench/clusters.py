"""`facefleet bench clusters`: how well faces without a name are grouped, on photos whose people are known."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER
from scripts.cluster_update import JOIN_BELOW_LINK, LINK
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.output import add_row, make_console, make_table, show_share, write_json
from scripts.photo_folders import find_labelled, find_photos

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from scripts.bench.seen import SeenPhotos

_ERRORS_KEPT = 20


@command("clusters", example="facefleet bench clusters faces/ --strangers other_faces/")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--strangers", type=click.Path(path_type=Path), metavar="DIR", help="Photos of people with one each.")
@click.option("--backbone", metavar="NAME", default=DEFAULT_EMBEDDER, help="The pretrained weights to measure.")
@click.option(
    "--similarity",
    type=click.FloatRange(0.2, 0.95),
    default=LINK,
    metavar="F",
    help="How similar two faces must be for a cluster to begin.",
)
@click.option(
    "--draws", metavar="N", type=click.IntRange(1, 1000), default=6, help="Seeded draws of one half of the people."
)
def clusters(
    invocation: Invocation, folder: Path, strangers: Path | None, backbone: str, similarity: float, draws: int
) -> None:
    """Measure how well faces without a name are put into clusters, without storing anything.

    DIR holds DIR/<person>/<image>. Each photo is about one face, the largest and nearest the middle. Figures are over
    pairs of photos: precision of those in one cluster, recall of those of one person; a photo without a good face is in
    no cluster. Each stranger is taken to be somebody else.
    """
    from scripts.bench.seen import look_at, open_backbone

    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was stored."
    labelled = find_labelled(folder)
    unlabelled = find_photos(strangers) if strangers else []
    with open_backbone(settings, backbone) as recogniser:
        known, others = look_at(recogniser, labelled, unlabelled)
    begun_s = time.monotonic()
    document = {"backbone": backbone, "similarity": similarity, **measure_clusters(known, others, similarity, draws)}
    document["seconds"] = time.monotonic() - begun_s
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)
    if known.errors or others.errors:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def measure_clusters(known: "SeenPhotos", strangers: "SeenPhotos", similarity: float, draws: int) -> dict[str, Any]:
    """Return the figures as JSON: of the known people, of halves of them, and of them among strangers."""
    import numpy as np

    people = np.unique(known.owners)
    random = np.random.default_rng(0)
    halves = [random.permutation(people)[: max(1, len(people) // 2)] for _ in range(draws)]
    each = [_score(*_of(known, np.isin(known.owners, half)), similarity) for half in halves]
    figures = {key: [scores[key] for scores in each] for key in ("precision", "recall", "f1")}
    document = {
        "known": {"people": len(people), **known.to_json(), **_score(*_of(known), similarity)},
        "halves": {
            key: {"mean": float(np.mean(few)), "min": min(few), "max": max(few)} for key, few in figures.items()
        },
        "among_strangers": None,
        "first_errors": [
            {"uri": uri, "code": error.code, "message": error.message}
            for uri, error in [*known.errors, *strangers.errors][:_ERRORS_KEPT]
        ],
    }
    if len(strangers):
        document["among_strangers"] = {**strangers.to_json(), **_among(known, strangers, similarity)}
    return document


def _among(known: "SeenPhotos", strangers: "SeenPhotos", similarity: float) -> dict[str, Any]:
    """Return the figures of known people and strangers together, each stranger being one more person."""
    import numpy as np

    ours, theirs = _of(known), _of(strangers)
    vectors, good = np.concatenate([ours[0], theirs[0]]), np.concatenate([ours[1], theirs[1]])
    owners = np.concatenate([ours[2], theirs[2]])
    others = len(known.owners)
    owners[others:] = owners[:others].max(initial=-1) + 1 + np.arange(len(strangers))
    groups = _groups(vectors, good, similarity)
    beside = np.isin(groups[others:], groups[:others][groups[:others] >= 0])
    return {
        **_figures(owners, groups),
        "strangers_in_clusters": int((groups[others:] >= 0).sum()),
        "strangers_beside_known": int(beside.sum()),
    }


def _of(
    seen: "SeenPhotos", wanted: "NDArray[np.bool_] | None" = None
) -> "tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]":
    """Return vectors, whether each can be compared, and owners, of the wanted photos."""
    from core.faces.vectors import directions

    chosen = slice(None) if wanted is None else wanted
    return directions(seen.vectors[chosen]), (seen.found & seen.good)[chosen], seen.owners[chosen].copy()


def _score(
    vectors: "NDArray[np.float32]", good: "NDArray[np.bool_]", owners: "NDArray[np.int64]", similarity: float
) -> dict[str, Any]:
    return _figures(owners, _groups(vectors, good, similarity))


def _groups(vectors: "NDArray[np.float32]", good: "NDArray[np.bool_]", similarity: float) -> "NDArray[np.int64]":
    import numpy as np

    from core.faces.clusters import group_faces

    groups = np.full(len(vectors), -1, np.int64)
    groups[good] = group_faces(vectors[good], link=similarity, join=similarity - JOIN_BELOW_LINK)
    return groups


def _figures(owners: "NDArray[np.int64]", groups: "NDArray[np.int64]") -> dict[str, Any]:
    from core.faces.clusters import pairwise_scores

    scores = pairwise_scores(owners, groups)
    return {
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "clusters": int(groups.max(initial=-1)) + 1,
        "in_none": int((groups < 0).sum()),
    }


def _print(document: dict[str, Any]) -> None:
    table = make_table(["", ">Photos", ">Clusters", ">In none", ">Precision", ">Recall", ">F1"])
    rows = [("known people", document["known"], document["known"]["photos"])]
    if among := document["among_strangers"]:
        rows.append(("among strangers", among, document["known"]["photos"] + among["photos"]))
    for title, figures, photos in rows:
        shares = [show_share(figures[key], 2) for key in ("precision", "recall", "f1")]
        add_row(table, title, f"{photos:,}", f"{figures['clusters']:,}", f"{figures['in_none']:,}", *shares)
    half = document["halves"]
    add_row(table, "half of the people, mean", *[None] * 3, *(show_share(half[key]["mean"], 2) for key in half))
    add_row(table, "half of the people, worst", *[None] * 3, *(show_share(half[key]["min"], 2) for key in half))
    console = make_console()
    console.print(table)
    if among:
        console.print(
            f"{among['strangers_in_clusters']} of {among['photos']:,} strangers are in clusters, "
            f"{among['strangers_beside_known']} of them beside a known person"
        )
