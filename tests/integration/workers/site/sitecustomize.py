"""Loaded by Python in every process of a test's worker node: makes test stores known to fsspec and poison to Pillow.

In a case of tests/chaos it also puts in what that case needs of a process.
"""

import os

import fsspec

from tests import stores
from tests.integration.workers import poison

fsspec.register_implementation("held", "tests.integration.workers.held.HeldFileSystem")
stores.register()
poison.register()
if "CHAOS_FOLDER" in os.environ:
    from tests.chaos.child import install

    install()
