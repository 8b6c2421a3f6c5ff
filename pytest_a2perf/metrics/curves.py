"""Reliability of training, from one learning curve per seed.

After Chan et al., "Measuring the Reliability of Reinforcement Learning Algorithms" (ICLR 2020),
each measure in two definitions: ``default``, and ``a2perf`` with the quirks of A2Perf's code.
``docs/metrics.md`` has the formulas side by side.

All but the dispersion across runs come down to a statistic of values that each run contributes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Definition
from pytest_a2perf.metrics.evidence import Floats
from pytest_a2perf.metrics.statistics import MEAN, Statistic, cvar, cvar_wants, iqr, statistic
from pytest_a2perf.runs.record import Curve

__all__ = [
    "Contributions", "Run", "curve_range", "dispersion_within_runs", "long_term_risk", "low_pass",
    "risk_across_runs", "runs_of", "short_term_risk",
]  # fmt: skip

Run = tuple[Floats, Floats]
"""Steps and values of one seed, both of shape ``(n,)``."""

_ORDER, _CUTOFF, _WINDOW, _PAD, _SHORTEST = 8, 0.01, 5, 27, 10
_LOWER_TAIL = statistic("cvar", "higher")
_UPPER_TAIL = statistic("cvar", "lower")


@dataclass(frozen=True)
class Contributions:
    """A measure as a statistic of pooled values.

    Attributes:
        values: of each run; runs that are too short contribute nothing.
        reduce: the statistic over all of them.
        sign: -1 where the measure is the statistic's negative.
        note: what the runs do not support.
    """

    values: list[Floats]
    reduce: Statistic
    sign: float = 1.0
    note: str = ""


Measure = Callable[[Sequence[Run], Definition], Contributions]


def runs_of(curves: Sequence[Curve]) -> list[Run]:
    """Return curves as arrays, sorted by step; several values at a step are averaged."""
    runs = []
    for curve in curves:
        steps, inverse = np.unique(np.asarray(curve.step, dtype=float), return_inverse=True)
        sums = np.bincount(inverse, weights=np.asarray(curve.value, dtype=float))
        runs.append((steps, sums / np.bincount(inverse)))
    return [run for run in runs if run[0].size]


def low_pass(values: Floats, definition: Definition = "default") -> Floats:
    """Smooth curves along the last axis: zero-phase Butterworth, order 8, normalised cutoff 0.01.

    A2Perf filters in transfer-function form, which at this order has a gain of 0.9929 per pass at
    zero frequency; second-order sections have 1. Besides, a cutoff of 0.01 spans 200 points: on
    curves shorter than some 300 the filter's transients are larger than the curve. The default
    raises the cutoff to ``10 / n``, at most 0.5, and leaves fewer than 10 points alone.
    """
    from scipy import signal

    n = values.shape[-1]
    if definition == "default":
        if n < _SHORTEST:
            return values
        return np.asarray(
            signal.sosfiltfilt(_sections(_cutoff(n)), values, padlen=min(n - 1, _PAD))
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of the ill-conditioned form, rightly
        b, a = signal.butter(_ORDER, _CUTOFF)
        return np.asarray(signal.filtfilt(b, a, values, padlen=min(n - 1, _PAD)))


def _cutoff(n: int) -> float:
    return min(max(_CUTOFF, 10 / n), 0.5)


@lru_cache(maxsize=64)
def _sections(cutoff: float) -> Floats:
    from scipy import signal

    return np.asarray(signal.butter(_ORDER, cutoff, output="sos"))


def dispersion_within_runs(runs: Sequence[Run], definition: Definition) -> Contributions:
    """Mean interquartile range of a curve's changes in windows of five steps.

    A2Perf slides the window over the steps counted from zero and pools the windows of all seeds;
    the default slides it over the changes themselves and averages over seeds.
    """
    if definition == "a2perf":
        windows = [_a2perf_windows(*run) for run in runs]
        return Contributions([ranges for ranges in windows if ranges.size], MEAN)
    per_run = []
    for run in runs:
        changes = _rates(run)
        if changes.size >= 2:
            width = min(_WINDOW, changes.size)
            sliding = np.lib.stride_tricks.sliding_window_view(changes, width)
            low, high = np.quantile(sliding, [0.25, 0.75], axis=-1)
            per_run.append(np.array([(high - low).mean()]))
    return Contributions(per_run, MEAN)


def _rates(run: Run) -> Floats:
    """Return the changes of a curve per median step spacing: an uneven log is no instability."""
    steps, values = run
    spacing = np.diff(steps)
    return np.diff(values) * (np.median(spacing) / spacing) if spacing.size else spacing


def _a2perf_windows(steps: Floats, values: Floats) -> Floats:
    """Return the interquartile range of each of A2Perf's windows of one run.

    Raises:
        UnsupportedSampleError: where A2Perf's ``range`` fails: a single point, or steps closer
            than 1.
    """
    spacing = float(np.median(np.diff(steps))) if steps.size > 1 else 0.0
    if spacing < 1:
        raise UnsupportedSampleError("A2Perf's windows need two points and a spacing of at least 1")
    changes, width = np.diff(values), int(_WINDOW * spacing)
    ranges = []
    for centre in range(math.ceil(width / 2), math.ceil(steps[-1]), int(spacing)):
        low, high = math.ceil(centre - width / 2), math.floor(centre + width / 2)
        inside = changes[(steps[1:] >= low) & (steps[1:] <= high)]
        if inside.size >= 2:
            ranges.append(iqr(inside))
    return np.array(ranges)


def short_term_risk(runs: Sequence[Run], definition: Definition) -> Contributions:
    """Mean of the worst 5 % of changes from one step to the next, as a positive number for drops.

    A2Perf pools the changes of all seeds; the default averages over seeds.
    """
    if definition == "a2perf":
        changes = [np.diff(values) for _, values in runs if values.size > 1]
        return Contributions(changes, _LOWER_TAIL, sign=-1.0)
    rates = [rates for rates in map(_rates, runs) if rates.size]
    return _per_run(rates, upper=False, sign=-1.0)


def long_term_risk(runs: Sequence[Run], definition: Definition) -> Contributions:
    """Mean of the worst 5 % of drawdowns from the best return so far.

    A2Perf pools the drawdowns of all seeds; the default averages over seeds.
    """
    drawdowns = [np.maximum.accumulate(values) - values for _, values in runs]
    if definition == "a2perf":
        return Contributions(drawdowns, _UPPER_TAIL)
    return _per_run(drawdowns, upper=True, sign=1.0)


def _per_run(values: Sequence[Floats], *, upper: bool, sign: float) -> Contributions:
    tails = [np.array([cvar(of_run, upper=upper)]) for of_run in values]
    shortest = min(map(len, values), default=0)
    few = shortest < cvar_wants(0.05)
    note = f"the worst of {shortest} steps is one step" if few and tails else ""
    return Contributions(tails, MEAN, sign, note)


def risk_across_runs(runs: Sequence[Run], definition: Definition) -> Contributions:
    """Mean of the worst 5 % of final returns over seeds.

    A2Perf takes the last raw value of a curve; the default takes its smoothed end.
    """
    smooth = (lambda values: values) if definition == "a2perf" else low_pass
    return Contributions([smooth(values)[-1:] for _, values in runs], _LOWER_TAIL)


def curve_range(runs: Sequence[Run]) -> float:
    """Return the mean over runs of the 95 % quantile of a curve less its start (Chan et al.).

    Raises:
        UnsupportedSampleError: the curves do not rise, or without end, so nothing can be expressed
            in their range.
    """
    size = float(np.mean([np.quantile(values, 0.95) - values[0] for _, values in runs]))
    if size <= 0:
        raise UnsupportedSampleError("the curves do not rise above their start")
    if not math.isfinite(size):
        raise UnsupportedSampleError("the range of the curves is not a finite number")
    return size
