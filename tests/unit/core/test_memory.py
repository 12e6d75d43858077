"""A lack of memory is told from what is broken, whoever says so."""

import pytest

from core.memory import is_out_of_memory


class AcceleratorError(RuntimeError):
    """Named as torch names it."""


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


@pytest.mark.parametrize(
    ("error", "lacks_memory"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (AcceleratorError("CUDA error: out of memory"), True),
        (AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("shapes do not fit"), False),
    ],
)
def test_only_a_lack_of_memory_is_worth_half_a_batch(error: Exception, lacks_memory: bool) -> None:
    assert is_out_of_memory(error) is lacks_memory
