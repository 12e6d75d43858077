"""`facefleet bench rescore`: how fast faces are decided about anew, alone and with the ledger around it."""

import time
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.machine import describe_machine
from scripts.bench.options import database_option
from scripts.common import Invocation, command
from scripts.output import add_row, make_console, make_table, print_fields, say, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from db.engine import Database
    from scripts.bench.faces import MadeUpFaces
    from scripts.deciding import DecidingModel


@command(
    "rescore",
    example="facefleet bench rescore\nfacefleet bench rescore --faces 200000 --people 60 --people 1000 --json",
)
@click.option("--faces", type=click.IntRange(1, 10_000_000), default=300_000, help="Stored faces, one a photo.")
@click.option(
    "--people",
    "galleries",
    type=click.IntRange(2, 100_000),
    multiple=True,
    default=(60, 1000),
    help="People whom the model knows; may be given several times.",
)
@database_option
def rescore(invocation: Invocation, faces: int, galleries: tuple[int, ...], url: str | None) -> None:
    """Measure how fast stored faces are decided about anew: deciding alone, and with reading and writing them.

    Faces are made up: embeddings of 256 numbers, half of them of people whom the model knows. Every face's row changes.
    First these get a name; then a model that was trained again decides, under which hardly a name changes.
    """
    invocation.on_interrupt = "What was made to measure with is removed."
    rounds = []
    with show_progress("Measuring", len(galleries)) as bar:
        for number, people in enumerate(galleries):
            rounds.append(_measure(faces, people, url))
            bar.update(done=number + 1)
    document = {"faces": faces, "rounds": rounds, "machine": describe_machine()}
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)


def _measure(count: int, people: int, url: str | None) -> dict[str, Any]:
    """Measure with a model of so many people."""
    from scripts.bench.database import empty_database
    from scripts.bench.faces import make_faces, store_faces

    faces = make_faces(count, people)
    decide_s, decide_cpu_s = _decide_alone(faces)
    with empty_database(url) as database:
        store_faces(database, faces)
        whole = _rescore(database, faces.model)
        again = _rescore(database, faces.retrained)
        kind = "sqlite" if database.is_sqlite else "postgresql"
    return {
        "database": kind,
        "people": people,
        "deciding": _rates(count, decide_s, decide_cpu_s),
        "whole": whole,
        "again": again,
    }


def _rescore(database: "Database", model: "DecidingModel") -> dict[str, float]:
    """Measure a pass over all faces."""
    from scripts.rescoring import Rescoring

    begun, begun_cpu = time.perf_counter(), time.process_time()
    tally = Rescoring(database, model, job_id=None, only_while_serving=False, clock=utc_now, tell=lambda _: None).run()
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - begun_cpu
    return {**_rates(tally.faces, seconds, cpu_seconds), "changed": tally.changed}


def _decide_alone(faces: "MadeUpFaces") -> tuple[float, float]:
    """Decide about all faces at once; return seconds, and seconds of computing."""
    import numpy as np

    from core.faces.rescore import decide_stored

    low_quality = np.zeros(faces.count, bool)
    gallery, rule = faces.model.gallery, faces.model.rule
    decide_stored(faces.stored[: faces.row_bytes], low_quality[:1], gallery, rule)  # loads what is loaded once
    begun, begun_cpu = time.perf_counter(), time.process_time()
    decide_stored(faces.stored, low_quality, gallery, rule)
    return time.perf_counter() - begun, time.process_time() - begun_cpu


def _rates(count: int, seconds: float, cpu_seconds: float) -> dict[str, float]:
    """Return faces a second, by the clock and by the computing time of this process."""
    return {
        "seconds": round(seconds, 3),
        "faces_per_s": round(count / seconds, 1),
        "faces_per_cpu_s": round(count / max(cpu_seconds, 1e-9), 1),
    }


def _print(document: dict[str, Any]) -> None:
    """Show the figures side by side."""
    table = make_table([">People", "", ">faces/s", ">faces/s of computing"])
    for figures in document["rounds"]:
        for key, title in (
            ("deciding", "deciding alone"),
            ("whole", f"read, decided, written ({figures['database']})"),
            ("again", "the same, trained again"),
        ):
            rates = figures[key]
            add_row(table, figures["people"], title, f"{rates['faces_per_s']:,.0f}", f"{rates['faces_per_cpu_s']:,.0f}")
    console = make_console()
    console.print(table)
    machine = document["machine"]
    print_fields(
        console,
        [
            ("work", f"{document['faces']:,} faces, whose rows all change"),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}"),
        ],
    )
    say("Of computing: by the time that this process computed, whatever else the machine did.")
