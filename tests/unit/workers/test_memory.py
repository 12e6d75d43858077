"""Memory that a batch frees stays with the process: page faults cost more than a tenth of its time."""

import os
import subprocess
import sys

import pytest

_FAULTS_OF_A_BATCH = """
import gc, resource, sys
import torch
from workers.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def batch():
    parts = [torch.ones(1 << 20) for _ in range(6)]  # 4 MiB each
faults = []
for _ in range(6):
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    batch()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults[1:]))  # the heap may grow once more by a block or two before it holds a batch in one piece
"""


def faults_of_a_batch(how: str) -> int:
    # Whether a heap is trimmed depends on what lies behind the batch; so small a threshold makes it sure.
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", _FAULTS_OF_A_BATCH, how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has the switch")
def test_a_batch_uses_the_memory_of_the_one_before() -> None:
    assert faults_of_a_batch("leave") > 1000
    assert faults_of_a_batch("keep") < 100


_KEPT_BETWEEN_BLOCKS = """
import psutil, torch
from workers.memory import keep_freed_memory, release_freed_memory
keep_freed_memory()
resident = lambda: psutil.Process().memory_info().rss
blocks = [(torch.ones(1 << 18), torch.ones(4)) for _ in range(160)]  # 1 MiB each, with something small behind it
small = [pair[1] for pair in blocks]
del blocks
before = resident()
release_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has the call")
def test_what_is_kept_in_pieces_is_given_back_when_asked_to() -> None:
    done = subprocess.run([sys.executable, "-c", _KEPT_BETWEEN_BLOCKS], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100e6
