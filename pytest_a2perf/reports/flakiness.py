"""Which scenarios come out differently from seed to seed, or from attempt to attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from pytest_a2perf.metrics.intervals import wilson
from pytest_a2perf.runs.record import OUTCOMES, Record, Unit
from pytest_a2perf.units import format_number

__all__ = ["Flaky", "Flips", "flaky_lines", "flaky_scenarios"]

_MOST_LINES = 20
_MOST_SEEDS = 8


@dataclass(frozen=True, slots=True)
class Flips:
    """How often an outcome flipped, as a rate with its 95 % Wilson interval.

    Attributes:
        flipped: how often it did.
        of: how often it could have.
    """

    flipped: int
    of: int

    @property
    def rate(self) -> float:
        """The share that flipped."""
        return self.flipped / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """See `wilson`."""
        return wilson(self.flipped, self.of, 0.95)

    def to_json(self) -> dict[str, float]:
        """Return JSON scalars."""
        low, high = self.interval
        return {**asdict(self), "rate": self.rate, "low": low, "high": high}

    def text(self) -> str:
        """Print it for people."""
        low, high = (format_number(100 * end) for end in self.interval)
        return f"{self.flipped} of {self.of}, {format_number(100 * self.rate)} % [{low}, {high}]"


@dataclass(frozen=True, slots=True)
class Flaky:
    """A scenario without one outcome.

    Attributes:
        scenario: its id.
        outcomes: number of seeds by outcome, the most frequent first.
        over_seeds: seeds whose outcome is not that of most (of the same case).
        seeds: which ones.
        over_attempts: reruns whose outcome is not that of the attempt before; None without reruns.
    """

    scenario: str
    outcomes: Mapping[str, int]
    over_seeds: Flips
    seeds: tuple[Unit, ...]
    over_attempts: Flips | None

    def to_json(self) -> dict[str, Any]:
        """Return JSON scalars, lists and objects."""
        attempts = None if self.over_attempts is None else self.over_attempts.to_json()
        return {
            "scenario": self.scenario,
            "outcomes": dict(self.outcomes),
            "over_seeds": self.over_seeds.to_json(),
            "seeds": list(self.seeds),
            "over_attempts": attempts,
        }


def flaky_scenarios(records: Mapping[str, Sequence[Record]]) -> list[Flaky]:
    """Return the scenarios with mixed outcomes, those that flip most often first.

    The outcome of a seed is that of its first attempt: the last one is biased, since reruns stop
    with a success. Trials that were broken by their surroundings or did not run say nothing.

    Args:
        records: of all attempts, by scenario.
    """
    found = [flaky for name in sorted(records) if (flaky := _judge(name, records[name]))]
    return sorted(found, key=lambda flaky: flaky.over_seeds.rate, reverse=True)


def _judge(scenario: str, records: Sequence[Record]) -> Flaky | None:
    attempts: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: (record.attempt, record.started)):
        if record.outcome not in ("infra", "not_run"):
            attempts.setdefault(record.nodeid, []).append(record)
    first = [of_seed[0] for of_seed in attempts.values()]
    reruns = [a.outcome != b.outcome for of_seed in attempts.values() for a, b in pairwise(of_seed)]
    counts = Counter(record.outcome for record in first)
    outcomes = dict(sorted(counts.items(), key=lambda pair: (-pair[1], OUTCOMES.index(pair[0]))))
    differing = [record.unit for of_case in _by_case(first) for record in _minority(of_case)]
    if not differing and not any(reruns):
        return None
    return Flaky(
        scenario,
        {str(name): count for name, count in outcomes.items()},
        Flips(len(differing), len(first)),
        tuple(sorted(differing, key=str if any(record.case for record in first) else None)),
        Flips(sum(reruns), len(reruns)) if reruns else None,
    )


def _by_case(records: Iterable[Record]) -> Iterable[list[Record]]:
    cases: dict[str, list[Record]] = {}
    for record in records:
        cases.setdefault(record.case, []).append(record)
    return cases.values()


def _minority(records: Sequence[Record]) -> Iterator[Record]:
    """Yield those whose outcome is not that of most; of equal numbers the milder counts as most."""
    counts = Counter(record.outcome for record in records)
    most = min(counts, key=lambda outcome: (-counts[outcome], OUTCOMES.index(outcome)))
    return (record for record in records if record.outcome != most)


def flaky_lines(found: Sequence[Flaky]) -> Iterator[str]:
    """Yield the lines of a report on them."""
    for flaky in found[:_MOST_LINES]:
        yield f"  {flaky.scenario}"
        if flaky.seeds:
            counts = ", ".join(f"{count} {name}" for name, count in flaky.outcomes.items())
            yield f"    seeds that differ from most: {flaky.over_seeds.text()}"
            named = [str(seed) for seed in flaky.seeds[:_MOST_SEEDS]]
            named += ["..."] * (len(flaky.seeds) > _MOST_SEEDS)
            yield f"      {counts}; seed{'s' * (len(flaky.seeds) > 1)} {', '.join(named)}"
        if flaky.over_attempts is not None:
            yield f"    reruns that flipped: {flaky.over_attempts.text()}"
    if len(found) > _MOST_LINES:
        yield f"  and {len(found) - _MOST_LINES} more, see run.json"
