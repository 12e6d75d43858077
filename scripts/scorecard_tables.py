"""How the figures of an open-set scorecard are shown: its JSON form as tables and sentences."""

from typing import TYPE_CHECKING, Any

from scripts.output import add_row, make_table, print_text, show_share

if TYPE_CHECKING:
    from rich.console import Console

_RATES = {
    "rank1": "Nearest person right (rank-1)",
    "tpir": "Named right (TPIR)",
    "named_wrong": "Named wrong",
    "fpir": "Strangers named (FPIR)",
    "unknown_recall": "Strangers refused",
    "wrong_names": "Wrong among all names given",
}
_GROUPS_SHOWN = 20


def print_figures(console: "Console", figures: dict[str, Any], group_by: str | None) -> None:
    """Print all rates with their intervals, thresholds that the strangers set, and groups."""
    _print_rates(console, figures)
    if figures["photos"]["strangers"]:
        _print_target(console, figures)
        _print_at_fpirs(console, figures)
    if figures["groups"]:
        _print_groups(console, figures, group_by or "group")


def show_rate(rate: dict[str, Any]) -> str | None:
    """Return a share with its interval in one line; None where there are no photos."""
    share, ends = show_share(rate["rate"]), show_interval(rate)
    return share if share is None or ends is None else f"{share} ({ends})"


def show_interval(figure: dict[str, Any]) -> str | None:
    """Return the ends of an interval; None where there are too few people for one."""
    if figure["low"] is None:
        return None
    return f"{100 * figure['low']:.1f} to {100 * figure['high']:.1f} %"


def show_at_fpirs(figures: dict[str, Any]) -> str | None:
    """Return how many known people are named at each share of strangers that may be, in one line."""
    told = [each for each in figures["tpir_at_fpir"] if each["tpir"]]
    return ", ".join(f"{show_share(each['tpir']['rate'])} at {show_fpir(each['fpir'])}" for each in told) or None


def show_fpir(fpir: float) -> str:
    """Return one of the shares that scorecards tell: 0.3 %, 1 %, 5 %."""
    return f"{100 * fpir:g} %"


def _print_rates(console: "Console", figures: dict[str, Any]) -> None:
    table = make_table(["", ">Photos", ">Share", ">95 % interval"])
    for name, label in _RATES.items():
        rate = figures[name]
        if rate["of"]:
            photos = f"{rate['count']:,} of {rate['of']:,}"
            add_row(table, label, photos, show_share(rate["rate"]), show_interval(rate) or "too few people")
    error = figures["expected_calibration_error"]
    if error["value"] is not None:
        ends = show_interval(error) or "too few people"
        add_row(table, "Confidence off by (ECE)", "", show_share(error["value"]), ends)
    console.print()
    console.print(table)


def _print_target(console: "Console", figures: dict[str, Any]) -> None:
    """Say whether strangers get names as often as the rule was chosen for."""
    target, fpir = figures["fpir_target"], figures["fpir"]
    said = f"The model's threshold was chosen to let {show_fpir(target)} of strangers get a name"
    if fpir["low"] is None:
        verdict = "; there are too few strangers here to check that."
    elif fpir["low"] > target:
        verdict = ". Of these, more than that got one."
    elif fpir["high"] < target:
        verdict = ". Of these, fewer than that got one."
    else:
        verdict = ". These do not speak against that."
    console.print()
    print_text(console, said + verdict)


def _print_at_fpirs(console: "Console", figures: dict[str, Any]) -> None:
    table = make_table(
        ["Strangers named", ">Similarity over", ">Known named right", ">95 % interval"],
        title="With a threshold set on these strangers",
    )
    for each in figures["tpir_at_fpir"]:
        rate, named = each["tpir"], f"at most {show_fpir(each['fpir'])}"
        if rate is None:
            add_row(table, named, "", f"needs {each['strangers_needed']:,} strangers", "")
            continue
        threshold = "any" if each["threshold"] is None else f"{each['threshold']:.3f}"
        add_row(table, named, threshold, show_share(rate["rate"]), show_interval(rate) or "too few people")
    console.print()
    console.print(table)


def _print_groups(console: "Console", figures: dict[str, Any], group_by: str) -> None:
    """Print a table of known people, one of strangers where groups have some, and which groups stand out."""
    groups = figures["groups"]
    known = [group for group in groups if group["people"]]
    table = make_table(
        [group_by, ">People", ">Photos", ">Rank-1", ">TPIR", ">95 % interval", ">To others"],
        title=f"Known people by {group_by}",
    )
    for group in known[:_GROUPS_SHOWN]:
        tpir = group["tpir"]
        add_row(
            table,
            group["name"],
            group["people"],
            tpir["of"],
            show_share(group["rank1"]["rate"]),
            show_share(tpir["rate"]),
            show_interval(tpir) or "too few people",
            _points(group["tpir_difference"]["value"]),
        )
    _print_table(console, table, known, figures["no_group"]["known"])
    strangers = [group for group in groups if group["strangers"]]
    if strangers:
        _print_stranger_groups(console, strangers, group_by, figures["no_group"]["strangers"])
    for group in groups:
        _print_difference(console, group, "tpir_difference", "Known people", "named right")
        _print_difference(console, group, "fpir_difference", "Strangers", "given a name")


def _print_stranger_groups(console: "Console", groups: list[dict[str, Any]], group_by: str, without: int) -> None:
    table = make_table(
        [group_by, ">Strangers", ">Photos", ">FPIR", ">95 % interval", ">To others"],
        title=f"Strangers by {group_by}",
    )
    for group in groups[:_GROUPS_SHOWN]:
        fpir = group["fpir"]
        add_row(
            table,
            group["name"],
            group["strangers"],
            fpir["of"],
            show_share(fpir["rate"]),
            show_interval(fpir) or "too few people",
            _points(group["fpir_difference"]["value"]),
        )
    _print_table(console, table, groups, without)


def _print_table(console: "Console", table: Any, groups: list[dict[str, Any]], without: int) -> None:
    console.print()
    console.print(table)
    if len(groups) > _GROUPS_SHOWN:
        console.print(f"and {len(groups) - _GROUPS_SHOWN:,} more (all: --json)")
    if without:
        console.print(f"Photos of people in no group: {without:,}")


def _print_difference(console: "Console", group: dict[str, Any], key: str, who: str, what: str) -> None:
    """Say of a group that fares otherwise than the rest by more than chance explains."""
    figure = group[key]
    if figure["low"] is None or figure["low"] <= 0.0 <= figure["high"]:
        return
    ends = sorted(abs(figure[end]) for end in ("low", "high"))
    more = "more" if figure["value"] > 0 else "less"
    print_text(
        console,
        f"{who} of '{group['name']}' are {what} {more} often than others, by {100 * abs(figure['value']):.1f} points "
        f"(95 % interval {100 * ends[0]:.1f} to {100 * ends[1]:.1f}).",
    )


def _points(difference: float | None) -> str | None:
    """Return a difference of shares in percentage points, with its sign."""
    return None if difference is None else f"{100 * difference:+.1f}"
