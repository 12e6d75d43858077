"""Which weights are known: those whose manifests come with facefleet, and embedders that a user described.

A user's manifest is `NAME/weights.toml` in the folder FACEFLEET_WEIGHTS. Looks at manifests only, never at weights.
"""

import difflib
from pathlib import Path

from core.errors import UnknownWeightsError, WeightsManifestError
from core.weights.manifest import MANIFEST, is_name, read_manifest
from core.weights.spec import WeightsKind, WeightsSpec

CATALOGUE = Path(__file__).with_name("catalogue")
"""The manifests that come with facefleet, one file a set."""


def list_known(given: Path | None) -> list[WeightsSpec]:
    """Return every known set: facefleet's own by name, then the user's by name.

    Args:
        given: the folder FACEFLEET_WEIGHTS; None when there is none.

    Raises:
        WeightsManifestError: a manifest cannot be used.
    """
    own = sorted(file.stem for file in CATALOGUE.glob("*.toml"))
    users = sorted(file.parent.name for file in given.glob(f"*/{MANIFEST}")) if given else []
    return [get_known(name, given) for name in dict.fromkeys([*own, *users])]


def get_known(name: str, given: Path | None) -> WeightsSpec:
    """Return what is known of one set. Manifests of other sets are not looked at.

    Raises:
        UnknownWeightsError: no set has this name.
        WeightsManifestError: its manifest cannot be used.
    """
    if not is_name(name):
        raise _unknown(name, given)
    own = CATALOGUE / f"{name}.toml"
    users = given / name / MANIFEST if given else None
    if users is not None and users.is_file():
        return _read_users(users, shadows=own.is_file())
    if not own.is_file():
        raise _unknown(name, given)
    return read_manifest(own)


def _read_users(file: Path, *, shadows: bool) -> WeightsSpec:
    """Read a manifest that a user wrote."""
    if shadows:
        raise WeightsManifestError(
            f"{file} describes weights under a name that facefleet's own weights have. Neither is used, so that the "
            "name means one thing. Give the folder and its manifest another name, or remove the manifest."
        )
    spec = read_manifest(file)
    if spec.name != file.parent.name:
        raise WeightsManifestError(
            f"{file}: name is {spec.name!r}, and its folder is {file.parent.name!r}. These weights are not used. "
            "Give both the same name."
        )
    if spec.kind is not WeightsKind.EMBEDDER:
        raise WeightsManifestError(
            f"{file}: kind is {spec.kind}. These weights are not used: only embedders can be added. "
            "The detector is part of facefleet."
        )
    return spec


def _unknown(name: str, given: Path | None) -> UnknownWeightsError:
    names = [file.stem for file in CATALOGUE.glob("*.toml")]
    names += [file.parent.name for file in given.glob(f"*/{MANIFEST}")] if given else []
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return UnknownWeightsError(
        f"No weights are called {name!r}. Nothing was done.{hint} `facefleet weights list` lists what there is; "
        "docs/weights.md says how to add an embedder."
    )
