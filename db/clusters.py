"""Clusters of faces without a name: which faces wait for one, which cluster each is in, and what is said of a cluster.

A cluster is open while any of its faces waits for a name: that stands in the faces and nowhere else, so a label that is
taken back opens it again. Who is alike is decided in core/faces/clusters.py.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, func, literal, or_, select, update
from sqlalchemy.orm import Session

from core.errors import UnknownIdError
from core.records import FaceOutcome, Verdict
from db.bulk import in_pages
from db.ids import face_id
from db.labels import label_faces, undo_labels
from db.redecide import FaceKey
from db.tables import Cluster, ClusterFace, Embedding, Face, Item, Job, Label, Person
from db.upsert import insert_absent

_PAGE = 1000
_CLUSTER = re.compile(r"c(\d{1,15})")


@dataclass(frozen=True, kw_only=True)
class NamelessFace:
    """A face that waits for a name and is in no cluster."""

    key: FaceKey
    sha256: str | None
    """Of its photo's bytes."""
    vector: bytes
    """float16 [D], little-endian."""


@dataclass(frozen=True, kw_only=True)
class OpenCluster:
    """A cluster with the faces of it that wait for a name."""

    cluster_id: int
    faces: int
    photos: int
    """Different ones, by their bytes."""
    nearest: str | None
    """The person to whom one of its faces is most similar."""
    similarity: float | None
    """How similar, -1..1."""
    sample: str
    """Id of its best face, by the quality gate."""

    @property
    def name(self) -> str:
        """The id that people see."""
        return cluster_name(self.cluster_id)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A face of a cluster that waits for a name."""

    key: FaceKey
    face: str
    """The id that people see."""
    uri: str
    """Of its photo."""
    sha256: str | None
    box_xyxy_px: tuple[float, float, float, float]
    outcome: FaceOutcome
    candidate: str | None
    similarity: float | None
    quality: float | None


def cluster_name(cluster_id: int) -> str:
    """Return the id that people see."""
    return f"c{cluster_id}"


def is_nameless() -> ColumnElement[bool]:
    """Whether a face waits for a name: nobody has said who it is, or that it is nobody. Who it is not may be known."""
    about_person = select(Label.id).where(Label.id == Face.label_id, Label.person_id.is_not(None)).exists()
    waiting = Face.outcome.in_((FaceOutcome.UNKNOWN, FaceOutcome.AMBIGUOUS))
    return and_(waiting, or_(Face.label_id.is_(None), about_person))


def get_cluster(session: Session, name: str) -> Cluster:
    """Return the cluster of an id such as `c7`.

    Raises:
        UnknownIdError: there is none.
    """
    parts = _CLUSTER.fullmatch(name)
    cluster = session.get(Cluster, int(parts[1])) if parts else None
    if cluster is None:
        raise UnknownIdError(
            f"No cluster has the id {name!r}. Nothing was changed. List them: `facefleet cluster list`."
        )
    return cluster


def nameless_faces(session: Session, backbone_sha256: bytes, limit: int) -> Iterator[NamelessFace]:
    """Yield the newest faces that wait for a name and are in no cluster, with their embeddings of one backbone."""
    rows = session.execute(
        select(*_key(Face), Item.sha256, Embedding.vector)
        .join(Embedding, and_(_same_face(Embedding, Face), Embedding.backbone_sha256 == backbone_sha256))
        .join(Item, and_(Item.job_id == Face.job_id, Item.ordinal == Face.ordinal))
        .outerjoin(ClusterFace, _same_face(ClusterFace, Face))
        .where(is_nameless(), ClusterFace.cluster_id.is_(None))
        .order_by(*(column.desc() for column in _key(Face)))
        .limit(limit),
        execution_options={"yield_per": _PAGE},
    )
    for row in rows:
        yield NamelessFace(key=_as_key(row), sha256=row.sha256, vector=row.vector)


def open_vectors(session: Session, backbone_sha256: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the embedding of each face that waits for a name in a cluster of this backbone, with the cluster's id."""
    rows = session.execute(
        _members(ClusterFace.cluster_id, Embedding.vector)
        .join(Cluster, Cluster.id == ClusterFace.cluster_id)
        .join(Embedding, and_(_same_face(Embedding, Face), Embedding.backbone_sha256 == Cluster.backbone_sha256))
        .where(Cluster.backbone_sha256 == backbone_sha256)
        .order_by(ClusterFace.cluster_id, *_key(Face)),
        execution_options={"yield_per": _PAGE},
    )
    yield from ((row.cluster_id, row.vector) for row in rows)


