"""Numbers from elsewhere: what a test or domain reported, and pytest-benchmark's statistics."""

from __future__ import annotations

import math

import numpy as np

from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.metrics.base import Direction, Metric
from pytest_a2perf.metrics.evidence import Floats
from pytest_a2perf.metrics.pooled import Extract, PooledFamily, reported
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["BenchmarkFamily", "ReportedFamily"]

_BENCHMARK: dict[str, tuple[str, Direction]] = {
    **dict.fromkeys(
        ("min", "max", "mean", "stddev", "median", "iqr", "q1", "q3", "total"), ("s", "lower")
    ),
    "ops": ("1/s", "higher"),
    "rounds": ("", "none"),
}


class ReportedFamily:
    """``reported.<name>.<statistic>``: over trials, in the unit that was reported."""

    prefix = "reported"
    examples = ("<name>.mean",)
    shown = ()

    def make(self, suffix: str) -> Metric:
        """Make the metric.

        Raises:
            UnknownNameError: there is no such statistic, or no statistic at all.
        """
        name, _, reduce = suffix.rpartition(".")
        if not name:
            raise UnknownNameError(
                f"unknown metric 'reported.{suffix}'; expected 'reported.<name>.<statistic>'"
            )
        family = PooledFamily(
            f"reported.{name}", "", "none", "system", f"reported {name!r}", reported(name)
        )
        return family.make(reduce)


class BenchmarkFamily:
    """``benchmark.<statistic>``: mean over trials of a statistic of pytest-benchmark's fixture."""

    prefix = "benchmark"
    examples = tuple(_BENCHMARK)
    shown = ("median",)

    def make(self, suffix: str) -> Metric:
        """Make the metric.

        Raises:
            UnknownNameError: pytest-benchmark has no such statistic.
        """
        if suffix not in _BENCHMARK:
            raise UnknownNameError(
                f"unknown metric 'benchmark.{suffix}'{did_you_mean(suffix, _BENCHMARK)}"
            )
        unit, direction = _BENCHMARK[suffix]
        family = PooledFamily(
            f"benchmark.{suffix}",
            unit,
            direction,
            "system",
            f"pytest-benchmark's {suffix}",
            _benchmark(suffix, unit),
            bare="mean",
        )
        return family.make("")


def _benchmark(key: str, unit: str) -> Extract:
    def extract(record: Record) -> tuple[Floats, Quantity | None]:
        value = (record.benchmark or {}).get(key)
        if not isinstance(value, int | float) or not math.isfinite(value):
            return np.empty(0), None
        return np.array([float(value)]), Quantity(float(value), unit, "pytest-benchmark")

    return extract
