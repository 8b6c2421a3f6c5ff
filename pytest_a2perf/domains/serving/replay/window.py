"""The steady window of a level: when it begins, what is inside, and what it lacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pytest_a2perf.domains.serving.replay.level import Rules
from pytest_a2perf.domains.serving.replay.plan import COLUMNS, Plan, Status
from pytest_a2perf.units import format_value

__all__ = ["Window"]

_DUE, _ENDED, _LAST = (COLUMNS.index(name) for name in ("due", "ended", "last_turn"))


class Window:
    """Follows a level, and says when its steady window is over.

    A request counts if it was due inside of ``[begin, end)``, however long it then takes: those
    that are slow, and end after the window, are just those that a limit is about. The rules only
    look at those that have ended already.

    Args:
        rules: see `Rules`.
        plan: of the level.
        start: when the load begins, monotonic seconds.

    Attributes:
        begin: monotonic seconds; None until every agent has been active. It may lie ahead.
        end: monotonic seconds; infinite until it is known. Rows of before may still come in.
        requests: that were due, and have ended, inside of it so far.
        sessions: that have ended inside of it so far.
        slowest: seconds that the slowest request so far took, of the whole level.
    """

    def __init__(self, rules: Rules, plan: Plan, start: float) -> None:
        self._rules = rules
        self._plan = plan
        self._start = start
        self._early: list[tuple[float, float, bool]] = []
        self._active = 0
        self.begin: float | None = None
        self.end = math.inf
        self.requests = 0
        self.sessions = 0
        self.slowest = 0.0

    def follow(self, statuses: Sequence[Status | None]) -> None:
        """Take in the newest status of every load process, None for those that gave none yet.

        An open loop has no agents to wait for: its window begins ``settle`` after the start.
        """
        if self.begin is not None:
            return
        self._active = sum(status.active for status in statuses if status is not None)
        if self._plan.rate is not None:
            self.begin = self._start + self._rules.settle
        elif all(status is not None and status.since > 0 for status in statuses):
            latest = max(status.since for status in statuses if status is not None)
            self.begin = latest + self._rules.settle
        else:
            return
        early, self._early = self._early, []
        self._count(early)

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Count rows that have been written, in the order of `COLUMNS`."""
        ended = [(row[_DUE], row[_ENDED], bool(row[_LAST])) for row in rows]
        slowest = max((end - due for due, end, _ in ended), default=0.0)
        self.slowest = max(self.slowest, slowest)
        if self.begin is None:
            self._early += ended
        else:
            self._count(ended)

    def _count(self, ended: Sequence[tuple[float, float, bool]]) -> None:
        assert self.begin is not None
        inside = [(due, last) for due, end, last in ended if self.begin <= end < self.end]
        self.requests += sum(due >= self.begin for due, _ in inside)
        self.sessions += sum(last for _, last in inside)

    @property
    def latest(self) -> float:
        """When the level ends in any case, its window begun or not."""
        usual = self._start + self._plan.ramp + self._rules.settle
        return (usual if self.begin is None else self.begin) + self._rules.longest

    def lacks(self, now: float) -> str:
        """Return what a window that ended now would lack of the rules; empty if nothing."""
        if self.begin is None:
            return f"only {self._active} of {self._plan.agents} agents became active"
        rules = self._rules
        # An open loop's agents are only the most that may be open at once.
        per_agent = 0.0 if self._plan.rate is not None else rules.per_agent
        sessions = max(rules.sessions, math.ceil(per_agent * self._plan.agents))
        seconds = max(now - self.begin, 0.0)
        told = []
        if seconds < rules.steady:
            held, least = format_value(seconds, "s"), format_value(rules.steady, "s")
            told.append(f"{held} of {least}")
        if self.requests < rules.requests:
            told.append(f"{self.requests} of {rules.requests} requests")
        if self.sessions < sessions:
            told.append(f"{self.sessions} of {sessions} sessions")
        return ", ".join(told)
