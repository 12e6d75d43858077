"""How pretrained weights are shown: as a table for people, as documents for programs."""

from typing import TYPE_CHECKING, Any

from scripts.output import add_row, make_table, print_fields, show_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from core.weights.spec import WeightsSpec
    from core.weights.store import Look


def size_of(spec: "WeightsSpec") -> int:
    """Return the bytes of all files of a set."""
    return sum(file.size_bytes for file in spec.files)


def spec_document(spec: "WeightsSpec") -> dict[str, Any]:
    """Return what a set of weights is."""
    return {
        "name": spec.name,
        "kind": spec.kind,
        "licence": spec.licence,
        "source": spec.source,
        "bytes": size_of(spec),
    }


def look_document(look: "Look") -> dict[str, Any]:
    """Return a set of weights with where and how it was found."""
    folder = None if look.folder is None else str(look.folder)
    return {**spec_document(look.spec), "state": look.state, "folder": folder, "problem": look.problem}


def print_looks(console: "Console", looks: "Sequence[Look]") -> None:
    """Print a table of weights, and where each lies or how to get it."""
    from core.weights.store import WeightsState, pull_command

    table, places = make_table(["Weights", "Kind", "Licence", ">Size", "State"]), []
    for look in looks:
        spec = look.spec
        add_row(table, spec.name, spec.kind, spec.licence, show_bytes(size_of(spec)), look.state)
        present = look.state is WeightsState.PRESENT
        places.append((spec.name, look.folder if present else f"get it: {pull_command(spec)}"))
    console.print(table)
    console.print()
    print_fields(console, places)
