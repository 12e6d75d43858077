"""Deciding anew about all faces made cheap: rankings in few bytes, no row of a photo, indexes that are seldom written.

Of the rows that are stored, only those of the few faces are touched that the review asks about. An older version that
runs on shows rankings of faces stored before, and of later ones none; what it stores itself the review does not ask
about until it is decided anew.
"""

import re
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Connection

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_FOREIGN_KEYS = ("fk_faces_person_id_people", "fk_faces_candidate_id_people", "fk_faces_model_id_models")
_NEAR = 0.05


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        _drop_foreign_keys_on_sqlite(connection)
    else:
        for name in _FOREIGN_KEYS:
            op.drop_constraint(name, "faces", type_="foreignkey")
        op.execute("ALTER TABLE faces SET (fillfactor = 45)")
    op.add_column("models", sa.Column("threshold", sa.Double(), nullable=True))
    op.add_column("faces", sa.Column("review_order", sa.Double(), nullable=True))
    op.add_column("faces", sa.Column("ranking", sa.LargeBinary(), nullable=True))
    op.add_column("faces", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    _fill_thresholds(connection)
    _fill_review_order(connection)
    op.drop_index("ix_faces_review", "faces")
    _create_index("ix_faces_review", ["outcome", "review_order"], "review_order IS NOT NULL AND label_id IS NULL")
    _create_index("ix_faces_unknown", [], "outcome = 'unknown' AND label_id IS NULL")


def _create_index(name: str, columns: list[str], where: str) -> None:
    condition: dict[str, Any] = {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}
    op.create_index(name, "faces", [*columns, "job_id", "ordinal", "face_index"], **condition)


def _fill_thresholds(connection: Connection) -> None:
    extract = "json_extract(manifest, '$.rule.threshold')"
    if connection.dialect.name == "postgresql":
        extract = "CAST(manifest #>> '{rule,threshold}' AS DOUBLE PRECISION)"
    connection.execute(sa.text(f"UPDATE models SET threshold = {extract}"))  # noqa: S608


def _fill_review_order(connection: Connection) -> None:
    """Find the faces along the index that is dropped then."""
    distance = "ABS(similarity - :threshold)"
    near = {
        "identified": (distance, "similarity <= :threshold + :near"),
        "unknown": (distance, "similarity >= :threshold - :near"),
        "ambiguous": ("1 - similarity", "similarity IS NOT NULL"),
    }
    models = connection.execute(sa.text("SELECT id, threshold FROM models WHERE threshold IS NOT NULL")).all()
    for model in models:
        for outcome, (order, condition) in near.items():
            found = f"label_id IS NULL AND outcome = '{outcome}' AND model_id = :model AND {condition}"
            update = sa.text(f"UPDATE faces SET review_order = {order} WHERE {found}")  # noqa: S608
            given = {"threshold": model.threshold, "near": _NEAR, "model": model.id}
            connection.execute(update, {name: given[name] for name in update.compile().params})


def _drop_foreign_keys_on_sqlite(connection: Connection) -> None:
    """Take the constraints out of the table's declaration: its rows hold nothing of them.

    The other way, a new table that all rows are copied to, would hold up workers for minutes. This one is described in
    https://www.sqlite.org/lang_altertable.html under "Making Other Kinds Of Table Schema Changes".
    """
    declared = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'faces'"
    before = str(connection.exec_driver_sql(declared).scalar_one())
    names = "|".join(_FOREIGN_KEYS)
    after, dropped = re.subn(rf",\s*CONSTRAINT ({names}) FOREIGN KEY ?\(\w+\) REFERENCES \w+ \(\w+\)", "", before)
    if dropped != len(_FOREIGN_KEYS):
        raise RuntimeError(f"the table of faces is declared otherwise than expected: {before}")
    version = int(connection.exec_driver_sql("PRAGMA schema_version").scalar_one())
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.exec_driver_sql("UPDATE sqlite_master SET sql = ? WHERE sql = ?", (after, before))
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
