"""What a fleet's work costs, as it was measured: the figures that simulations are fed with. Measures nothing itself."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A cost that grows with the photos of a chunk."""

    fixed_s: float = 0.0
    photo_s: float = 0.0

    def of(self, photos: float) -> float:
        """Return the seconds for so many photos."""
        return self.fixed_s + photos * self.photo_s


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of a transaction."""

    client: Linear
    """Computing of the worker's process."""
    server: Linear
    """Waiting for the database's answers: its computing."""
    trips: float
    """Questions that are answered one after the other: round trips of the network."""


@dataclass(frozen=True, kw_only=True)
class TransactionCost:
    """A transaction with the ledger: a part without the lock that others wait for, one under it, and the disk."""

    free: Phase
    held: Phase
    """From taking the lock until the commit: SQLite's one writer's lock, or on PostgreSQL the row of the job."""
    sync_s: float
    """Waiting for the commit, under the lock: the disk, and what the database does then."""


@dataclass(frozen=True, kw_only=True)
class ComputeCost:
    """What recognising a chunk costs one process, reading and decoding included."""

    processes: int
    """That computed side by side when it was measured."""
    threads: int
    """Cores of each."""
    chunk: Linear
    """By the clock, until the last of them was done."""
    variation: float
    """Standard deviation of it as a share."""


@dataclass(frozen=True, kw_only=True)
class UnitCosts:
    """Everything that a simulation needs to know of one machine."""

    database: str
    """`sqlite` or `postgresql`."""
    compute: ComputeCost
    """Of photos that are one face each, one process a core."""
    detect: ComputeCost | None
    """Of photos in which faces are to be found, one process a core; None where the weights are not here."""
    claim: TransactionCost
    commit: TransactionCost
    """Of photos that are one face each."""
    commit_detect: TransactionCost
    """Of photos in which one face was found, with its embedding."""
    report: TransactionCost
    """A process's word about itself."""
    poll: Phase
    """Asking which model should serve."""
    result_server_s: float
    """The database's computing for one row of results."""
    bell_server_s: float
    """Redis's computing to give a bell out and take it back."""
    bell_client_s: float
    """The worker node's computing for it."""
    photo_bytes: float
    """Of a photo on average."""
    read_s: float
    """To read a photo's bytes on one thread."""
    rows: int
    """Photos that the ledger held when its costs were measured."""
    growth: float
    """By what share they grow with every tenfold of rows."""
    machine: dict[str, Any]
    """What all this was measured on."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Read what `to_json` gave.

        Raises:
            InputError: it is something else.
        """
        try:
            values = dict(document)
            values["compute"] = _compute(values["compute"])
            values["detect"] = values["detect"] and _compute(values["detect"])
            values |= {name: _transaction(values[name]) for name in _TRANSACTIONS}
            return cls(**{**values, "poll": _phase(values["poll"])})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"These are no unit costs of this version: {error}. Nothing was simulated. "
                "Measure them anew: facefleet bench scale --json > scale.json"
            ) from error


_TRANSACTIONS = ("claim", "commit", "commit_detect", "report")


def _compute(values: dict[str, Any]) -> ComputeCost:
    return ComputeCost(**{**values, "chunk": Linear(**values["chunk"])})


def _phase(values: dict[str, Any]) -> Phase:
    return Phase(client=Linear(**values["client"]), server=Linear(**values["server"]), trips=values["trips"])


def _transaction(values: dict[str, Any]) -> TransactionCost:
    return TransactionCost(free=_phase(values["free"]), held=_phase(values["held"]), sync_s=values["sync_s"])
