"""`facefleet bench submit`: how fast photos are recorded as a job, with all that `facefleet submit` does."""

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.machine import describe_machine
from core.records import FacesMode
from scripts.bench.options import bench_settings, database_option
from scripts.common import Invocation, command
from scripts.output import make_console, print_fields, say, show_bytes, show_duration, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from core.settings import Settings
    from db.engine import Database

_FOLDER_PHOTOS = 1000
_STATUS = Path("/proc/self/status")


@command(
    "submit",
    example="facefleet bench submit\n"
    "facefleet bench submit --items 100000 --database postgresql+psycopg://localhost/bench --json",
)
@click.option("--items", type=click.IntRange(1, 100_000_000), default=1_000_000, help="Photos of the one job.")
@database_option
def submit(invocation: Invocation, items: int, url: str | None) -> None:
    """Measure how fast photos are submitted: found in a manifest, recorded in pages, rung for.

    Paths are made up and no photo is read: submitting never does. All else is what `facefleet submit` does, by its own
    functions, with a Redis of its own. Nothing of it is kept.
    """
    from scripts.bench.database import empty_database

    invocation.on_interrupt = "What was made to measure with is removed."
    with (
        bench_settings(pretrained=False) as settings,
        empty_database(url) as database,
        show_progress("Submitting", items, unit="photos") as bar,
    ):
        measured = measure_submit(database, settings, items, lambda done: bar.update(done=done))
    document = {"items": items, **measured, "machine": {**describe_machine(), "load": os.getloadavg()}}
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)


def measure_submit(
    database: "Database", settings: "Settings", items: int, on_progress: Callable[[int], None]
) -> dict[str, Any]:
    """Submit made-up photos; return what it took, as JSON.

    Args:
        database: with empty tables.
        settings: of a home of its own, in which a Redis is started.
        items: photos.
        on_progress: told how many are recorded.
    """
    from scripts.bench.database import describe_database
    from workers.doorbell import Doorbell
    from workers.embedded import EmbeddedRedis
    from workers.submit import SubmitRequest, submit_job

    settings.home.mkdir(exist_ok=True)
    manifest = settings.home / "photos.jsonl"
    _write_manifest(manifest, items)
    request = SubmitRequest(sources=(str(manifest),), faces_mode=FacesMode.DETECT, name="bench")
    with EmbeddedRedis(settings.redis_dir) as redis:
        doorbell = Doorbell(redis.url)
        try:
            begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
            submission = submit_job(database, doorbell, settings, request, on_progress)
            seconds, computed_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
            bells = doorbell.waiting()
        finally:
            doorbell.close()
    if submission.total != items or not submission.rung:
        raise RuntimeError(f"of {items} photos {submission.total} were submitted: {submission.ring_error}")
    return {
        "database": describe_database(database),
        "seconds": round(seconds, 3),
        "computed_s": round(computed_s, 3),
        "items_per_s": round(items / seconds, 1),
        "chunk_size": settings.chunk_size,
        "bells": bells,
        "peak_memory_bytes": _peak_memory_bytes(),
    }


def _write_manifest(file: Path, items: int) -> None:
    """Name photos as an archive would; they lie nowhere."""
    with file.open("w", encoding="utf-8") as stream:
        for number in range(items):
            uri = f"file:///archive/reels/{number // _FOLDER_PHOTOS:06}/IMG_{number:09}.jpg"
            stream.write(json.dumps({"uri": uri}) + "\n")


def _peak_memory_bytes() -> int | None:
    """Return the most memory that this process held at once; None where the system does not say."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"))
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None


def _print(document: dict[str, Any]) -> None:
    database, machine, peak = document["database"], document["machine"], document["peak_memory_bytes"]
    print_fields(
        make_console(),
        [
            ("submitted", f"{document['items']:,} photos in {show_duration(document['seconds'])}"),
            ("photos/s", f"{document['items_per_s']:,.0f}"),
            ("computed", f"{show_duration(document['computed_s'])} of it in this process"),
            ("memory", None if peak is None else f"{show_bytes(peak)} at most, of this process"),
            ("database", f"{database['kind']} {database['version']}, {show_bytes(database['bytes'])} afterwards"),
            ("bells", f"{document['bells']:,} wait, for chunks of {document['chunk_size']} photos"),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, load {machine['load'][0]:.1f}"),
        ],
    )
    say("Figures of a shared machine drift; the manifest was written before the clock ran.")
