"""`facefleet bench retrain`: how long it takes from asking for a retrain until every worker serves its model."""

import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import click

from core.errors import InputError
from core.settings import Settings
from core.weights.spec import DEFAULT_EMBEDDER
from scripts.common import Invocation, command
from scripts.output import add_row, make_console, make_table, print_fields, say, write_json
from scripts.photo_folders import find_labelled
from scripts.progress import show_progress


@command(
    "retrain",
    example="facefleet bench retrain faces/\nfacefleet bench retrain faces/ --people 20 --runs 3 --json",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--people", type=click.IntRange(2, 1_000_000), metavar="N", default=60, help="The first of DIR by name.")
@click.option("--photos", type=click.IntRange(1, 10_000), metavar="N", default=3, help="The first photos of each.")
@click.option("--backbone", metavar="NAME", default=DEFAULT_EMBEDDER, help="The pretrained weights to build on.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes that identify.")
@click.option("--runs", type=click.IntRange(2, 1000), default=5, help="Retrains, one after the other.")
def retrain(
    invocation: Invocation, folder: Path, people: int, photos: int, backbone: str, workers: int, runs: int
) -> None:
    """Measure how long a retrain of a head takes, from asking for it until every worker serves its model.

    DIR holds DIR/<person>/<image>. The first run reads and embeds the photos; the later ones find them embedded.
    Nothing of it is kept.
    """
    from scripts.bench.retrains import RetrainCase, measure_retrains

    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    found = dict(islice(sorted(find_labelled(folder).items()), people))
    if len(found) < people:
        raise InputError(f"{folder} holds photos of {len(found)} people, not {people}. Nothing was measured.")
    case = RetrainCase(
        labelled={name: uris[:photos] for name, uris in found.items()}, backbone=backbone, workers=workers
    )
    with tempfile.TemporaryDirectory(prefix="facefleet-bench-") as home:
        settings = _settings_in(Path(home))
        with show_progress("Retraining", runs) as bar:
            document = measure_retrains(settings, case, runs, lambda done: bar.update(done=done))
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)


def _settings_in(home: Path) -> Settings:
    """Return the settings of a fleet of its own, with the weights that are on this machine."""
    settings = Settings.from_env()
    weights = settings.weights or str(settings.weights_dir)
    return replace(settings, home=home, weights=weights, database_url="", redis_url="", artifacts="")


def _print(document: dict[str, Any]) -> None:
    """Show what took how long, one line a run."""
    console = make_console()
    stages = list(document["runs"][0]["stages"])
    table = make_table(["run", ">seconds", ">computed", *(f">{stage}" for stage in stages)])
    for number, run in enumerate(document["runs"], start=1):
        figures = [run["seconds"], run["computed_s"], *(run["stages"].get(stage, 0.0) for stage in stages)]
        add_row(table, number, *(f"{seconds:.2f}" for seconds in figures))
    console.print(table)
    machine = document["machine"]
    print_fields(
        console,
        [
            ("first run", f"{document['first_s']:.2f} s"),
            ("later runs", f"{document['later_s']:.2f} s, {document['later_computed_s']:.2f} s of computing (medians)"),
            ("work", f"{document['photos']:,} photos of {document['people']:,} people, {document['backbone']}"),
            ("workers", document["workers"]),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}"),
        ],
    )
    say("Figures of a shared machine drift; compare ratios.")