def open_clusters(
    session: Session, limit: int, after: OpenCluster | None = None, *, least_faces: int = 1
) -> list[OpenCluster]:
    """Return the clusters with faces that wait for a name, the largest first; those past one when given.

    The faces of all clusters are counted at each call, through the primary keys: 0.2 s for 75,000 on SQLite.
    """
    faces = func.count()
    counted = (
        _members(ClusterFace.cluster_id, faces.label("faces"), func.count(Item.sha256.distinct()).label("photos"))
        .join(Item, and_(Item.job_id == Face.job_id, Item.ordinal == Face.ordinal))
        .group_by(ClusterFace.cluster_id)
        .having(faces >= least_faces)
        .order_by(faces.desc(), ClusterFace.cluster_id)
    )
    if after is not None:
        same_size = and_(faces == after.faces, ClusterFace.cluster_id > after.cluster_id)
        counted = counted.having(or_(faces < after.faces, same_size))
    rows = session.execute(counted.limit(limit)).all()
    about = _about(session, [row.cluster_id for row in rows])
    return [
        OpenCluster(cluster_id=row.cluster_id, faces=row.faces, photos=row.photos, **about[row.cluster_id])
        for row in rows
    ]


def summarise(session: Session, name: str) -> OpenCluster:
    """Return one cluster as `open_clusters` does.

    Raises:
        UnknownIdError: there is none of this id with a face that waits for a name.
    """
    cluster_id = get_cluster(session, name).id
    members = cluster_members(session, cluster_id)
    if not members:
        raise UnknownIdError(f"No face of {name} waits for a name. List the clusters: `facefleet cluster list`.")
    photos = len({member.sha256 for member in members} - {None})
    about = _about(session, [cluster_id])[cluster_id]
    return OpenCluster(cluster_id=cluster_id, faces=len(members), photos=photos, **about)


def count_open(session: Session) -> tuple[int, int]:
    """Return how many clusters are open, and how many faces wait in them."""
    row = session.execute(_members(func.count(ClusterFace.cluster_id.distinct()), func.count())).one()
    return row[0], row[1]


def cluster_members(session: Session, cluster_id: int) -> list[Member]:
    """Return the faces of a cluster that wait for a name, by key."""
    rows = session.execute(
        _members(*_key(Face), Job.public_id, Item.uri, Item.sha256, Face.x1, Face.y1, Face.x2, Face.y2, Face.outcome)
        .add_columns(Face.similarity, Face.quality, Person.name.label("candidate"))
        .join(Item, and_(Item.job_id == Face.job_id, Item.ordinal == Face.ordinal))
        .join(Job, Job.id == Face.job_id)
        .outerjoin(Person, Person.id == Face.candidate_id)
        .where(ClusterFace.cluster_id == cluster_id)
        .order_by(*_key(Face))
    )
    return [
        Member(
            key=_as_key(row),
            face=face_id(row.public_id, row.ordinal, row.face_index),
            uri=row.uri,
            sha256=row.sha256,
            box_xyxy_px=(row.x1, row.y1, row.x2, row.y2),
            outcome=FaceOutcome(row.outcome),
            candidate=row.candidate,
            similarity=row.similarity,
            quality=row.quality,
        )
        for row in rows
    ]


def member_vectors(session: Session, cluster: Cluster) -> dict[FaceKey, bytes]:
    """Return the embeddings (float16 [D], little-endian) of a cluster's faces that wait for a name."""
    rows = session.execute(
        _members(*_key(Face), Embedding.vector)
        .join(Embedding, and_(_same_face(Embedding, Face), Embedding.backbone_sha256 == cluster.backbone_sha256))
        .where(ClusterFace.cluster_id == cluster.id)
    )
    return {_as_key(row): row.vector for row in rows}


def add_cluster(
    session: Session, backbone_sha256: bytes, faces: Sequence[FaceKey], now: datetime, parent_id: int | None = None
) -> int:
    """Add a cluster of faces that are in none; return its id."""
    cluster = Cluster(backbone_sha256=backbone_sha256, parent_id=parent_id, created_at=now)
    session.add(cluster)
    session.flush()
    join_cluster(session, cluster.id, faces)
    return cluster.id


def join_cluster(session: Session, cluster_id: int, faces: Sequence[FaceKey]) -> None:
    """Put faces into a cluster; one that somebody put into another at the same time stays there."""
    for page in in_pages(faces, _PAGE):
        insert_absent(session, ClusterFace, [{**_columns(key), "cluster_id": cluster_id} for key in page])


