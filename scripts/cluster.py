"""`facefleet cluster`: looks at clusters of faces without a name. Finding and naming them have files of their own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.settings import Settings
from scripts.cluster_labels import name, reject, split, undo
from scripts.cluster_update import update
from scripts.common import Invocation, command, open_database
from scripts.failures import ExitCode
from scripts.output import add_row, make_console, make_table, print_fields, say, show_count, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from db.clusters import Member, OpenCluster
    from db.redecide import FaceKey
    from db.tables import Cluster

_MEMBERS_SHOWN = 20


@click.group()
def cluster() -> None:
    """Group faces that nobody has named, and name each group once."""


for each in (update, name, split, reject, undo):
    cluster.add_command(each)


@command("list", group=cluster, example="facefleet cluster list --limit 5")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, help="How many clusters to show.")
def list_(invocation: Invocation, limit: int) -> None:
    """List the clusters that wait for a name, the largest first."""
    from db.clusters import count_open, open_clusters

    with open_database(Settings.from_env()) as database, database.read() as session:
        clusters, (count, faces) = open_clusters(session, limit), count_open(session)
    if invocation.as_json:
        write_json({"clusters": [cluster_document(each) for each in clusters], "total": count, "faces": faces})
    elif clusters:
        _print_list(clusters)
        if count > len(clusters):
            say(f"{show_count(count - len(clusters), 'smaller cluster')} more: --limit")
    else:
        click.echo("No cluster waits for a name. Look for some: facefleet cluster update")


@command("show", group=cluster, example="facefleet cluster show c7 --pictures pictures/")
@click.argument("cluster_id", metavar="ID")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write one picture with all its faces, as PNG, into this folder.",
)
def show(invocation: Invocation, cluster_id: str, pictures: Path | None) -> None:
    """Show the faces of a cluster that wait for a name.

    Those that look least like the others come last.
    """
    from db.clusters import cluster_members, get_cluster, member_vectors

    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was changed."
    with open_database(settings) as database, database.read() as session:
        found = get_cluster(session, cluster_id)
        members, alike = _by_likeness(cluster_members(session, found.id), member_vectors(session, found))
        named = _named(session, found)
    document: dict[str, Any] = {
        "cluster": cluster_id,
        "split_from": f"c{found.parent_id}" if found.parent_id else None,
        "named": named,
        "faces": [{**member_document(each), "alike": alike.get(each.key)} for each in members],
    }
    failed = 0
    if pictures is not None:
        from scripts.cluster_sheet import write_sheet

        written = write_sheet(settings, pictures, cluster_id, members)
        document |= {"picture": str(written.file) if written.file else None, "failures": written.failures}
        failed = len(written.failures)
    if invocation.as_json:
        write_json(document)
    else:
        _print_members(document)
    if failed:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def cluster_document(each: "OpenCluster") -> dict[str, Any]:
    """Return a cluster as JSON values."""
    return {
        "cluster": each.name,
        "faces": each.faces,
        "photos": each.photos,
        "nearest": each.nearest,
        "similarity": each.similarity,
        "sample": each.sample,
    }


def member_document(member: "Member") -> dict[str, Any]:
    """Return a face of a cluster as JSON values."""
    return {
        "face": member.face,
        "uri": member.uri,
        "box": [round(side, 2) for side in member.box_xyxy_px],
        "outcome": member.outcome.value,
        "candidate": member.candidate,
        "similarity": member.similarity,
    }


def _named(session: Any, found: "Cluster") -> str | None:
    from db.people import person_names

    if found.person_id is None:
        return "nobody" if found.named_at else None
    return person_names(session, {found.person_id}).get(found.person_id)


def _by_likeness(
    members: "list[Member]", vectors: "Mapping[FaceKey, bytes]"
) -> "tuple[list[Member], dict[FaceKey, float]]":
    """Return the faces, those most like the others first, and how similar each is to the others in the mean."""
    from core.faces.clusters import likeness
    from scripts.cluster_update import compared_vectors

    known = [member.key for member in members if member.key in vectors]
    values = likeness(compared_vectors([vectors[key] for key in known])).tolist() if len(known) > 1 else []
    alike = dict(zip(known, values, strict=False))
    return sorted(members, key=lambda member: -alike.get(member.key, -1.0)), alike


def _print_list(clusters: "Sequence[OpenCluster]") -> None:
    table = make_table(["Cluster", ">Faces", ">Photos", "Nearest person", ">Similarity", "A face"])
    for each in clusters:
        similarity = None if each.similarity is None else f"{each.similarity:.3f}"
        add_row(table, each.name, f"{each.faces:,}", f"{each.photos:,}", each.nearest, similarity, each.sample)
    make_console().print(table)


def _print_members(document: dict[str, Any]) -> None:
    console = make_console()
    faces = document["faces"]
    print_fields(
        console,
        [
            ("Cluster", document["cluster"]),
            ("Faces", len(faces)),
            ("Split from", document["split_from"]),
            ("Said to be", document["named"]),
            ("Picture", document.get("picture")),
        ],
    )
    if faces:
        table = make_table(["Face", ">Like the others", "Nearest person", ">Similarity", "Photo"])
        for each in faces[:_MEMBERS_SHOWN]:
            numbers = [None if each[key] is None else f"{each[key]:.3f}" for key in ("alike", "similarity")]
            add_row(table, each["face"], numbers[0], each["candidate"], numbers[1], each["uri"])
        console.print(table)
    if len(faces) > _MEMBERS_SHOWN:
        console.print(f"and {len(faces) - _MEMBERS_SHOWN:,} more (all: --json)")
    for failure in document.get("failures", []):
        say(f"{failure['face']} is not in the picture ({failure['error']['code']}): {failure['error']['message']}")
