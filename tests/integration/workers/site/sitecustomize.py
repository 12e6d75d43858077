"""Loaded by Python in every process of a test's worker node: makes `held://` known to fsspec and poison to Pillow."""

import fsspec

from tests.integration.workers import poison

fsspec.register_implementation("held", "tests.integration.workers.held.HeldFileSystem")
poison.register()
