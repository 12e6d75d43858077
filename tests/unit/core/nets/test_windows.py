"""Padding that a file leaves to a rule is worked out as both formats define it."""

import pytest

from core.nets.windows import same_padding


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "upper"),
    [
        (4, 3, 1, 1, (1, 1)),
        (4, 2, 1, 1, (0, 1)),
        (5, 3, 2, 1, (1, 1)),
        (4, 3, 2, 1, (0, 1)),
        (7, 3, 1, 2, (2, 2)),
        (4, 1, 2, 1, (0, 0)),
        (8, 2, 4, 1, (0, 0)),
    ],
)
def test_the_odd_pixel_goes_last_or_first(
    size: int, kernel: int, stride: int, dilation: int, upper: tuple[int, int]
) -> None:
    square = ((size, size), (kernel, kernel), (stride, stride), (dilation, dilation))
    before, after = same_padding(*square, lower=False)
    assert (before, after) == ((upper[0], upper[0]), (upper[1], upper[1]))
    assert same_padding(*square, lower=True) == (after, before)
