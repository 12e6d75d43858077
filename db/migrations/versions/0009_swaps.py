"""Since when each worker serves its model, which one stands beside it, and why a model could not be loaded there."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("serves_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("workers", sa.Column("beside_id", sa.BigInteger(), nullable=True))
    op.create_table(
        "swap_failures",
        sa.Column("worker", sa.String(length=200), nullable=False),
        sa.Column("model_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_swap_failures_model_id_models")),
        sa.PrimaryKeyConstraint("worker", "model_id", name=op.f("pk_swap_failures")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_swap_failures_model_id", "swap_failures", ["model_id"])
