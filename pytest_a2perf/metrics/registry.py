"""The metrics by name, and which of them a report shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Metric, Request
from pytest_a2perf.metrics.capacity import AgentsFamily, tier_names
from pytest_a2perf.metrics.data_cost import TotalWithDataMetric, reported_cost
from pytest_a2perf.metrics.generalization import GeneralizationFamily
from pytest_a2perf.metrics.pooled import PooledFamily, lengths, returns
from pytest_a2perf.metrics.posttrain import POSTTRAIN_FAMILIES
from pytest_a2perf.metrics.posttrain import REPORTED as POSTTRAIN_REPORTED
from pytest_a2perf.metrics.ratio import RATIOS
from pytest_a2perf.metrics.reliability import ReliabilityFamily
from pytest_a2perf.metrics.reported import BenchmarkFamily, ReportedFamily
from pytest_a2perf.metrics.sampled import SampledFamily
from pytest_a2perf.metrics.serving import REPORTED as SERVING_REPORTED
from pytest_a2perf.metrics.serving import SERVING_FAMILIES
from pytest_a2perf.metrics.success import SuccessFamily
from pytest_a2perf.metrics.system import SYSTEM_FAMILIES
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


_families: dict[str, MetricFamily] = {}


def register(family: MetricFamily) -> None:
    """Register a family; a later one of the same prefix replaces an earlier one."""
    _families[family.prefix] = family


_BUILT_IN: tuple[MetricFamily, ...] = (
    PooledFamily(
        "data_cost",
        "J",
        "lower",
        "data cost",
        "energy that went into the data",
        reported_cost,
        bare="mean",
        examples=("",),
        shown=("",),
    ),
    PooledFamily(
        "return",
        "",
        "higher",
        "application",
        "episode returns",
        returns,
        shown=("mean", "median", "iqm"),
    ),
    PooledFamily("length", "", "none", "application", "episode lengths", lengths, shown=("mean",)),
    SuccessFamily(),
    GeneralizationFamily(),
    SampledFamily(
        "latency",
        "latency",
        "decision times",
        shown=("mean", "p95", "p99", "miss_rate"),
        source="perf_counter",
    ),
    SampledFamily(
        "env_step", "env_step", "environment steps", shown=("mean",), source="perf_counter"
    ),
    SampledFamily("sample", "", "", examples=("<name>.p95",)),
    AgentsFamily(),
    *SERVING_FAMILIES,
    *POSTTRAIN_FAMILIES,
    *SYSTEM_FAMILIES,
    ReliabilityFamily(),
    BenchmarkFamily(),
    ReportedFamily(),
)
for _family in _BUILT_IN:
    register(_family)

_SINGLE: dict[str, Metric] = {**RATIOS, "energy.total_with_data": TotalWithDataMetric()}


def resolve(name: str) -> Metric:
    """Return a metric by name.

    Raises:
        UnknownNameError: there is none; the message has the nearest name.
    """
    if name in _SINGLE:
        return _SINGLE[name]
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
    yield from _SINGLE
    for family in _families.values():
        for suffix in family.examples:
            yield f"{family.prefix}.{suffix}" if suffix else family.prefix


def catalogue() -> list[Metric]:
    """Return one metric for each documented name."""
    return [resolve(name) for name in _names() if "<" not in name]


_SHOWN_SINGLE = (
    "energy.total_with_data", "throughput.steps", "energy.per_episode", "energy.per_solved",
    "power.mean", "carbon.per_episode",
)  # fmt: skip
_OWN_NAMES = {"posttrain": tuple(POSTTRAIN_REPORTED), "serving": tuple(SERVING_REPORTED)}
"""Domain -> numbers that its trials report and that have metrics of their own."""
_EACH = 3  # the dispersion across runs takes three
_GROUPS = ("data cost", "application", "system", "reliability")


def report_metrics(records: Sequence[Record]) -> list[str]:
    """Return the names worth showing for these records, ordered by group.

    Those are the ones that have a value. Generalization is left out over a single task, and the
    energy with data where there are no data.
    """
    names = [
        f"{family.prefix}.{suffix}" if suffix else family.prefix
        for family in _families.values()
        for suffix in family.shown
    ]
    names += _SHOWN_SINGLE
    names += [f"reported.{n}.mean" for n in sorted({n for r in records for n in r.reported})]
    tiers = tier_names(records)
    names += [f"agents.{what}.{tier}" for what in AgentsFamily.shown for tier in tiers if tiers[1:]]
    hidden = {"reported.data_cost.mean"}  # shown as data_cost
    for domain in {record.domain for record in records} & _OWN_NAMES.keys():
        hidden |= {f"reported.{name}.mean" for name in _OWN_NAMES[domain]}
    if not any("data_cost" in record.reported for record in records):
        hidden.add("energy.total_with_data")
    if len({episode.task for record in records for episode in record.episodes}) < 2:
        hidden |= {"generalization.sum", "generalization.mean"}
    some = _representatives(records)
    metrics = [resolve(name) for name in names if name not in hidden]
    shown = [metric for metric in metrics if _has_value(metric, some)]
    return [m.name for m in sorted(shown, key=lambda metric: _GROUPS.index(metric.group))]


def _representatives(records: Sequence[Record]) -> list[Record]:
    """Return a few trials of each kind, so that asking for values costs little."""
    kinds: dict[object, list[Record]] = {}
    for record in records:
        kind = (
            record.outcome,
            tuple(record.quantities),
            tuple(record.reported),
            tuple(record.curves),
            tuple((name, h.limit is None, h.count > 0) for name, h in record.samples.items()),
            record.benchmark is None,
            tuple(tier_names([record])),
            len(record.episodes) > 0,
            frozenset(episode.success for episode in record.episodes),
        )
        of_kind = kinds.setdefault(kind, [])
        if len(of_kind) < _EACH:
            of_kind.append(record)
    return [record for of_kind in kinds.values() for record in of_kind]


def _has_value(metric: Metric, records: Sequence[Record]) -> bool:
    try:
        metric.estimate(records, Request())
    except UnsupportedSampleError:
        return False
    return True
