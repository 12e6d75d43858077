"""What a worker node is: its role, device and slots, and how its children learn of them.

The parent writes the spec into the app's configuration as JSON; a spawned child reads it there.
"""

import json
import os
import socket
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from core.records import EngineKind
from core.settings import Settings

SPEC_KEY = "facefleet_node"
"""Where the Celery app's configuration holds the node's spec as JSON."""


class Role(StrEnum):
    """What a process of the fleet does."""

    IDENTIFY = "identify"  # works on chunks
    TRAIN = "train"  # works on training runs
    SWEEP = "sweep"  # rings again, takes back, closes


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """One worker node."""

    role: Role
    node: str
    """Unique name of the node."""
    device: str
    """`cpu` or `cuda:N` as this machine numbers its devices; of a trainer also several, with commas between."""
    slots: int
    """Child processes."""
    threads: int
    """Cores that each slot computes on."""
    settings: Settings

    @property
    def torch_device(self) -> str:
        """The device as a child sees it: the only CUDA device that its node leaves visible, or the first."""
        return self.torch_devices[0]

    @property
    def torch_devices(self) -> tuple[str, ...]:
        """All its devices as a child sees them."""
        if self.device == "cpu":
            return ("cpu",)
        return tuple(f"cuda:{number}" for number in range(len(self.device.split(","))))

    def slot_name(self, slot: int) -> str:
        """Return the name of a slot, counted from 0, in the ledger."""
        return f"{self.node}/{slot}"

    def to_json(self) -> str:
        """Write the spec."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        settings = Settings(**values.pop("settings"))
        roots = tuple(Path(root) for root in settings.image_roots)
        settings = replace(settings, home=Path(settings.home), image_roots=roots, engine=EngineKind(settings.engine))
        return cls(**{**values, "role": Role(values["role"]), "settings": settings})


def make_spec(role: Role, settings: Settings, *, device: str, slots: int) -> NodeSpec:
    """Describe the node that this process is about to be.

    Args:
        role: what it does.
        settings: for it and its children.
        device: `cpu` or `cuda:N`.
        slots: child processes, >= 1. The cores this process may use are divided between them.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // slots)
    return NodeSpec(
        role=role, node=node_name(os.getpid()), device=device, slots=slots, threads=threads, settings=settings
    )


def node_name(pid: int) -> str:
    """Return the name of the node whose parent process has this id on this machine."""
    return f"{socket.gethostname()}-{pid}"
