"""Generalization: returns over several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.evidence import Floats, overflowing, usable, with_interval
from pytest_a2perf.metrics.intervals import quantile_interval, weights
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["GeneralizationFamily", "GeneralizationMetric"]


@dataclass(frozen=True)
class GeneralizationMetric:
    """The return over tasks, each task's return being the mean over all its episodes.

    Tasks are averaged, or summed as A2Perf reports them.
    """

    name: str
    summary: str
    average: bool
    unit: str = ""
    direction: Direction = "higher"
    group: Group = "application"

    @overflowing
    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`."""
        trials = [record for record in usable(records) if record.episodes]
        tasks = sorted({episode.task for record in trials for episode in record.episodes})
        if not tasks:
            raise UnsupportedSampleError(f"{self.name}: no trial has episodes")
        column = {task: i for i, task in enumerate(tasks)}
        totals = np.zeros((len(trials), len(tasks)))
        counts = np.zeros_like(totals)
        for row, record in enumerate(trials):
            for episode in record.episodes:
                totals[row, column[episode.task]] += episode.total
                counts[row, column[episode.task]] += 1
        value = float(self._combine(totals.sum(axis=0), counts.sum(axis=0)))
        note = f"{len(tasks)} tasks" if len(tasks) > 1 else "only one task"
        estimate = Estimate(value, confidence=request.confidence, n=len(trials), note=note)
        if len(trials) < 2:
            return estimate
        drawn = weights(len(trials), totals.size, self.name)
        bounds = quantile_interval(
            self._combine(drawn @ totals, drawn @ counts), request.confidence, len(trials)
        )
        return with_interval(estimate, bounds, "bootstrap")

    def _combine(self, totals: Floats, counts: Floats) -> Floats:
        means = totals / counts  # a resample may miss a task; then it is undefined
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
            f"generalization.{suffix}", f"mean return of a task, {how} tasks", suffix == "mean"
        )
