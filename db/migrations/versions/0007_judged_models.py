"""Models that were judged, models that stand beside the active one, and what a rollback went back to."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("models", sa.Column("shadow_share", sa.Double(), nullable=True))
    op.add_column("models", sa.Column("canary_share", sa.Double(), nullable=True))
    op.add_column("models", sa.Column("gate", _JSON, nullable=True))
    op.add_column("models", sa.Column("rejected_why", sa.Text(), nullable=True))
    op.add_column("activations", sa.Column("restores", sa.BigInteger(), nullable=True))
