"""Dispersion across runs: how far apart the seeds' learning curves are, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Definition
from pytest_a2perf.metrics.curves import Run, low_pass
from pytest_a2perf.metrics.evidence import Floats
from pytest_a2perf.metrics.intervals import quantile_interval, resamples

__all__ = ["curve_table", "dispersion", "dispersion_interval"]

_FEWEST = 3
_MOST_STEPS = 50
_BLOCK = 1_000_000


def curve_table(runs: Sequence[Run], definition: Definition) -> Floats:
    """Return the low-passed curves, shape ``(runs, steps)``.

    The default interpolates the curves to the steps that all of them cover, then filters. A2Perf
    filters each curve as it is and compares what falls on the same step; elsewhere it is NaN.

    Raises:
        UnsupportedSampleError: fewer than 3 curves, or no steps in common.
    """
    if len(runs) < _FEWEST:
        raise UnsupportedSampleError(f"needs the curves of {_FEWEST} seeds, there are {len(runs)}")
    if definition == "a2perf":
        grid = np.unique(np.concatenate([steps for steps, _ in runs]))
        table = np.full((len(runs), grid.size), np.nan)
        for row, (steps, values) in enumerate(runs):
            table[row, np.searchsorted(grid, steps)] = low_pass(values, definition)
        return table
    first = max(float(steps[0]) for steps, _ in runs)
    last = min(float(steps[-1]) for steps, _ in runs)
    grid = max((steps for steps, _ in runs), key=len)
    grid = grid[(grid >= first) & (grid <= last)]
    if not grid.size:
        raise UnsupportedSampleError("the curves have no steps in common")
    return low_pass(np.stack([np.interp(grid, steps, values) for steps, values in runs]))


def dispersion(table: Floats, definition: Definition) -> Floats:
    """Return the mean over steps of the interquartile range over runs; NaN where undefined.

    Steps with fewer than 3 runs do not count. A2Perf's ``if result:`` also drops steps where the
    range is exactly zero, and it fails where that leaves none.

    Args:
        table: curves, shape ``(..., runs, steps)``.
        definition: see `Definition`.
    """
    ordered = np.sort(np.swapaxes(table, -1, -2), axis=-1)  # NaN goes last
    counts = np.isfinite(ordered).sum(axis=-1)
    ranges = _quantile(ordered, counts, 0.75) - _quantile(ordered, counts, 0.25)
    counted = counts >= _FEWEST
    if definition == "a2perf":
        counted &= ranges != 0
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counted, ranges, 0.0).sum(axis=-1) / counted.sum(axis=-1))


def _quantile(ordered: Floats, counts: np.ndarray, q: float) -> Floats:
    """Interpolate linearly among the first ``counts`` values of the last axis."""
    position = q * np.maximum(counts - 1, 0)
    below = np.floor(position)
    ends = np.stack([below, np.ceil(position)], axis=-1).astype(np.int64)
    values = np.take_along_axis(ordered, ends, axis=-1)
    return np.asarray(values[..., 0] + (position - below) * (values[..., 1] - values[..., 0]))


def dispersion_interval(
    table: Floats, definition: Definition, confidence: float, key: str
) -> tuple[float, float]:
    """Return its bootstrap interval over runs; long curves are thinned, being smooth."""
    table = table[:, :: -(-table.shape[1] // _MOST_STEPS)]
    index = resamples(len(table), table.size, key)
    block = max(1, _BLOCK // table.size)
    parts = [
        dispersion(table[index[i : i + block]], definition) for i in range(0, len(index), block)
    ]
    return quantile_interval(np.concatenate(parts), confidence, len(table))
