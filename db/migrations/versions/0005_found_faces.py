"""Faces that are found: their embeddings, and labels that mean one face of a photo."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("labels", sa.Column("box_xyxy_px", JSON, nullable=True))
    op.create_table(
        "embeddings",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("face_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("backbone_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id", "ordinal", "face_index"],
            ["faces.job_id", "faces.ordinal", "faces.face_index"],
            name=op.f("fk_embeddings_job_id_ordinal_face_index_faces"),
        ),
        sa.PrimaryKeyConstraint("job_id", "ordinal", "face_index", "backbone_sha256", name=op.f("pk_embeddings")),
        sqlite_with_rowid=False,
    )
