"""Ratios of totals over trials: energy per step, steps per second, and sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Request
from pytest_a2perf.metrics.intervals import quantile_interval, resamples
from pytest_a2perf.metrics.pooled import joined_source
from pytest_a2perf.metrics.success import attempts_of
from pytest_a2perf.quantities import Quantity, worst_quality
from pytest_a2perf.runs.record import Record

__all__ = ["RATIOS", "RatioMetric"]


@dataclass(frozen=True)
class RatioMetric:
    """``sum(quantity) / sum(divisor)`` over trials that have both; without a divisor, the sum.

    Attributes:
        quantity: name of a reading, or None for one.
        count: what each trial adds besides; None for nothing.
        inverted: divide the count by the quantity instead.
        extra: a reported quantity that adds to the sum, e.g. ``data_cost``.
    """

    name: str
    unit: str
    direction: Direction
    summary: str
    quantity: str
    count: Callable[[Record], float] | None = None
    inverted: bool = False
    extra: str | None = None
    group: Group = "system"

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`."""
        pairs: list[tuple[float, float]] = []
        readings: list[Quantity] = []
        for record in records:
            reading = record.quantities.get(self.quantity)
            count = 1.0 if self.count is None else self.count(record)
            if reading is None or not math.isfinite(reading.value):
                continue
            cost = record.reported.get(self.extra) if self.extra else None
            if self.extra and cost is None:
                continue
            readings += [reading] if cost is None else [reading, cost]
            pairs.append((reading.value + (cost.value if cost else 0.0), count))
        if not pairs:
            raise UnsupportedSampleError(
                f"{self.name}: no trial has a reading of {self.quantity!r}"
            )
        table = np.array(pairs)
        if self.count is None:
            return self._sum(table, readings, request)
        upper, lower = (1, 0) if self.inverted else (0, 1)
        if table[:, lower].sum() == 0:
            raise UnsupportedSampleError(f"{self.name}: divided by zero")
        value = float(table[:, upper].sum() / table[:, lower].sum())
        estimate = self._blank(value, len(pairs), readings, request)
        if len(pairs) < 2:
            return estimate
        sums = table[resamples(len(pairs), table.size, self.name)].sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = sums[:, upper] / sums[:, lower]
        low, high = quantile_interval(ratios, request.confidence, len(pairs))
        return replace(estimate, low=min(low, value), high=max(high, value), method="bootstrap")

    def _sum(self, table: np.ndarray, readings: list[Quantity], request: Request) -> Estimate:
        """A sum is what it is: these trials used that much, and there is nothing to infer."""
        return self._blank(float(table[:, 0].sum()), len(table), readings, request)

    def _blank(self, value: float, n: int, readings: list[Quantity], request: Request) -> Estimate:
        return Estimate(
            value,
            self.unit,
            confidence=request.confidence,
            n=n,
            source=joined_source(readings),
            quality=worst_quality([reading.quality for reading in readings]),
        )


def _steps(record: Record) -> float:
    return float(sum(episode.length for episode in record.episodes))


def _episodes(record: Record) -> float:
    return float(len(record.episodes))


def _solved(record: Record) -> float:
    return float(sum(attempts_of(record) or []))


RATIOS: dict[str, RatioMetric] = {
    metric.name: metric
    for metric in (
        RatioMetric("energy.total", "J", "lower", "energy of all trials", "energy"),
        RatioMetric("energy.per_episode", "J", "lower", "energy of an episode", "energy", _episodes),
        RatioMetric("energy.per_step", "J", "lower", "energy of a step", "energy", _steps),
        RatioMetric(
            "energy.per_solved", "J", "lower", "energy of all trials for each solved attempt",
            "energy", _solved,
        ),
        RatioMetric(
            "energy.total_with_data", "J", "lower", "energy plus the cost of the data",
            "energy", extra="data_cost", group="data cost",
        ),
        RatioMetric("carbon.total", "gCO2e", "lower", "emissions of all trials", "carbon"),
        RatioMetric("carbon.per_episode", "gCO2e", "lower", "emissions of an episode", "carbon", _episodes),
        RatioMetric("throughput.steps", "1/s", "higher", "steps a second", "time.wall", _steps, inverted=True),
        RatioMetric("throughput.episodes", "1/s", "higher", "episodes a second", "time.wall", _episodes, inverted=True),
        RatioMetric(
            "power.mean", "W", "lower", "energy over wall time", "energy",
            lambda record: record.quantities["time.wall"].value if "time.wall" in record.quantities else 0.0,
        ),
    )
}  # fmt: skip
"""Name -> metric."""
