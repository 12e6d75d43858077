"""Runs slow tests on one of the two databases: `one_database` marks them, `--both-databases` runs them on both.

Which one it is comes from the test's name, so that about half of them run on each, and always the same half.
"""

import re
import zlib
from collections import defaultdict

import pytest

_KIND = re.compile(r"(?<=[\[-])(sqlite|postgresql)(?=[\]-])")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--both-databases", action="store_true", help="run tests marked one_database on both databases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the marked tests out whose turn it is not."""
    if config.getoption("--both-databases"):
        return
    left_out = not_chosen([item.nodeid for item in items if item.get_closest_marker("one_database")])
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


def not_chosen(node_ids: list[str]) -> set[str]:
    """Return which tests do not run: one of each two whose ids differ in nothing but the database."""
    alike: dict[str, list[str]] = defaultdict(list)
    for node_id in node_ids:
        alike[_KIND.sub("database", node_id)].append(node_id)
    pairs = ((zlib.crc32(name.encode()) % 2, sorted(both)) for name, both in alike.items() if len(both) == 2)
    return {both[turn] for turn, both in pairs}
