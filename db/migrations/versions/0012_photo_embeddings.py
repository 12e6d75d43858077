"""What labelled photos are to a backbone, so that a training run reads none of them twice."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    big_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "embedding_ways",
        sa.Column("id", big_id, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_embedding_ways")),
        sa.UniqueConstraint("digest", name=op.f("uq_embedding_ways_digest")),
    )
    op.create_table(
        "photo_embeddings",
        sa.Column("way_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("photo_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("face", sa.LargeBinary(length=32), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.Column("error_code", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["photo_id"], ["photos.id"], name=op.f("fk_photo_embeddings_photo_id_photos"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["way_id"], ["embedding_ways.id"], name=op.f("fk_photo_embeddings_way_id_embedding_ways")
        ),
        sa.PrimaryKeyConstraint("way_id", "photo_id", "face", name=op.f("pk_photo_embeddings")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_photo_embeddings_photo_id"), "photo_embeddings", ["photo_id"])
