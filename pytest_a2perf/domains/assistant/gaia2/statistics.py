"""What a scenario's attempts amount to, for each capability and for all of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from statistics import mean, stdev
from typing import Any

import numpy as np

from pytest_a2perf.domains.assistant.gaia2.attempts import STATUSES, Attempt, count
from pytest_a2perf.domains.assistant.gaia2.usage import Usage, usage_of
from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Estimate, Request
from pytest_a2perf.metrics.evidence import Floats
from pytest_a2perf.metrics.intervals import rate_interval, wilson
from pytest_a2perf.metrics.ratio import RATIOS
from pytest_a2perf.metrics.success import pass_all_of, pass_at
from pytest_a2perf.runs.record import Record

__all__ = ["CONFIDENCE", "Figures", "Mean", "Pass", "Rate", "Report", "report_of"]

CONFIDENCE = 0.95
"""Of all intervals."""


@dataclass(frozen=True)
class Rate:
    """A share.

    Attributes:
        value: from 0 to 1.
        error: standard error, by scenarios; None: there is only one.
        low: end of the interval.
        high: end of the interval.
    """

    value: float
    error: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Pass:
    """``pass@k`` or ``pass^k``.

    Attributes:
        k: attempts.
        rate: mean over cases; None: no case has so many attempts.
        cases: that have.
        left_out: cases that have fewer.
    """

    k: int
    rate: Rate | None
    cases: int
    left_out: int


@dataclass(frozen=True)
class Mean:
    """A mean with its standard deviation, which is None for a single value."""

    value: float
    deviation: float | None
    n: int


@dataclass(frozen=True)
class Figures:
    """What some attempts amount to.

    Attributes:
        name: of the capability, or configuration and group.
        cases: that were collected.
        counts: attempts by `Status`.
        success: share that solved of those that say something about the agent.
        pass_at: ``pass@k`` for each k.
        pass_all: ``pass^k`` for each k.
        duration: of an attempt, in real seconds.
        simulated: of an attempt, in simulated seconds.
        agent: what its model has used.
        experts: what the models of the apps' agents have used.
        judge: what the judge's model has used.
        energy: joules of all attempts for each solved one; None: not known, or none is solved.
        cached: attempts whose result was there already; they have no duration and no energy.
    """

    name: str
    cases: int
    counts: Mapping[str, int]
    success: Rate | None
    pass_at: tuple[Pass, ...]
    pass_all: tuple[Pass, ...]
    duration: Mean | None
    simulated: Mean | None
    agent: Usage
    experts: Usage
    judge: Usage
    energy: Estimate | None
    cached: int

    @property
    def judged(self) -> int:
        """Attempts that say something about the agent."""
        return sum(self.counts[name] for name in ("solved", "failed", "error", "timeout"))

    def dollars_per_solved(self) -> float | None:
        """What agents have cost for each solved attempt, without the judge; None: unknown."""
        costs = [self.agent.cost.total, self.experts.cost.total]
        parts = (self.agent, self.experts)
        known = [cost for cost, part in zip(costs, parts, strict=True) if part.trials]
        if not known or None in known or not self.counts["solved"]:
            return None
        return sum(cost for cost in known if cost is not None) / self.counts["solved"]


@dataclass(frozen=True)
class Report:
    """What a run has shown about an agent.

    Attributes:
        name: of the scenario, or of several.
        phase: of the scenario.
        facts: what all attempts have in common: task, agent, model, split.
        attempts: all of them.
        rows: by capability.
        overall: all attempts, each with the same weight (micro).
        macro: success if each row has the same weight; None: no attempt was judged.
        elapsed: seconds from the start of the first to the end of the last attempt.
    """

    name: str
    phase: str
    facts: Mapping[str, str]
    attempts: Sequence[Attempt]
    rows: tuple[Figures, ...]
    overall: Figures
    macro: Rate | None
    elapsed: float | None

    @property
    def tries(self) -> int:
        """How many attempts a case was to have at most."""
        return len(self.overall.pass_at)

    def to_json(self) -> dict[str, Any]:
        """Return all but the attempts, as JSON."""
        data = {
            "scenario": self.name,
            "phase": self.phase,
            **self.facts,
            "confidence": CONFIDENCE,
            "rows": [asdict(row) for row in self.rows],
            "overall": asdict(self.overall),
            "macro": None if self.macro is None else asdict(self.macro),
            "elapsed": self.elapsed,
        }
        cleaned: dict[str, Any] = _without_nan(data)
        return cleaned


def report_of(name: str, attempts: Sequence[Attempt]) -> Report:
    """Sum up attempts.

    Args:
        name: what is summed up.
        attempts: at least one.
    """
    rows: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        rows[attempt.row].append(attempt)
    records = [record for attempt in attempts for record in attempt.records]
    phases = [record.phase for record in records if "row" in record.context]
    tries = max(_tries(attempts).values())
    return Report(
        name,
        phases[0] if phases else "",
        _facts(records),
        attempts,
        tuple(_figures(row, rows[row], tries) for row in _ordered(rows)),
        _figures("all", attempts, tries),
        _macro([_clusters(members) for members in rows.values()]),
        _elapsed(records),
    )


def _figures(name: str, attempts: Sequence[Attempt], tries: int) -> Figures:
    records = [record for attempt in attempts for record in attempt.records]
    fresh = [record for record in records if not record.context.get("cached")]
    counts = count(attempts)
    ended = [r for r in fresh if r.outcome in ("success", "failure", "error", "timeout")]
    simulated = [
        r.reported["simulated_time"].value for r in ended if "simulated_time" in r.reported
    ]
    clusters = _clusters(attempts)
    return Figures(
        name,
        len(_tries(attempts)),
        {status: counts[status] for status in STATUSES},
        _rate(list(clusters.values())),
        tuple(_pass(attempts, k, pass_at) for k in range(1, tries + 1)),
        tuple(_pass(attempts, k, pass_all_of) for k in range(1, tries + 1)),
        _mean([record.duration for record in ended]),
        _mean(simulated),
        usage_of(records, ""),
        usage_of(records, "experts_"),
        usage_of(records, "judge_"),
        _energy(fresh),
        len(records) - len(fresh),
    )


def _tries(attempts: Sequence[Attempt]) -> dict[tuple[str, str], int]:
    """Return how many attempts each case was to have."""
    tries: dict[tuple[str, str], int] = defaultdict(int)
    for attempt in attempts:
        tries[attempt.row, attempt.id] += 1
    return tries


def _clusters(attempts: Sequence[Attempt]) -> dict[str, list[float]]:
    """Return what each scenario's attempts came to; they are not independent of each other."""
    clusters: dict[str, list[float]] = defaultdict(list)
    for attempt in attempts:
        if attempt.success is not None:
            clusters[attempt.id].append(attempt.success)
    return clusters


