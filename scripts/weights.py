"""`facefleet weights`: pretrained weights, which are known, where they lie, and getting them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import FacefleetError, ServiceError
from core.settings import Settings
from scripts.common import Invocation, command
from scripts.failures import ExitCode
from scripts.output import make_console, print_fields, print_text, say, show_bytes, write_json
from scripts.progress import show_progress
from scripts.weights_report import look_document, print_looks, size_of, spec_document

if TYPE_CHECKING:
    from core.weights.pull import Puller
    from core.weights.spec import WeightsSpec
    from core.weights.store import WeightsStore


@dataclass(frozen=True, kw_only=True)
class _Result:
    """How the pull of one set ended."""

    spec: "WeightsSpec"
    folder: Path | None = None
    fetched: bool = False
    error: FacefleetError | None = None


@click.group()
def weights() -> None:
    """List pretrained weights, get them, and check that they are unchanged."""


@command("list", group=weights, example="facefleet weights list")
def list_(invocation: Invocation) -> None:
    """List the known weights: what they are for, their licence, and whether they are here.

    Looks at the sizes of files; `weights verify` looks at every byte.
    """
    store = _open_store()
    looks = [store.look(spec) for spec in store.list_specs()]
    if invocation.as_json:
        write_json({"weights": [look_document(look) for look in looks]})
    else:
        print_looks(make_console(), looks)


@command(
    "pull",
    group=weights,
    example="facefleet weights pull yunet\nfacefleet weights pull --all --from /media/stick/weights",
)
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Pull every known set.")
@click.option(
    "--from",
    "source",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the files out of this folder, NAME/FILE or FILE.",
    show_default="where they are published",
)
def pull(invocation: Invocation, name: str | None, everything: bool, source: Path | None) -> None:
    """Get weights and put them into the home folder. What is there, byte for byte, is left alone.

    A download that breaks off is taken up again, also by the next pull. Every file is compared with its pinned sha256
    before it is used.
    """
    if everything == (name is not None):
        raise click.UsageError("Give the NAME of the weights to pull, or --all.")
    kept = "What came so far" if source is None else "Every file that was whole"
    invocation.on_interrupt = f"{kept} is kept; run the same command again to go on."
    store = _open_store()
    specs = store.list_specs() if name is None else [store.get_spec(name)]
    puller = _make_puller(store, source)
    results = []
    for spec in specs:
        try:
            results.append(_pull_one(puller, spec, invocation, source))
        except FacefleetError as error:
            if name is not None:
                raise
            say(f"Error: {error.message}")
            results.append(_Result(spec=spec, error=error))
    if invocation.as_json:
        write_json({"weights": [_document(result) for result in results]})
    _exit_with([result.error for result in results if result.error is not None])


@command("verify", group=weights, example="facefleet weights verify\nfacefleet weights verify yunet --json")
@click.argument("name", required=False)
def verify(invocation: Invocation, name: str | None) -> None:
    """Compare every byte of the weights with what is pinned. The exit code is 1 when some are altered or missing."""
    from core.weights.store import WeightsState

    store = _open_store()
    specs = store.list_specs() if name is None else [store.get_spec(name)]
    with show_progress("Verifying", len(specs)) as bar:
        looks = []
        for done, spec in enumerate(specs):
            bar.update(done=done, note=spec.name)
            looks.append(store.look(spec, verify=True))
    if invocation.as_json:
        write_json({"weights": [look_document(look) for look in looks]})
    else:
        print_looks(make_console(), looks)
    wrong = [look for look in looks if look.state is not WeightsState.PRESENT]
    for look in wrong:
        say(store.refusal(look).message)
    if wrong:
        raise click.exceptions.Exit(ExitCode.FAILURES)


def _open_store() -> "WeightsStore":
    from core.weights.store import WeightsStore

    return WeightsStore.from_settings(Settings.from_env())


def _make_puller(store: "WeightsStore", source: Path | None) -> "Puller":
    from core.weights.pull import Puller

    return Puller(store, source=source, on_wait=lambda: say("Another pull of these weights is under way; waiting."))


def _pull_one(puller: "Puller", spec: "WeightsSpec", invocation: Invocation, source: Path | None) -> _Result:
    """Pull one set and tell about it."""
    _announce(spec, invocation, source)
    with show_progress("Pulling", size_of(spec), unit="bytes") as bar:
        pulled = puller.pull(spec, lambda done: bar.update(done=done))
    if not invocation.as_json:
        did = "Pulled and verified" if pulled.fetched else "Already here and verified"
        print_text(make_console(), f"{did}: {pulled.folder}")
    return _Result(spec=spec, folder=pulled.folder, fetched=pulled.fetched)


def _announce(spec: "WeightsSpec", invocation: Invocation, source: Path | None) -> None:
    """Say what is about to be fetched, and under which licence, before it is."""
    if invocation.as_json:
        return say(f"{spec.name}: licence {spec.licence}, made by {spec.source}")
    console = make_console()
    hosts = sorted({file.url.split("/")[2] for file in spec.files if file.url})
    print_fields(
        console,
        [
            ("Weights", f"{spec.name} ({spec.kind}, {show_bytes(size_of(spec))})"),
            ("Licence", spec.licence),
            ("Made by", spec.source),
            ("From", source or ", ".join(hosts) or None),
        ],
    )
    return None


def _document(result: _Result) -> dict[str, Any]:
    error = result.error
    return {
        **spec_document(result.spec),
        "folder": None if result.folder is None else str(result.folder),
        "fetched": result.fetched,
        "error": None if error is None else {"code": error.code, "message": error.message},
    }


def _exit_with(errors: Sequence[FacefleetError]) -> None:
    """Leave with the exit code of what went wrong, if anything did."""
    if errors:
        unreachable = all(isinstance(error, ServiceError) for error in errors)
        raise click.exceptions.Exit(ExitCode.UNREACHABLE if unreachable else ExitCode.FAILURES)
