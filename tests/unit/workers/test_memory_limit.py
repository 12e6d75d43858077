"""The memory limit: photos get their room and no more, whoever asks, and what is not let go replaces the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.memory import LEAST_ROOM_BYTES, MemoryLimit

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds private memory")

_PROGRAM = """
import ctypes, sys
from workers.memory import MemoryLimit
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
limit = MemoryLimit(1 << 30)
MIB = 1 << 20
"""


def run(work: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _PROGRAM + work]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_native_code_gets_the_room_and_no_more() -> None:
    work = "with limit.held():\n    print(bool(library.malloc(900 * MIB)), bool(library.malloc(300 * MIB)))"
    assert run(work) == "True False\n"


def test_python_gets_a_memory_error_and_the_limit_is_gone_after_the_work() -> None:
    work = """
try:
    with limit.held():
        bytearray(1100 * MIB)
except MemoryError:
    print("refused")
print(bool(library.malloc(1100 * MIB)))
"""
    assert run(work) == "refused\nTrue\n"


def test_what_is_kept_makes_the_room_smaller_and_the_process_worn_out() -> None:
    work = """
with limit.held():
    pass
print(limit.outgrown)
kept = bytearray(b"x") * (600 * MIB)
print(limit.outgrown)
with limit.held():
    print(bool(library.malloc(500 * MIB)))
"""
    assert run(work) == "False\nTrue\nFalse\n"


def test_what_the_allocator_keeps_for_the_next_batch_is_not_held_against_the_process() -> None:
    work = """
from workers.memory import keep_freed_memory
keep_freed_memory()
with limit.held():
    parts = [bytearray(b"x") * (4 * MIB) for _ in range(150)]
del parts
print(limit.outgrown)
"""
    assert run(work) == "False\n"


@pytest.mark.parametrize("inner", ["loading", "held"], ids=["begun during the work", "begun before the work"])
def test_a_model_that_is_loaded_meanwhile_has_room_of_its_own(inner: str) -> None:
    outer = "held" if inner == "loading" else "loading"
    work = f"""
print(bool(library.malloc(1500 * MIB)))
with limit.{outer}(), limit.{inner}():
    print(bool(library.malloc(1500 * MIB)), bool(library.malloc(800 * MIB)))
with limit.held():
    print(bool(library.malloc(1500 * MIB)))
"""
    assert run(work) == "True\nTrue False\nFalse\n"


def test_a_process_is_not_worn_out_by_a_model_that_is_being_loaded() -> None:
    work = """
with limit.held():
    pass
kept = bytearray(b"x") * (600 * MIB)
with limit.loading():
    print(limit.outgrown)
print(limit.outgrown)
"""
    assert run(work) == "False\nTrue\n"


def test_what_loading_left_is_given_back_unless_photos_are_worked_on() -> None:
    work = """
from workers.memory import _use, keep_freed_memory
keep_freed_memory()
def load():
    parts = [bytearray(b"x") * (4 * MIB) for _ in range(30)]
    pins = [bytearray(1 << 10) for _ in parts]
    return pins
pins = load()
before = _use().resident
with limit.held():
    limit.tidy()
    print(_use().resident > before - 10 * MIB)
limit.tidy()
print(_use().resident < before - 100 * MIB)
"""
    assert run(work) == "True\nTrue\n"


def test_a_limit_that_leaves_no_room_for_sound_photos_is_raised() -> None:
    work = "limit = MemoryLimit(1)\nwith limit.held():\n    print(bool(library.malloc(400 * MIB)))"
    assert LEAST_ROOM_BYTES == 512 << 20
    assert run(work) == "True\n"


def test_no_limit_changes_nothing() -> None:
    limit = MemoryLimit(0)
    with limit.held():
        assert not limit.outgrown
