"""Generalization: returns over several tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.evidence import Floats, overflowing, usable, with_interval
from pytest_a2perf.metrics.intervals import quantile_interval, weights
from pytest_a2perf.metrics.pooled import estimate_pooled
from pytest_a2perf.metrics.statistics import statistic
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["GeneralizationFamily", "GeneralizationMetric"]

_SUMMARIES = {
    "sum": "mean return of a task, summed over tasks",
    "mean": "mean return of a task, averaged over tasks",
    "normalized": "mean return of a task between its references (0 to 1), averaged over tasks",
    "iqm": "mean of the middle half of all trials' returns between their task's references",
}


@dataclass(frozen=True)
class _Returns:
    """Returns by trial and task.

    Attributes:
        tasks: in alphabetical order.
        totals: sum of the returns, shape ``(trials, tasks)``.
        counts: episodes, shape ``(trials, tasks)``.
    """

    tasks: tuple[str, ...]
    totals: Floats
    counts: Floats


@dataclass(frozen=True)
class GeneralizationMetric:
    """The return over tasks, each task's return being the mean over all its episodes.

    Attributes:
        how: ``sum`` over tasks, as A2Perf reports it; ``mean`` over tasks; ``normalized``: the mean
            with 0 at the lower reference of a task and 1 at its upper one; ``iqm``: interquartile
            mean over trials and tasks of normalised returns (Agarwal et al. 2021).
    """

    name: str
    summary: str
    how: str
    unit: str = ""
    direction: Direction = "higher"
    group: Group = "application"

    @overflowing
    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`.

        Intervals resample whole trials: the tasks of one trial share its agent and seed, and each
        resample has as many runs of every task as there were.
        """
        trials = [record for record in usable(records) if record.episodes]
        found = _returns(trials)
        if not found.tasks:
            raise UnsupportedSampleError(f"{self.name}: no trial has episodes")
        if self.how in ("normalized", "iqm"):
            found = self._normalised(found, trials)
        estimate = self._pooled(found, request) if self.how == "iqm" else self._each(found, request)
        count = len(found.tasks)
        return replace(estimate, note=f"{count} tasks" if count > 1 else "only one task")

    def _pooled(self, found: _Returns, request: Request) -> Estimate:
        scores = [
            totals[counts > 0] / counts[counts > 0]
            for totals, counts in zip(found.totals, found.counts, strict=True)
        ]
        return estimate_pooled(self.name, scores, statistic("iqm", self.direction), request)

    def _each(self, found: _Returns, request: Request) -> Estimate:
        n = len(found.totals)
        value = float(self._combine(found.totals.sum(axis=0), found.counts.sum(axis=0)))
        estimate = Estimate(value, confidence=request.confidence, n=n)
        if n < 2:
            return estimate
        drawn = weights(n, found.totals.size, self.name)
        means = self._combine(drawn @ found.totals, drawn @ found.counts)
        return with_interval(estimate, quantile_interval(means, request.confidence, n), "bootstrap")

    def _combine(self, totals: Floats, counts: Floats) -> Floats:
        means = totals / counts  # a resample may miss a task; then it is undefined
        return np.asarray(means.sum(axis=-1) if self.how == "sum" else means.mean(axis=-1))

    def _normalised(self, found: _Returns, trials: Sequence[Record]) -> _Returns:
        """Map the lower reference of each task to 0, its upper one to 1."""
        references = [record.context.get("references") or {} for record in trials]
        ends = [self._ends(task, references) for task in found.tasks]
        missing = [repr(task) for task, pair in zip(found.tasks, ends, strict=True) if pair is None]
        if missing:
            raise UnsupportedSampleError(
                f"{self.name}: no references of {', '.join(missing)}; give a low and a high return "
                "of each task in [scenario.options.references]"
            )
        low, high = np.array(ends, dtype=float).T
        totals = (found.totals - found.counts * low) / (high - low)
        return replace(found, totals=totals)

    def _ends(
        self, task: str, references: Sequence[Mapping[str, Sequence[float]]]
    ) -> tuple[float, float] | None:
        """Return the references of a task, or None where no trial has any."""
        pairs = list(dict.fromkeys(tuple(known[task]) for known in references if task in known))
        if not pairs:
            return None
        if len(pairs) > 1:
            raise UnsupportedSampleError(
                f"{self.name}: the trials have several references of {task!r}: "
                f"{', '.join(map(str, pairs))}"
            )
        (pair,) = pairs
        if len(pair) != 2 or not all(map(math.isfinite, pair)) or pair[0] == pair[1]:
            raise UnsupportedSampleError(
                f"{self.name}: references of {task!r}: expected two different returns, low and "
                f"high, got {list(pair)}"
            )
        return pair[0], pair[1]


def _returns(trials: Sequence[Record]) -> _Returns:
    tasks = sorted({episode.task for record in trials for episode in record.episodes})
    column = {task: i for i, task in enumerate(tasks)}
    totals = np.zeros((len(trials), len(tasks)))
    counts = np.zeros_like(totals)
    for row, record in enumerate(trials):
        for episode in record.episodes:
            totals[row, column[episode.task]] += episode.total
            counts[row, column[episode.task]] += 1
    return _Returns(tuple(tasks), totals, counts)


class GeneralizationFamily:
    """``generalization.sum``, ``.mean``, ``.normalized`` and ``.iqm``."""

    prefix = "generalization"
    examples = tuple(_SUMMARIES)
    shown = tuple(_SUMMARIES)

    def make(self, suffix: str) -> Metric:
        """Make the metric.

        Raises:
            UnknownNameError: none of the four.
        """
        if suffix not in _SUMMARIES:
            raise UnknownNameError(
                f"unknown metric 'generalization.{suffix}'{did_you_mean(suffix, self.examples)}"
            )
        return GeneralizationMetric(f"generalization.{suffix}", _SUMMARIES[suffix], suffix)
