"""Alembic migrations, oldest first; each runs while the code before it is still live."""
