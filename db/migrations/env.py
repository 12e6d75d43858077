"""Alembic's entry: runs the migrations on the connection that db.schema hands over."""

from alembic import context

from db.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    transactional_ddl=True,  # the transaction is db.schema's, on SQLite too: all of an upgrade or nothing
)
context.run_migrations()
