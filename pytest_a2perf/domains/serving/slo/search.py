"""The largest load that meets a tier: doubling, then bisection, with every level measured once.

A level says of a tier that it is met, missed, or neither for sure. So there are three edges, all
found by bisection and all on the same levels: up to where the percentiles themselves keep the
limits (the estimate), up to where they surely do, and from where they surely do not (the bracket).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

from pytest_a2perf.domains.serving.replay.rows import Rows
from pytest_a2perf.domains.serving.slo.decide import Decision, decide, pooled
from pytest_a2perf.domains.serving.slo.options import SearchOptions
from pytest_a2perf.domains.serving.slo.tiers import Tier
from pytest_a2perf.units import format_value

__all__ = ["Capacity", "Judged", "find_edges", "judge_load", "search"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many agents a tier allows.

    Attributes:
        agents: the best estimate; 0 where not even one is served.
        low: surely meets it (0: none does).
        high: nothing above surely meets it; infinite where the search ended below the edge.
        why: what ended the search, in words.
    """

    agents: int
    low: int
    high: float = math.inf
    why: str = ""

    @property
    def exact(self) -> bool:
        """Whether the search found the edge itself."""
        return self.low == self.high == self.agents

    def to_json(self) -> dict[str, Any]:
        """Return what a record keeps of it; a bracket without an end has null there."""
        high = int(self.high) if math.isfinite(self.high) else None
        return {"agents": self.agents, "low": self.low, "high": high, "why": self.why}


@dataclass(frozen=True, slots=True)
class Judged:
    """What a load says.

    Attributes:
        decisions: by name of the tier.
        blocked: why it says nothing of those that it leaves open, nor would a larger load; empty
            where it may.
    """

    decisions: Mapping[str, Decision]
    blocked: str = ""


class _Client(Protocol):
    @property
    def limited(self) -> str: ...


class Measured(Protocol):
    """The part of a `Level` that a search looks at."""

    @property
    def rows(self) -> Rows: ...
    @property
    def lacks(self) -> str: ...
    @property
    def client(self) -> _Client: ...


