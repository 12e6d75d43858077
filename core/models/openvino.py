"""A TorchScript network as OpenVINO runs it on a CPU, for who has installed that and asks for it. Knows no models."""

import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import SettingError

if TYPE_CHECKING:
    from openvino import Core, InferRequest, Model

_PACKAGE = "openvino"


def openvino_version() -> str | None:
    """Return which OpenVINO is installed; None without one."""
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return None


def require_openvino() -> None:
    """Make sure that OpenVINO is installed.

    Raises:
        SettingError: it is not.
    """
    if openvino_version() is None:
        raise SettingError(
            "FACEFLEET_ENGINE is 'openvino', and OpenVINO is not installed here. Nothing was loaded. Install it with "
            "`pip install '.[openvino]'`, or unset FACEFLEET_ENGINE: torch then runs all networks."
        )


def import_openvino() -> ModuleType:
    """Import OpenVINO without the package with which it would tell its makers, over the network, that it is used.

    Just being imported, it asks for that package, and does without where it finds none.
    """
    cast("dict[str, ModuleType | None]", sys.modules).setdefault("openvino_telemetry", None)
    import openvino

    module: ModuleType = openvino
    return module


@cache
def openvino_core() -> "Core":
    """Return what reads and compiles networks: one for the process, which is never let go.

    On processors with AMX each gives its thread another stack for signals, and one that goes puts back the stack that
    it found, also when that belonged to one that is gone: the process then dies of its next signal.
    """
    core: Core = import_openvino().Core()
    return core


class OpenVinoNetwork:
    """A compiled network. One call at a time, computed on the calling thread and as many more as torch may use.

    Args:
        module: frozen, in float32, on the CPU; takes one uint8 tensor and returns float32 tensors.
        shape: of what it takes; -1 where any size may come.
        bfloat16: let it compute in bfloat16 where OpenVINO thinks that good enough.
        fixed: compile it for each shape that comes, which takes a quarter of a second a shape and is a tenth faster;
            otherwise once for all.

    Raises:
        RuntimeError: OpenVINO cannot run it.
    """

    def __init__(
        self, module: torch.jit.ScriptModule, shape: Sequence[int], *, bfloat16: bool, fixed: bool = True
    ) -> None:
        self._model = _convert(module, shape)
        self._options = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # a worker has chosen its cores before
        }
        self._fixed = fixed
        self._requests: dict[tuple[int, ...], InferRequest] = {}

    def __call__(self, batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run a batch; the answers are the caller's."""
        shape = batch.shape if self._fixed else ()
        request = self._requests.get(shape)
        if request is None:
            request = self._requests[shape] = self._compile(shape)
        request.infer([batch], share_inputs=True)
        return [tensor.data.copy() for tensor in request.output_tensors]

    def _compile(self, shape: tuple[int, ...]) -> "InferRequest":
        model = self._model
        if shape:
            model = model.clone()
            model.reshape(list(shape))
        return openvino_core().compile_model(model, "CPU", self._options).create_infer_request()


def _convert(module: torch.jit.ScriptModule, shape: Sequence[int]) -> "Model":
    """Return a network as OpenVINO has it, for bytes of some shape."""
    openvino = import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder: Any = TorchScriptPythonDecoder(module)  # its methods are called as long as it is converted
    model = frontend.convert(frontend.load(decoder))
    (taken,) = model.inputs
    taken.get_node().set_element_type(openvino.Type.u8)
    model.reshape({taken: openvino.PartialShape(list(shape))})
    return model
