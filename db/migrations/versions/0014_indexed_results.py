"""Every filter of results has an index: one of outcomes, and for the others one that has a row for each chunk.

What an older version stores meanwhile is known of no chunk, and is read through as before. While it runs beside, none
of its commands should decide anew about stored faces (`facefleet rescore`, `label`): pages that are filtered by model,
time or confidence could pass over those.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_OF_CHUNK = "job_id = chunks.job_id AND ordinal >= first_ordinal AND ordinal < first_ordinal + item_count"
_PHOTOS = f"FROM items WHERE {_OF_CHUNK}"
_FACES = f"FROM faces WHERE {_OF_CHUNK}"
_ZONES = ["item_count", "model_id", "face_model_id", "done_at", "decided_until", "top_confidence", "top_unnamed"]


def upgrade() -> None:
    with_time = sa.DateTime(timezone=True)
    op.add_column("chunks", sa.Column("model_id", sa.BigInteger(), nullable=True))
    op.add_column("chunks", sa.Column("face_model_id", sa.BigInteger(), nullable=True))
    op.add_column("chunks", sa.Column("decided_until", with_time, nullable=True))
    op.add_column("chunks", sa.Column("top_confidence", sa.Double(), nullable=True))
    op.add_column("chunks", sa.Column("top_unnamed", sa.Double(), nullable=True))
    _fill_zones()
    op.drop_index("ix_chunks_job_id_first_ordinal", "chunks")
    op.create_index("ix_chunks_zones", "chunks", ["job_id", "first_ordinal", *_ZONES])
    op.drop_index("ix_faces_unknown", "faces")
    op.create_index("ix_faces_outcome", "faces", ["outcome", "job_id", "ordinal", "face_index"])
    where = sa.text("outcome = 'no_face'")
    op.create_index("ix_items_no_face", "items", ["job_id", "ordinal"], sqlite_where=where, postgresql_where=where)


def _fill_zones() -> None:
    """Say of chunks that are done what their results hold; where models are several, nothing of models."""
    one_model = "CASE WHEN MIN(model_id) = MAX(model_id) THEN MIN(model_id) WHEN MIN(model_id) IS NULL THEN 0 END"
    surest = "MAX(CASE WHEN label_id IS NOT NULL THEN 1.0 ELSE COALESCE(confidence, 0.0) END)"
    later, sooner = f"(SELECT MAX(decided_at) {_FACES})", f"(SELECT MAX(decided_at) {_PHOTOS})"
    op.execute(
        f"UPDATE chunks SET model_id = (SELECT {one_model} {_PHOTOS}), "  # noqa: S608
        f"face_model_id = (SELECT {one_model} {_FACES}), "
        f"decided_until = CASE WHEN {later} > {sooner} THEN {later} ELSE {sooner} END, "
        f"top_confidence = COALESCE((SELECT {surest} {_FACES}), 0.0), "
        f"top_unnamed = COALESCE((SELECT {surest} {_FACES} AND outcome <> 'identified'), 0.0) WHERE state = 'done'"
    )