def search(
    measure: Callable[[int, int], Measured],
    tiers: Sequence[Tier],
    options: SearchOptions,
    *,
    expired: Callable[[], str] = lambda: "",
    judged: Callable[[int, Judged], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Capacity]:
    """Search for the largest load that meets each tier.

    A level that leaves a tier open is measured again, up to ``options.repeats`` times, and all of
    its requests count together. Where the client was the limit they do not count. Where the window
    lacks what its rules ask for, the level may miss a tier but not meet it.

    Args:
        measure: holds so many agents; its second argument counts the repeats from 0.
        tiers: of different names.
        options: see `SearchOptions`.
        expired: says why the search must end now; empty while it need not.
        judged: is told of each load once it is judged.
        clock: of ``options.longest``, in seconds.

    Returns:
        By name of the tier.
    """
    begin = clock()

    def over() -> str:
        if options.longest is not None and clock() - begin >= options.longest:
            return f"the search's {format_value(options.longest, 's')} were over"
        return expired()

    def judge(agents: int) -> Judged:
        verdict = judge_load(partial(measure, agents), tiers, options, over)
        if judged is not None:
            judged(agents, verdict)
        return verdict

    return find_edges(judge, [tier.name for tier in tiers], options, over)


def judge_load(
    measure: Callable[[int], Measured],
    tiers: Sequence[Tier],
    options: SearchOptions,
    expired: Callable[[], str] = lambda: "",
) -> Judged:
    """Hold a load, again as long as it leaves a tier open, and judge all of its requests together.

    Args:
        measure: holds the load; its argument counts the repeats from 0.
        tiers: of different names.
        options: repeats and confidence.
        expired: says why it must not be held again; empty while it may.
    """
    found = _Evidence(tiers, options.confidence)
    for repeat in range(options.repeats + 1):
        if repeat and expired():
            break
        found.add(measure(repeat))
        if not found.open:
            break
    return found.judged()


class _Evidence:
    """What the repeats of a level say together."""

    def __init__(self, tiers: Sequence[Tier], confidence: float) -> None:
        self._tiers, self._confidence = tiers, confidence
        self._rows: list[Rows] = []
        self._problem = ""
        self._whole = False
        self._decisions: dict[str, Decision] = {}
        self._decide()

    def add(self, level: Measured) -> None:
        self._problem = level.client.limited or level.lacks or self._problem
        if level.client.limited:
            return
        self._whole |= not level.lacks
        self._rows.append(level.rows)
        self._decide()

    def _decide(self) -> None:
        rows = pooled(self._rows)
        for tier in self._tiers:
            decision = decide(rows, tier, self._confidence)
            if decision.says == "met" and not self._whole:
                note = "; ".join(filter(None, (decision.note, self._problem)))
                decision = replace(decision, says="unsure", note=note)
            self._decisions[tier.name] = decision

    @property
    def open(self) -> bool:
        return any(decision.says == "unsure" for decision in self._decisions.values())

    def judged(self) -> Judged:
        return Judged(self._decisions, "" if self._whole or not self.open else self._problem)


_Edge = Literal["point", "met", "not missed"]


def find_edges(
    judge: Callable[[int], Judged],
    tiers: Sequence[str],
    options: SearchOptions,
    expired: Callable[[], str] = lambda: "",
) -> dict[str, Capacity]:
    """Find the edges of tiers over the number of agents.

    Args:
        judge: of a number of agents; asked once of each.
        tiers: names.
        options: start, most and tolerance.
        expired: see `search`.
    """
    known: dict[int, Judged] = {}
    ended = ""
    while (agents := _next_level(known, tiers, options)) is not None and not (ended := expired()):
        known[agents] = judge(agents)
    return {tier: _capacity(known, tier, options, ended) for tier in tiers}


def _next_level(
    known: Mapping[int, Judged], tiers: Sequence[str], options: SearchOptions
) -> int | None:
    """Return the load that tells most, or None where all edges are near enough."""
    if not known:
        return options.start
    top = max(known)
    missed = all(known[top].decisions[tier].says == "missed" for tier in tiers)
    if not missed and not known[top].blocked and top < options.most:
        return min(2 * top, options.most)
    edges: tuple[_Edge, ...] = ("point", "met", "not missed")
    for edge in edges:
        for tier in tiers:
            holds, fails = _between(known, tier, edge)
            if fails is not None and fails - holds > options.gap(holds):
                return (holds + fails) // 2
    return None


def _between(known: Mapping[int, Judged], tier: str, edge: _Edge) -> tuple[int, int | None]:
    """Return the loads on both sides of an edge; 0 agents are always served.

    Where noise has put several edges, the bracket holds all of them: its lower end is the first,
    its upper end the last. The estimate is the first.
    """
    levels = _levels(known, tier, edge)
    if edge == "not missed":
        last = max((n for n, holds in levels if holds), default=0)
        return last, min((n for n, _ in levels if n > last), default=None)
    first = min((n for n, holds in levels if not holds), default=None)
    return max((n for n, _ in levels if first is None or n < first), default=0), first


def _levels(known: Mapping[int, Judged], tier: str, edge: _Edge) -> list[tuple[int, bool]]:
    """Return which loads hold; one that is blocked does where a larger one does."""
    levels = [(n, _holds(judged.decisions[tier], edge)) for n, judged in _told(known, tier)]
    most = max((n for n, holds in levels if holds), default=0)
    return [(n, holds) for n, holds in levels if holds or n > most or not known[n].blocked]


def _told(known: Mapping[int, Judged], tier: str) -> Iterator[tuple[int, Judged]]:
    """Yield the levels that tell something of a tier.

    One that is blocked tells nothing where it is the largest; below others it is an unsure one.
    """
    top = max(known, default=0)
    for agents, judged in known.items():
        open_ = judged.decisions[tier].says != "missed"
        if not (agents == top and judged.blocked and open_):
            yield agents, judged


def _holds(decision: Decision, edge: _Edge) -> bool:
    if edge == "point":
        return decision.point
    return decision.says == "met" if edge == "met" else decision.says != "missed"


def _capacity(
    known: Mapping[int, Judged], tier: str, options: SearchOptions, ended: str
) -> Capacity:
    agents, _ = _between(known, tier, "point")
    low, _ = _between(known, tier, "met")
    _, missed = _between(known, tier, "not missed")
    high = math.inf if missed is None else missed - 1
    reasons = [*_reasons(known, tier, options), ended]
    return Capacity(agents, low, high, "; ".join(filter(None, reasons)))


def _reasons(known: Mapping[int, Judged], tier: str, options: SearchOptions) -> Iterator[str]:
    _, fails = _between(known, tier, "point")
    _, missed = _between(known, tier, "not missed")
    if fails is not None:
        decision = known[fails].decisions[tier]
        parts = [part.text() for part in decision.parts if not part.holds]
        misses = ", ".join(parts) if decision.requests else ""
        yield f"{_agents(fails)}: {misses or known[fails].blocked or 'no requests tell'}"
        told = _told(known, tier)
        again = [n for n, judged in told if n > fails and judged.decisions[tier].point]
        if again:
            yield f"not monotone: {_agents(max(again))} keep the limits again"
    if missed is None and known:
        top = max(known)
        if known[top].blocked:
            yield f"nothing is known above: {_agents(top)}: {known[top].blocked}"
        elif top >= options.most:
            yield f"nobody looks beyond {_agents(options.most)}"


def _agents(count: int) -> str:
    return f"{count} agent{'' if count == 1 else 's'}"
