"""`facefleet cluster name, reject, split, undo`: what a person says of a whole cluster."""

from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.errors import InputError
from core.records import Verdict
from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.output import say, show_count, write_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import Cluster

_REJECTIONS = {"stranger": Verdict.IS_NOT, "ignore": Verdict.IGNORE, "not-a-face": Verdict.NOT_A_FACE}


@command("name", example="facefleet cluster name c7 'Ada Lovelace'")
@click.argument("cluster_id", metavar="ID")
@click.argument("person_name", metavar="NAME")
def name(invocation: Invocation, cluster_id: str, person_name: str) -> None:
    """Name all faces of a cluster at once.

    Those that wait for a name become labels, of somebody known or new. Training learns from them; until then the name
    stands in the results of these faces alone.
    """
    from db.clusters import get_cluster, label_cluster
    from db.people import get_or_add_person

    invocation.on_interrupt = "Nothing was labelled."
    with open_database(Settings.from_env()) as database, database.write() as session:
        person = get_or_add_person(session, person_name, utc_now())
        found = get_cluster(session, cluster_id)
        added = label_cluster(session, found, Verdict.IS, person=person, author=current_user(), now=utc_now())
        known_as = person.name
    _tell(invocation, {"cluster": cluster_id, "person": known_as, "labels": added})
    if not invocation.as_json:
        click.echo(f"{show_count(added, 'face')} of {cluster_id} {'is' if added == 1 else 'are'} {known_as}.")
        say(f"Take it back: facefleet cluster undo {cluster_id}. Learn from it: facefleet retrain")


@command("reject", example="facefleet cluster reject c7\nfacefleet cluster reject c8 --as ignore")
@click.argument("cluster_id", metavar="ID")
@click.option(
    "--as",
    "what",
    type=click.Choice(list(_REJECTIONS)),
    default="stranger",
    help="What its faces are: of nobody who is to be named, to be left out of everything, or no faces.",
)
def reject(invocation: Invocation, cluster_id: str, what: str) -> None:
    """Say that nobody of a cluster is to be named.

    All its faces that wait for a name become labels at once.
    """
    from db.clusters import get_cluster, label_cluster

    invocation.on_interrupt = "Nothing was labelled."
    with open_database(Settings.from_env()) as database, database.write() as session:
        found = get_cluster(session, cluster_id)
        added = label_cluster(session, found, _REJECTIONS[what], person=None, author=current_user(), now=utc_now())
    _tell(invocation, {"cluster": cluster_id, "as": what, "labels": added})
    if not invocation.as_json:
        click.echo(f"{show_count(added, 'face')} of {cluster_id} rejected ({what}).")
        say(f"Take it back: facefleet cluster undo {cluster_id}")


@command("undo", example="facefleet cluster undo c7")
@click.argument("cluster_id", metavar="ID")
def undo(invocation: Invocation, cluster_id: str) -> None:
    """Take back the name or rejection of a cluster.

    What was said of a face alone stays.
    """
    from db.clusters import get_cluster, undo_cluster

    invocation.on_interrupt = "Nothing was changed."
    with open_database(Settings.from_env()) as database, database.write() as session:
        undone = undo_cluster(session, get_cluster(session, cluster_id), author=current_user(), now=utc_now())
    _tell(invocation, {"cluster": cluster_id, "undone": undone})
    if not invocation.as_json:
        click.echo(f"{show_count(undone, 'label')} taken back." if undone else f"Nothing was said of {cluster_id}.")


@command("split", example="facefleet cluster split c7\nfacefleet cluster split c7 --parts 3")
@click.argument("cluster_id", metavar="ID")
@click.option("--parts", type=click.IntRange(2, 50), default=2, metavar="N", help="Into how many.")
def split(invocation: Invocation, cluster_id: str, parts: int) -> None:
    """Split a cluster that holds more than one person.

    Into the parts whose faces look most alike.
    """
    from db.clusters import get_cluster

    invocation.on_interrupt = "Nothing was changed."
    with open_database(Settings.from_env()) as database, database.write() as session:
        document = split_into(session, get_cluster(session, cluster_id), parts)
    _tell(invocation, document)
    if not invocation.as_json:
        shown = ", ".join(f"{part['cluster']} ({show_count(part['faces'], 'face')})" for part in document["parts"])
        click.echo(f"{cluster_id} is split into {shown}.")


def split_into(session: "Session", found: "Cluster", parts: int) -> dict[str, Any]:
    """Split a cluster; return its parts.

    Raises:
        InputError: it has fewer faces that wait for a name than parts are asked for.
    """
    from db.clusters import cluster_name, member_vectors, split_cluster

    vectors = member_vectors(session, found)
    shown = cluster_name(found.id)
    if len(vectors) < parts:
        raise InputError(
            f"{shown} has {show_count(len(vectors), 'face')} without a name, too few for {parts} parts. "
            f"Nothing was changed. Look at it: `facefleet cluster show {shown}`."
        )
    from core.faces.clusters import split_group
    from scripts.cluster_update import compared_vectors

    keys = sorted(vectors, key=lambda key: (key.job_id, key.ordinal, key.face_index))
    numbers = split_group(compared_vectors([vectors[key] for key in keys]), parts).tolist()
    groups = [[key for key, number in zip(keys, numbers, strict=True) if number == part] for part in range(parts)]
    children = split_cluster(session, found, groups, utc_now())
    sizes = zip(children, groups, strict=True)
    return {
        "cluster": shown,
        "parts": [{"cluster": cluster_name(child), "faces": len(group)} for child, group in sizes],
    }


def _tell(invocation: Invocation, document: dict[str, Any]) -> None:
    if invocation.as_json:
        write_json(document)
