"""What a chaos case puts into the processes of its fleet: made-up photos, a network that costs nothing, wrong clocks.

Reading, threads, deadlines, claiming, committing and Celery are the product's own. Imported through the tests' `site`.
"""

import ctypes
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem, register_implementation

from tests.integration.workers import poison

FOLDER = "CHAOS_FOLDER"
"""Folder of the journal and of the files by which a case speaks to running processes."""
PHOTO_S = "CHAOS_PHOTO_S"
"""Seconds that reading one photo takes; two are read at once."""
CLOCK_S = "CHAOS_CLOCK_S"
"""How far this process's clock is ahead, in seconds."""
VISIBILITY_S = "CHAOS_VISIBILITY_S"
"""Redis delivers a bell again that was not acknowledged for so long."""

JOURNAL = "journal"
GATE = "gate"
CLOCK = "clock"
DIE_AFTER_COMMIT = "die-after-commit"
DIE_AFTER_ACK = "die-after-ack"


def install() -> None:
    """Change this process; called before anything of the product is imported."""
    register_implementation("chaos", ChaosStore, clobber=True)
    _install_clock()
    _install_network()
    _install_deaths()
    if VISIBILITY_S in os.environ:
        _install_visibility(int(os.environ[VISIBILITY_S]))


class ChaosStore(AbstractFileSystem):  # type: ignore[misc]
    """Photos that exist only by name: `chaos://KIND/NAME`. Every look at one is written down first."""

    protocol = "chaos"
    cachable = False

    def open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        name = str(self._strip_protocol(path))
        _note(name)
        kind = name.partition("/")[0]
        if kind == "held":
            while (_folder() / GATE).exists():
                time.sleep(0.01)
        elif kind == "segfault":
            ctypes.string_at(0)
        elif kind == "hang":
            threading.Event().wait()
        elif kind == "spin":
            poison.spin()
        time.sleep(float(os.environ.get(PHOTO_S, "0")))
        return io.BytesIO(_photo())


def _folder() -> Path:
    return Path(os.environ[FOLDER])


def _note(name: str) -> None:
    """Write a line that outlives the process: one write, appended, no buffer."""
    journal = os.open(_folder() / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(journal, f"{name}\n".encode())
    finally:
        os.close(journal)


def _photo() -> bytes:
    """The same tiny PNG for every name."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def _install_clock() -> None:
    """Move this process's clock, and all clocks of the case by what its file says at any moment."""
    from core import clock

    own_s = float(os.environ.get(CLOCK_S, "0"))
    everybody = _folder() / CLOCK

    def utc_now() -> datetime:
        shared_s = float(everybody.read_text() or 0) if everybody.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=own_s + shared_s)

    clock.utc_now = utc_now


def _install_visibility(seconds: int) -> None:
    """Deliver bells again early, and look for them every second instead of every hundred."""
    from workers import protocol

    options = protocol.transport_options
    often = {"unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    protocol.VISIBILITY_TIMEOUT_S = seconds
    protocol.transport_options = lambda *, patience_s: options(patience_s=patience_s) | often


def _install_network() -> None:
    """Stand in for torch and the engine: loading them takes seconds a process, and the queue is what is tried here."""
    torch = ModuleType("torch")
    torch.set_num_threads = torch.set_num_interop_threads = lambda _: None  # type: ignore[attr-defined]
    engine = ModuleType("core.models.engine")
    engine.Engine = FreeEngine  # type: ignore[attr-defined]
    engine.load_engine = FreeEngine  # type: ignore[attr-defined]
    known = ModuleType("core.models.known")
    known.Known = lambda _cache: None  # type: ignore[attr-defined]
    sys.modules.update({"torch": torch, "core.models.engine": engine, "core.models.known": known})


class FreeEngine:
    """An engine that sees the same person in every crop."""

    device = "cpu"
    variant = "free"
    images_per_s = None
    tuning_cached = False

    def __init__(self, _path: Path, sha256: str, _device: str, *, batch_size: int, **_: Any) -> None:
        import numpy as np

        from core.faces.rule import RejectRule
        from core.records import FacesMode

        rule = RejectRule(threshold=0.5, margin=0.0, fpir_target=0.01, basis="made up", calibration=(0.0, 1.0, 1.0))
        self.sha256 = sha256
        self.batch_size = batch_size
        self.detector = None
        self.gallery = np.ones((1, 1), np.float32)
        # The only person of a case's ledger has the id 1.
        self.manifest = SimpleNamespace(
            input_size_px=16,
            rule=rule,
            classes=(SimpleNamespace(person_id=1),),
            faces=FacesMode.CROP,
            template=None,
            backbone_sha256=None,
        )

    def run(self, crops: Any) -> tuple[Any, Any]:
        import numpy as np

        ones = np.ones((len(crops), 1), np.float32)
        return ones, ones

    def close(self) -> None:
        """Nothing is held."""


def _install_deaths() -> None:
    """Let one process die at a moment that no outsider can hit, when the case's folder says so."""
    if (_folder() / DIE_AFTER_COMMIT).exists():
        from workers import identify

        identify.identify_chunk = _then_die(identify.identify_chunk, DIE_AFTER_COMMIT)
    if (_folder() / DIE_AFTER_ACK).exists():
        from celery.worker.request import Request

        Request.acknowledge = _then_die(Request.acknowledge, DIE_AFTER_ACK)


def _then_die(work: Callable[..., Any], order: str) -> Callable[..., Any]:
    """Do the work; whoever then takes the order first is killed."""

    @wraps(work)
    def doomed(*args: Any, **kwargs: Any) -> Any:
        result = work(*args, **kwargs)
        try:
            (_folder() / order).unlink()
        except FileNotFoundError:
            return result
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    return doomed
