"""Reliability during training: what A2Perf takes from Chan et al., on training curves.

Chan, Fishman, Canny, Korattikara, Guadarrama: "Measuring the Reliability of Reinforcement Learning
Algorithms", ICLR 2020. Each function takes the curves of all seeds and returns one
number in two definitions: ``default``, and ``a2perf`` with the quirks of A2Perf's code.
``docs/metrics.md`` has the formulas side by side.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Definition
from pytest_a2perf.metrics.statistics import cvar, iqr
from pytest_a2perf.runs.record import Curve

__all__ = [
    "CURVE_METRICS", "dispersion_across_runs", "dispersion_within_runs", "long_term_risk",
    "low_pass", "risk_across_runs", "short_term_risk",
]  # fmt: skip

Floats = NDArray[np.float64]
Run = tuple[Floats, Floats]
"""Steps and values of one seed, both of shape ``(n,)``."""

_ORDER, _CUTOFF, _WINDOW, _PAD = 8, 0.01, 5, 27


def runs_of(curves: Sequence[Curve]) -> list[Run]:
    """Return curves as arrays, sorted by step; several values at a step are averaged."""
    runs = []
    for curve in curves:
        steps, inverse = np.unique(np.asarray(curve.step, dtype=float), return_inverse=True)
        sums = np.bincount(inverse, weights=np.asarray(curve.value, dtype=float))
        runs.append((steps, sums / np.bincount(inverse)))
    return [run for run in runs if run[0].size]


def low_pass(values: Floats, definition: Definition = "default") -> Floats:
    """Smooth a curve: zero-phase Butterworth, order 8, normalised cutoff 0.01.

    A2Perf filters in transfer-function form, which at this order has a gain of 0.9929 per pass at
    zero frequency; second-order sections have 1.
    """
    from scipy import signal

    pad = min(len(values) - 1, _PAD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of the ill-conditioned form, rightly
        if definition == "a2perf":
            b, a = signal.butter(_ORDER, _CUTOFF)
            return np.asarray(signal.filtfilt(b, a, values, padlen=pad))
        sections = signal.butter(_ORDER, _CUTOFF, output="sos")
        return np.asarray(signal.sosfiltfilt(sections, values, padlen=pad))


def dispersion_across_runs(runs: Sequence[Run], definition: Definition) -> float:
    """Mean over steps of the interquartile range over seeds of the low-passed curves."""
    smooth = [(steps, low_pass(values, definition)) for steps, values in runs]
    if definition == "a2perf":
        at_step: dict[float, list[float]] = {}
        for steps, values in smooth:
            for step, value in zip(steps.tolist(), values.tolist(), strict=True):
                at_step.setdefault(step, []).append(value)
        ranges = [float(iqr(np.array(v)[None, :])[0]) for v in at_step.values() if len(v) > 2]
        ranges = [value for value in ranges if value]  # A2Perf drops ranges of exactly zero
        return _mean(ranges, "no step has more than 2 seeds whose returns differ")
    if len(runs) < 3:
        raise UnsupportedSampleError(f"needs the curves of 3 seeds, there are {len(runs)}")
    return float(iqr(_on_common_grid(smooth).T).mean())


def dispersion_within_runs(runs: Sequence[Run], definition: Definition) -> float:
    """Mean interquartile range of a curve's changes in windows of five steps.

    A2Perf slides the window over the steps counted from zero and pools the windows of all seeds; the
    default slides it over the changes themselves and averages over seeds.
    """
    per_run: list[float] = []
    for steps, values in runs:
        if len(steps) < 3:
            continue
        spacing = float(np.median(np.diff(steps)))
        changes = np.diff(values)
        if definition == "a2perf":
            per_run += _a2perf_windows(steps, changes, spacing)
            continue
        changes = changes * spacing / np.diff(steps)  # an uneven log is no instability
        windows = np.lib.stride_tricks.sliding_window_view(changes, min(_WINDOW, len(changes)))
        per_run.append(float(iqr(windows).mean()))
    return _mean(per_run, "no curve has two changes in a window")


def _a2perf_windows(steps: Floats, changes: Floats, spacing: float) -> list[float]:
    """Return the interquartile range of each of A2Perf's windows of one run."""
    width = int(_WINDOW * spacing)
    ranges = []
    for centre in range(math.ceil(width / 2), math.ceil(steps[-1]), max(int(spacing), 1)):
        low, high = math.ceil(centre - width / 2), math.floor(centre + width / 2)
        inside = changes[(steps[1:] >= low) & (steps[1:] <= high)]
        if inside.size >= 2:
            ranges.append(float(iqr(inside[None, :])[0]))
    return ranges


def short_term_risk(runs: Sequence[Run], definition: Definition) -> float:
    """Mean of the worst 5 % of drops from one step to the next, as a positive number."""
    changes = [np.diff(values) for _, values in runs if len(values) > 1]
    if not changes:
        raise UnsupportedSampleError("no curve has two points")
    if definition == "a2perf":
        return -float(cvar(np.concatenate(changes)[None, :])[0])
    return -float(np.mean([float(cvar(change[None, :])[0]) for change in changes]))


def long_term_risk(runs: Sequence[Run], definition: Definition) -> float:
    """Mean of the worst 5 % of drawdowns from the best return so far."""
    drawdowns = [np.maximum.accumulate(values) - values for _, values in runs]
    if not drawdowns:
        raise UnsupportedSampleError("there is no curve")
    if definition == "a2perf":
        return float(cvar(np.concatenate(drawdowns)[None, :], upper=True)[0])
    return float(np.mean([float(cvar(drawdown[None, :], upper=True)[0]) for drawdown in drawdowns]))


def risk_across_runs(runs: Sequence[Run], definition: Definition) -> float:
    """Mean of the worst 5 % of final returns over seeds.

    A2Perf takes the last raw value of a curve; the default takes its smoothed end.
    """
    if not runs:
        raise UnsupportedSampleError("there is no curve")
    ends = [values[-1] if definition == "a2perf" else low_pass(values)[-1] for _, values in runs]
    return float(cvar(np.array(ends)[None, :])[0])


def _on_common_grid(runs: Sequence[Run]) -> Floats:
    """Interpolate curves to the steps that all of them cover, shape ``(seeds, steps)``."""
    first = max(float(steps[0]) for steps, _ in runs)
    last = min(float(steps[-1]) for steps, _ in runs)
    grid = max((steps for steps, _ in runs), key=len)
    grid = grid[(grid >= first) & (grid <= last)]
    if not grid.size:
        raise UnsupportedSampleError("the curves have no steps in common")
    return np.stack([np.interp(grid, steps, values) for steps, values in runs])


def _mean(values: Sequence[float], problem: str) -> float:
    if not values:
        raise UnsupportedSampleError(problem)
    return float(np.mean(values))


CURVE_METRICS: dict[str, tuple[Callable[[Sequence[Run], Definition], float], str]] = {
    "dispersion_across_runs": (dispersion_across_runs, "spread over seeds of smoothed returns"),
    "dispersion_within_runs": (dispersion_within_runs, "spread of a curve's changes in 5 steps"),
    "short_term_risk": (short_term_risk, "mean of the worst 5 % of drops between steps"),
    "long_term_risk": (long_term_risk, "mean of the worst 5 % of drawdowns"),
    "risk_across_runs": (risk_across_runs, "mean of the worst 5 % of final returns"),
}
"""Name -> function and summary."""
