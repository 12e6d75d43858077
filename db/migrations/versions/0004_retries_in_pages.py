"""Retries in pages, the audit trail of one subject, and no column left for bells that named a chunk."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("retry_from", sa.BigInteger(), nullable=True))
    op.create_index("ix_audit_subject", "audit", ["subject", "id"], unique=False)
    op.drop_column("chunks", "rung_at")  # no released version reads it