def split_cluster(session: Session, cluster: Cluster, parts: Sequence[Sequence[FaceKey]], now: datetime) -> list[int]:
    """Move faces of a cluster into new ones, which know what they were split from; return their ids."""
    children = []
    for part in parts:
        child = add_cluster(session, cluster.backbone_sha256, (), now, parent_id=cluster.id)
        move = (
            update(ClusterFace)
            .where(ClusterFace.job_id == bindparam("in_job"), ClusterFace.ordinal == bindparam("at"))
            .where(ClusterFace.face_index == bindparam("number"), ClusterFace.cluster_id == cluster.id)
            .values(cluster_id=child)
        )
        keys = [{"in_job": key.job_id, "at": key.ordinal, "number": key.face_index} for key in part]
        session.connection().execute(move, keys)
        children.append(child)
    return children


def label_cluster(
    session: Session, cluster: Cluster, verdict: Verdict, *, person: Person | None, author: str, now: datetime
) -> int:
    """Say something of all faces of a cluster that wait for a name; return the number of new labels.

    Args:
        session: a write session. Nothing that workers write may be locked in it.
        cluster: which.
        verdict: what they are.
        person: whom `is` and `is_not` speak of; None with `is_not`: nobody who can be named.
        author: who says so.
        now: aware time; the labels bear it, which is how all of them can be taken back.
    """
    keys = [member.key for member in cluster_members(session, cluster.id)]
    added = label_faces(session, keys, verdict, person=person, author=author, now=now)
    cluster.person_id = None if person is None else person.id
    cluster.named_at = now
    return added


def undo_cluster(session: Session, cluster: Cluster, *, author: str, now: datetime) -> int:
    """Take back what was last said of a cluster as a whole; return how many labels were taken back.

    What was said of a face alone before or since stays.
    """
    if cluster.named_at is None:
        return 0
    rows = session.execute(
        select(*_key(Face))
        .join(ClusterFace, _same_face(ClusterFace, Face))
        .join(Label, Label.id == Face.label_id)
        .where(ClusterFace.cluster_id == cluster.id, Label.created_at == cluster.named_at)
    )
    undone = undo_labels(session, [_as_key(row) for row in rows], author=author, now=now)
    cluster.person_id = cluster.named_at = None
    return undone


def _members(*columns: Any) -> Select[Any]:
    """Faces of clusters that wait for a name."""
    return select(*columns).select_from(ClusterFace).join(Face, _same_face(ClusterFace, Face)).where(is_nameless())


def _about(session: Session, cluster_ids: Sequence[int]) -> Mapping[int, dict[str, Any]]:
    """Return the sample face and the nearest person of clusters."""
    by_quality = func.row_number().over(
        partition_by=ClusterFace.cluster_id, order_by=(func.coalesce(Face.quality, literal(0.0)).desc(), *_key(Face))
    )
    by_similarity = func.row_number().over(
        partition_by=ClusterFace.cluster_id,
        order_by=(func.coalesce(Face.similarity, literal(-1.0)).desc(), *_key(Face)),
    )
    ranked = (
        _members(ClusterFace.cluster_id, *_key(Face), Face.candidate_id, Face.similarity)
        .add_columns(by_quality.label("by_quality"), by_similarity.label("by_similarity"))
        .where(ClusterFace.cluster_id.in_(cluster_ids))
        .subquery()
    )
    rows = session.execute(
        select(ranked, Job.public_id, Person.name)
        .join(Job, Job.id == ranked.c.job_id)
        .outerjoin(Person, Person.id == ranked.c.candidate_id)
        .where(or_(ranked.c.by_quality == 1, ranked.c.by_similarity == 1))
    )
    about: dict[int, dict[str, Any]] = {cluster_id: {} for cluster_id in cluster_ids}
    for row in rows:
        if row.by_quality == 1:
            about[row.cluster_id]["sample"] = face_id(row.public_id, row.ordinal, row.face_index)
        if row.by_similarity == 1:
            about[row.cluster_id] |= {"nearest": row.name, "similarity": row.similarity}
    return about


def _key(table: type[Face]) -> tuple[Any, Any, Any]:
    return table.job_id, table.ordinal, table.face_index


def _same_face(one: Any, other: Any) -> ColumnElement[bool]:
    return and_(one.job_id == other.job_id, one.ordinal == other.ordinal, one.face_index == other.face_index)


def _as_key(row: Row[Any]) -> FaceKey:
    return FaceKey(job_id=row.job_id, ordinal=row.ordinal, face_index=row.face_index)


def _columns(key: FaceKey) -> dict[str, int]:
    return {"job_id": key.job_id, "ordinal": key.ordinal, "face_index": key.face_index}
