"""How much slower than a twin that ran side by side: a signed-rank test on the ratios of pairs.

What disturbs a machine hits some trials hard and most not at all. A mean is at the mercy of the
few; ranks are not. If only chance decides which of two equal versions is slower in a pair, the
signs of the logarithms of their ratios are exchangeable, whatever the noise looks like (Wilcoxon,
"Individual Comparisons by Ranking Methods", 1945). The estimate and its interval come from the
averages of two ratios each (Hodges and Lehmann, "Estimates of Location Based on Rank Tests", 1963),
so that they never disagree with the test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.gates.permutation import Change

__all__ = ["compare_ratios"]

Floats = NDArray[np.float64]
_EXACT = 200  # pairs; of more, the normal approximation is as good
_MOST = 2000  # pairs; of more, the averages take too much memory
_SAME = 1e-9


def compare_ratios(
    base: Mapping[int, float],
    new: Mapping[int, float],
    *,
    worse: Literal["higher", "lower"],
    tolerance: float,
    alpha: float,
) -> Change | None:
    """Compare a metric's values by seed with those of a version that ran side by side.

    Args:
        base: values by seed of the other version.
        new: values by seed of this one.
        worse: the direction that is worse.
        tolerance: change for the worse that is allowed, as a share.
        alpha: error of one test, for the interval and for the seeds needed.

    Returns:
        None where there are fewer than two pairs or too many, or values that are not positive.
    """
    seeds = sorted(base.keys() & new.keys())
    if not 2 <= len(seeds) <= _MOST or min(*base.values(), *new.values()) <= 0 or tolerance >= 1:
        return None
    sign = 1 if worse == "higher" else -1
    logs = sign * np.log([new[seed] / base[seed] for seed in seeds])
    n = len(seeds)
    rows, columns = np.triu_indices(n)
    averages = np.sort((logs[rows] + logs[columns]) / 2)
    limit = sign * math.log1p(sign * tolerance)
    tails = _tails(n)
    above = averages.size - int(np.searchsorted(averages, limit + _SAME, "right"))
    not_below = averages.size - int(np.searchsorted(averages, limit - _SAME, "left"))
    # The interval leaves out as many averages at each end as chance would at this error.
    cut = int(np.searchsorted(-tails, -alpha, "left"))  # least sum that is significant
    outside = averages.size - cut
    found = cut <= averages.size
    low, high = (averages[outside], averages[-1 - outside]) if found else (-math.inf, math.inf)
    middle = float(np.median(averages))
    return Change(
        _share(middle, sign),
        _share(float(low), sign),
        _share(float(high), sign),
        1 - 2 * alpha,
        n,
        paired=True,
        identical=bool(np.abs(logs).max() < _SAME),
        p_worse=float(tails[above]),
        p_within=float(tails[averages.size - not_below]),
        seeds_needed=_seeds_needed(n, float(high - low), abs(middle - limit), alpha),
    )


def _share(log: float, sign: int) -> float:
    """Turn the logarithm of a ratio into a change for the worse."""
    if math.isinf(log):
        return log
    return sign * math.expm1(sign * log)


def _seeds_needed(n: int, width: float, distance: float, alpha: float) -> int | None:
    """Estimate the seeds at which a test at ``alpha`` decides four times out of five."""
    least = max(n + 1, math.ceil(math.log2(1 / alpha)))
    if math.isinf(width):
        return least
    quantile = NormalDist().inv_cdf
    if distance == 0:
        return None
    reach = width / (2 * quantile(1 - alpha)) * (quantile(1 - alpha) + quantile(0.8))
    needed = max(least, math.ceil(n * (reach / distance) ** 2))
    return needed if needed <= 100_000 else None


@lru_cache(maxsize=64)
def _tails(n: int) -> Floats:
    """Return the probability that the ranks of positive signs sum up to each value or more."""
    most = n * (n + 1) // 2
    if n > _EXACT:
        from scipy.special import ndtr

        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return np.asarray(ndtr((most / 2 + 0.5 - np.arange(most + 2)) / spread))
    masses = np.zeros(most + 2)
    masses[0] = 1.0
    for rank in range(1, n + 1):
        moved = np.zeros_like(masses)
        moved[rank:] = masses[:-rank]
        masses = (masses + moved) / 2
    return np.asarray(np.cumsum(masses[::-1])[::-1])
