"""The seven reliability metrics: five of training curves, two of rollouts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.curves import CURVE_METRICS, runs_of
from pytest_a2perf.metrics.intervals import quantile_interval, resamples
from pytest_a2perf.metrics.pooled import PooledMetric
from pytest_a2perf.metrics.statistics import statistic
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["CurveMetric", "ReliabilityFamily"]

_RESAMPLES = 200  # each filters all curves again


@dataclass(frozen=True)
class CurveMetric:
    """Reliability during training, from the curves ``return`` of all trials."""

    name: str
    summary: str
    short: str
    direction: Direction
    unit: str = ""
    group: Group = "reliability"

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`."""
        runs = runs_of([r.curves["return"] for r in records if "return" in r.curves])
        if not runs:
            raise UnsupportedSampleError(f"{self.name}: no trial has a curve named 'return'")
        function = CURVE_METRICS[self.short][0]
        try:
            value = function(runs, request.definition)
        except UnsupportedSampleError as error:
            raise UnsupportedSampleError(f"{self.name}: {error}") from None
        estimate = Estimate(
            value, confidence=request.confidence, n=len(runs), note=self._note(runs)
        )
        if len(runs) < 2:
            return estimate
        values = []
        for row in resamples(len(runs), 0, self.name)[:_RESAMPLES]:
            try:
                values.append(function([runs[i] for i in row], request.definition))
            except UnsupportedSampleError:
                values.append(math.nan)
        low, high = quantile_interval(np.array(values), request.confidence, len(runs))
        if math.isnan(low):
            return estimate
        return replace(estimate, low=min(low, value), high=max(high, value), method="bootstrap")

    def _note(self, runs: Sequence[object]) -> str:
        if self.short == "risk_across_runs" and len(runs) < 20:
            return f"CVaR 5 % of {len(runs)} values is the minimum"
        return ""


def _returns(record: Record) -> tuple[np.ndarray, Quantity | None]:
    return np.array([episode.total for episode in record.episodes], dtype=float), None


_ROLLOUTS = {
    "dispersion_across_rollouts": ("iqr", "lower", "spread of episode returns"),
    "risk_across_rollouts": ("cvar", "higher", "mean of the worst 5 % of episode returns"),
}


class ReliabilityFamily:
    """``reliability.<name>``."""

    prefix = "reliability"
    examples = (*CURVE_METRICS, *_ROLLOUTS)
    shown = examples

    def make(self, suffix: str) -> Metric:
        """Make the metric.

        Raises:
            UnknownNameError: not one of the seven.
        """
        name = f"reliability.{suffix}"
        if suffix in CURVE_METRICS:
            direction: Direction = "higher" if suffix == "risk_across_runs" else "lower"
            return CurveMetric(name, CURVE_METRICS[suffix][1], suffix, direction)
        if suffix in _ROLLOUTS:
            reduce, better, summary = _ROLLOUTS[suffix]
            way: Direction = "lower" if better == "lower" else "higher"
            return PooledMetric(
                name, "", way, "reliability", summary, _returns, statistic(reduce, "higher")
            )
        raise UnknownNameError(f"unknown metric {name!r}{did_you_mean(suffix, self.examples)}")
