"""Intervals: bootstrap over trials for anything, exact and score intervals for rates.

Trials are the independent observations; the episodes and steps of one trial are not independent of
each other, so whole trials are resampled.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "bootstrap", "clopper_pearson", "effective_size", "expanded_tail", "quantile_interval",
    "resamples", "wilson",
]  # fmt: skip

Floats = NDArray[np.float64]
RESAMPLES = 2000
_ELEMENTS = 20_000_000


def expanded_tail(confidence: float, n: int) -> float:
    """Return the tail probability of a percentile interval that makes up for a small sample.

    The percentile bootstrap behaves like a normal interval with the biased variance. Hesterberg
    ("What Teachers Should Know About the Bootstrap", 2015) widens it to the t interval:
    ``alpha' / 2 = Phi(-sqrt(n / (n - 1)) * t[1 - alpha / 2, n - 1])``.
    """
    from scipy.special import stdtrit

    tail = (1 - confidence) / 2
    t = float(stdtrit(n - 1, 1 - tail))
    return NormalDist().cdf(-math.sqrt(n / (n - 1)) * t)


def resamples(n: int, size: int, key: str) -> NDArray[np.int64]:
    """Draw bootstrap samples of trial indices, shape ``(B, n)``.

    Args:
        n: trials.
        size: elements that one resample touches; large data get fewer resamples, at least 200.
        key: seeds the generator, so that a verdict does not change when it is computed again.
    """
    count = int(np.clip(_ELEMENTS // max(size, 1), 200, RESAMPLES))
    rng = np.random.default_rng(zlib.crc32(f"{key}/{n}".encode()))
    return rng.integers(0, n, size=(count, n))


def bootstrap(
    trials: Sequence[Floats], statistic: Callable[[Floats], Floats], *, confidence: float, key: str
) -> tuple[float, float]:
    """Return the expanded percentile interval of a statistic of pooled values.

    Args:
        trials: the values of each trial; at least two trials.
        statistic: maps shape ``(B, m)`` to ``(B,)``, working on the last axis.
        confidence: of the two-sided interval.
        key: see `resamples`.
    """
    n = len(trials)
    lengths = {len(values) for values in trials}
    index = resamples(n, sum(map(len, trials)), key)
    if len(lengths) == 1:
        table = np.stack(trials)
        block = max(1, _ELEMENTS // (10 * table.size))
        parts = [
            statistic(table[index[start : start + block]].reshape(-1, table.size))
            for start in range(0, len(index), block)
        ]
        values = np.concatenate(parts)
    else:
        values = np.concatenate(
            [statistic(np.concatenate([trials[i] for i in row])[None, :]) for row in index]
        )
    return quantile_interval(values, confidence, n)


def quantile_interval(values: Floats, confidence: float, n: int) -> tuple[float, float]:
    """Return the expanded percentile interval from the bootstrap distribution of a statistic."""
    values = values[np.isfinite(values)]
    if values.size == 0:
        return math.nan, math.nan
    tail = expanded_tail(confidence, n)
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def wilson(successes: float, n: float, confidence: float) -> tuple[float, float]:
    """Return the score interval of a rate (Wilson 1927); ``n`` may be an effective size."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (
        0.0 if successes <= 0 else max(0.0, centre - half),
        1.0 if successes >= n else min(1.0, centre + half),
    )


def clopper_pearson(successes: float, n: float, confidence: float) -> tuple[float, float]:
    """Return the exact interval of a rate (Clopper and Pearson 1934), from quantiles of Beta."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    failures = n - successes
    low = 0.0 if successes <= 0 else float(betaincinv(successes, failures + 1, tail))
    high = 1.0 if failures <= 0 else float(betaincinv(successes + 1, failures, 1 - tail))
    return low, high


def effective_size(successes: Floats, attempts: Floats) -> float:
    """Return how many independent attempts a clustered sample is worth.

    Attempts of one trial share its seed. The design effect is the ratio of the rate's variance
    over clusters to the binomial one (Rao and Scott, "A Simple Method for the Analysis of
    Clustered Binary Data", 1992). Where all attempts agree it cannot be estimated, and each trial
    counts once.

    Args:
        successes: of each trial, shape ``(n,)``.
        attempts: of each trial, shape ``(n,)``.
    """
    n, total = len(attempts), float(attempts.sum())
    if attempts.max() <= 1:
        return total
    rate = float(successes.sum()) / total
    if n < 2 or rate in (0.0, 1.0):
        return float(n)
    residuals = successes - rate * attempts
    variance = n / (n - 1) * float(np.square(residuals).sum()) / total**2
    binomial = rate * (1 - rate) / total
    return float(np.clip(total * binomial / variance if variance > 0 else total, n, total))
