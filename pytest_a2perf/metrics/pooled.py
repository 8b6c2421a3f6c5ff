"""Metrics of pooled values: returns, lengths, and whatever the meters read of each trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.intervals import bootstrap
from pytest_a2perf.metrics.statistics import NAMES, Statistic, statistic
from pytest_a2perf.quantities import Quantity, worst_quality
from pytest_a2perf.runs.record import Record

__all__ = ["PooledFamily", "PooledMetric", "QuantityFamily", "joined_source"]

Floats = NDArray[np.float64]
Extract = Callable[[Record], "tuple[Floats, Quantity | None]"]


@dataclass(frozen=True)
class PooledMetric:
    """A statistic of the values of all trials, with a bootstrap interval over trials."""

    name: str
    unit: str
    direction: Direction
    group: Group
    summary: str
    extract: Extract
    reduce: Statistic

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`."""
        trials: list[Floats] = []
        quantities: list[Quantity] = []
        for record in records:
            values, quantity = self.extract(record)
            if values.size:
                trials.append(values)
            if quantity is not None:
                quantities.append(quantity)
        count = sum(map(len, trials))
        if count < self.reduce.needs:
            what = f"needs {self.reduce.needs} values, there " + (
                "is 1" if count == 1 else f"are {count}"
            )
            raise UnsupportedSampleError(f"{self.name} {what}")
        value = float(self.reduce.function(np.concatenate(trials)[None, :])[0])
        estimate = Estimate(
            value,
            quantities[0].unit if quantities else self.unit,
            confidence=request.confidence,
            n=len(trials),
            source=joined_source(quantities),
            quality=worst_quality([quantity.quality for quantity in quantities]),
            note=self.reduce.note(count),
        )
        if len(trials) < 2 or not math.isfinite(value):
            return estimate
        low, high = bootstrap(
            trials, self.reduce.function, confidence=request.confidence, key=self.name
        )
        return replace(estimate, low=min(low, value), high=max(high, value), method="bootstrap")


def joined_source(quantities: Iterable[Quantity]) -> str:
    """Name the sources of some readings, each once."""
    return ", ".join(dict.fromkeys(quantity.source for quantity in quantities))


@dataclass(frozen=True)
class PooledFamily:
    """``<prefix>.<statistic>`` over values of episodes or trials.

    ``bare`` is the statistic meant by the prefix alone, or None if it means nothing.
    """

    prefix: str
    unit: str
    direction: Direction
    group: Group
    what: str
    extract: Extract
    bare: str | None = None
    examples: tuple[str, ...] = NAMES
    shown: tuple[str, ...] = ()

    def make(self, suffix: str) -> Metric:
        """Make the metric of a statistic.

        Raises:
            UnknownNameError: there is no such statistic.
        """
        if not suffix and self.bare is None:
            raise UnknownNameError(
                f"unknown metric {self.prefix!r}; did you mean '{self.prefix}.mean'?"
            )
        reduce = statistic(suffix or self.bare or "mean", self.direction)
        return PooledMetric(
            f"{self.prefix}.{suffix}" if suffix else self.prefix,
            self.unit,
            "lower" if reduce.spread else self.direction,
            self.group,
            f"{reduce.summary} of {self.what}",
            self.extract,
            reduce,
        )


@dataclass(frozen=True)
class QuantityFamily:
    """A reading of the meters; the bare name is its mean over trials."""

    prefix: str
    unit: str
    direction: Direction
    what: str
    examples: tuple[str, ...] = ("", "max", "median")
    shown: tuple[str, ...] = ("",)
    family: PooledFamily = field(init=False)

    def __post_init__(self) -> None:
        """Build the family that does the work."""
        name = self.prefix

        def extract(record: Record) -> tuple[Floats, Quantity | None]:
            quantity = record.quantities.get(name)
            if quantity is None or not math.isfinite(quantity.value):
                return np.empty(0), None
            return np.array([quantity.value]), quantity

        pooled = PooledFamily(
            name, self.unit, self.direction, "system", f"{self.what} over trials", extract, "mean"
        )
        object.__setattr__(self, "family", pooled)

    def make(self, suffix: str) -> Metric:
        """Make the metric; see `PooledFamily.make`."""
        return self.family.make(suffix)
