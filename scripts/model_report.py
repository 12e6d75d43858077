"""How models are shown to people: what they are, how good they were, when they name somebody, when they served."""

from typing import TYPE_CHECKING, Any

from core.records import RunState
from scripts.documents import model_document
from scripts.label_findings import show_findings
from scripts.output import (
    add_row,
    make_table,
    print_fields,
    print_text,
    show_count,
    show_duration,
    show_minute,
    show_share,
    show_time,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from db.tables import Activation, Model, Run

_NAMES_SHOWN = 12
_LEFT_OUT_SHOWN = 10
_LEFT_OUT = {
    "several_faces": "several faces, say which is meant: facefleet label PHOTO --face N --is NAME",
    "no_face": "no face was found",
    "face_too_poor": "the face is too poor to learn from",
}
"""What to say of the commonest reasons; of others, the code in docs/errors.md."""
_CONFUSIONS_SHOWN = 5


def print_run_end(console: "Console", run: "Run", model: "Model | None") -> None:
    """Print how a training run ended and what to type next."""
    time = None
    if run.started_at and run.finished_at:
        time = show_duration((run.finished_at - run.started_at).total_seconds())
    print_fields(console, [("Run", run.public_id), ("State", run.state), ("Time", time), ("Reason", run.reason)])
    if model is None:
        return
    version = model_document(model)["version"]
    console.print()
    print_fields(console, [("Model", f"{version}  {_serving(run)}"), *figures(model.manifest)])
    following = "facefleet submit photos/ --wait" if run.activated else f"facefleet model show {version}"
    console.print(f"\nNext: {following}", soft_wrap=True)


def print_models(console: "Console", models: "Sequence[Model]") -> None:
    """Print a table of models."""
    table = make_table(["Model", "State", "Recipe", ">People", ">Photos", ">Right", ">Threshold", "Made"])
    for model in models:
        manifest = model.manifest
        people, photos = len(manifest["classes"]), manifest["train_count"]
        right, threshold = show_share(accuracy(manifest)), f"{manifest['rule']['threshold']:.3f}"
        version, made = model_document(model)["version"], show_minute(model.created_at)
        style = "bold" if model.state == "active" else None
        add_row(table, version, model.state, model.recipe, people, photos, right, threshold, made, style=style)
    console.print(table)


def print_model(console: "Console", model: "Model", history: "Sequence[Activation]") -> None:
    """Print everything about a model."""
    manifest = model.manifest
    print_fields(
        console,
        [
            ("Model", model_document(model)["version"]),
            ("State", model.state),
            ("Made", show_time(model.created_at)),
            ("Network", f"{model.backbone}, recipe {model.recipe}, seed {manifest['seed']}"),
            ("Input", f"{manifest['input_size_px']} x {manifest['input_size_px']} px, faces: {manifest['faces']}"),
            *figures(manifest),
            ("Dataset", manifest["dataset_digest"]),
            ("Artifact", model.sha256),
            ("People", _names([person["name"] for person in manifest["classes"]])),
        ],
    )
    _print_left_out(console, manifest)
    _print_confusions(console, manifest)
    _print_history(console, history)


def figures(manifest: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return the figures of a model that a person wants to see first, with what they are measured on."""
    rule, test = manifest["rule"], manifest["metrics"].get("test") or {}
    rehearsal = manifest["metrics"].get("rehearsal") or {}
    return [
        ("Trained on", f"{manifest['train_count']:,} photos of {len(manifest['classes']):,} people"),
        ("Left out", _left_out(manifest["metrics"].get("photos_left_out") or {})),
        ("To look at", show_findings(manifest["metrics"].get("label_findings") or {})),
        ("Test photos", f"{test['photos']:,}" if test else "none: import some with `--split test`"),
        ("Nearest right", show_share(test.get("rank1_accuracy"))),
        ("Named right", show_share(test.get("tpir"))),
        ("Strangers named", show_share(test.get("fpir"))),
        ("In rehearsal", _rehearsal(rehearsal)),
        ("Threshold", f"similarity {rule['threshold']:.3f}, lead over the next {rule['margin']:.3f}"),
        ("Chosen for", f"{show_share(rule['fpir_target'])} of strangers named, from {rule['basis']}"),
    ]


def accuracy(manifest: dict[str, Any]) -> float | None:
    """Return the share of photos whose nearest person is right: of the test photos, else of those held out."""
    metrics = manifest["metrics"]
    test, rehearsal = metrics.get("test") or {}, metrics.get("rehearsal") or {}
    found = test.get("rank1_accuracy")
    return found if found is not None else rehearsal.get("held_out_rank1_accuracy")


def _rehearsal(rehearsal: dict[str, Any]) -> str | None:
    """Say what a network that had never seen some photos and people did with them."""
    right = show_share(rehearsal.get("held_out_rank1_accuracy"))
    return None if right is None else f"{right} of {rehearsal['held_out_photos']:,} held-out photos nearest right"


def _left_out(left_out: dict[str, Any]) -> str | None:
    """Say how many labelled photos could not be learned from, and why."""
    codes = left_out.get("by_code") or {}
    if not codes:
        return None
    return "; ".join(f"{show_count(count, 'photo')}: {_LEFT_OUT.get(code, code)}" for code, count in codes.items())


def _serving(run: "Run") -> str:
    if run.activated:
        return "serves from now on"
    return "is registered and does not serve" if run.state == RunState.SUCCEEDED else ""


def _names(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"{shown} and {more:,} more (all: --json)" if more > 0 else shown


def _print_left_out(console: "Console", manifest: dict[str, Any]) -> None:
    left_out = manifest["metrics"].get("photos_left_out") or {}
    first = left_out.get("first") or []
    if not first:
        return
    console.print("\nLabelled photos that were left out", style="bold")
    for photo in first[:_LEFT_OUT_SHOWN]:
        print_text(console, f"{photo['uri']}: {photo['code']}", indent=2)
    if (more := left_out["count"] - min(len(first), _LEFT_OUT_SHOWN)) > 0:
        print_text(console, f"and {more:,} more (the first {len(first)}: --json)", indent=2)


def _print_confusions(console: "Console", manifest: dict[str, Any]) -> None:
    confusions = (manifest["metrics"].get("test") or {}).get("confusions") or []
    if not confusions:
        return
    console.print("\nMost frequent wrong names", style="bold")
    for pair in confusions[:_CONFUSIONS_SHOWN]:
        who = pair["is"] or "a stranger"
        print_text(console, f"{who} was called {pair['named']}: {show_count(pair['photos'], 'photo')}", indent=2)


def _print_history(console: "Console", history: "Sequence[Activation]") -> None:
    if not history:
        console.print("\nIt never served.")
        return
    table = make_table([">Generation", "Since", "By", "Why"], title="When it served")
    for activation in history:
        add_row(table, activation.generation, show_minute(activation.at), activation.who, activation.why)
    console.print()
    console.print(table)