def _rate(clusters: Sequence[Sequence[float]]) -> Rate | None:
    """Return the mean of values between 0 and 1 that come in clusters."""
    if not clusters:
        return None
    sums = np.array([sum(values) for values in clusters], dtype=float)
    sizes = np.array([len(values) for values in clusters], dtype=float)
    value = float(sums.sum() / sizes.sum())
    (low, high), _ = rate_interval(sums, sizes, CONFIDENCE, exact=False)
    return Rate(value, _error(sums - value * sizes, sizes.sum()), low, high)


def _error(influences: Floats, total: float) -> float | None:
    """Return the standard error of a mean from what each cluster adds to it (linearised)."""
    n = len(influences)
    if n < 2:
        return None
    return math.sqrt(n / (n - 1) * float(np.square(influences).sum())) / total


def _pass(attempts: Sequence[Attempt], k: int, of: Callable[[int, int, int], float]) -> Pass:
    judged: dict[tuple[str, str], list[bool]] = {case: [] for case in _tries(attempts)}
    for attempt in attempts:
        if attempt.success is not None:
            judged[attempt.row, attempt.id].append(attempt.success)
    clusters: dict[str, list[float]] = defaultdict(list)
    for (_, scenario), found in judged.items():
        if len(found) >= k:
            clusters[scenario].append(of(len(found), sum(found), k))
    cases = sum(map(len, clusters.values()))
    return Pass(k, _rate(list(clusters.values())), cases, len(judged) - cases)


def _macro(rows: Sequence[Mapping[str, Sequence[float]]]) -> Rate | None:
    """Return the unweighted mean of the rows' rates; a scenario may be in several rows.

    The interval is that of a rate of so many independent attempts as have the same variance.
    """
    rows = [row for row in rows if row]
    if not rows:
        return None
    influences: dict[str, float] = defaultdict(float)
    rates, sizes = [], []
    for row in rows:
        size = sum(map(len, row.values()))
        rate = sum(map(sum, row.values())) / size
        for scenario, values in row.items():
            influences[scenario] += (sum(values) - rate * len(values)) / size
        rates.append(rate)
        sizes.append(size)
    value = mean(rates)
    error = _error(np.array(list(influences.values())), len(rows))
    least = len(rows) ** 2 / sum(1 / len(row) for row in rows)
    most = len(rows) ** 2 / sum(1 / size for size in sizes)
    worth = value * (1 - value) / error**2 if error else least
    worth = float(np.clip(worth, least, most))
    low, high = wilson(value * worth, worth, CONFIDENCE)
    return Rate(value, error, low, high)


def _mean(values: Sequence[float]) -> Mean | None:
    if not values:
        return None
    return Mean(mean(values), stdev(values) if len(values) > 1 else None, len(values))


def _energy(records: Sequence[Record]) -> Estimate | None:
    try:
        return RATIOS["energy.per_solved"].estimate(records, Request(CONFIDENCE))
    except UnsupportedSampleError:
        return None


def _facts(records: Sequence[Record]) -> dict[str, str]:
    facts = {}
    for name in ("task", "agent", "model", "split"):
        values = dict.fromkeys(str(r.context[name]) for r in records if r.context.get(name))
        facts[name] = ", ".join(values)
    return facts


def _elapsed(records: Sequence[Record]) -> float | None:
    began = [(datetime.fromisoformat(r.started), r.duration) for r in records if r.started]
    if not began:
        return None
    end = max(start + timedelta(seconds=duration) for start, duration in began)
    return (end - min(start for start, _ in began)).total_seconds()


def _ordered(names: Mapping[str, object]) -> list[str]:
    from pytest_a2perf.domains.assistant.sources.cases import CAPABILITIES

    return sorted(
        names, key=lambda name: (name not in CAPABILITIES, [*CAPABILITIES, name].index(name), name)
    )


def _without_nan(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nan(each) for key, each in value.items()}
        case list() | tuple():
            return [_without_nan(each) for each in value]
        case float() if not math.isfinite(value):
            return None
    return value
