"""How the accuracy of a backbone is shown to people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scripts.output import (
    add_row,
    make_table,
    print_fields,
    print_text,
    say,
    show_count,
    show_duration,
    show_share,
)

if TYPE_CHECKING:
    from rich.console import Console

_ERRORS_SHOWN = 5
_DIGITS = 2


def print_accuracy(console: "Console", document: dict[str, Any]) -> None:
    """Print what was looked at, verification, and a row for each number of photos learned from."""
    verification = document["verification"]
    folds = verification["fold_accuracy"]
    print_fields(
        console,
        [
            ("Backbone", document["backbone"]),
            ("Known people", f"{document['known']['people']:,}: {_show_photos(document['known'])}"),
            ("Strangers", document["strangers"] and _show_photos(document["strangers"])),
            (
                "Pairs verified",
                f"{verification['pairs_within']:,} of one person, {verification['pairs_across']:,} of two; "
                f"mean of {show_count(verification['draws'], 'draw')}",
            ),
            (
                "  best threshold",
                f"{_show_spread(verification['best_accuracy'])} right, at {verification['best_threshold']['mean']:.3f}",
            ),
            (
                "  threshold of others",
                folds and f"{_show_spread(folds)} right, each of {verification['folds']} folds by the other people's",
            ),
        ],
    )
    console.print()
    _print_identification(console, document["identification"])
    console.print()
    machine = document["machine"]
    print_fields(
        console,
        [
            ("run as", f"{machine['variant']}, in {show_duration(document['seconds'])}"),
            ("machine", f"{machine['cores']} cores, {machine['cpu']}, torch {machine['torch']}"),
        ],
    )
    for error in document["first_errors"][:_ERRORS_SHOWN]:
        say(f"Unusable: {error['uri']}: {error['message']}")


def _print_identification(console: "Console", rows: Sequence[dict[str, Any]]) -> None:
    """Print a row for each number of photos learned from; cells without strangers stay empty."""
    fpirs = list(rows[0]["tpir_at_fpir"] or ())
    rules = {"tpir": ">Rule: TPIR", "named_wrong": ">named wrong"}
    headings = [">Learned from", ">Tried", ">Nearest right"]
    headings += [f">TPIR at {show_share(float(fpir))}" for fpir in fpirs]
    title = f"People identified, mean of {show_count(rows[0]['draws'], 'draw')}"
    table = make_table([*headings, *rules.values()], title=title)
    for row in rows:
        figures = [row["rank1"], *(row["tpir_at_fpir"][fpir] for fpir in fpirs), *(row["rule"][key] for key in rules)]
        learned = f"{row['people']:,} x {show_count(row['photos_a_person'], 'photo')}"
        shares = [figure and show_share(figure["mean"], _DIGITS) for figure in figures]
        add_row(table, learned, f"{row['photos']:,}", *shares)
    console.print(table)
    _print_rule(console, rows)
    if fpirs:
        allowed = " or ".join(str(show_share(float(fpir))) for fpir in fpirs)
        print_text(console, f"TPIR at: named right, where {allowed} of these very strangers may get a name.")
    print_text(console, "Rule: the reject rule that training chose without seeing any of them, and the quality gate.")


def _print_rule(console: "Console", rows: Sequence[dict[str, Any]]) -> None:
    """Print how the rule fares in usual and unusual galleries, a column for each number of photos learned from."""
    figures = {
        "Strangers named (FPIR)": [row["rule"]["fpir"] for row in rows],
        "  by half of the people": [row["galleries"]["half_fpir"] for row in rows],
        "  when the others are enrolled": [row["galleries"]["doubled_fpir"] for row in rows],
        "  by each person alone": [row["galleries"]["one_person_fpir"] for row in rows],
        "Confidence off by (ECE)": [row["rule"]["expected_calibration_error"] for row in rows],
        "Nearest right, 5 % of labels swapped": [row["galleries"]["swapped_rank1"] for row in rows],
    }
    shown = {what: spreads for what, spreads in figures.items() if any(spreads)}
    if not shown:
        return
    console.print()
    headings = [f">{show_count(row['photos_a_person'], 'photo')} each" for row in rows]
    table = make_table(["Under the rule", *headings], title="Mean (least to most)")
    for what, spreads in shown.items():
        add_row(table, what, *map(_show_spread, spreads))
    console.print(table)


def _show_photos(counts: dict[str, Any]) -> str:
    """Say what photos show."""
    parts = {
        "without a face": counts["no_face"],
        "with several faces": counts["several_faces"],
        "with a poor face": counts["poor_face"],
        "unusable": counts["errors"],
    }
    return ", ".join([show_count(counts["photos"], "photo"), *(f"{count:,} {what}" for what, count in parts.items())])


def _show_spread(figure: dict[str, float] | None) -> str | None:
    """Show a rate as mean and range."""
    if figure is None:
        return None
    low, high = (f"{100 * figure[end]:.{_DIGITS}f}" for end in ("min", "max"))
    return f"{show_share(figure['mean'], _DIGITS)} ({low} to {high})"
