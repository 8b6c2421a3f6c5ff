"""The metrics by name, and which of them a report shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.metrics.base import Direction, Metric
from pytest_a2perf.metrics.generalization import GeneralizationFamily
from pytest_a2perf.metrics.pooled import Floats, PooledFamily, QuantityFamily
from pytest_a2perf.metrics.ratio import RATIOS
from pytest_a2perf.metrics.reliability import ReliabilityFamily
from pytest_a2perf.metrics.sampled import SampledFamily
from pytest_a2perf.metrics.success import SuccessFamily
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["MetricFamily", "catalogue", "register", "report_metrics", "resolve"]


class MetricFamily(Protocol):
    """Metrics that share a prefix: ``<prefix>.<suffix>``.

    Attributes:
        prefix: before the first dot that belongs to the suffix.
        examples: suffixes for documentation and suggestions; ``""`` is the bare prefix.
        shown: suffixes that a report shows where there are data.
    """

    @property
    def prefix(self) -> str: ...  # noqa: D102 - see the class
    @property
    def examples(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def shown(self) -> Sequence[str]: ...  # noqa: D102

    def make(self, suffix: str) -> Metric:
        """Make a metric, or raise `UnknownNameError`."""


def _totals(record: Record) -> tuple[Floats, Quantity | None]:
    return np.array([episode.total for episode in record.episodes], dtype=float), None


def _lengths(record: Record) -> tuple[Floats, Quantity | None]:
    return np.array([episode.length for episode in record.episodes], dtype=float), None


def _data_cost(record: Record) -> tuple[Floats, Quantity | None]:
    cost = record.reported.get("data_cost")
    return (np.empty(0), None) if cost is None else (np.array([cost.value]), cost)


@dataclass(frozen=True)
class _ReportedFamily:
    """``reported.<name>.<statistic>`` and ``benchmark.<statistic>``: any name, unit from the data."""

    prefix: str
    examples: Sequence[str]
    shown: Sequence[str] = ()

    def make(self, suffix: str) -> Metric:
        name, _, reduce = suffix.rpartition(".")
        key, reduce = (suffix, "mean") if self.prefix == "benchmark" else (name, reduce)
        if not key:
            raise UnknownNameError(
                f"unknown metric '{self.prefix}.{suffix}'; expected '{self.prefix}.<name>.<statistic>'"
            )

        def extract(record: Record) -> tuple[Floats, Quantity | None]:
            if self.prefix == "reported":
                quantity = record.reported.get(key)
            else:
                value = (record.benchmark or {}).get(key)
                unit = "" if key in _BENCHMARK_COUNTS else "s"
                known = isinstance(value, int | float)
                quantity = Quantity(float(value), unit, "pytest-benchmark") if known else None  # type: ignore[arg-type]
            if quantity is None or not math.isfinite(quantity.value):
                return np.empty(0), None
            return np.array([quantity.value]), quantity

        seconds = self.prefix == "benchmark" and key not in _BENCHMARK_COUNTS
        direction: Direction = "lower" if seconds else "none"
        family = PooledFamily(
            f"{self.prefix}.{key}",
            "s" if seconds else "",
            direction,
            "system",
            key,
            extract,
            "mean",
        )
        return family.make("" if self.prefix == "benchmark" else reduce)


_BENCHMARK_COUNTS = ("rounds", "iterations", "ops", "outliers", "iqr_outliers", "stddev_outliers")
_BENCHMARK = ("min", "max", "mean", "stddev", "median", "iqr", "q1", "q3", "total", "ops", "rounds")


class _BenchmarkFamily(_ReportedFamily):
    """``benchmark.<statistic>`` of pytest-benchmark's fixture."""

    def make(self, suffix: str) -> Metric:
        if suffix not in _BENCHMARK:
            raise UnknownNameError(
                f"unknown metric 'benchmark.{suffix}'{did_you_mean(suffix, _BENCHMARK)}"
            )
        return super().make(suffix)


_families: dict[str, MetricFamily] = {}


def register(family: MetricFamily) -> None:
    """Register a family; a later one of the same prefix replaces an earlier one."""
    _families[family.prefix] = family


