"""Where pretrained weights lie and whether they are what they should be. Reads; core/weights/pull.py writes.

Two places are looked in, NAME/FILE in both: the folder that a person gives (FACEFLEET_WEIGHTS), which is only read, and
`weights` in the home folder, which weights are pulled to.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from core.errors import ModelError, WeightsAlteredError, WeightsMissingError
from core.settings import Settings
from core.weights.known import get_known, list_known
from core.weights.spec import WeightsFile, WeightsSpec

_log = logging.getLogger(__name__)


class WeightsState(StrEnum):
    """What a look at the files of a set showed."""

    PRESENT = "present"  # all are there; by their sizes, or by their sha256 where they were verified
    MISSING = "missing"  # one is not there, or cannot be read
    ALTERED = "altered"  # one has other bytes than the ones that are pinned


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A set of weights that is there."""

    spec: WeightsSpec
    folder: Path
    """Holds its files."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at one set showed."""

    spec: WeightsSpec
    state: WeightsState
    folder: Path | None
    """Where its files lie; None when they are missing."""
    problem: str | None
    """What is wrong, in words; None when it is present."""


class WeightsStore:
    """The weights that are known, and where they are.

    Args:
        own: the folder that weights are pulled to; need not exist.
        given: the folder that a person provides, looked in first; None when there is none.
    """

    def __init__(self, *, own: Path, given: Path | None = None) -> None:
        self.own = own
        self.given = given

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the store that the settings describe."""
        return cls(own=settings.weights_dir, given=settings.given_weights_dir)

    def list_specs(self) -> list[WeightsSpec]:
        """Return every known set.

        Raises:
            WeightsManifestError: a user's manifest cannot be used.
        """
        return list_known(self.given)

    def get_spec(self, name: str) -> WeightsSpec:
        """Return what is known of a set, wherever its files are.

        Raises:
            UnknownWeightsError: no set has this name.
            WeightsManifestError: its manifest cannot be used.
        """
        return get_known(name, self.given)

    def find(self, name: str) -> Installed:
        """Find a set by its files' sizes; `read_verified` looks at every byte.

        Raises:
            UnknownWeightsError: no set has this name.
            WeightsManifestError: its manifest cannot be used.
            WeightsMissingError: its files are nowhere.
            WeightsAlteredError: a file does not have the size it should have.
        """
        look = self.look(self.get_spec(name))
        if look.folder is None or look.state is not WeightsState.PRESENT:
            raise self.refusal(look)
        return Installed(spec=look.spec, folder=look.folder)

    def look(self, spec: WeightsSpec, *, verify: bool = False) -> Look:
        """Look at the files of a set: the first folder that is right, else the first that is altered.

        Args:
            spec: the set.
            verify: compare every byte instead of sizes alone.
        """
        return _sum_up([_look_in(folder, spec, verify=verify) for folder in self._folders(spec)])

    def read_verified(self, spec: WeightsSpec, file: WeightsFile) -> bytes:
        """Return a file's bytes; these very bytes have the sha256 that is pinned.

        A copy that is altered is passed over where another is right.

        Raises:
            WeightsMissingError: the file is nowhere, or cannot be read.
            WeightsAlteredError: it is there with other bytes.
        """
        looks = []
        for folder in self._folders(spec):
            path = folder / file.name
            try:
                data = _read_bounded(path, file.size_bytes)
            except OSError as error:
                looks.append(_missing(spec, path, error))
                continue
            if hashlib.sha256(data).hexdigest() == file.sha256:
                return data
            problem = f"{path} has other bytes than it should have"
            looks.append(Look(spec=spec, state=WeightsState.ALTERED, folder=folder, problem=problem))
            _log.warning("%s; it is not used", problem)
        raise self.refusal(_sum_up(looks))

    def refusal(self, look: Look) -> ModelError:
        """Return the error of weights that are not present, with the command that mends it."""
        name = look.spec.name
        if look.state is WeightsState.ALTERED:
            return WeightsAlteredError(
                f"The weights {name} are not what they should be: {look.problem}. They are not used. {_remedy(look)}"
            )
        return WeightsMissingError(f"The weights {name} are not here: {look.problem}. {_remedy(look)}")

    def _folders(self, spec: WeightsSpec) -> list[Path]:
        """Return the folders that may hold a set, in the order in which they are looked in."""
        return [place / spec.name for place in (self.given, self.own) if place is not None]


def _look_in(folder: Path, spec: WeightsSpec, *, verify: bool) -> Look:
    """Look at the files of a set in one folder; a missing one outweighs an altered one."""
    altered = None
    for file in spec.files:
        path = folder / file.name
        try:
            problem = _difference(path, file, verify=verify)
        except OSError as error:
            return _missing(spec, path, error)
        altered = altered or problem
    state = WeightsState.ALTERED if altered else WeightsState.PRESENT
    return Look(spec=spec, state=state, folder=folder, problem=altered)


def _missing(spec: WeightsSpec, path: Path, error: OSError) -> Look:
    """Return the look of a set one of whose files is not there or cannot be read."""
    fact = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
    return Look(spec=spec, state=WeightsState.MISSING, folder=None, problem=f"{path} {fact}")


def _sum_up(looks: Sequence[Look]) -> Look:
    """Return what the looks into several folders say together: one right folder is enough."""
    for state in (WeightsState.PRESENT, WeightsState.ALTERED):
        for look in looks:
            if look.state is state:
                return look
    problem = ", and ".join(str(look.problem) for look in looks)
    return Look(spec=looks[0].spec, state=WeightsState.MISSING, folder=None, problem=problem)


def _difference(path: Path, file: WeightsFile, *, verify: bool) -> str | None:
    """Say how a file differs from what is pinned; None when it does not."""
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        return f"{path} has {size_bytes:,} bytes, not {file.size_bytes:,}"
    if verify and hash_file(path) != file.sha256:
        return f"{path} has other bytes than it should have"
    return None


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_bounded(path: Path, size_bytes: int) -> bytes:
    """Read a file, and at most one byte more than it should have."""
    with path.open("rb") as file:
        return file.read(size_bytes + 1)


def pull_command(spec: WeightsSpec) -> str:
    """Return what a person types to get a set."""
    return f"facefleet weights pull {spec.name}"


def _remedy(look: Look) -> str:
    """Return the sentence that says what to do."""
    pull = pull_command(look.spec)
    if not all(file.url for file in look.spec.files):
        return f"Get them with `{pull} --from DIR`, DIR being a folder that holds them."
    return f"Get them with `{pull}`, or on a machine without a way out with `{pull} --from DIR`."
