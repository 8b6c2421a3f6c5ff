"""What the time and the energy of a run went into, as far as it can be told from outside."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from pytest_a2perf.domains.posttrain.report.data import Activity
from pytest_a2perf.domains.posttrain.report.read import Run

__all__ = ["activities_of", "evaluations_of"]

_NAMES = (
    "computing", "rollouts with services", "language model", "evaluation", "waiting",
)  # fmt: skip
_BUSY = 0.25
"""Busy cores, or share of a GPU, from which a stretch counts as computing."""

Span = tuple[float, float]


def evaluations_of(run: Run) -> list[Span]:
    """Return when evaluations ran, in seconds by the wall."""
    spans = []
    for one in run.submissions:
        if one.number in run.evaluated:
            spans.append((one.clock, run.evaluated[one.number]))
        elif one.public is not None and not one.repeated:
            spans.append((one.clock, one.clock + one.public.seconds))
    return spans


def activities_of(run: Run) -> tuple[Activity, ...]:
    """Return time and energy by activity.

    Each stretch between two samples belongs to one: while a service of the task is called, or a
    language model; else, while the agent's processes are busy, computing (training and local
    rollouts look alike from outside); else evaluation, while one runs; else waiting.
    """
    services = _Spans(_calls(run, services=True))
    models = _Spans(_calls(run, services=False))
    evaluations = _Spans(evaluations_of(run))
    totals = {name: [0.0, 0.0, 0.0] for name in _NAMES}
    seen = False
    start: dict[str, Any] = {"clock": 0.0, "cpu": 0.0, "joules": 0.0}
    for before, after in pairwise([start, *run.samples]):
        span = (before["clock"], after["clock"])
        seconds = span[1] - span[0]
        if seconds <= 0:
            continue
        cpu = max(0.0, after["cpu"] - before["cpu"])
        load = max(cpu / seconds, after.get("gpu", {}).get("utilization", 0.0))
        if services.within(span) > 0:
            name = "rollouts with services"
        elif load >= _BUSY:
            name = "computing"
        elif models.within(span) > seconds / 2:
            name = "language model"
        elif evaluations.within(span) > seconds / 2:
            name = "evaluation"
        else:
            name = "waiting"
        joules = _joules(after) - _joules(before)
        seen = seen or math.isfinite(joules)
        for place, value in enumerate((seconds, cpu, max(0.0, joules))):
            totals[name][place] += value if math.isfinite(value) else 0.0
    return tuple(
        Activity(name, seconds, cpu, joules if seen else math.nan)
        for name, (seconds, cpu, joules) in totals.items()
        if seconds > 0
    )


def _joules(sample: Mapping[str, Any]) -> float:
    return float(sample.get("joules", math.nan) + sample.get("gpu", {}).get("joules", 0.0))


def _calls(run: Run, *, services: bool) -> Iterator[Span]:
    """Yield when services were called, or language models; ``clock`` is when a call began."""
    for call in run.calls:
        if call.get("kind") == ("service" if services else "llm"):
            yield call["clock"], call["clock"] + float(call.get("seconds") or 0.001)


class _Spans:
    """Stretches of time, of which there may be many."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._merged: list[Span] = []
        for begin, end in sorted(spans):
            if self._merged and begin <= self._merged[-1][1]:
                last = self._merged.pop()
                self._merged.append((last[0], max(last[1], end)))
            else:
                self._merged.append((begin, end))

    def within(self, span: Span) -> float:
        """Return how many seconds of a span they cover."""
        first = max(0, bisect_right(self._merged, (span[0], math.inf)) - 1)
        total = 0.0
        for place in range(first, len(self._merged)):
            begin, end = self._merged[place]
            if begin >= span[1]:
                break
            total += max(0.0, min(span[1], end) - max(span[0], begin))
        return total
