"""How often chance makes a model look worse: against counting all cases one by one."""

from itertools import product
from math import comb

import pytest

from core.training.chance import chance_of_fewer, chance_of_loss


@pytest.mark.parametrize(("lost", "gained"), list(product(range(7), repeat=2)))
def test_of_equal_models_every_split_of_the_differing_photos_is_counted(lost: int, gained: int) -> None:
    differ = lost + gained
    more = sum(comb(differ, count) for count in range(lost + 1, differ + 1))
    expected = (more + comb(differ, lost) / 2) / 2**differ
    assert chance_of_loss(lost, gained) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "of", "other_count", "other_of"), [(3, 10, 8, 12), (0, 5, 5, 5), (4, 4, 1, 9)])
def test_of_one_share_every_table_with_these_margins_is_counted(
    count: int, of: int, other_count: int, other_of: int
) -> None:
    counted = count + other_count

    def ways(first: int) -> float:
        second = counted - first
        return comb(of, first) * comb(other_of, second) if 0 <= second <= other_of else 0

    everything = sum(ways(first) for first in range(of + 1))
    expected = (sum(map(ways, range(count))) + ways(count) / 2) / everything
    assert chance_of_fewer(count, of, other_count, other_of) == pytest.approx(expected)


def test_the_more_is_lost_the_less_it_is_chance() -> None:
    chances = [chance_of_loss(lost, 2) for lost in range(10)]
    assert chances == sorted(chances, reverse=True)


def test_many_photos_are_no_trouble() -> None:
    assert chance_of_loss(60_000, 60_000) == pytest.approx(0.5)
    assert chance_of_fewer(90_000, 100_000, 91_000, 100_000) < 1e-9
