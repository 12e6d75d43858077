"""What a case is, and the list of all of them. The cases themselves stand in one module a family."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.world import World

DATABASES = ("sqlite", "postgresql")
FAMILIES = ("processes", "queue", "database", "disk", "clock", "producer", "poison", "training", "storm")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way in which things go wrong."""

    name: str
    what: str
    """In a sentence."""
    play: Callable[["World"], None]
    """Submits, breaks, and heals; what follows is the runner's."""
    databases: tuple[str, ...]
    short: tuple[str, ...]
    """The databases on which it belongs to the short form."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Where they differ from the short times of a small fleet."""
    disk_mib: int = 0
    """Size of a small disk; 0 for the machine's own. Needs root."""
    disk_holds: str = "database"
    """What lies on it: the database or the artifacts."""
    patience_s: float = 120.0
    """How long after the last fault the jobs may take before what is open counts as missing."""


_cases: dict[str, Case] = {}


def case(
    name: str,
    *,
    databases: tuple[str, ...] = DATABASES,
    short: tuple[str, ...] = (),
    disk_mib: int = 0,
    disk_holds: str = "database",
    patience_s: float = 120.0,
    **settings: Any,
) -> Callable[[Callable[["World"], None]], Callable[["World"], None]]:
    """Declare a case; the function's docstring says what it is."""

    def declare(play: Callable[["World"], None]) -> Callable[["World"], None]:
        what = (play.__doc__ or "").strip().splitlines()[0]
        _cases[name] = Case(
            name=name,
            what=what,
            play=play,
            databases=databases,
            short=short,
            settings=settings,
            disk_mib=disk_mib,
            disk_holds=disk_holds,
            patience_s=patience_s,
        )
        return play

    return declare


def all_cases() -> list[Case]:
    """Return all cases, family by family."""
    for family in FAMILIES:
        import_module(f"tests.chaos.{family}")
    return list(_cases.values())
