"""`facefleet cluster update`: puts new faces without a name into clusters. Who is alike: core/faces/clusters.py."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.errors import InputError
from core.settings import Settings
from scripts.common import Invocation, command, open_database
from scripts.output import say, show_count, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy.orm import Session

    from db.clusters import NamelessFace
    from db.engine import Database
    from db.redecide import FaceKey

LINK = 0.6
"""`core.faces.clusters.LINK`, which is not imported for the help."""
JOIN_BELOW_LINK = 0.15
"""How much less similar to a cluster as a whole a face may be that joins it."""
# Each face is compared with each: 100,000 take 79 s of one core, and 550 MB (docs/decisions/0016-clusters.md).
MOST_FACES = 200_000


@command("update", example="facefleet cluster update\nfacefleet cluster update --similarity 0.65 --json")
@click.option(
    "--similarity",
    type=click.FloatRange(0.2, 0.95),
    default=LINK,
    metavar="F",
    help="How similar two faces must be for a cluster to begin. Higher: fewer faces that do not belong together.",
)
def update(invocation: Invocation, similarity: float) -> None:
    """Find clusters, and put new faces into those there are.

    A face that is near enough to an open cluster joins it; the rest is grouped. Clusters keep their ids and faces.
    Faces that are named, labelled as strangers, or too poor are left out.
    """
    invocation.on_interrupt = "Nothing was changed: clusters are stored when all are found."
    with open_database(Settings.from_env()) as database:
        document = update_clusters(database, similarity)
    if invocation.as_json:
        write_json(document)
        return
    if document["left_out"]:
        say(f"Only the newest {MOST_FACES:,} faces were compared. Older ones that are in no cluster stay as they are.")
    click.echo(
        f"{show_count(document['new_clusters'], 'new cluster')} of {show_count(document['faces_in_new'], 'face')}, "
        f"{show_count(document['faces_joined'], 'face')} joined earlier ones, "
        f"{document['faces_alone']:,} look like nobody else."
    )
    if document["clusters"]:
        say(f"{show_count(document['clusters'], 'cluster')} to name: facefleet cluster list")


def update_clusters(database: "Database", similarity: float) -> dict[str, Any]:
    """Find and store clusters; return what came of it.

    Raises:
        NoActiveModelError: no model serves.
        InputError: the model that serves keeps no embeddings.
    """
    from core.faces.clusters import extend_groups

    with show_progress("Reading faces"), database.read() as session:
        backbone = _backbone(session)
        faces, left_out = _new_faces(session, backbone)
        known, means = _known_clusters(session, backbone)
    copies = _copies(faces)
    vectors = compared_vectors([same[0].vector for same in copies])
    with show_progress("Comparing faces", len(copies), unit="faces") as bar:
        groups = extend_groups(
            means, vectors, link=similarity, join=similarity - JOIN_BELOW_LINK, tell=lambda done: bar.update(done=done)
        ).tolist()
    members: dict[int, list[FaceKey]] = defaultdict(list)
    for group, same in zip(groups, copies, strict=True):
        members[group] += [face.key for face in same]
    alone = members.pop(-1, [])
    joined = {known[group]: keys for group, keys in members.items() if group < len(known)}
    new = [keys for group, keys in sorted(members.items()) if group >= len(known)]
    return {
        "new_clusters": len(new),
        "faces_in_new": sum(map(len, new)),
        "faces_joined": sum(map(len, joined.values())),
        "faces_alone": len(alone),
        "left_out": left_out,
        "clusters": _store(database, backbone, joined, new),
    }


def compared_vectors(stored: Sequence[bytes]) -> "NDArray[np.float32]":
    """Read embeddings of one backbone as they are stored: float32 [N, D] of unit length; zeros for what is none."""
    from core.faces.rescore import read_vectors
    from core.faces.vectors import directions

    dim = len(stored[0]) // 2 if stored else 1
    return directions(read_vectors(b"".join(stored), dim))


def _backbone(session: "Session") -> bytes:
    """Return the digest of the weights whose embeddings can be compared: those of the model that serves."""
    from db.registry import get_model, require_serving_model

    version = require_serving_model(session).version
    digest = get_model(session, version).manifest.get("backbone_sha256")
    if digest is None:
        raise InputError(
            f"The model {version} was trained from scratch, so no embeddings of faces are stored and none can be "
            "compared. Nothing was changed. Train on pretrained weights (`facefleet weights pull --all`, then "
            "`facefleet retrain`) and submit the photos again."
        )
    return bytes.fromhex(digest)


def _new_faces(session: "Session", backbone: bytes) -> "tuple[list[NamelessFace], bool]":
    """Return the newest faces that are in no cluster, and whether there are more than can be compared."""
    from db.clusters import nameless_faces

    faces = list(nameless_faces(session, backbone, MOST_FACES + 1))
    return faces[:MOST_FACES], len(faces) > MOST_FACES


def _known_clusters(session: "Session", backbone: bytes) -> "tuple[list[int], NDArray[np.float32]]":
    """Return the open clusters and the mean of each one's unit vectors, one cluster in memory at a time."""
    import numpy as np

    from db.clusters import open_vectors

    known: list[int] = []
    means: list[NDArray[np.float32]] = []
    for cluster_id, rows in groupby(open_vectors(session, backbone), key=lambda row: row[0]):
        known.append(cluster_id)
        means.append(compared_vectors([vector for _, vector in rows]).mean(axis=0))
    return known, np.stack(means) if means else np.zeros((0, 1), np.float32)


def _copies(faces: "Sequence[NamelessFace]") -> "list[list[NamelessFace]]":
    """Put a face that was looked at several times, in the same photo, together: it is one face, and no cluster."""
    found: dict[object, list[NamelessFace]] = defaultdict(list)
    for face in faces:
        found[(face.sha256, face.key.face_index) if face.sha256 else face.key].append(face)
    return list(found.values())


def _store(
    database: "Database", backbone: bytes, joined: "dict[int, list[FaceKey]]", new: "list[list[FaceKey]]"
) -> int:
    """Store all in one transaction; return how many clusters are open."""
    from db.clusters import add_cluster, count_open, join_cluster

    now = utc_now()
    with database.write() as session:
        for cluster_id, keys in joined.items():
            join_cluster(session, cluster_id, keys)
        for keys in new:
            add_cluster(session, backbone, keys, now)
        return count_open(session)[0]
