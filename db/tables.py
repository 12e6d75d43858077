"""The tables and what each row means. What is done with them stands in the query modules."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on every database; SQLite, which keeps no zone, stores it as naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times and store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime given to the database: use core.clock.utc_now")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware UTC time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite numbers its rows itself only for a column declared INTEGER PRIMARY KEY.
BigId = BigInteger().with_variant(Integer(), "sqlite")
Json = JSON().with_variant(JSONB(), "postgresql")


class Base(DeclarativeBase):
    """Base of all tables; constraints are named so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Person(Base):
    """Somebody who can be named."""

    __tablename__ = "people"
    # Asked with every chunk that is stored, and as good as always empty.
    __table_args__ = (
        Index(
            "ix_people_merged_into_id",
            "merged_into_id",
            sqlite_where=text("merged_into_id IS NOT NULL"),
            postgresql_where=text("merged_into_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    name_key: Mapped[str] = mapped_column(String(400), unique=True)  # the name without case and accents
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Who this person turned out to be. What was said and decided of them stays theirs and counts as the other's.
    merged_into_id: Mapped[int | None] = mapped_column(BigInteger)


class Photo(Base):
    """A photo that labels speak of, known by the sha256 of its bytes."""

    __tablename__ = "photos"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    uri: Mapped[str] = mapped_column(Text)
    split: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Label(Base):
    """What somebody said of a face of a photo. Only ever added; the newest of a face that was not undone holds."""

    __tablename__ = "labels"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    photo_id: Mapped[int] = mapped_column(BigId, ForeignKey("photos.id"), index=True)
    person_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("people.id"), index=True)
    verdict: Mapped[str] = mapped_column(String(20))
    box_xyxy_px: Mapped[list[float] | None] = mapped_column(Json)  # which face of the photo; NULL for its only one
    author: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    undoes_id: Mapped[int | None] = mapped_column(BigInteger)  # the label that this one takes back


class Job(Base):
    """One submission: its options, its counters, its state."""

    __tablename__ = "jobs"
    # Of the jobs in one state, the first in line for a worker.
    __table_args__ = (Index("ix_jobs_line", "state", "last_claim", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    idempotency_key: Mapped[str | None] = mapped_column(String(200), unique=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    faces_mode: Mapped[str] = mapped_column(String(10))
    max_parallel: Mapped[int | None] = mapped_column(Integer)  # chunks in work at once; NULL for any number
    fpir: Mapped[float | None] = mapped_column(Double)  # share of strangers that may get a name; NULL: the model's own
    state: Mapped[str] = mapped_column(String(20))
    # Number of the claim that last took a chunk of it; 0 for none yet. Claims are counted over all jobs.
    last_claim: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0", index=True)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    items_faces: Mapped[int] = mapped_column(BigInteger, default=0)
    items_no_face: Mapped[int] = mapped_column(BigInteger, default=0)
    items_error: Mapped[int] = mapped_column(BigInteger, default=0)
    faces_identified: Mapped[int] = mapped_column(BigInteger, default=0)
    faces_unknown: Mapped[int] = mapped_column(BigInteger, default=0)
    faces_ambiguous: Mapped[int] = mapped_column(BigInteger, default=0)
    faces_low_quality: Mapped[int] = mapped_column(BigInteger, default=0)
    skipped: Mapped[list[dict[str, str]]] = mapped_column(Json, default=list)  # first few things passed over
    skipped_count: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    touched_at: Mapped[datetime] = mapped_column(UtcDateTime)  # last page of items inserted, while submitting
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Since when it runs without a break, and how many photos had their outcome then: what its rate is counted from.
    resumed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_before: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # The first photo that a retry under way has not looked at; NULL when none is.
    retry_from: Mapped[int | None] = mapped_column(BigInteger)


class Chunk(Base):
    """A run of a job's items that one worker does at a time. The unit of claim, lease and commit."""

    __tablename__ = "chunks"
    __table_args__ = (
        # Pages of results find out from it alone which chunks may hold what they want: db/zones.py.
        Index(
            "ix_chunks_zones",
            "job_id",
            "first_ordinal",
            "item_count",
            "model_id",
            "face_model_id",
            "done_at",
            "decided_until",
            "top_confidence",
            "top_unnamed",
        ),
        # The sweeper looks only at open chunks, which stay few while done ones grow without end.
        Index(
            "ix_chunks_queued",
            "job_id",
            "id",
            sqlite_where=text("state = 'queued'"),
            postgresql_where=text("state = 'queued'"),
        ),
        Index(
            "ix_chunks_claimed",
            "lease_until",
            sqlite_where=text("state = 'claimed'"),
            postgresql_where=text("state = 'claimed'"),
        ),
        # A limited job's chunks in work are counted at every claim.
        Index(
            "ix_chunks_in_work",
            "job_id",
            sqlite_where=text("state = 'claimed'"),
            postgresql_where=text("state = 'claimed'"),
        ),
        CheckConstraint("item_count > 0", name="item_count_positive"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(BigId, ForeignKey("jobs.id"))
    first_ordinal: Mapped[int] = mapped_column(BigInteger)
    item_count: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    worker: Mapped[str | None] = mapped_column(String(200))  # slot and process id of who holds it
    ended_by: Mapped[str | None] = mapped_column(String(20))  # how the last attempt ended, if it came to nothing
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # What its results can hold; NULL where nothing is known. 0: no model decided. db/zones.py
    model_id: Mapped[int | None] = mapped_column(BigInteger)
    face_model_id: Mapped[int | None] = mapped_column(BigInteger)  # of all its faces; NULL where they are by several
    decided_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    top_confidence: Mapped[float | None]  # no face of it is surer; 0 without any
    top_unnamed: Mapped[float | None]  # no face of it without a name is


class Item(Base):
    """One submitted photo and its one outcome (NULL until it has one)."""

    __tablename__ = "items"
    __table_args__ = (
        # Listing the failures of a large job must not read its successes.
        Index(
            "ix_items_errors",
            "job_id",
            "ordinal",
            sqlite_where=text("outcome = 'error'"),
            postgresql_where=text("outcome = 'error'"),
        ),
        Index(
            "ix_items_no_face",
            "job_id",
            "ordinal",
            sqlite_where=text("outcome = 'no_face'"),
            postgresql_where=text("outcome = 'no_face'"),
        ),
        {"sqlite_with_rowid": False},
    )

    job_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("jobs.id"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    uri: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(String(10))
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(Text)
    sha256: Mapped[str | None] = mapped_column(String(64))
    width_px: Mapped[int | None] = mapped_column(Integer)
    height_px: Mapped[int | None] = mapped_column(Integer)
    # Of when it was looked at; faces that were decided about later say so themselves.
    model_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("models.id"))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Face(Base):
    """One face of one photo and what was decided about it."""

    __tablename__ = "faces"
    __table_args__ = (
        ForeignKeyConstraint(["job_id", "ordinal"], ["items.job_id", "items.ordinal"]),
        Index(
            "ix_faces_person_id",
            "person_id",
            "job_id",
            "ordinal",
            sqlite_where=text("person_id IS NOT NULL"),
            postgresql_where=text("person_id IS NOT NULL"),
        ),
        Index(
            "ix_faces_label_id",
            "label_id",
            sqlite_where=text("label_id IS NOT NULL"),
            postgresql_where=text("label_id IS NOT NULL"),
        ),
        # Few faces are asked about for what their model made of them.
        Index(
            "ix_faces_review",
            "outcome",
            "review_order",
            "job_id",
            "ordinal",
            "face_index",
            sqlite_where=text("review_order IS NOT NULL AND label_id IS NULL"),
            postgresql_where=text("review_order IS NOT NULL AND label_id IS NULL"),
        ),
        # Pages of results of one outcome, and the other unknown faces for the review.
        Index("ix_faces_outcome", "outcome", "job_id", "ordinal", "face_index"),
        # Room in each block for the next version of all its rows: PostgreSQL then touches no index for them. Without
        # it, the first pass over all faces doubles the table, and its indexes too.
        {"sqlite_with_rowid": False, "postgresql_with": {"fillfactor": 45}},
    )
    # People and models are never deleted. Foreign keys to them, looked up with each face that is written, took a third
    # of the time of writing (docs/decisions/0017-rescore.md).

    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    face_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    x1: Mapped[float]
    y1: Mapped[float]
    x2: Mapped[float]
    y2: Mapped[float]
    landmarks_px: Mapped[list[list[float]]] = mapped_column(Json)
    quality: Mapped[float | None]
    quality_reasons: Mapped[list[str]] = mapped_column(Json)
    outcome: Mapped[str] = mapped_column(String(20))
    person_id: Mapped[int | None] = mapped_column(BigInteger)  # of people
    candidate_id: Mapped[int | None] = mapped_column(BigInteger)
    similarity: Mapped[float | None]
    confidence: Mapped[float | None]
    model_id: Mapped[int] = mapped_column(BigInteger)
    label_id: Mapped[int | None] = mapped_column(BigInteger)  # what a person said of it, where that decided
    review_order: Mapped[float | None]  # NULL: not asked about for what a model made of it; db/review_order.py
    ranking: Mapped[bytes | None]  # the nearest people: db/rankings.py; NULL where `top_k` has them
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # NULL: with its photo
    # The ranking as it was stored before schema 0011; since then empty, for whoever runs an older version beside this.
    top_k: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)


class Embedding(Base):
    """A face as a pretrained backbone sees it, for models of the same backbone to decide anew. Never shown."""

    __tablename__ = "embeddings"
    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "ordinal", "face_index"], ["faces.job_id", "faces.ordinal", "faces.face_index"]
        ),
        {"sqlite_with_rowid": False},
    )

    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    face_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    backbone_sha256: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)  # float16 [D], little-endian


class EmbeddingWay(Base):
    """All that decides how a labelled photo becomes an embedding: backbone, detector, alignment, decoding."""

    __tablename__ = "embedding_ways"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    used_at: Mapped[datetime] = mapped_column(UtcDateTime)  # when a training run last began with it


class PhotoEmbedding(Base):
    """The face of a labelled photo in one way of seeing it, so that no training run reads it again. Never shown.

    It goes with its photo.
    """

    __tablename__ = "photo_embeddings"
    __table_args__ = ({"sqlite_with_rowid": False},)

    way_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("embedding_ways.id"), primary_key=True)
    photo_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    face: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)  # box, float64 [4]; empty: its only face
    vector: Mapped[bytes | None] = mapped_column(LargeBinary)  # float32 [D], little-endian; NULL without such a face
    error_code: Mapped[str | None] = mapped_column(String(40))  # why there is none
    error_message: Mapped[str | None] = mapped_column(Text)


