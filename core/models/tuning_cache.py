"""Tunings of this machine in a folder, one small file a kind of network and device. Light: no torch.

Losing them costs the time to measure again and nothing else: whatever is wrong with a file is logged, and no error.
"""

import hashlib
import json
import logging
import secrets
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from core.models.tuning import Tuning, TuningKey, from_json, to_json

if TYPE_CHECKING:
    from core.settings import Settings

_log = logging.getLogger(__name__)

_SUFFIX = ".json"
_LARGEST_BYTES = 2**20


class TuningCache:
    """Reads and writes tunings.

    Args:
        folder: made when the first is stored; its parent, when that is missing too, for its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def from_settings(cls, settings: "Settings") -> Self:
        """Return the cache that the settings name."""
        return cls(settings.tuning_dir)

    def find(self, key: TuningKey) -> Tuning | None:
        """Return what was measured where all of `key` is the same; None when nothing was, or its file is of no use."""
        found = _read(self._file(key))
        return found[1] if found is not None and found[0] == key else None

    def store(self, key: TuningKey, tuning: Tuning) -> None:
        """Keep a tuning in place of an earlier one; of two that are stored at once, the later one stays, whole."""
        path = self._file(key)
        staged = self._folder / f".{path.stem}.{secrets.token_hex(4)}.tmp"
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder.mkdir(exist_ok=True)
            staged.write_text(to_json(key, tuning), encoding="utf-8")
            staged.replace(path)  # not synced: what a power cut leaves is read as no tuning
        except OSError as error:
            _log.warning("the tuning is not kept for other processes: %s", error)
            with suppress(OSError):
                staged.unlink(missing_ok=True)

    def list_tunings(self) -> list[tuple[TuningKey, Tuning]]:
        """Return all that are kept, the newest first."""
        found = (_read(path) for path in sorted(self._folder.glob(f"*{_SUFFIX}")))
        return sorted((each for each in found if each), key=lambda each: each[1].measured_at, reverse=True)

    def _file(self, key: TuningKey) -> Path:
        """Return the file of a key, which is named by all that is in it."""
        text = json.dumps(asdict(key), sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}{_SUFFIX}"


def _read(path: Path) -> tuple[TuningKey, Tuning] | None:
    """Read a file; None when there is none, or when it says nothing that can be used."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("it is too large")
        return from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("the tuning %s is not used: %s", path, error)
        return None
