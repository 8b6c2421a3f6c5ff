"""Metrics of per-step samples (latencies and the like), kept as mergeable histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.evidence import Floats, common_unit, overflowing, usable, with_interval
from pytest_a2perf.metrics.intervals import quantile_interval, rate_interval, weights
from pytest_a2perf.metrics.statistics import quantile_of, quantile_wants
from pytest_a2perf.runs.histogram import RELATIVE_ERROR, Histogram, bucket_value
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["SampledFamily", "SampledMetric"]

_EXACT = ("mean", "std", "min", "max", "miss_rate")
_SENSELESS = ("higher", "miss_rate")


@dataclass(frozen=True)
class SampledMetric:
    """A statistic of all samples of a name.

    Attributes:
        sample: name of the samples in the records.
        statistic: as written after the last dot.
        q: set for quantiles.
        source: the clock that took the samples, if it is always the same.
    """

    name: str
    sample: str
    statistic: str
    unit: str
    summary: str
    q: float | None = None
    source: str = ""
    direction: Direction = "lower"
    group: Group = "system"

    @overflowing
    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; quantiles are within the histogram's relative error."""
        found = [r.samples[self.sample] for r in usable(records) if self.sample in r.samples]
        trials = [histogram for histogram in found if histogram.count]
        if not trials:
            raise UnsupportedSampleError(f"{self.name}: no trial has samples of {self.sample!r}")
        unit = common_unit(self.name, [trial.unit for trial in trials])
        if self.statistic == "miss_rate":
            return self._miss_rate(trials, request)
        merged = Histogram.merge(trials)
        if self.statistic == "std" and merged.count < 2:
            raise UnsupportedSampleError(f"{self.name} needs 2 samples, there is 1")
        note = self._note(merged.count)
        estimate = Estimate(
            self._exact(merged),
            unit,
            confidence=request.confidence,
            n=len(trials),
            source=self.source,
            note=note,
        )
        if note or len(trials) < 2:
            return estimate
        bounds = quantile_interval(self._resampled(trials), request.confidence, len(trials))
        return with_interval(estimate, bounds, "bootstrap")

    def _note(self, count: int) -> str:
        """Say why the samples support no interval, or nothing."""
        if self.q is not None and count < quantile_wants(self.q):
            return f"{self.statistic} of {count} samples is no more than an extreme"
        if self.statistic in ("min", "max") or self.q == 1:
            return "a sample does not bound its extremes"
        return ""

    def _exact(self, histogram: Histogram) -> float:
        if self.q is not None:
            return histogram.quantile(self.q)
        match self.statistic:
            case "mean":
                return histogram.mean
            case "std":
                return histogram.std * math.sqrt(histogram.count / (histogram.count - 1))
            case "min":
                return histogram.minimum
        return histogram.maximum

    def _miss_rate(self, trials: list[Histogram], request: Request) -> Estimate:
        if any(trial.limit is None for trial in trials):
            raise UnsupportedSampleError(f"{self.name}: the scenario states no deadline")
        late = np.array([trial.over_limit for trial in trials], dtype=float)
        counts = np.array([trial.count for trial in trials], dtype=float)
        estimate = Estimate(
            float(late.sum() / counts.sum()),
            confidence=request.confidence,
            n=len(trials),
            source=self.source,
            note=f"{late.sum():.0f} of {counts.sum():.0f} samples",
        )
        bounds, method = rate_interval(late, counts, request.confidence, exact=request.exact)
        return with_interval(estimate, bounds, method)

    def _resampled(self, trials: list[Histogram]) -> Floats:
        """Return the statistic of each bootstrap sample, shape ``(B,)``."""
        drawn = weights(len(trials), len(trials), self.name)
        counts = drawn @ np.array([trial.count for trial in trials], dtype=float)
        if self.q is not None:
            buckets, table = _table(trials)
            cumulative = np.cumsum(drawn @ table, axis=1)
            position = (cumulative <= (self.q * (counts - 1))[:, None]).sum(axis=1)
            return bucket_value(buckets[position])
        means = np.asarray(drawn @ np.array([trial.total for trial in trials]) / counts)
        if self.statistic == "mean":
            return means
        squares = drawn @ np.array([trial.total_square for trial in trials]) / counts
        variance = np.maximum(squares - means**2, 0.0) * counts / np.maximum(counts - 1, 1)
        return np.asarray(np.sqrt(variance))


def _table(trials: Sequence[Histogram]) -> tuple[np.ndarray, Floats]:
    """Return the buckets in use, shape ``(K,)``, and their counts, shape ``(trials, K)``."""
    sizes = [len(trial.counts) for trial in trials]
    where = np.fromiter((b for trial in trials for b in trial.counts), np.int64, sum(sizes))
    counts = np.fromiter((c for trial in trials for c in trial.counts.values()), float, sum(sizes))
    buckets, column = np.unique(where, return_inverse=True)
    table = np.zeros((len(trials), len(buckets)))
    table[np.repeat(np.arange(len(trials)), sizes), column] = counts
    return buckets, table


@dataclass(frozen=True)
class SampledFamily:
    """``<prefix>.<statistic>`` over one name of samples; with an empty sample, over any.

    ``sample.<name>.<statistic>`` reaches whatever a domain or test sampled.

    Attributes:
        prefix: see `MetricFamily`.
        sample: name of the samples.
        what: the samples, in words.
        examples, shown: see `MetricFamily`.
        source: the clock that took them, if it is always the same.
        unit: of the samples.
        direction: which way is better; where it is higher, no sample misses a deadline.
    """

    prefix: str
    sample: str
    what: str
    examples: tuple[str, ...] = ("mean", "median", "p50", "p95", "p99", "max", "std", "miss_rate")
    shown: tuple[str, ...] = ()
    source: str = ""
    unit: str = "s"
    direction: Direction = "lower"

    def make(self, suffix: str) -> Metric:
        """Make the metric of a statistic.

        Raises:
            UnknownNameError: there is no such statistic.
        """
        sample, name = self.sample, suffix
        if not sample:
            sample, _, name = suffix.rpartition(".")
        q = quantile_of(name)
        known = q is not None or (name in _EXACT and (self.direction, name) != _SENSELESS)
        if not sample or not known:
            raise UnknownNameError(
                f"unknown metric '{self.prefix}.{suffix}'{did_you_mean(name, self.examples)}"
            )
        what = self.what or f"samples of {sample!r}"
        if name == "miss_rate":
            summary = f"share of {what} beyond the scenario's deadline"
        elif q is None:
            summary = f"{name} of {what}"
        else:
            words = "median" if q == 0.5 else f"{100 * q:.6g} % quantile"
            summary = f"{words} of {what} (within {100 * RELATIVE_ERROR:g} %)"
        return SampledMetric(
            f"{self.prefix}.{suffix}",
            sample,
            name,
            "" if name == "miss_rate" else self.unit,
            summary,
            q,
            self.source,
            "lower" if name == "std" else self.direction,
        )
