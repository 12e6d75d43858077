"""Fair claims: the line of jobs, their limits, and what their rate is counted from."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("max_parallel", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("last_claim", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("decided_before", sa.BigInteger(), server_default="0", nullable=False))
    op.execute("UPDATE jobs SET resumed_at = started_at")

    op.create_index(op.f("ix_jobs_last_claim"), "jobs", ["last_claim"], unique=False)
    op.create_index("ix_jobs_line", "jobs", ["state", "last_claim", "id"], unique=False)
    op.drop_index(op.f("ix_jobs_state"), table_name="jobs")  # ix_jobs_line answers the same

    op.create_index(
        "ix_chunks_in_work",
        "chunks",
        ["job_id"],
        unique=False,
        sqlite_where=sa.text("state = 'claimed'"),
        postgresql_where=sa.text("state = 'claimed'"),
    )
