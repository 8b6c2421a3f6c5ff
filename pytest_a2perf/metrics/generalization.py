"""Generalization: returns over several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.intervals import quantile_interval, resamples
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["GeneralizationFamily", "GeneralizationMetric"]


@dataclass(frozen=True)
class GeneralizationMetric:
    """A task's return is the mean over all its episodes; tasks are summed, as A2Perf reports them,
    or averaged.
    """  # noqa: D205 - one sentence

    name: str
    summary: str
    average: bool
    unit: str = ""
    direction: Direction = "higher"
    group: Group = "application"

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`."""
        tasks = sorted({episode.task for record in records for episode in record.episodes})
        if not tasks:
            raise UnsupportedSampleError(f"{self.name}: no trial has episodes")
        trials = [record for record in records if record.episodes]
        totals = np.zeros((len(trials), len(tasks)))
        counts = np.zeros_like(totals)
        for row, record in enumerate(trials):
            for episode in record.episodes:
                column = tasks.index(episode.task)
                totals[row, column] += episode.total
                counts[row, column] += 1
        value = float(self._combine(totals.sum(axis=0), counts.sum(axis=0)))
        note = f"{len(tasks)} tasks" if len(tasks) > 1 else "only one task"
        estimate = Estimate(value, confidence=request.confidence, n=len(trials), note=note)
        if len(trials) < 2:
            return estimate
        index = resamples(len(trials), totals.size, self.name)
        values = self._combine(totals[index].sum(axis=1), counts[index].sum(axis=1))
        low, high = quantile_interval(values, request.confidence, len(trials))
        return replace(estimate, low=min(low, value), high=max(high, value), method="bootstrap")

    def _combine(
        self, totals: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            means = totals / counts
        return np.asarray(means.mean(axis=-1) if self.average else means.sum(axis=-1))


class GeneralizationFamily:
    """``generalization.sum`` and ``generalization.mean``."""

    prefix = "generalization"
    examples = ("sum", "mean")
    shown = ("sum", "mean")

    def make(self, suffix: str) -> Metric:
        """Make the metric.

        Raises:
            UnknownNameError: neither of the two.
        """
        if suffix not in self.examples:
            raise UnknownNameError(
                f"unknown metric 'generalization.{suffix}'{did_you_mean(suffix, self.examples)}"
            )
        how = "summed over" if suffix == "sum" else "averaged over"
        return GeneralizationMetric(
            f"generalization.{suffix}", f"mean return of each task, {how} tasks", suffix == "mean"
        )
