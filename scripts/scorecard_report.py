"""How a scorecard is shown to people."""

from typing import TYPE_CHECKING, Any

from scripts.output import add_row, make_table, print_fields, print_text, show_count, show_share
from scripts.scorecard_tables import print_figures

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from scripts.scorecard import Scorecard, Tally

_PEOPLE_SHOWN = 20
_CONFUSIONS_SHOWN = 10
_ERRORS_SHOWN = 5


def print_evaluation(
    console: "Console", card: "Scorecard", document: dict[str, Any], picture: "Path | None" = None
) -> None:
    """Print figures, groups, people, confusions and errors.

    Args:
        console: where to.
        card: what became of the photos, as counts.
        document: what `--json` prints.
        picture: a file that was drawn; None without one.
    """
    known, figures = card.known, document["scorecard"]
    print_fields(
        console,
        [
            ("Model", document["model"]),
            ("Photos", _photos(known, len(card.people))),
            ("Strangers", _photos(card.strangers, figures["people"]["strangers"]) if card.strangers else None),
            ("In the top 5", _of(known, known.in_top5)),
            ("Refused", _refused(known)),
            ("Not enrolled", _not_enrolled(card)),
        ],
    )
    print_figures(console, figures, document["group_by"])
    _print_people(console, card)
    _print_confusions(console, card)
    _print_errors(console, card)
    if picture:
        console.print()
        print_text(console, f"Picture: {picture}")


def _photos(tally: "Tally", people: int) -> str:
    return f"{tally.photos:,} of {show_count(people, 'person', 'people')}, {tally.errors:,} unusable"


def _of(tally: "Tally", count: int) -> str:
    return f"{count:,} of {tally.usable:,}  ({show_share(tally.share(count)) or 'no photo'})"


def _refused(tally: "Tally") -> str:
    parts = {
        "unknown": tally.unknown,
        "ambiguous": tally.ambiguous,
        "low quality": tally.low_quality,
        "no face": tally.no_face,
    }
    shown = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return f"{_of(tally, tally.refused)}: {shown}" if shown else _of(tally, 0)


def _not_enrolled(card: "Scorecard") -> str | None:
    """Say how many photos are of people whom the model does not know; they count in no figure above."""
    tallies = card.not_enrolled.values()
    if not tallies:
        return None
    photos, named = sum(tally.photos for tally in tallies), sum(tally.named_wrong for tally in tallies)
    people = show_count(len(tallies), "person", "people")
    return f"{show_count(photos, 'photo')} of {people} whom the model does not know; named: {named:,}"


def _print_people(console: "Console", card: "Scorecard") -> None:
    """Print the people of whom something went wrong, the worst first."""
    worst = sorted(card.people.items(), key=lambda entry: entry[1].share(entry[1].named_right) or 0.0)
    worst = [(name, tally) for name, tally in worst if tally.named_right < tally.photos]
    if not worst:
        return
    table = make_table(
        ["Person", ">Photos", ">Nearest right", ">Named right", ">Named wrong", ">Refused"],
        title=f"People not always named right ({len(worst):,} of {len(card.people):,})",
    )
    for name, tally in worst[:_PEOPLE_SHOWN]:
        refused = tally.refused
        add_row(table, name, tally.photos, tally.nearest_right, tally.named_right, tally.named_wrong, refused)
    console.print()
    console.print(table)
    if len(worst) > _PEOPLE_SHOWN:
        console.print(f"and {len(worst) - _PEOPLE_SHOWN:,} more (all: --json)")


def _print_confusions(console: "Console", card: "Scorecard") -> None:
    pairs = card.list_confusions()
    if not pairs:
        return
    table = make_table(["Person", "Looked most like", ">Photos"], title="Most frequent confusions")
    for pair in pairs[:_CONFUSIONS_SHOWN]:
        add_row(table, pair["is"], pair["nearest"], pair["photos"])
    console.print()
    console.print(table)


def _print_errors(console: "Console", card: "Scorecard") -> None:
    if not card.errors:
        return
    console.print(f"\nUnusable: {card.errors:,}, such as", style="bold")
    for error in card.first_errors[:_ERRORS_SHOWN]:
        print_text(console, error["uri"], indent=2)
        print_text(console, f"{error['code']}: {error['message']}", indent=4)