class Cluster(Base):
    """Faces that nobody has named and that look like one person."""

    __tablename__ = "clusters"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)  # cluster 7 is shown as `c7`
    backbone_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))  # whose embeddings were compared
    person_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("people.id"))  # once it was named
    parent_id: Mapped[int | None] = mapped_column(BigInteger)  # the cluster that it was split from
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    named_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ClusterFace(Base):
    """Which cluster a face is in; it is in one at most."""

    __tablename__ = "cluster_faces"
    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "ordinal", "face_index"], ["faces.job_id", "faces.ordinal", "faces.face_index"]
        ),
        {"sqlite_with_rowid": False},
    )

    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    face_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    cluster_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("clusters.id"), index=True)


class Model(Base):
    """A registered model version. The artifact it names never changes."""

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)  # version 7 is shown as `v7`
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(20))
    backbone: Mapped[str] = mapped_column(String(100))
    recipe: Mapped[str] = mapped_column(String(100))
    manifest: Mapped[dict[str, Any]] = mapped_column(Json)
    threshold: Mapped[float | None]  # of the reject rule in the manifest, which may be long; NULL without one
    run_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("runs.id"))
    parent_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("models.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Beside the active model: the share of chunks that it scores too, or that it decides instead; 0..1.
    shadow_share: Mapped[float | None]
    canary_share: Mapped[float | None]
    gate: Mapped[dict[str, Any] | None] = mapped_column(Json)  # how it compared with the model that served
    rejected_why: Mapped[str | None] = mapped_column(Text)


class Activation(Base):
    """Generation N served this model. The newest row is what serves; all rows are the history."""

    __tablename__ = "activations"

    generation: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    model_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("models.id"))
    who: Mapped[str] = mapped_column(String(100))
    why: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The generation that a rollback went back to, never one that is a rollback itself; NULL for a step forward.
    restores: Mapped[int | None] = mapped_column(BigInteger)


