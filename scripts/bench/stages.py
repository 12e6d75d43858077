"""`facefleet bench stages`: what each stage costs a photo, and how near that is to what a core can compute."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.stages import Stage
from scripts.bench.options import choose_work, fleet_options, open_bench_fleet
from scripts.bench.stage_words import WORDS
from scripts.common import Invocation, command
from scripts.output import add_row, make_console, make_table, print_fields, say, show_share, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from core.models.artifact import Artifact
    from scripts.bench.fleet import BenchFleet

_WARM_CHUNKS = 1


@command(
    "stages",
    example="facefleet bench stages\nfacefleet bench stages --faces detect --people faces/ --count 1000 --json",
)
@fleet_options
@click.option("--count", type=click.IntRange(2, 1_000_000), default=2000, help="Photos; DIR is repeated.")
def stages(
    invocation: Invocation, faces: str, photos: str | None, people: Path | None, workers: int, count: int
) -> None:
    """Measure what each stage costs a photo, on one core, one stage after the other.

    And the arithmetic limit: what a core computes at most in the network's precision, what the networks ask for, and
    the share of the limit that is reached. By computing time, which other work on the machine stretches little.
    """
    work = choose_work(faces, photos, people, workers)
    invocation.on_interrupt = "Everything that was started is stopped; nothing is kept."
    load_before = os.getloadavg()
    with show_progress("Measuring"), open_bench_fleet(work, count) as fleet:
        fleet.stop_workers()  # its photos are for one process alone
        spent, variant = _spend(fleet)
        limit = find_limit(spent, _artifact(fleet), bfloat16=variant.startswith("bf16"), cores=workers)
        machine = {**fleet.machine(), "variant": variant}
    document = {
        "faces": work.faces.value,
        "source": work.source,
        "count": spent["photos"],
        "faces_found": spent["faces"],
        "workers": workers,
        **cost_per_photo(spent),
        "limit": limit,
        "machine": {**machine, "load": [load_before, os.getloadavg()]},
    }
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)


def cost_per_photo(spent: dict[str, Any]) -> dict[str, Any]:
    """Return what each stage took for a photo, in ms, and all together; stages in the pipeline's order."""
    per_photo = 1e3 / spent["photos"]
    costs = {
        name: {"wall_ms": spent["stages"][name][0] * per_photo, "computing_ms": spent["stages"][name][1] * per_photo}
        for name in map(str, Stage)
        if name in spent["stages"]
    }
    totals = {key: sum(cost[key] for cost in costs.values()) for key in ("wall_ms", "computing_ms")}
    return {"stages": costs, "total": totals}


def find_limit(spent: dict[str, Any], artifact: "Artifact", *, bfloat16: bool, cores: int) -> dict[str, Any]:
    """Return the arithmetic limit of the networks and the share of it that is reached, as JSON.

    Args:
        spent: what the pipeline took, and what it looked at.
        artifact: the model.
        bfloat16: whether the embedder computes in it; the detector computes in float32.
        cores: that are computed on at once.
    """
    from scripts.bench.arithmetic import count_detector, count_embedder, measure_peak

    embedder = _share(
        count_embedder(artifact) * spent["faces"], measure_peak(bfloat16=bfloat16), spent["stages"]["embed"]
    )
    networks = {"embedder": embedder}
    if artifact.detector is not None:
        flops = sum(count_detector(artifact.detector, *canvas) * count for canvas, count in spent["canvases"])
        networks["detector"] = _share(flops, measure_peak(bfloat16=False), spent["stages"]["detect"])
    least_s = sum(each["least_s"] for each in networks.values())
    all_s = sum(stage[1] for stage in spent["stages"].values())
    return {
        "networks": networks,
        "images_per_s": cores * spent["photos"] / least_s,
        "reached_images_per_s": cores * spent["photos"] / all_s,
        "share": least_s / all_s,
    }


def _share(flops: int, peak: Any, stage: tuple[float, float]) -> dict[str, Any]:
    least_s, took_s = flops / peak.flops_per_s, stage[1]
    return {
        "gflops": flops / 1e9,
        "precision": peak.precision,
        "peak_gflops_per_s": peak.flops_per_s / 1e9,
        "peak_of": peak.of,
        "least_s": least_s,
        "took_s": took_s,
        "share": least_s / took_s,
    }


def _spend(fleet: "BenchFleet") -> tuple[dict[str, Any], str]:
    """Submit all photos and have one process work them off; return what it took, and how the network ran."""
    from scripts.bench.processes import BenchProcesses
    from scripts.bench.stages_pipeline import set_up
    from workers.spec import Role, make_spec

    spec = make_spec(Role.IDENTIFY, fleet.settings, device="cpu", slots=fleet.workers)
    with BenchProcesses(set_up, [(spec, fleet.model)]) as processes:
        fleet.submit()
        (spent,) = processes.ask([_WARM_CHUNKS])
        return spent, processes.told[0]


def _artifact(fleet: "BenchFleet") -> "Artifact":
    from core.models.artifact import unpack_artifact
    from core.models.store import ModelStore

    return unpack_artifact(ModelStore.from_settings(fleet.settings).path(fleet.model.sha256).read_bytes())


def _print(document: dict[str, Any]) -> None:
    """Show the stages below each other, then the limit."""
    console = make_console()
    table = make_table(["Stage", ">ms a photo", ">computing", ">share", "What"])
    whole = document["total"]["computing_ms"]
    for name, cost in document["stages"].items():
        share = show_share(cost["computing_ms"] / whole)
        add_row(table, name, f"{cost['wall_ms']:.3f}", f"{cost['computing_ms']:.3f}", share, WORDS[Stage(name)])
    add_row(table, "all", f"{document['total']['wall_ms']:.3f}", f"{whole:.3f}", "100.0 %")
    console.print(table)
    machine, limit = document["machine"], document["limit"]
    print_fields(
        console,
        [
            *((f"limit of the {name}", _show_network(each)) for name, each in limit["networks"].items()),
            (
                "limit of the whole",
                f"{limit['images_per_s']:,.0f} photos/s on {document['workers']} cores if only the networks took time"
                f"; {limit['reached_images_per_s']:,.0f} reached ({show_share(limit['share'])})",
            ),
            ("work", f"{document['count']:,} photos, {document['faces_found']:,} faces, {document['source']}"),
            ("mode", f"{document['faces']}, {machine['backbone']}, run as {machine['variant']}"),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}"),
            ("load", " before, ".join(f"{load[0]:.1f}" for load in machine["load"]) + " after"),
        ],
    )
    say("Computing: time that the process computed. One core; in a worker, reading overlaps with computing.")


def _show_network(network: dict[str, Any]) -> str:
    return (
        f"{network['peak_gflops_per_s']:,.0f} GFLOP/s a core in {network['precision']} ({network['peak_of']}); "
        f"{show_share(network['share'])} of it reached"
    )
