"""How each worker runs its model: in which way, how fast that was measured, and whether it was known before."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("variant", sa.String(length=60), nullable=True))
    op.add_column("workers", sa.Column("images_per_s", sa.Double(), nullable=True))
    op.add_column("workers", sa.Column("tuning_cached", sa.Boolean(), nullable=True))
