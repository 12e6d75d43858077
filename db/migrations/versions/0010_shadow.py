"""What a model says beside the one that decides, chunk by chunk and face by face."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shadow_chunks",
        sa.Column("model_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("chunk_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("active_id", sa.BigInteger(), nullable=False),
        sa.Column("photos", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("error_code", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["active_id"], ["models.id"], name=op.f("fk_shadow_chunks_active_id_models")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_shadow_chunks_model_id_models")),
        sa.PrimaryKeyConstraint("model_id", "chunk_id", name=op.f("pk_shadow_chunks")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "shadow_faces",
        sa.Column("model_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("agreement", sa.String(length=20), nullable=False),
        sa.Column("face_index", sa.Integer(), nullable=True),
        sa.Column("x1", sa.Double(), nullable=False),
        sa.Column("y1", sa.Double(), nullable=False),
        sa.Column("x2", sa.Double(), nullable=False),
        sa.Column("y2", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("similarity", sa.Double(), nullable=True),
        sa.Column("active_outcome", sa.String(length=20), nullable=True),
        sa.Column("active_person_id", sa.BigInteger(), nullable=True),
        sa.Column("active_similarity", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["active_person_id"], ["people.id"], name=op.f("fk_shadow_faces_active_person_id_people")
        ),
        sa.ForeignKeyConstraint(
            ["job_id", "ordinal"], ["items.job_id", "items.ordinal"], name=op.f("fk_shadow_faces_job_id_ordinal_items")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_shadow_faces_model_id_models")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_shadow_faces_person_id_people")),
        sa.PrimaryKeyConstraint("model_id", "job_id", "ordinal", "number", name=op.f("pk_shadow_faces")),
        sqlite_with_rowid=False,
    )