for _family in (
    PooledFamily(
        "data_cost", "J", "lower", "data cost", "energy that went into the data", _data_cost,
        bare="mean", examples=("",), shown=("",),
    ),
    PooledFamily(
        "return", "", "higher", "application", "episode returns", _totals,
        shown=("mean", "median", "iqm"),
    ),
    PooledFamily("length", "", "none", "application", "episode lengths", _lengths, shown=("mean",)),
    SuccessFamily(),
    GeneralizationFamily(),
    SampledFamily("latency", "latency", "decision times", shown=("mean", "p95", "p99", "miss_rate"),
                  examples=("mean", "median", "p50", "p95", "p99", "max", "std", "miss_rate")),
    SampledFamily("env_step", "env_step", "environment steps", shown=("mean",)),
    SampledFamily("sample", "", "", examples=("<name>.p95",)),
    QuantityFamily("time.wall", "s", "lower", "wall time"),
    QuantityFamily("time.cpu", "s", "lower", "CPU time"),
    QuantityFamily("memory.peak", "B", "lower", "peak resident memory"),
    QuantityFamily("memory.children_peak", "B", "lower", "peak resident memory of children"),
    QuantityFamily("gpu.memory.peak", "B", "lower", "peak memory used on the devices"),
    QuantityFamily("gpu.memory.process", "B", "lower", "peak memory of the trial on the devices"),
    QuantityFamily("gpu.memory.torch_peak", "B", "lower", "peak memory allocated by PyTorch"),
    QuantityFamily("gpu.utilization", "", "none", "utilisation of the devices"),
    QuantityFamily("gpu.power.mean", "W", "lower", "mean power of the devices"),
    QuantityFamily("gpu.power.peak", "W", "lower", "peak power of the devices"),
    QuantityFamily("gpu.clock.sm", "Hz", "none", "clock of the multiprocessors"),
    QuantityFamily("gpu.clock.mem", "Hz", "none", "clock of the memory"),
    QuantityFamily("gpu.temperature", "degC", "lower", "temperature of the devices"),
    QuantityFamily("gpu.throttled", "", "lower", "share of samples with throttled clocks"),
    QuantityFamily("energy", "J", "lower", "energy of a trial"),
    QuantityFamily("energy.cpu", "J", "lower", "energy of the processor", shown=()),
    QuantityFamily("energy.gpu", "J", "lower", "energy of the devices"),
    QuantityFamily("energy.package", "J", "lower", "energy of the whole package", shown=()),
    QuantityFamily("energy.ram", "J", "lower", "energy of the memory", shown=()),
    QuantityFamily("energy.dram", "J", "lower", "energy of the memory by RAPL", shown=()),
    QuantityFamily("carbon", "gCO2e", "lower", "emissions of a trial"),
    ReliabilityFamily(),
    _BenchmarkFamily("benchmark", _BENCHMARK),
    _ReportedFamily("reported", ("<name>.mean",)),
):  # fmt: skip
    register(_family)


def resolve(name: str) -> Metric:
    """Return a metric by name.

    Raises:
        UnknownNameError: there is none; the message has the nearest name.
    """
    if name in RATIOS:
        return RATIOS[name]
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        prefix = ".".join(parts[:end])
        if prefix in _families:
            try:
                return _families[prefix].make(".".join(parts[end:]))
            except UnknownNameError:
                hint = did_you_mean(name, _names())
                if hint.startswith("; did"):
                    raise UnknownNameError(f"unknown metric {name!r}{hint}") from None
                raise
    raise UnknownNameError(f"unknown metric {name!r}{did_you_mean(name, _names())}")


def _names() -> Iterator[str]:
    yield from RATIOS
    for family in _families.values():
        for suffix in family.examples:
            yield f"{family.prefix}.{suffix}" if suffix else family.prefix


def catalogue() -> list[Metric]:
    """Return one metric for each documented name."""
    return [resolve(name) for name in _names() if "<" not in name]


_SHOWN_RATIOS = (
    "energy.total_with_data", "throughput.steps", "energy.per_episode", "energy.per_solved",
    "power.mean", "carbon.per_episode",
)  # fmt: skip
_GROUPS = ("data cost", "application", "system", "reliability")


def report_metrics(records: Sequence[Record]) -> list[str]:
    """Return the names that may be worth showing for these records, ordered by group.

    Whether they have a value is told by their estimate. ``energy.per_solved`` and ``success.rate`` are
    left out where nobody judged success, and generalization over a single task.
    """
    names = [
        f"{family.prefix}.{suffix}" if suffix else family.prefix
        for family in _families.values()
        for suffix in family.shown
    ]
    names += _SHOWN_RATIOS
    names += [f"reported.{n}.mean" for n in sorted({n for r in records for n in r.reported})]
    if len({episode.task for record in records for episode in record.episodes}) < 2:
        names = [name for name in names if not name.startswith("generalization.")]
    if all(episode.success is None for record in records for episode in record.episodes):
        names = [name for name in names if name not in ("energy.per_solved", "success.rate")]
    metrics = [resolve(name) for name in names]
    return [
        metric.name for metric in sorted(metrics, key=lambda metric: _GROUPS.index(metric.group))
    ]
