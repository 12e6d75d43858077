"""Networks that OpenVINO runs answer as torch's do, and nothing is told to anybody."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import SettingError
from core.models.artifact import unpack_artifact
from core.models.devices import describe_device
from core.models.engine import load_engine
from core.models.export import draw_golden_crops
from core.models.openvino import OpenVinoNetwork
from core.models.runner import Runner
from core.models.store import ModelStore
from core.models.tuner import tuning_key
from core.models.variants import OPENVINO_VARIANTS, PLAIN, VARIANTS, Variant, variants_for
from core.nets.servable import Servable
from core.records import EngineKind

CPU = torch.device("cpu")


@pytest.mark.parametrize("variant", OPENVINO_VARIANTS, ids=lambda variant: variant.name)
@pytest.mark.parametrize("count", [3, 8, 19])
def test_it_answers_as_torch_whatever_the_number_of_crops(
    compact: tuple[ModelStore, str, Servable], variant: Variant, count: int
) -> None:
    store, sha256, _ = compact
    crops = draw_golden_crops(32)[np.arange(count) % 8]
    expected, _ = load_engine(store.path(sha256), sha256, "cpu", batch_size=8, variants=[PLAIN]).run(crops)
    found, _ = load_engine(store.path(sha256), sha256, "cpu", batch_size=8, variants=[variant]).run(crops)
    np.testing.assert_allclose(found, expected, atol=variant.tolerance.embedding)


def test_answers_are_not_overwritten_by_those_that_follow(compact: tuple[ModelStore, str, Servable]) -> None:
    store, sha256, _ = compact
    runner = Runner(unpack_artifact(store.path(sha256).read_bytes()), OPENVINO_VARIANTS[-1], CPU)
    first, second = (torch.from_numpy(draw_golden_crops(32)[number : number + 1].copy()) for number in range(2))
    answer = runner.answer(first)
    kept = answer.embeddings.copy()
    runner.answer(second)
    assert np.array_equal(answer.embeddings, kept)


def test_it_is_tried_where_it_is_asked_for_and_before_all_others(compact: tuple[ModelStore, str, Servable]) -> None:
    store, sha256, _ = compact
    tried = variants_for(CPU, EngineKind.OPENVINO)
    assert [variant for variant in tried if not variant.openvino] == list(variants_for(CPU))
    assert tried[0].openvino
    engine = load_engine(
        store.path(sha256), sha256, "cpu", batch_size=8, engine=EngineKind.OPENVINO, tuning_budget_s=0.0
    )
    assert engine.variant == tried[0].name


def test_a_gpu_is_torchs_alone() -> None:
    assert not any(variant.openvino for variant in VARIANTS["cuda"])


def test_what_was_measured_with_openvino_holds_for_its_version_alone(
    compact: tuple[ModelStore, str, Servable],
) -> None:
    store, sha256, _ = compact
    manifest = unpack_artifact(store.path(sha256).read_bytes()).manifest
    keys = [tuning_key(manifest, CPU, [8], variants_for(CPU, engine)) for engine in EngineKind]
    assert [any(name.startswith("openvino ") for name in key.libraries) for key in keys] == [False, True]
    assert keys[1].libraries == describe_device(CPU, EngineKind.OPENVINO).libraries


def test_without_openvino_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.models.openvino._PACKAGE", "no-such-package")
    with pytest.raises(SettingError, match=r"not installed here.*pip install '\.\[openvino\]'"):
        variants_for(CPU, EngineKind.OPENVINO)
    assert variants_for(CPU)


def test_a_network_is_compiled_for_every_size_or_for_each() -> None:
    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            floats = x.to(torch.float32)
            return floats.mean(dim=1), floats.amax(dim=1)

    module = torch.jit.freeze(torch.jit.script(Mean().eval()))
    for fixed in (True, False):
        network = OpenVinoNetwork(module, (-1, -1), bfloat16=False, fixed=fixed)
        for shape in ((2, 3), (1, 5), (2, 3)):
            batch = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
            mean, most = network(batch)
            assert np.allclose(mean, batch.mean(axis=1))
            assert np.array_equal(most, batch.max(axis=1))


_LOAD = """
import sys
from core.models.openvino import import_openvino  # and torch, which asks its system for this and that
told = []
events = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.fork", "os.posix_spawn")
sys.addaudithook(lambda event, _: told.append(event) if event in events else None)
import_openvino()
assert sys.modules["openvino_telemetry"] is None
print(told)
"""


def test_nobody_is_told_that_it_is_used() -> None:
    root = Path(__file__).parents[4]
    ran = subprocess.run([sys.executable, "-c", _LOAD], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_networks_that_are_let_go_leave_the_process_able_to_take_a_signal() -> None:
    program = """
import faulthandler, signal
import numpy as np, torch
from core.models.openvino import OpenVinoNetwork

class Mean(torch.nn.Module):
    def forward(self, x):
        return (x.to(torch.float32).mean(dim=1),)

faulthandler.enable()
module = torch.jit.freeze(torch.jit.trace(Mean().eval(), torch.zeros((2, 3), dtype=torch.uint8)))
signal.signal(signal.SIGTERM, lambda number, frame: print("asked to stop"))
networks = [OpenVinoNetwork(module, (-1, -1), bfloat16=False) for _ in range(3)]
for network in networks:
    network(np.zeros((2, 3), np.uint8))
del network
while networks:
    del networks[0]  # as models that are swapped: the oldest first
    signal.raise_signal(signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, 3 * "asked to stop\n"), done.stderr
