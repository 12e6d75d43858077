"""What `facefleet bench scale` says: unit costs, simulated beside measured fleets, and what moves the ceiling."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scripts.output import add_row, make_console, make_table, print_fields, say, show_bytes, show_duration, show_share
from scripts.simulate_costs import TransactionCost, UnitCosts
from scripts.simulate_fleet import WORKERS
from scripts.simulate_levers import PHOTOS

if TYPE_CHECKING:
    from rich.console import Console

_LONG_S = 2 * 86_400


def print_scale(document: dict[str, Any]) -> None:
    """Show the whole document."""
    console, costs = make_console(), UnitCosts.from_json(document["costs"])
    _print_costs(console, costs, document["plan"])
    _print_check(console, document["check"])
    _print_sweep(console, document["sweep"])
    most = max(fleet["workers"] for fleet in document["sweep"])
    last = document["sweep"][-1] if len(document["sweep"]) == 1 else _largest(document["sweep"])
    _print_levers(console, f"{most:,} workers, one lever alone", last, document["levers"], alone=True)
    _print_levers(console, f"{most:,} workers, one lever after the other", last, document["ladder"], alone=False)
    say("Figures of a shared machine drift. What is simulated and what is not: docs/scaling.md.")


def show_long(seconds: float) -> str:
    """Return a duration, in days where it is long."""
    return f"{seconds / 86_400:,.1f} days" if seconds > _LONG_S else show_duration(seconds) or ""


def show_ms(seconds: float) -> str:
    """Return milliseconds, two digits at least."""
    return f"{1000 * seconds:.3g} ms"


def _largest(fleets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return max(fleets, key=lambda fleet: fleet["workers"])


def _print_costs(console: "Console", costs: UnitCosts, plan: dict[str, Any]) -> None:
    """Show what work costs, of a chunk as it is simulated."""
    size, machine = plan["chunk_size"], costs.machine
    compute = costs.detect if plan["detect"] and costs.detect else costs.compute
    commit = costs.commit_detect if plan["detect"] else costs.commit
    print_fields(
        console,
        [
            ("recognising", f"{show_ms(compute.chunk.of(size))} a chunk of {size} photos, {compute.threads} core"),
            ("claiming", _show_transaction(costs.claim, size)),
            ("committing", _show_transaction(commit, size)),
            (
                "rows",
                f"{costs.rows:,} photos in the ledger; costs grow by {show_share(costs.growth)} with every tenfold",
            ),
            ("a bell", f"{show_ms(costs.bell_server_s)} of Redis, {show_ms(costs.bell_client_s)} of its taker"),
            ("a photo", f"{show_bytes(costs.photo_bytes)}, read in {show_ms(costs.read_s)}"),
            (
                "a row of results",
                f"{show_ms(costs.result_server_s)} of the database" if costs.result_server_s else None,
            ),
            ("measured on", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}, {costs.database}"),
        ],
    )


def _show_transaction(cost: TransactionCost, size: int) -> str:
    """Say what a transaction costs, and for how long others wait for it."""
    free_s = cost.free.client.of(size) + cost.free.server.of(size)
    held_s = cost.held.client.of(size) + cost.held.server.of(size) + cost.sync_s
    server_s = cost.free.server.of(size) + cost.held.server.of(size)
    server = f", {show_ms(server_s)} of it the database's" if server_s else ""
    return f"{show_ms(free_s + held_s)}{server}; {show_ms(held_s)} under a lock, {show_ms(cost.sync_s)} for the disk"


def _print_check(console: "Console", rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    console.print()
    columns = [">Processes", ">photos/s", ">others used", ">photos/s of the time left", ">simulated", ">off by"]
    table = make_table(columns, title="Fleets that were run on this machine")
    for row in rows:
        left = row["of_time_left"]
        add_row(
            table,
            row["processes"],
            f"{row['measured']['median']:,.0f}",
            show_share(row["others"]),
            f"{left['median']:,.0f} ({left['min']:,.0f} to {left['max']:,.0f})",
            f"{row['simulated']:,.0f}",
            f"{100 * row['error']:+.1f} %",
        )
    console.print(table)


def _print_sweep(console: "Console", fleets: Sequence[dict[str, Any]]) -> None:
    console.print()
    table = make_table(
        [">Workers", ">photos/s", f">{PHOTOS:,.0f} photos in", "held up by", ">in use"], title="Simulated"
    )
    for fleet in fleets:
        add_row(table, f"{fleet['workers']:,}", *_cells(fleet))
    console.print(table)


def _print_levers(
    console: "Console", title: str, before: dict[str, Any], fleets: Sequence[dict[str, Any]], *, alone: bool
) -> None:
    """Show what each lever does: alone against the fleet as it is, or after those above it."""
    console.print()
    columns = ["", ">photos/s", ">times", f">{PHOTOS:,.0f} photos in", "held up by", ">in use"]
    table = make_table(columns, title=title)
    first = before["photos_per_s"]
    for fleet in [{**before, "lever": "as it is"}, *fleets]:
        rate, *others = _cells(fleet)
        add_row(
            table,
            fleet["lever"] if alone else f"+ {fleet['lever']}".replace("+ as it is", "as it is"),
            rate,
            f"{fleet['photos_per_s'] / first:.2f}",
            *others,
        )
    console.print(table)


def _cells(fleet: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return a fleet's rate, duration, ceiling, and how much of that is in use."""
    ceiling = fleet["ceiling"]
    shown = "its workers" if ceiling == WORKERS else ceiling
    return (
        f"{fleet['photos_per_s']:,.0f}",
        show_long(fleet["duration_s"]),
        shown,
        show_share(fleet["uses"][ceiling], 0) or "",
    )
