"""The doctor's look at the machine: Python, packages, processor, memory, disk, weights, image formats, settings."""

import difflib
import os
import platform
import shutil
import sys
from dataclasses import fields
from importlib import metadata
from pathlib import Path

from core.settings import Settings
from scripts.check import Check, Finding, fail, ok, warn
from scripts.output import show_bytes, show_count

_PYTHONS = ((3, 11), (3, 13))
_FEW_BYTES_FREE = 5 * 2**30
_NO_BYTES_FREE = 512 * 2**20
_LITTLE_MEMORY = 2 * 2**30
# Read by the tests, not by Settings.
_OTHER_VARIABLES = {"FACEFLEET_TEST_DATA"}


def check_python(_: Settings) -> list[Finding]:
    """Is this a Python that the locked packages are made for?"""
    detail = f"{platform.python_version()} at {sys.executable}"
    lowest, highest = _PYTHONS
    if lowest <= sys.version_info[:2] <= highest:
        return [ok("python", detail)]
    return [fail("python", f"{detail}; Python 3.11 to 3.13 is needed", "rm -rf .venv && make setup PYTHON=python3.11")]


def check_torch(_: Settings) -> list[Finding]:
    """Do torch and torchvision load and fit together?"""
    import torch
    import torchvision

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    return [ok("torch", f"{versions}, {', '.join(gpus) if gpus else 'no GPU: the CPU is used'}")]


def check_packages(_: Settings) -> list[Finding]:
    """Are the packages of the queue and the database there?"""
    names = ("celery", "kombu", "redis", "sqlalchemy", "psycopg", "pillow")
    return [ok("packages", ", ".join(f"{name} {metadata.version(name)}" for name in names))]


def check_cores(_: Settings) -> list[Finding]:
    """How many cores may this process use?"""
    usable, there = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    return [ok("cores", f"{usable} of {there} usable")]


def check_memory(_: Settings) -> list[Finding]:
    """Is there room for a worker?"""
    import psutil

    memory = psutil.virtual_memory()
    detail = f"{show_bytes(memory.available)} of {show_bytes(memory.total)} free"
    if memory.available < _LITTLE_MEMORY:
        return [warn("memory", f"{detail}; a worker takes about 1 GiB", "facefleet up --workers 1")]
    return [ok("memory", detail)]


def check_disk(settings: Settings) -> list[Finding]:
    """Is there room in the home folder, and may it be written?"""
    place = _nearest_folder(settings.home)
    free = shutil.disk_usage(place).free
    detail = f"{settings.home}: {show_bytes(free)} free"
    if not os.access(place, os.W_OK | os.X_OK):
        return [fail("home", f"{place} cannot be written by this user", "export FACEFLEET_HOME=/another/folder")]
    if free < _NO_BYTES_FREE:
        return [fail("home", detail, "export FACEFLEET_HOME=/another/folder")]
    if free < _FEW_BYTES_FREE:
        return [warn("home", f"{detail}; models and the queue need some", "export FACEFLEET_HOME=/another/folder")]
    return [ok("home", detail)]


def check_artifacts(settings: Settings) -> list[Finding]:
    """May models be stored, or does the store answer that is not a folder?"""
    if settings.artifacts_uri is not None:
        from core.models.store import ModelStore

        store = ModelStore.from_settings(settings)
        return [ok("artifacts", f"{store.place} answers, {show_count(len(store.list_artifacts()), 'artifact')} in it")]
    folder = settings.artifacts_dir
    if os.access(_nearest_folder(folder), os.W_OK | os.X_OK):
        return [ok("artifacts", f"{folder} can be written")]
    return [fail("artifacts", f"{folder} cannot be written by this user", f"chmod u+rwx {folder}")]


def check_weights(settings: Settings) -> list[Finding]:
    """Are the pretrained weights here? Photos that are face crops need none."""
    from core.weights.store import WeightsState, WeightsStore, pull_command

    given = settings.given_weights_dir
    if given is not None and not given.is_dir():
        return [warn("weights", f"FACEFLEET_WEIGHTS is {given}, which is no folder", "unset FACEFLEET_WEIGHTS")]
    store = WeightsStore.from_settings(settings)
    looks = [store.look(spec) for spec in store.list_specs()]
    findings = []
    for look in looks:
        if look.state is not WeightsState.PRESENT:
            detail = f"{look.spec.name} ({look.spec.kind}) is {look.state}: {look.problem}"
            findings.append(warn("weights", detail, pull_command(look.spec)))
    return findings or [ok("weights", ", ".join(look.spec.name for look in looks))]


def check_codecs(settings: Settings) -> list[Finding]:
    """Can the photos of today's phones be read?"""
    from PIL import Image

    from core.images.codecs import ACCEPTED_FORMATS, prepare_pillow

    prepare_pillow(settings.max_photo_pixels)
    missing = [name for name in ACCEPTED_FORMATS if name not in Image.OPEN]
    if missing:
        return [fail("image formats", f"{', '.join(missing)} cannot be read", "make setup")]
    return [ok("image formats", ", ".join(ACCEPTED_FORMATS))]


def check_settings(settings: Settings) -> list[Finding]:
    """Is every FACEFLEET_ variable one that something reads?"""
    known = {f"FACEFLEET_{field.name.upper()}" for field in fields(Settings)}
    given = {name for name in os.environ if name.startswith("FACEFLEET_")}
    unknown = sorted(given - known - _OTHER_VARIABLES)
    if not unknown:
        return [ok("settings", f"{len(given & known)} set by the environment, database {_shown(settings)}")]
    return [_unknown_variable(name, known) for name in unknown]


MACHINE_CHECKS: dict[str, Check] = {
    "python": check_python,
    "torch": check_torch,
    "packages": check_packages,
    "cores": check_cores,
    "memory": check_memory,
    "home": check_disk,
    "artifacts": check_artifacts,
    "weights": check_weights,
    "image formats": check_codecs,
    "settings": check_settings,
}
"""The checks by name, in the order of the report."""


def _unknown_variable(name: str, known: set[str]) -> Finding:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return warn("settings", f"{name} is no setting and has no effect{hint}", f"unset {name}")


def _nearest_folder(path: Path) -> Path:
    """Return the nearest folder that exists: what is not made yet will be made there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _shown(settings: Settings) -> str:
    return "from FACEFLEET_DATABASE_URL" if settings.database_url else "in the home folder"
