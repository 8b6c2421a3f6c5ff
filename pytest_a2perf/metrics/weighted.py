"""Statistics of resampled values: what the bootstrap evaluates thousands of times.

A resample is the original values with integer weights, so the values are sorted once, and a block
of resamples is one matrix of weights. Trials of unequal length need no special case. Every function
takes ascending values of shape ``(m,)`` and weights of shape ``(B, m)``, and returns the statistic
of ``np.repeat(values, weights[b])`` for each ``b``, shape ``(B,)``.
"""

from __future__ import annotations

import numpy as np

from pytest_a2perf.metrics.evidence import Floats

__all__ = ["cvar", "iqm", "iqr", "mean", "quantile", "std", "total"]


def total(values: Floats, weights: Floats) -> Floats:
    """Sum."""
    return np.asarray(weights @ values)


def mean(values: Floats, weights: Floats) -> Floats:
    """Arithmetic mean."""
    return np.asarray(weights @ values / weights.sum(axis=1))


def std(values: Floats, weights: Floats) -> Floats:
    """Sample standard deviation, with n - 1."""
    centred = values - values.mean()  # against cancellation
    counts = weights.sum(axis=1)
    squares = weights @ np.square(centred) - np.square(weights @ centred) / counts
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / (counts - 1)))


def quantile(values: Floats, weights: Floats, q: float) -> Floats:
    """Quantile with linear interpolation, as `numpy.quantile`."""
    return _interpolated(values, np.cumsum(weights, axis=1), q)


def iqr(values: Floats, weights: Floats) -> Floats:
    """Interquartile range."""
    cumulative = np.cumsum(weights, axis=1)
    return _interpolated(values, cumulative, 0.75) - _interpolated(values, cumulative, 0.25)


def iqm(values: Floats, weights: Floats) -> Floats:
    """Interquartile mean: a quarter of the values, rounded down, is cut off at each end."""
    cumulative = np.cumsum(weights, axis=1)
    counts = cumulative[:, -1:]
    cut = counts // 4
    inside = np.diff(np.clip(cumulative, cut, counts - cut), axis=1, prepend=cut)
    return np.asarray(inside @ values / (counts - 2 * cut)[:, 0])


def cvar(values: Floats, weights: Floats, alpha: float, *, upper: bool) -> Floats:
    """Mean of the values at or beyond the ``alpha`` quantile of the lower (or upper) tail."""
    if upper:
        return -cvar(-values[::-1], weights[:, ::-1], alpha, upper=False)
    inside = np.where(values <= quantile(values, weights, alpha)[:, None], weights, 0.0)
    return mean(values, inside)


def _interpolated(values: Floats, cumulative: Floats, q: float) -> Floats:
    position = q * (cumulative[:, -1:] - 1)
    below = np.floor(position)
    # the value of 0-based rank r is the first whose cumulative weight exceeds r
    lower = values[(cumulative <= below).sum(axis=1)]
    upper = values[(cumulative <= np.ceil(position)).sum(axis=1)]
    return np.asarray(lower + (position - below)[:, 0] * (upper - lower))
