"""Intervals: bootstrap over trials for anything, score and exact intervals for rates.

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

from pytest_a2perf.metrics.evidence import Floats

__all__ = [
    "bootstrap", "clopper_pearson", "effective_size", "expanded_tail", "quantile_interval",
    "rate_interval", "resamples", "weights", "wilson",
]  # fmt: skip

_MOST, _FEWEST = 2000, 400
_ELEMENTS = 4_000_000
_BLOCK = 1_000_000
_BUNDLES = 1000
_ENOUGH = 5
_BEYOND = 10
"""Resamples that must lie beyond a quantile of theirs; further out it is extrapolated."""


def expanded_tail(confidence: float, n: int) -> float:
    """Return the tail probability of a percentile interval that makes up for a small sample.

    The percentile bootstrap behaves like a normal interval with the biased variance. Hesterberg
    ("What Teachers Should Know About the Bootstrap", 2015) widens it to the t interval:
    ``alpha' / 2 = Phi(-sqrt(n / (n - 1)) * t[1 - alpha / 2, n - 1])``.
    """
    return NormalDist().cdf(-_expanded_score(confidence, n))


def _expanded_score(confidence: float, n: int) -> float:
    return math.sqrt(n / (n - 1)) * _student(confidence, n - 1)


def _student(confidence: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + confidence / 2))


def resamples(n: int, size: int, key: str) -> NDArray[np.int64]:
    """Draw bootstrap samples of trial indices, shape ``(B, n)``.

    Args:
        n: trials.
        size: elements that one resample touches; large data get fewer resamples, at least 400.
        key: with ``n`` it seeds the generator, so that a verdict is the same when computed again.
    """
    count = int(np.clip(_ELEMENTS // max(size, 1), _FEWEST, _MOST))
    rng = np.random.default_rng(zlib.crc32(f"{key}/{n}".encode()))
    return rng.integers(0, n, size=(count, n))


def weights(n: int, size: int, key: str) -> Floats:
    """Return how often each trial is drawn in each of `resamples`, shape ``(B, n)``.

    Of more than 1,000 trials, bundles of neighbours are drawn instead of single ones: the bundles
    are independent and many, so the interval is the same, and drawing is what costs.
    """
    bundles = min(n, _BUNDLES)
    index = resamples(bundles, size, key)
    flat = index + np.arange(len(index))[:, None] * bundles
    drawn = np.bincount(flat.ravel(), minlength=index.size).reshape(index.shape).astype(float)
    return drawn if bundles == n else drawn[:, np.arange(n) * bundles // n]


def bootstrap(
    trials: Sequence[Floats],
    statistic: Callable[[Floats, Floats], Floats],
    *,
    confidence: float,
    key: str,
) -> tuple[float, float]:
    """Return the expanded percentile interval of a statistic of pooled values.

    Args:
        trials: the values of each trial; at least two trials.
        statistic: of resamples, see `pytest_a2perf.metrics.weighted`.
        confidence: of the two-sided interval.
        key: see `resamples`.
    """
    n = len(trials)
    values = np.concatenate(trials)
    order = np.argsort(values, kind="stable")
    owner = np.repeat(np.arange(n), [len(trial) for trial in trials])[order]
    values = values[order]
    drawn = weights(n, values.size, key)
    block = max(1, _BLOCK // values.size)
    parts = [
        statistic(values, drawn[start : start + block][:, owner])
        for start in range(0, len(drawn), block)
    ]
    return quantile_interval(np.concatenate(parts), confidence, n)


def quantile_interval(values: Floats, confidence: float, n: int) -> tuple[float, float]:
    """Return the interval from the bootstrap distribution of a statistic over ``n`` trials.

    That is the expanded percentile interval. Resamples of fewer than 5 trials cannot reach far
    enough for it; there it is the t interval with the distribution's standard deviation. Nor do
    resamples reach beyond the values that were seen, however high the confidence: where fewer than
    10 of them are left beyond a bound, it is as many times further from the median than the last
    quantile that they support as its normal quantile is.
    Resamples in which the statistic is undefined (NaN) are left out; infinite ones count, since a
    ratio whose divisor may be zero has no finite bound.
    """
    values = values[~np.isnan(values)]
    if values.size == 0:
        return math.nan, math.nan
    if n < _ENOUGH and bool(np.isfinite(values).all()):
        error = float(values.std()) * math.sqrt(n / (n - 1))
        centre, reach = float(values.mean()), _student(confidence, n - 1) * error
        return centre - reach, centre + reach
    tail = expanded_tail(confidence, n)
    nearest = min(_BEYOND / values.size, 0.25)
    low, high = (
        float(np.quantile(values, max(tail, nearest), method="lower")),
        float(np.quantile(values, 1 - max(tail, nearest), method="higher")),
    )
    if tail >= nearest:
        return low, high
    stretch = _expanded_score(confidence, n) / -NormalDist().inv_cdf(nearest)
    centre = float(np.median(values))
    return centre - stretch * (centre - low), centre + stretch * (high - centre)


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


def effective_size(successes: Floats, attempts: Floats, confidence: float = 0.95) -> float:
    """Return how many independent attempts a clustered sample is worth.

    Attempts of one trial share its seed. The design effect is the ratio of the rate's variance
    over clusters to the binomial one (Rao and Scott, "A Simple Method for the Analysis of
    Clustered Binary Data", 1992); with few clusters it is itself uncertain, for which the size is
    scaled by the squared ratio of t quantiles (Korn and Graubard, "Confidence Intervals for
    Proportions With Small Expected Number of Positive Counts", 1998). Where all attempts agree it
    cannot be estimated, and attempts of a trial are taken to be copies: Kish's
    ``sum(attempts)^2 / sum(attempts^2)``, the number of trials where they are equally long. That is
    also the least it can be.

    Args:
        successes: of each trial, shape ``(n,)``.
        attempts: of each trial, shape ``(n,)``, positive.
        confidence: of the interval it is meant for.
    """
    n, total = len(attempts), float(attempts.sum())
    if attempts.max() <= 1:
        return total
    copies = total**2 / float(np.square(attempts).sum())
    rate = float(successes.sum()) / total
    if n < 2 or rate in (0.0, 1.0):
        return copies
    residuals = successes - rate * attempts
    variance = n / (n - 1) * float(np.square(residuals).sum()) / total**2
    binomial = rate * (1 - rate) / total
    size = total * min(binomial / variance, 1.0) if variance > 0 else total
    size *= (_student(confidence, total - 1) / _student(confidence, n - 1)) ** 2
    return float(np.clip(size, copies, total))


def rate_interval(
    successes: Floats, attempts: Floats, confidence: float, *, exact: bool
) -> tuple[tuple[float, float], str]:
    """Return the interval of a rate over clustered attempts, and the name of its method.

    Args:
        successes: of each trial, shape ``(n,)``.
        attempts: of each trial, shape ``(n,)``, positive.
        confidence: of the two-sided interval.
        exact: Clopper-Pearson instead of Wilson.
    """
    size = effective_size(successes, attempts, confidence)
    hits = size * (float(successes.sum()) / float(attempts.sum()))
    if exact:
        return clopper_pearson(hits, size, confidence), "clopper-pearson"
    return wilson(hits, size, confidence), "wilson"
