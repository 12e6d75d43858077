"""Times contenders in turn, the order changing from round to round, and sums their rounds up. Prints nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scripts.bench.computing import computed_s
from scripts.bench.contender import Absent, Contender, ContenderError, Timed, broken
from scripts.bench.rounds import rates, spread

OURS = "cluster"
"""The contender that all others are compared with."""


def order_of_round(keys: Sequence[str], number: int) -> list[str]:
    """Return the order of a round: every second one runs backwards, and each pair begins one contender further on."""
    start = number // 2 % max(len(keys), 1)
    turned = [*keys[start:], *keys[:start]]
    return turned[::-1] if number % 2 else turned


def time_rounds(
    contenders: Sequence[Contender], uris: Sequence[str], rounds: int, on_round: Callable[[int], None]
) -> tuple[dict[str, list[Timed]], list[Absent]]:
    """Time all contenders in every round.

    Args:
        contenders: all warm.
        uris: what each identifies in each round.
        rounds: how many.
        on_round: told how many are done.

    Returns:
        What the rounds of each contender gave, by its key; and those that broke down, which have none.

    Raises:
        ContenderError: the one that the others are compared with broke down.
    """
    running = {contender.card.key: contender for contender in contenders}
    timed: dict[str, list[Timed]] = {key: [] for key in running}
    absent: list[Absent] = []
    for number in range(rounds):
        for key in order_of_round(list(running), number):
            try:
                timed[key].append(_time(running[key], uris))
            except ContenderError as error:
                if key == OURS:
                    raise
                absent.append(broken(running.pop(key).card, error))
                del timed[key]
        on_round(number + 1)
    return timed, absent


def _time(contender: Contender, uris: Sequence[str]) -> Timed:
    """Run a contender, and count what was computed meanwhile: the others are idle."""
    before_s = computed_s()
    timed = contender.run(uris)
    return timed._replace(computing_s=computed_s() - before_s) if contender.card.computing_counts else timed


def describe_contenders(
    contenders: Sequence[Contender], timed: Mapping[str, Sequence[Timed]], count: int
) -> dict[str, dict[str, Any]]:
    """Return the contenders that ran as JSON, in their order.

    Args:
        contenders: all that were set up.
        timed: what the rounds of each gave.
        count: photos a round.
    """
    figures = sum_up(timed, count)
    ran = [contender for contender in contenders if contender.card.key in figures]
    return {
        each.card.key: {
            "title": each.card.title,
            "does": each.card.does,
            "ran_as": each.ran_as,
            **figures[each.card.key],
        }
        for each in ran
    }


def describe_absent(absent: Sequence[Absent]) -> list[dict[str, Any]]:
    """Return the contenders that did not run as JSON."""
    return [
        {
            "key": each.card.key,
            "title": each.card.title,
            "does": each.card.does,
            "reason": each.reason,
            "remedy": each.remedy,
            "broke_down": each.broke_down,
        }
        for each in absent
    ]


def sum_up(timed: Mapping[str, Sequence[Timed]], count: int) -> dict[str, dict[str, Any]]:
    """Return the figures of each contender as JSON.

    Args:
        timed: of each, one a round; that of `OURS` among them.
        count: photos a round.

    Returns:
        By key: `seconds`, `images_per_s`, `faces` and `photos_failed` of the last round, and `computing_ms`, of all
        cores for a photo. `cluster_over` is how many times as fast ours was, from the pairs of each round, and
        `cluster_over_by_computing` how many times as much was computed as by ours; None for ours itself.
    """
    return {
        key: {
            **rates([each.seconds for each in times], count),
            "faces": times[-1].faces,
            "photos_failed": times[-1].errors,
            "computing_ms": spread_of([_per_photo(each.computing_s, count) for each in times]),
            "cluster_over": None if key == OURS else ratios(times, timed[OURS], "seconds"),
            "cluster_over_by_computing": None if key == OURS else ratios(times, timed[OURS], "computing_s"),
        }
        for key, times in timed.items()
    }


def ratios(over: Sequence[Timed], under: Sequence[Timed], of: str) -> dict[str, float] | None:
    """Return the spread of one figure over another, round by round; None where a round has none."""
    pairs = [(getattr(above, of), getattr(below, of)) for above, below in zip(over, under, strict=True)]
    return spread_of([None if None in pair else pair[0] / pair[1] for pair in pairs])


def spread_of(values: Sequence[float | None]) -> dict[str, float] | None:
    """Return the median and the extremes; None where a round has no figure."""
    known = [value for value in values if value is not None]
    return spread(known) if len(known) == len(values) else None


def _per_photo(seconds: float | None, count: int) -> float | None:
    return None if seconds is None else 1e3 * seconds / count
