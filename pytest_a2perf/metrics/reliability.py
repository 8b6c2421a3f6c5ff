"""The seven reliability metrics: five of training curves, two of rollouts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.across_runs import curve_table, dispersion, dispersion_interval
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.curves import (
    Measure,
    Run,
    curve_range,
    dispersion_within_runs,
    long_term_risk,
    risk_across_runs,
    runs_of,
    short_term_risk,
)
from pytest_a2perf.metrics.evidence import overflowing, usable, with_interval
from pytest_a2perf.metrics.pooled import PooledMetric, estimate_pooled, returns
from pytest_a2perf.metrics.statistics import statistic
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["CURVE_METRICS", "CurveMetric", "ReliabilityFamily"]

CURVE_METRICS: dict[str, tuple[Measure | None, str]] = {
    "dispersion_across_runs": (None, "spread over seeds of smoothed returns"),
    "dispersion_within_runs": (dispersion_within_runs, "spread of a curve's changes in 5 steps"),
    "short_term_risk": (short_term_risk, "mean of the worst 5 % of drops between steps"),
    "long_term_risk": (long_term_risk, "mean of the worst 5 % of drawdowns"),
    "risk_across_runs": (risk_across_runs, "mean of the worst 5 % of final returns"),
}
"""Name -> measure and summary; the dispersion across runs is no statistic of pooled values."""

_NORMALIZED = ".normalized"


@dataclass(frozen=True)
class CurveMetric:
    """Reliability during training, from the curves ``return`` of all trials.

    Attributes:
        short: one of `CURVE_METRICS`.
        normalized: divide by `curve_range`, so that tasks can be compared.
    """

    name: str
    summary: str
    short: str
    direction: Direction
    normalized: bool = False
    unit: str = ""
    group: Group = "reliability"

    @overflowing
    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`."""
        runs = runs_of([r.curves["return"] for r in usable(records) if "return" in r.curves])
        if not runs:
            raise UnsupportedSampleError(f"{self.name}: no trial has a curve named 'return'")
        try:
            estimate = self._estimate(runs, request)
            return _divided(estimate, curve_range(runs)) if self.normalized else estimate
        except UnsupportedSampleError as error:
            raise UnsupportedSampleError(
                f"{self.name}: {str(error).removeprefix(self.name).strip()}"
            ) from None

    def _estimate(self, runs: Sequence[Run], request: Request) -> Estimate:
        measure = CURVE_METRICS[self.short][0]
        if measure is None:
            return self._across_runs(runs, request)
        found = measure(runs, request.definition)
        estimate = estimate_pooled(self.name, found.values, found.reduce, request)
        if found.note:
            estimate = replace(estimate, note=found.note)
        return estimate if found.sign > 0 else _divided(estimate, -1.0)

    def _across_runs(self, runs: Sequence[Run], request: Request) -> Estimate:
        table = curve_table(runs, request.definition)
        value = float(dispersion(table, request.definition))
        if math.isnan(value):
            raise UnsupportedSampleError("no step has 3 seeds whose returns differ")
        estimate = Estimate(value, confidence=request.confidence, n=len(runs))
        bounds = dispersion_interval(table, request.definition, request.confidence, self.name)
        return with_interval(estimate, bounds, "bootstrap")


def _divided(estimate: Estimate, divisor: float) -> Estimate:
    low, high = sorted((estimate.low / divisor, estimate.high / divisor))
    return replace(estimate, value=estimate.value / divisor, low=low, high=high)


_ROLLOUTS: dict[str, tuple[str, Direction, str]] = {
    "dispersion_across_rollouts": ("iqr", "lower", "spread of episode returns"),
    "risk_across_rollouts": ("cvar", "higher", "mean of the worst 5 % of episode returns"),
}


class ReliabilityFamily:
    """``reliability.<name>``; those of curves also as ``reliability.<name>.normalized``.

    A final return has no meaning in units of the curve's range, so ``risk_across_runs`` has no
    normalised form.
    """

    prefix = "reliability"
    shown = (*CURVE_METRICS, *_ROLLOUTS)
    examples = (*shown, "dispersion_across_runs.normalized")

    def make(self, suffix: str) -> Metric:
        """Make the metric.

        Raises:
            UnknownNameError: not one of the seven.
        """
        name = f"reliability.{suffix}"
        short = suffix.removesuffix(_NORMALIZED)
        normalized = short != suffix
        if short in CURVE_METRICS and not (normalized and short == "risk_across_runs"):
            direction: Direction = "higher" if short == "risk_across_runs" else "lower"
            summary = CURVE_METRICS[short][1] + (", in units of the curve's range" * normalized)
            return CurveMetric(name, summary, short, direction, normalized)
        if suffix in _ROLLOUTS:
            reduce, direction, summary = _ROLLOUTS[suffix]
            return PooledMetric(
                name, "", direction, "reliability", summary, returns, statistic(reduce, "higher")
            )
        raise UnknownNameError(f"unknown metric {name!r}{did_you_mean(suffix, self.examples)}")
