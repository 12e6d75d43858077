"""Loaded by Python in every process of a test's worker node: makes `held://` photos known to fsspec there."""

import fsspec

fsspec.register_implementation("held", "tests.integration.workers.held.HeldFileSystem")
