"""Every setting, read once from the environment. docs/settings.md lists them all and a test says so."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from core.errors import SettingError
from core.records import EngineKind

_PREFIX = "FACEFLEET_"
_LOCAL = "file://"


def _setting(default: Any, doc: str, low: float | None = None, high: float | None = None) -> Any:
    """Declare a setting: its default, its sentence in docs/settings.md and the limits of a number."""
    return field(default=default, metadata={"doc": doc, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says. Every field `x` is the variable `FACEFLEET_X`."""

    home: Path = _setting(
        Path("~/.facefleet"),
        "Folder of everything embedded: SQLite file, Redis data, model artifacts, weights, training runs, logs.",
    )
    database_url: str = _setting(
        "",
        "SQLAlchemy URL. Empty: the SQLite file `facefleet.db` in the home folder. "
        "Production: `postgresql+psycopg://...`.",
    )
    redis_url: str = _setting(
        "", "Redis URL. Empty: the Redis that `facefleet up` starts, found through the home folder."
    )
    artifacts: str = _setting(
        "",
        "Where the model artifacts lie: a folder, or a URI of a store that fsspec knows, such as "
        "`s3://bucket/models`. Empty: `artifacts` in the home folder.",
    )
    weights: str = _setting(
        "",
        "Folder looked in for pretrained weights, `NAME/FILE`, before `weights` in the home folder. Never written to.",
    )
    image_roots: tuple[Path, ...] = _setting(
        (),
        "Folders that workers, and `results --pictures`, may read photos from, separated by `:`. "
        "Empty: every folder that their user can read.",
    )
    chunk_size: int = _setting(128, "Photos a worker claims at once.", low=1, high=10_000)
    interactive_photos: int = _setting(
        256, "Photos of the largest job that goes before larger ones. 0: none does.", low=0, high=1_000_000
    )
    batch_size: int = _setting(
        32, "Photos the network is given at once; on a CPU they are run eight a core.", low=1, high=1024
    )
    read_threads: int = _setting(2, "Threads of one worker process that read and decode photos.", low=1, high=64)
    lease_s: float = _setting(
        60.0, "Seconds a worker owns a chunk, or a trainer a run, without a sign of progress.", low=1, high=86_400
    )
    retrain_after_labels: int = _setting(
        0,
        "Labels after which the newest training that gave a model is repeated by itself. 0: never.",
        low=0,
        high=1_000_000,
    )
    retrain_after_hours: float = _setting(
        0.0,
        "Hours after a training after which it is repeated by itself, where anything was labelled since. 0: never.",
        low=0,
        high=100_000,
    )
    sweep_interval_s: float = _setting(5.0, "Seconds between two rounds of the sweeper.", low=0.1, high=3600)
    model_poll_s: float = _setting(
        1.5, "Seconds between two looks at which model should be serving.", low=0.05, high=60
    )
    engine: EngineKind = _setting(
        EngineKind.TORCH,
        "What runs networks on a CPU: `torch`, or `openvino`, with which OpenVINO does where it is faster and answers "
        "right. It has to be installed: `pip install '.[openvino]'`.",
    )
    tuning_budget_s: float = _setting(
        1.5,
        "Seconds of computing for measuring the ways to run a kind of network, once a machine. "
        "0: the first right way is taken.",
        low=0,
        high=600,
    )
    max_photo_bytes: int = _setting(64 * 2**20, "Largest file read as a photo, in bytes.", low=1024, high=2**31)
    max_photo_pixels: int = _setting(
        100_000_000, "Largest image decoded, in pixels (width x height).", low=1024, high=2**31
    )
    max_worker_bytes: int = _setting(
        3 * 2**30,
        "Bytes that a worker process may grow by while it reads photos, beyond what it takes at rest; a photo that "
        "needs more is an error. Less than 512 MiB counts as 512 MiB; 0: no limit. Linux only.",
        low=0,
        high=2**44,
    )
    photo_timeout_s: float = _setting(20.0, "Seconds that reading and decoding one photo may take.", low=0.1, high=3600)
    stage_times: str = _setting(
        "",
        "Folder in which each process that identifies keeps how long its stages took, for `facefleet bench profile`. "
        "Empty: nothing is timed.",
    )
    log_level: str = _setting("INFO", "Least severe log level written: DEBUG, INFO, WARNING or ERROR.")

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings.

        Args:
            env: the environment; `os.environ` when None.

        Raises:
            SettingError: a variable has a value that cannot be used, or no setting has its name.
        """
        env = os.environ if env is None else env
        known = {_PREFIX + f.name.upper(): f for f in fields(cls)}
        values: dict[str, Any] = {}
        for variable, spec in known.items():
            text = env.get(variable, "").strip()
            if text:
                values[spec.name] = _parse(variable, text, spec.default, spec.metadata)
        home = Path(values.get("home", cls.home)).expanduser().absolute()
        return cls(**{**values, "home": home})

    @property
    def resolved_database_url(self) -> str:
        """The database URL with the default filled in."""
        return self.database_url or f"sqlite:///{self.home / 'facefleet.db'}"

    @property
    def artifacts_uri(self) -> str | None:
        """The URI of the model store; None when it is a folder of this machine."""
        return self.artifacts if "://" in self.artifacts and not self.artifacts.startswith(_LOCAL) else None

    @property
    def artifacts_dir(self) -> Path:
        """The folder of the model store, or of what this machine has fetched from it."""
        if not self.artifacts or self.artifacts_uri is not None:
            return self.home / "artifacts"
        return Path(unquote(self.artifacts.removeprefix(_LOCAL))).expanduser().absolute()

    @property
    def weights_dir(self) -> Path:
        """The folder that pretrained weights are pulled to."""
        return self.home / "weights"

    @property
    def given_weights_dir(self) -> Path | None:
        """The folder of pretrained weights that a person provides, if any; only read."""
        return Path(self.weights).expanduser().absolute() if self.weights else None

    @property
    def runs_dir(self) -> Path:
        """The folder of the training runs: dataset snapshot and checkpoints, one folder a run."""
        return self.home / "runs"

    @property
    def tuning_dir(self) -> Path:
        """The folder of what this machine has measured of the ways to run networks."""
        return self.home / "tuning"

    @property
    def logs_dir(self) -> Path:
        """The folder of the log files of processes started by `facefleet up`."""
        return self.home / "logs"

    @property
    def redis_dir(self) -> Path:
        """The folder of the embedded Redis: its data, its port and its password."""
        return self.home / "redis"


def _parse(variable: str, text: str, default: Any, rules: Mapping[str, Any]) -> Any:
    """Turn a variable's text into the type of its default, within its limits."""
    if isinstance(default, Path):
        return Path(text)
    if isinstance(default, tuple):
        return tuple(Path(part).expanduser().absolute() for part in text.split(os.pathsep) if part)
    if isinstance(default, StrEnum):
        return _choose(variable, text, default)
    if isinstance(default, str):
        return text
    kind: type[int] | type[float] = int if isinstance(default, int) else float
    low, high = rules["low"], rules["high"]
    remedy = (
        f"Set it to {'a whole number' if kind is int else 'a number'} from {low} to {high}, or unset it: {default}."
    )
    try:
        value = kind(text)
    except ValueError:
        raise SettingError(f"{variable} is {text!r}, which is no such number. {remedy}") from None
    if not low <= value <= high:
        raise SettingError(f"{variable} is {text}, out of range. {remedy}")
    return value


def _choose(variable: str, text: str, default: StrEnum) -> StrEnum:
    """Return the one of a closed set that a variable's text names."""
    choices = [str(choice) for choice in type(default)]
    if text.lower() not in choices:
        raise SettingError(
            f"{variable} is {text!r}, which is none of {', '.join(choices)}. Set it to one of them, or unset it: "
            f"{default}."
        )
    return type(default)(text.lower())
