"""How training runs are shown to people: as a list, and one with its progress and its curve."""

import itertools
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from core.records import RunState
from scripts.output import (
    add_row,
    make_table,
    print_fields,
    print_text,
    show_duration,
    show_minute,
    show_share,
    show_time,
)

if TYPE_CHECKING:
    from rich.console import Console

    from db.tables import Run, RunEpoch

_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 40
_REASON_SHOWN = 60
_LATEST = 5
"""Epochs whose mean tells how long those will take that are left."""


def run_summary(run: "Run") -> dict[str, Any]:
    """Return a run as lists show it."""
    times = {name: getattr(run, name) for name in ("created_at", "started_at", "finished_at")}
    return {
        "run": run.public_id,
        "state": run.state,
        "stage": run.stage,
        "recipe": run.recipe,
        "who": run.options.get("who"),
        "attempts": run.attempts,
        "dataset_digest": run.dataset_digest,
        "activated": run.activated,
        "reason": run.reason,
        **{name: at.isoformat() if at else None for name, at in times.items()},
    }


def run_progress(epochs: Sequence["RunEpoch"], run: "Run") -> dict[str, Any]:
    """Return how far a run is, its latest figures and its curve.

    `eta_s` counts the epochs that are left, not the export; early stopping may end sooner.
    """
    last = epochs[-1] if epochs else None
    second = fmean(epoch.seconds for epoch in epochs[-_LATEST:]) if epochs else None
    left = last.epochs - last.epoch if last else 0
    names = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    return {
        "epoch": last.epoch if last else 0,
        "epochs": last.epochs if last else run.options.get("epochs"),
        "seconds_per_epoch": None if second is None else round(second, 3),
        "eta_s": round(left * second, 1) if second is not None and run.state == RunState.RUNNING else None,
        "curve": [{name: getattr(epoch, name) for name in names} for epoch in epochs],
    }


def print_runs(console: "Console", runs: Sequence["Run"]) -> None:
    """Print a table of runs."""
    table = make_table(["Run", "State", "Recipe", "Asked by", "Asked", ">Time", "Reason"])
    for run in runs:
        state = f"{run.state}: {run.stage}" if run.stage else run.state
        asked_by, asked = run.options.get("who") or "", show_minute(run.created_at)
        add_row(table, run.public_id, state, run.recipe, asked_by, asked, _time(run) or "", _shorten(run.reason or ""))
    console.print(table)


def print_run(console: "Console", run: "Run", epochs: Sequence["RunEpoch"]) -> None:
    """Print everything about a run but its model."""
    progress = run_progress(epochs, run)
    eta_s, environment = progress["eta_s"], run.environment or {}
    print_fields(
        console,
        [
            ("Run", run.public_id),
            ("State", f"{run.state}: {run.stage}" if run.stage else run.state),
            ("Recipe", f"{run.recipe}, seed {run.options.get('seed', 0)}"),
            ("Asked by", run.options.get("who")),
            ("Asked", show_time(run.created_at)),
            ("Time", _time(run)),
            ("Attempts", str(run.attempts) if run.attempts > 1 else None),
            ("Epoch", f"{progress['epoch']} of {progress['epochs']}" if epochs else None),
            ("Time left", f"about {show_duration(eta_s)}, and the export" if eta_s is not None else None),
            ("Dataset", run.dataset_digest),
            ("Made with", ", ".join(f"{name} {value}" for name, value in environment.items()) or None),
            ("Reason", run.reason),
        ],
    )
    if len(epochs) > 1:
        console.print()
        _print_curves(console, epochs)


def sparkline(values: Sequence[float], width: int = _CURVE_WIDTH) -> str:
    """Draw figures as a line of blocks, at most `width` of them: the lowest figure is the lowest block."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [at * len(values) // count for at in range(count + 1)]
    means = [fmean(values[low:high]) for low, high in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((mean - low) * scale)] for mean in means)


def _print_curves(console: "Console", epochs: Sequence["RunEpoch"]) -> None:
    curves: list[tuple[str, list[float], bool]] = [
        ("Loss", [epoch.train_loss for epoch in epochs], False),
        ("Loss, held out", [epoch.val_loss for epoch in epochs if epoch.val_loss is not None], False),
        ("Accuracy", [epoch.train_accuracy for epoch in epochs], True),
        ("Accuracy, held out", [epoch.val_accuracy for epoch in epochs if epoch.val_accuracy is not None], True),
    ]
    for name, values, is_share in curves:
        if values:
            first, last = (show_share(value) if is_share else f"{value:.3f}" for value in (values[0], values[-1]))
            print_text(console, f"{name:19} {first:>8}  {sparkline(values)}  {last}")


def _shorten(reason: str) -> str:
    return reason if len(reason) <= _REASON_SHOWN else f"{reason[: _REASON_SHOWN - 1].rstrip()}…"


def _time(run: "Run") -> str | None:
    if run.started_at is None or run.finished_at is None:
        return None
    return show_duration((run.finished_at - run.started_at).total_seconds())
