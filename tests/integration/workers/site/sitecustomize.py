"""Loaded by Python in every process of a test's worker node: makes `held://` photos known to fsspec there.

In a case of tests/chaos it also puts in what that case needs of a process.
"""

import os

import fsspec

fsspec.register_implementation("held", "tests.integration.workers.held.HeldFileSystem")
if "CHAOS_FOLDER" in os.environ:
    from tests.chaos.child import install

    install()
