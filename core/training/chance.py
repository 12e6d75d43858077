"""How often chance alone makes one of two equally good models look as much worse: exact, by counting, nothing drawn.

Mid-p values: of the outcome that was seen, half counts. They keep to their level where exact tests are too careful with
few photos (M. Fagerland, S. Lydersen, P. Laake, "The McNemar test for binary matched-pairs data", 2013).
"""

import numpy as np
from numpy.typing import NDArray


def chance_of_loss(lost: int, gained: int) -> float:
    """Return the chance that of photos on which two models differ so many or more go to the other (McNemar).

    Args:
        lost: photos on which this model is worse, and the other one better.
        gained: the reverse.

    Returns:
        0..1; about 0.5 where the two are alike.
    """
    differ = lost + gained
    logs = _log_factorials(differ)
    more = np.arange(lost, differ + 1)
    shares = np.exp(logs[differ] - logs[more] - logs[differ - more] - differ * np.log(2.0))
    return float(shares.sum() - 0.5 * shares[0])


def chance_of_fewer(count: int, of: int, other_count: int, other_of: int) -> float:
    """Return the chance that of two samples with one share the first has so few or fewer (Fisher, one-sided).

    Args:
        count: photos that count in the first sample.
        of: its photos.
        other_count: photos that count in the second.
        other_of: its photos.

    Returns:
        0..1.
    """
    logs = _log_factorials(of + other_of)

    def log_choose(whole: int, part: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(logs[whole] - logs[part] - logs[whole - part])

    counted = count + other_count
    fewer = np.arange(max(0, counted - other_of), count + 1)
    ways = log_choose(of, fewer) + log_choose(other_of, counted - fewer)
    shares = np.exp(ways - log_choose(of + other_of, np.array([counted])))
    return float(shares.sum() - 0.5 * shares[-1])


def _log_factorials(largest: int) -> NDArray[np.float64]:
    """Return log(0!) .. log(largest!)."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, largest + 1, dtype=np.float64)))])
