"""Ratios of totals over trials: energy per step, steps per second; and the totals themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Request
from pytest_a2perf.metrics.evidence import finite, overflowing, usable, with_interval, with_sources
from pytest_a2perf.metrics.intervals import quantile_interval, weights
from pytest_a2perf.metrics.success import attempts_of
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record

__all__ = ["RATIOS", "RatioMetric", "TotalMetric"]

Count = Callable[[Record], "float | None"]


@dataclass(frozen=True)
class RatioMetric:
    """``sum(quantity) / sum(count)`` over the trials that have both.

    Attributes:
        quantity: name of a reading.
        count: what it is divided by, of a trial; None leaves the trial out.
        counted: the count in words, for messages.
        inverted: divide the count by the quantity instead.
        reported: the quantity is one that trials report, not a reading of a meter.
    """

    name: str
    unit: str
    direction: Direction
    summary: str
    quantity: str
    count: Count
    counted: str
    inverted: bool = False
    reported: bool = False
    group: Group = "system"

    @overflowing
    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`."""
        pairs: list[tuple[float, float]] = []
        readings: list[Quantity] = []
        for record in usable(records):
            reading = _reading(record, self.quantity, self.unit, reported=self.reported)
            count = self.count(record)
            if reading is not None and count is not None:
                pairs.append((reading.value, count))
                readings.append(reading)
        if not pairs:
            raise UnsupportedSampleError(
                f"{self.name}: no trial has {self.quantity} and {self.counted}"
            )
        table = np.array(pairs)[:, ::-1] if self.inverted else np.array(pairs)
        above, below = table.sum(axis=0)
        if below == 0 or (self.inverted and above == 0):
            raise UnsupportedSampleError(f"{self.name}: the trials have no {self.counted}")
        n = len(pairs)
        estimate = Estimate(float(above / below), self.unit, confidence=request.confidence, n=n)
        estimate = with_sources(estimate, readings)
        if n < 2:
            return estimate
        sums = weights(n, n, self.name) @ table
        bounds = quantile_interval(sums[:, 0] / sums[:, 1], request.confidence, n)
        return with_interval(estimate, bounds, "bootstrap")


@dataclass(frozen=True)
class TotalMetric:
    """The sum of a reading over trials. It is what these trials used, so it has no interval."""

    name: str
    unit: str
    summary: str
    quantity: str
    reported: bool = False
    direction: Direction = "lower"
    group: Group = "system"

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; trials that infrastructure broke off count, for their energy was used."""
        found = [
            _reading(record, self.quantity, self.unit, reported=self.reported) for record in records
        ]
        readings = [reading for reading in found if reading is not None]
        if not readings:
            raise UnsupportedSampleError(f"{self.name}: no trial has {self.quantity}")
        total = sum(reading.value for reading in readings)
        n, missing = len(readings), len(found) - len(readings)
        note = "a total describes these trials alone"
        if missing:
            note = f"{missing} of {len(found)} trials have no reading; {note}"
        estimate = Estimate(total, self.unit, confidence=request.confidence, n=n, note=note)
        return with_sources(estimate, readings)


def _reading(record: Record, name: str, unit: str, *, reported: bool) -> Quantity | None:
    reading = finite(record.reported if reported else record.quantities, name)
    # A test may report something else by that name.
    return reading if reading is None or not reported or reading.unit == unit else None


def _steps(record: Record) -> float | None:
    return float(sum(episode.length for episode in record.episodes)) if record.episodes else None


def _episodes(record: Record) -> float | None:
    return float(len(record.episodes)) if record.episodes else None


def _solved(record: Record) -> float | None:
    """Count solved attempts; a trial without any still counts for its energy."""
    attempts = attempts_of(record)
    return float(sum(attempts)) if attempts else None


def _seconds(record: Record) -> float | None:
    reading = finite(record.quantities, "time.wall")
    return None if reading is None else reading.value


def _energy(suffix: str, summary: str, count: Count, counted: str) -> RatioMetric:
    return RatioMetric(f"energy.{suffix}", "J", "lower", summary, "energy", count, counted)


def _throughput(counted: str, count: Count) -> RatioMetric:
    return RatioMetric(
        f"throughput.{counted}",
        "1/s",
        "higher",
        f"{counted} a second",
        "time.wall",
        count,
        counted,
        inverted=True,
    )


RATIOS: dict[str, RatioMetric | TotalMetric] = {
    metric.name: metric
    for metric in (
        TotalMetric("energy.total", "J", "energy of all trials", "energy"),
        _energy("per_episode", "energy of an episode", _episodes, "episodes"),
        _energy("per_step", "energy of a step", _steps, "steps"),
        _energy(
            "per_solved", "energy of all trials for each solved attempt", _solved, "solved attempts"
        ),
        TotalMetric("cost.total", "USD", "dollars that all trials cost", "cost", reported=True),
        RatioMetric(
            "cost.per_solved",
            "USD",
            "lower",
            "dollars that all trials cost for each solved attempt",
            "cost",
            _solved,
            "solved attempts",
            reported=True,
        ),
        TotalMetric("carbon.total", "gCO2e", "emissions of all trials", "carbon"),
        RatioMetric(
            "carbon.per_episode",
            "gCO2e",
            "lower",
            "emissions of an episode",
            "carbon",
            _episodes,
            "episodes",
        ),
        _throughput("steps", _steps),
        _throughput("episodes", _episodes),
        RatioMetric(
            "power.mean", "W", "lower", "energy over wall time", "energy", _seconds, "time.wall"
        ),
    )
}
"""Name -> metric."""
