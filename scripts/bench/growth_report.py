"""Prints what `facefleet bench growth` measured: tables of costs by the size of a job, and how memory went."""

from typing import Any

from scripts.output import (
    add_row,
    make_console,
    make_table,
    print_fields,
    say,
    show_bytes,
    show_count,
    show_duration,
    show_share,
)


def print_growth(document: dict[str, Any]) -> None:
    """Print the figures on stdout.

    Args:
        document: the command's JSON form.
    """
    console = make_console()
    console.print(_costs(document))
    console.print(_rest(document))
    database, machine = document["database"], document["machine"]
    print_fields(
        console,
        [
            *_watch(document["watch"]),
            ("work", f"{show_count(document['rounds'], 'job')} of each size, {document['source']}"),
            ("mode", f"{document['faces']}, {machine['backbone']}, {document['workers']} processes"),
            ("ledger", f"{document['ledger_photos']:,} photos in the end, {database['kind']} {database['version']}, "
             f"{show_bytes(database['bytes'])}"),
            ("photos that failed", document["photos_failed"] or None),
            ("photos without one outcome", document["photos_lost"]),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}"),
            ("load", " before, ".join(f"{load[0]:.1f}" for load in machine["load"]) + " after"),
        ],
    )  # fmt: skip
    say("Ratios are to the smallest jobs run right before and after. Computing is of all processes, PostgreSQL's not.")


def _costs(document: dict[str, Any]) -> Any:
    """Return the table of what a photo costs, for each size and part of the work."""
    table = make_table(
        ["Photos of a job", "", ">by the clock", ">times a small job's", ">computing", ">times a small job's"],
        title="A photo's cost, medians",
    )
    for size in document["sizes"]:
        for part in ("submit", "identify"):
            figures = size[part]
            add_row(
                table,
                f"{size['count']:,}",
                part,
                show_us(figures["wall_us"]["median"]),
                show_ratio(figures["wall_ratio"]),
                show_us(figures["computing_us"]["median"]),
                show_ratio(figures["computing_ratio"]),
            )
    return table


def _rest(document: dict[str, Any]) -> Any:
    """Return the table of what else grows, or does not, with a job."""
    headings = [
        "Photos of a job",
        ">database, bytes a photo",
        ">first page",
        ">page in the middle",
        ">a worker before",
        ">after",
    ]
    table = make_table(headings, title="Database, pages of results, memory that is a worker's alone")
    for size in document["sizes"]:
        memory = size["unique_bytes"]
        add_row(
            table,
            f"{size['count']:,}",
            f"{size['bytes_per_photo']['median']:,.0f}",
            f"{size['first_page_ms']['median']:.1f} ms",
            f"{size['middle_page_ms']['median']:.1f} ms",
            *(None if memory[at] is None else show_bytes(memory[at]) for at in ("before_first", "after_last")),
        )
    return table


def _watch(watch: dict[str, Any] | None) -> list[tuple[str, str | None]]:
    """Say how what each worker held went while the fleet was watched."""
    if watch is None:
        return []
    memory = "; ".join(_trend(worker["unique_bytes"]) for worker in watch["workers"])
    files = "; ".join(f"{w['open_files']['first']} > {w['open_files']['last']}" for w in watch["workers"])
    return [
        ("watched", f"{show_duration(watch['seconds'])}, {watch['photos']:,} photos; what follows is since "
         f"{show_duration(watch['warm_up_s'])}"),
        ("memory", memory),
        ("open files", files),
        ("replaced", show_count(watch["restarted"], "process", "processes") if watch["restarted"] else None),
    ]  # fmt: skip


def _trend(trend: dict[str, Any]) -> str:
    ends = f"{show_bytes(trend['first'])} > {show_bytes(trend['last'])}"
    return ends if trend["per_hour"] is None else f"{ends} ({show_slope(trend)})"


def show_slope(trend: dict[str, Any]) -> str:
    """Return how fast something grew, with its standard error."""
    return f"{100 * trend['per_hour']:+.2f} % an hour, give or take {show_share(trend['error'], 2)}"


def show_us(microseconds: float) -> str:
    """Return a time as tables show it: 8.3 µs, 1,204 µs."""
    return f"{microseconds:,.1f} µs" if microseconds < 100 else f"{microseconds:,.0f} µs"


def show_ratio(ratio: dict[str, float] | None) -> str | None:
    """Return how many times as much, with the range of several; None when it is too little for the clock."""
    if ratio is None:
        return None
    low, middle, high = (f"{ratio[name]:.2f}" for name in ("min", "median", "max"))
    return middle if ratio["min"] == ratio["max"] else f"{middle} ({low} to {high})"
