"""Metrics of pooled values: returns, lengths, and whatever was read or reported of each trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.evidence import (
    Floats,
    common_unit,
    finite,
    overflowing,
    usable,
    with_interval,
    with_sources,
)
from pytest_a2perf.metrics.intervals import bootstrap
from pytest_a2perf.metrics.statistics import NAMES, Statistic, statistic
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record

__all__ = [
    "Extract", "PooledFamily", "PooledMetric", "estimate_pooled", "lengths", "quantity",
    "reported", "reported_in", "returns",
]  # fmt: skip

Extract = Callable[[Record], "tuple[Floats, Quantity | None]"]
"""Takes the values out of a record, and the reading they come from, if it was one."""

_NOTHING = np.empty(0)


def returns(record: Record) -> tuple[Floats, None]:
    """Extract the returns of the episodes."""
    return np.array([episode.total for episode in record.episodes], dtype=float), None


def lengths(record: Record) -> tuple[Floats, None]:
    """Extract the lengths of the episodes."""
    return np.array([episode.length for episode in record.episodes], dtype=float), None


def quantity(name: str) -> Extract:
    """Return the extraction of a meter's reading, one value a trial."""
    return lambda record: _single(finite(record.quantities, name))


def reported(name: str) -> Extract:
    """Return the extraction of a reported number, one value a trial."""
    return lambda record: _single(finite(record.reported, name))


def reported_in(domain: str, name: str) -> Extract:
    """Return the same for a domain's trials, leaving alone what others report by the name."""
    extract = reported(name)
    return lambda record: extract(record) if record.domain == domain else (_NOTHING, None)


def _single(reading: Quantity | None) -> tuple[Floats, Quantity | None]:
    return (_NOTHING, None) if reading is None else (np.array([reading.value]), reading)


@overflowing
def estimate_pooled(
    name: str, trials: Sequence[Floats], reduce: Statistic, request: Request, *, unit: str = ""
) -> Estimate:
    """Estimate a statistic of the values of all trials, with a bootstrap interval over trials.

    Args:
        name: of the metric, for messages and the generator's seed.
        trials: the values of each trial, none of them empty.
        reduce: the statistic.
        request: see `Request`.
        unit: of the values.

    Raises:
        UnsupportedSampleError: there are too few values.
    """
    count = sum(map(len, trials))
    if count < reduce.needs:
        there = "there is 1" if count == 1 else f"there are {count}"
        needs = f"{reduce.needs} value{'s' * (reduce.needs > 1)}"
        raise UnsupportedSampleError(f"{name} needs {needs}, {there}")
    value = reduce.function(np.concatenate(trials))
    estimate = Estimate(
        value, unit, confidence=request.confidence, n=len(trials), note=reduce.note(count)
    )
    if len(trials) < 2 or count < reduce.wants or reduce.resampled is None:
        return estimate
    bounds = bootstrap(trials, reduce.resampled, confidence=request.confidence, key=name)
    return with_interval(estimate, bounds, "bootstrap")


@dataclass(frozen=True)
class PooledMetric:
    """A statistic of the values of all trials; see `Metric` and `estimate_pooled`."""

    name: str
    unit: str
    direction: Direction
    group: Group
    summary: str
    extract: Extract
    reduce: Statistic

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`."""
        found = [self.extract(record) for record in usable(records)]
        trials = [values for values, _ in found if values.size]
        readings = [reading for _, reading in found if reading is not None]
        unit = common_unit(self.name, [r.unit for r in readings]) if readings else self.unit
        estimate = estimate_pooled(self.name, trials, self.reduce, request, unit=unit)
        return with_sources(estimate, readings)


@dataclass(frozen=True)
class PooledFamily:
    """``<prefix>.<statistic>`` over values of episodes or trials.

    Attributes:
        prefix, unit, direction, group: of its metrics.
        what: the values, in words.
        extract: takes them out of a record.
        bare: the statistic meant by the prefix alone; None if it means nothing.
        examples, shown: see `MetricFamily`.
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
