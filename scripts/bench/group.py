"""`facefleet bench`: the pipeline in a bare loop against the same pipeline through the queue, paired in one run.

The group's others have files of their own.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from core.settings import Settings
from scripts.bench.accuracy import accuracy
from scripts.bench.clusters import clusters
from scripts.bench.compare import compare
from scripts.bench.engine import engine
from scripts.bench.growth import growth
from scripts.bench.latency import latency
from scripts.bench.profile import profile
from scripts.bench.query import query
from scripts.bench.rescore import rescore
from scripts.bench.retrain import retrain
from scripts.bench.scale import scale
from scripts.bench.stages import stages
from scripts.bench.submit import submit
from scripts.bench.swap import swap
from scripts.common import Invocation, command
from scripts.output import add_row, make_console, make_table, print_fields, say, show_share, write_json
from scripts.progress import show_progress


class _WithDefault(click.Group):
    """A group that measures speed when nothing else is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name in that was left out: of nothing, or before an option that is not the group's own."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [speed.name or "", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_WithDefault)
def bench() -> None:
    """Measure how fast this machine identifies photos, or how well a pretrained backbone does.

    Without a COMMAND: speed.
    """


@command(
    "speed",
    group=bench,
    example="facefleet bench speed\nfacefleet bench speed --photos faces/ --count 20000 --rounds 3 --json",
)
@click.option("--photos", metavar="DIR", help="Photos that are one face each.", show_default="drawn faces")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=4000, help="Photos a round; DIR is repeated.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, help="Processes, on either side.")
@click.option("--rounds", type=click.IntRange(1, 100), default=9, help="Rounds; each times both sides.")
def speed(invocation: Invocation, photos: str | None, count: int, workers: int, rounds: int) -> None:
    """Measure how fast this machine identifies photos, in a bare loop and through the queue.

    Both sides run the same model over the same photos in as many processes, one after the other in every round: on a
    machine that others use too, their ratio holds where the figures themselves drift. Nothing of it is kept.
    """
    from scripts.bench.rounds import Bench, run_rounds

    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    with tempfile.TemporaryDirectory(prefix="facefleet-bench-") as folder:
        settings = replace(Settings.from_env(), home=Path(folder), database_url="", redis_url="", artifacts="")
        with (
            Bench(settings, source=photos, count=count, workers=workers) as prepared,
            show_progress("Measuring", rounds) as bar,
        ):
            document = run_rounds(prepared, rounds, lambda done: bar.update(done=done))
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)


bench.add_command(compare)
bench.add_command(engine)
bench.add_command(latency)
bench.add_command(stages)
bench.add_command(profile)
bench.add_command(accuracy)
bench.add_command(rescore)
bench.add_command(clusters)
bench.add_command(swap)
bench.add_command(retrain)
bench.add_command(scale)
bench.add_command(submit)
bench.add_command(query)
bench.add_command(growth)


def _print(document: dict[str, Any]) -> None:
    """Show the figures side by side."""
    console = make_console()
    table = make_table(["", ">photos/s, median", ">slowest round", ">fastest round"])
    for key, title in (("bare", "bare loop"), ("cluster", "through the queue")):
        figures = document[key]["images_per_s"]
        add_row(table, title, *(f"{figures[name]:,.0f}" for name in ("median", "min", "max")))
    console.print(table)
    ratio = document["cluster_over_bare"]
    machine = document["machine"]
    print_fields(
        console,
        [
            ("queue / bare", f"{ratio['median']:.2f} (median; {ratio['min']:.2f} to {ratio['max']:.2f})"),
            ("cost of the queue", show_share(1 - ratio["median"])),
            ("work", f"{document['count']:,} photos a round, {document['rounds']} rounds, {document['source']}"),
            ("processes", f"{document['workers']} on either side"),
            ("model", f"{machine['backbone']}, run as {machine['variant']}"),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}"),
        ],
    )
    say("Figures of a shared machine drift; compare ratios.")
