"""The share of strangers that a job lets have a name, and what a training run was made with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("fpir", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("environment", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=True))
