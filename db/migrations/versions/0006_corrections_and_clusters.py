"""Labels of faces that can be undone, people that were merged, and clusters of faces that nobody has named."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("labels", sa.Column("undoes_id", sa.BigInteger(), nullable=True))
    op.add_column("people", sa.Column("merged_into_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_people_merged_into_id",
        "people",
        ["merged_into_id"],
        sqlite_where=sa.text("merged_into_id IS NOT NULL"),
        postgresql_where=sa.text("merged_into_id IS NOT NULL"),
    )
    op.add_column("faces", sa.Column("label_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_faces_label_id",
        "faces",
        ["label_id"],
        sqlite_where=sa.text("label_id IS NOT NULL"),
        postgresql_where=sa.text("label_id IS NOT NULL"),
    )
    op.create_index(
        "ix_faces_review",
        "faces",
        ["outcome", "model_id", "similarity"],
        sqlite_where=sa.text("label_id IS NULL"),
        postgresql_where=sa.text("label_id IS NULL"),
    )
    op.create_table(
        "clusters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("backbone_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("named_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_clusters_person_id_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clusters")),
    )
    op.create_table(
        "cluster_faces",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("face_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cluster_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id", "ordinal", "face_index"],
            ["faces.job_id", "faces.ordinal", "faces.face_index"],
            name=op.f("fk_cluster_faces_job_id_ordinal_face_index_faces"),
        ),
        sa.ForeignKeyConstraint(["cluster_id"], ["clusters.id"], name=op.f("fk_cluster_faces_cluster_id_clusters")),
        sa.PrimaryKeyConstraint("job_id", "ordinal", "face_index", name=op.f("pk_cluster_faces")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_cluster_faces_cluster_id", "cluster_faces", ["cluster_id"])
