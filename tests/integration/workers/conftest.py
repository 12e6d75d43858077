"""Fixtures of the worker tests: a small fleet on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.workers.fleet import SmallFleet, small_fleet
from tests.services import RedisServer


@pytest.fixture
def fleet(database_url: str, redis_server: RedisServer, tmp_path: Path) -> Iterator[SmallFleet]:
    """A fleet without nodes; the test runs once on each database."""
    with small_fleet(database_url, redis_server, tmp_path) as made:
        yield made


@pytest.fixture
def sqlite_fleet(sqlite_url: str, redis_server: RedisServer, tmp_path: Path) -> Iterator[SmallFleet]:
    """A fleet without nodes on SQLite, for what does not depend on the database."""
    with small_fleet(sqlite_url, redis_server, tmp_path) as made:
        yield made
