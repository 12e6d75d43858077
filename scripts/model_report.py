"""How models are shown to people: what they are, how good they were, when they name somebody, when they served."""

from typing import TYPE_CHECKING, Any

from core.records import ModelState, RunState
from scripts.documents import model_document, model_summary
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
from scripts.scorecard_tables import show_at_fpirs, show_rate

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
    if model is not None:
        print_model_of_run(console, run, model)


def print_model_of_run(console: "Console", run: "Run", model: "Model") -> None:
    """Print the model that a training run gave, and what to type next."""
    version = model_document(model)["version"]
    console.print()
    standing = _serving(run) if model.state == ModelState.ACTIVE or not run.activated else model.state
    print_fields(console, [("Model", f"{version}  {standing}"), *figures(model.manifest)])
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
            ("State", _state(model)),
            ("Gate", (model.gate or {}).get("reason")),
            ("Rejected", model.rejected_why if model.rejected_why != (model.gate or {}).get("reason") else None),
            ("Made", show_time(model.created_at)),
            ("Follows", model_summary(model, None)["parent"]),
            ("Licence", manifest.get("licence")),
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


def _state(model: "Model") -> str:
    """Return a model's state, with the share of chunks of one that stands beside the active one."""
    if model.shadow_share is not None:
        return f"{model.state}: scores {show_share(model.shadow_share)} of the chunks"
    if model.canary_share is not None:
        return f"{model.state}: decides {show_share(model.canary_share)} of the chunks"
    return model.state


def figures(manifest: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return the figures of a model that a person wants to see first, with what they are measured on."""
    rule, metrics = manifest["rule"], manifest["metrics"]
    return [
        ("Trained on", f"{manifest['train_count']:,} photos of {len(manifest['classes']):,} people"),
        ("Left out", _left_out(metrics.get("photos_left_out") or {})),
        ("To look at", show_findings(metrics.get("label_findings") or {})),
        *_tested(metrics.get("test") or {}),
        *_rehearsed(metrics.get("rehearsal") or {}),
        ("Threshold", f"similarity {rule['threshold']:.3f}, lead over the next {rule['margin']:.3f}"),
        ("Chosen for", f"{show_share(rule['fpir_target'])} of strangers named, from {rule['basis']}"),
    ]


def _tested(test: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return the figures on test photos; those of a model from before there were scorecards have no intervals."""
    if not test:
        return [("Test photos", "none: import some with `--split test`")]
    card = test.get("scorecard")
    if card is None:
        return [
            ("Test photos", f"{test['photos']:,}"),
            ("Nearest right", show_share(test.get("rank1_accuracy"))),
            ("Named right", show_share(test.get("tpir"))),
            ("Strangers named", show_share(test.get("fpir"))),
        ]
    people = show_count(card["people"]["known"], "person", "people")
    strangers = f", {card['photos']['strangers']:,} of strangers" if card["photos"]["strangers"] else ""
    return [
        ("Test photos", f"{card['photos']['known']:,} of {people}{strangers}"),
        ("Nearest right", show_rate(card["rank1"])),
        ("Named right", show_rate(card["tpir"])),
        ("Strangers named", show_rate(card["fpir"])),
        ("Named right at", show_at_fpirs(card)),
        ("Wrong names", show_rate(card["wrong_names"])),
        ("Confidence off by", show_rate(_as_rate(card["expected_calibration_error"]))),
    ]


def _rehearsed(rehearsal: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Say what networks that had never seen some photos and people did with them, by the rule chosen from that."""
    right = show_share(rehearsal.get("held_out_rank1_accuracy"))
    photos = None if right is None else f"{right} of {rehearsal['held_out_photos']:,} held-out photos nearest right"
    card = rehearsal.get("scorecard")
    if card is None:
        return [("In rehearsal", photos)]
    known, strangers = card["people"]["known"], card["people"]["strangers"]
    named, fpir = show_rate(card["tpir"]), show_rate(card["fpir"])
    return [
        ("In rehearsal", photos),
        (" named right", named and f"{named} of photos of {show_count(known, 'person', 'people')}"),
        (" strangers named", fpir and f"{fpir} of photos of {show_count(strangers, 'person', 'people')} left out"),
        (" confidence off by", show_rate(_as_rate(card["expected_calibration_error"]))),
    ]


def _as_rate(figure: dict[str, Any]) -> dict[str, Any]:
    return {**figure, "rate": figure["value"]}


def accuracy(manifest: dict[str, Any]) -> float | None:
    """Return the share of photos whose nearest person is right: of the test photos, else of those held out."""
    metrics = manifest["metrics"]
    test, rehearsal = metrics.get("test") or {}, metrics.get("rehearsal") or {}
    found = test.get("rank1_accuracy")
    return found if found is not None else rehearsal.get("held_out_rank1_accuracy")


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
    console.print("\nWhen it served", style="bold")
    print_history(console, history)


def print_history(console: "Console", history: "Sequence[Activation]") -> None:
    """Print which models served."""
    from db.ids import model_version

    table = make_table([">Generation", "Model", "Since", "By", "Why"])
    for each in history:
        add_row(table, each.generation, model_version(each.model_id), show_minute(each.at), each.who, each.why)
    console.print(table)
