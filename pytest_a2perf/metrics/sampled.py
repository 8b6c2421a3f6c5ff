"""Metrics of per-step samples (latencies and the like), kept as mergeable histograms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.intervals import quantile_interval, resamples
from pytest_a2perf.runs.histogram import RELATIVE_ERROR, Histogram, bucket_value
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["SampledFamily", "SampledMetric"]

Floats = NDArray[np.float64]
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)\Z")
_EXACT = ("mean", "std", "min", "max", "miss_rate")


@dataclass(frozen=True)
class SampledMetric:
    """A statistic of all samples of a name, with a bootstrap interval over trials."""

    name: str
    sample: str
    statistic: str
    unit: str
    summary: str
    q: float | None = None
    direction: Direction = "lower"
    group: Group = "system"

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; quantiles are within the histogram's relative error."""
        found = [r.samples[self.sample] for r in records if self.sample in r.samples]
        trials = [histogram for histogram in found if histogram.count]
        if not trials:
            raise UnsupportedSampleError(f"{self.name}: no trial has samples of {self.sample!r}")
        if self.statistic == "miss_rate" and any(trial.limit is None for trial in trials):
            raise UnsupportedSampleError(f"{self.name}: the scenario states no deadline")
        merged = Histogram.merge(trials)
        value = self._exact(merged)
        unit = "" if self.statistic == "miss_rate" else merged.unit
        note = ""
        if self.q is not None and merged.count * min(self.q, 1 - self.q) < 1:
            note = f"{self.statistic} of {merged.count} samples is no more than their extreme"
        estimate = Estimate(
            value,
            unit,
            confidence=request.confidence,
            n=len(trials),
            source="perf_counter",
            note=note,
        )
        if len(trials) < 2:
            return estimate
        low, high = quantile_interval(self._resampled(trials), request.confidence, len(trials))
        return replace(estimate, low=min(low, value), high=max(high, value), method="bootstrap")

    def _exact(self, histogram: Histogram) -> float:
        if self.q is not None:
            return histogram.quantile(self.q)
        match self.statistic:
            case "mean":
                return histogram.mean
            case "std":
                return histogram.std
            case "min":
                return histogram.minimum
            case "max":
                return histogram.maximum
        return histogram.over_limit / histogram.count

    def _resampled(self, trials: list[Histogram]) -> Floats:
        """Return the statistic of each bootstrap sample, shape ``(B,)``."""
        n = len(trials)
        index = resamples(n, n, self.name)
        if self.statistic in ("min", "max"):
            extremes = np.array([self._exact(trial) for trial in trials])[index]
            return np.asarray(getattr(extremes, self.statistic)(axis=1))
        weights = np.zeros((len(index), n))
        np.add.at(weights, (np.arange(len(index))[:, None], index), 1.0)
        counts = weights @ np.array([trial.count for trial in trials], dtype=float)
        if self.q is not None:
            return self._quantiles(trials, weights, counts)
        if self.statistic == "miss_rate":
            return np.asarray(weights @ np.array([float(t.over_limit) for t in trials]) / counts)
        means = weights @ np.array([trial.total for trial in trials]) / counts
        if self.statistic == "mean":
            return np.asarray(means)
        squares = weights @ np.array([trial.total_square for trial in trials]) / counts
        return np.sqrt(np.maximum(squares - means**2, 0.0))

    def _quantiles(self, trials: list[Histogram], weights: Floats, counts: Floats) -> Floats:
        assert self.q is not None
        buckets = np.array(sorted({b for trial in trials for b in trial.counts}), dtype=np.int64)
        column = {int(bucket): i for i, bucket in enumerate(buckets)}
        table = np.zeros((len(trials), len(buckets)))
        for row, trial in enumerate(trials):
            for bucket, count in trial.counts.items():
                table[row, column[bucket]] = count
        cumulative = np.cumsum(weights @ table, axis=1)
        position = (cumulative <= (self.q * (counts - 1))[:, None]).sum(axis=1)
        return bucket_value(buckets[np.minimum(position, len(buckets) - 1)])


@dataclass(frozen=True)
class SampledFamily:
    """``<prefix>.<statistic>`` over one name of samples; with an empty sample, over any.

    ``sample.<name>.<statistic>`` reaches whatever a domain or test sampled.
    """

    prefix: str
    sample: str
    what: str
    examples: tuple[str, ...] = ("mean", "median", "p50", "p95", "p99", "max", "std")
    shown: tuple[str, ...] = ()

    def make(self, suffix: str) -> Metric:
        """Make the metric of a statistic.

        Raises:
            UnknownNameError: there is no such statistic.
        """
        sample, name = self.sample, suffix
        if not sample:
            sample, _, name = suffix.rpartition(".")
        quantile = _QUANTILE.match("p50" if name == "median" else name)
        if not sample or (quantile is None and name not in _EXACT):
            raise UnknownNameError(
                f"unknown metric '{self.prefix}.{suffix}'{did_you_mean(name, self.examples)}"
            )
        q = float(quantile[1]) / 100 if quantile else None
        words = f"{quantile[1]} % quantile" if quantile else name.replace("_", " ")
        error = f" (within {100 * RELATIVE_ERROR:g} %)" if quantile else ""
        unit = "" if name == "miss_rate" else "s"
        summary = f"{words} of {self.what or 'samples'}{error}"
        if name == "miss_rate":
            summary = f"share of {self.what or 'samples'} beyond the scenario's deadline"
        return SampledMetric(f"{self.prefix}.{suffix}", sample, name, unit, summary, q)
