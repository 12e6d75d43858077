"""Memory that a batch frees stays with the process: page faults cost more than a tenth of its time."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from core.models.export import write_artifact
from core.models.store import ModelStore
from core.nets.compact import CompactNetwork
from core.nets.servable import Servable
from core.settings import Settings
from tests.factories import make_manifest
from workers.spec import Role, make_spec

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


_GROWTH_BY_SWAPS = """
import gc, sys, warnings
import psutil
from pathlib import Path
from workers.runtime import claim_cores
from workers.spec import NodeSpec
claim_cores(NodeSpec.from_json(sys.argv[1]), 0)
warnings.simplefilter("ignore")
from core.models.engine import load_engine
from core.models.variants import VARIANTS
from workers.memory import release_freed_memory
fused = [variant for variant in VARIANTS["cpu"] if variant.name == "onednn_channels_last"]
def load():
    load_engine(Path(sys.argv[2]), sys.argv[3], "cpu", batch_size=8, variants=fused).close()
def resident():
    gc.collect()
    release_freed_memory()
    return psutil.Process().memory_info().rss
for _ in range(8):
    load()
before = resident()
for _ in range(24):
    load()
print(resident() - before)
"""


@pytest.mark.skipif(not psutil.LINUX, reason="only there freed memory is given back when it is asked for")
def test_models_that_were_swapped_out_leave_nothing_behind(tmp_path: Path) -> None:
    servable = Servable(CompactNetwork(3, 64)).eval()
    gallery, manifest = (
        servable.network.gallery(),
        make_manifest(input_size_px=64, embedding_dim=servable.embedding_dim),
    )
    assert isinstance(gallery, torch.Tensor)
    write_artifact(servable, gallery.numpy(), manifest, tmp_path / "staged.pt")
    store = ModelStore(tmp_path / "store")
    sha256 = store.put(tmp_path / "staged.pt")
    spec = make_spec(Role.IDENTIFY, Settings(home=tmp_path / "home"), device="cpu", slots=1).to_json()
    command = [sys.executable, "-c", _GROWTH_BY_SWAPS, spec, str(store.path(sha256)), sha256]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4e6  # 24 MB where oneDNN keeps what it compiled for them