class Run(Base):
    """One training run: what was asked, who holds it, how it ended."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    recipe: Mapped[str] = mapped_column(String(100))
    options: Mapped[dict[str, Any]] = mapped_column(Json)
    state: Mapped[str] = mapped_column(String(20), index=True)
    reason: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    worker: Mapped[str | None] = mapped_column(String(200))
    rung_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    stage: Mapped[str | None] = mapped_column(String(40))  # what it does now, for whoever watches
    dataset_digest: Mapped[str | None] = mapped_column(String(64))
    environment: Mapped[dict[str, Any] | None] = mapped_column(Json)  # versions, processor, device, threads
    activated: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RunEpoch(Base):
    """What one epoch of a run showed: the training curve."""

    __tablename__ = "run_epochs"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("runs.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    epochs: Mapped[int]
    train_loss: Mapped[float]
    train_accuracy: Mapped[float]
    val_loss: Mapped[float | None]
    val_accuracy: Mapped[float | None]
    learning_rate: Mapped[float]
    seconds: Mapped[float]


class Worker(Base):
    """One slot of a worker node: what it serves and when its work last went forward."""

    __tablename__ = "workers"
    __table_args__ = ({"sqlite_with_rowid": False},)

    name: Mapped[str] = mapped_column(String(200), primary_key=True)  # node and slot
    role: Mapped[str] = mapped_column(String(20))
    host: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int]
    device: Mapped[str] = mapped_column(String(40))
    generation: Mapped[int | None] = mapped_column(BigInteger)
    model_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("models.id"))
    model_error: Mapped[str | None] = mapped_column(Text)  # why the model that should serve does not, here
    serves_since: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when this generation was put in its place
    beside_id: Mapped[int | None] = mapped_column(BigInteger)  # the model that stands beside it, once it is loaded
    variant: Mapped[str | None] = mapped_column(String(60))  # how the model that serves is run
    images_per_s: Mapped[float | None]  # measured when that was chosen
    tuning_cached: Mapped[bool | None]  # whether it was known when the model was loaded, and not measured then
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    advanced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SwapFailure(Base):
    """A model that should be on a slot and could not be loaded there; kept for a while after it was mended."""

    __tablename__ = "swap_failures"
    __table_args__ = ({"sqlite_with_rowid": False},)

    worker: Mapped[str] = mapped_column(String(200), primary_key=True)  # node and slot
    model_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("models.id"), primary_key=True, index=True)
    generation: Mapped[int | None] = mapped_column(BigInteger)  # NULL for one that should stand beside
    code: Mapped[str] = mapped_column(String(40))
    message: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int]
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When it was loaded after all, or was not wanted there any more; NULL while it should be there.
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ShadowChunk(Base):
    """A chunk that a model scored beside the one that decided it."""

    __tablename__ = "shadow_chunks"
    __table_args__ = ({"sqlite_with_rowid": False},)

    model_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("models.id"), primary_key=True)
    chunk_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    active_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("models.id"))  # the model that decided it
    photos: Mapped[int]
    seconds: Mapped[float]  # what scoring took
    error_code: Mapped[str | None] = mapped_column(String(40))  # why it has no faces
    error_message: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class ShadowFace(Base):
    """One face as a model sees it beside the one that decided: what both say, whatever became of it since."""

    __tablename__ = "shadow_faces"
    __table_args__ = (
        ForeignKeyConstraint(["job_id", "ordinal"], ["items.job_id", "items.ordinal"]),
        {"sqlite_with_rowid": False},
    )

    model_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("models.id"), primary_key=True)
    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    agreement: Mapped[str] = mapped_column(String(20))
    face_index: Mapped[int | None]  # of the face that was stored; NULL when the active model did not find it
    x1: Mapped[float]
    y1: Mapped[float]
    x2: Mapped[float]
    y2: Mapped[float]
    outcome: Mapped[str | None] = mapped_column(String(20))  # NULL when the shadow did not find it
    person_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("people.id"))
    similarity: Mapped[float | None]
    active_outcome: Mapped[str | None] = mapped_column(String(20))
    active_person_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("people.id"))
    active_similarity: Mapped[float | None]


class AuditEntry(Base):
    """Who did what to jobs and models, and when."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_subject", "subject", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    who: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(200))
    detail: Mapped[dict[str, Any]] = mapped_column(Json)
