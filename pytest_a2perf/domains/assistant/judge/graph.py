"""The graph judge: every event of the oracle must have its counterpart in the agent's run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_a2perf.domains.assistant.judge.base import Judge
from pytest_a2perf.domains.assistant.judge.calls import SEND_TO_USER, tool_of
from pytest_a2perf.domains.assistant.judge.checks import CHECKS, LISTS, normalise
from pytest_a2perf.domains.assistant.judge.oracle import Wanted
from pytest_a2perf.domains.assistant.judge.scripted import read_scripted
from pytest_a2perf.domains.assistant.judge.soft import Comparison, SoftJudge
from pytest_a2perf.domains.assistant.judge.timing import Moment, Tolerance, clock, untimely
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.world.happening import Happening
from pytest_a2perf.errors import InfraError

__all__ = ["GraphJudge"]


class GraphJudge(Judge):
    """Judges a run turn by turn, as ARE's ``GraphPerEventJudge`` does.

    In a turn, the agent must have called each tool as often as the oracle. Then each event of the
    oracle, in the order of their dependencies, takes the first call of the agent that is not taken
    yet, comes after what it waits for, is in time, and has the right arguments.

    Args:
        trace: the scenario.
        oracle_log: what happened when the oracle ran.
        soft: compares free texts; None: they must be equal but for case, accents and punctuation.
        scripted: checks instead of ``soft``, see `scripted.read_scripted`; ``{}``: none, free texts
            do not count.
        hard_only: free texts do not count.
        tolerance: how exact the agent's timing has to be.
        extra_messages: how many messages more than the oracle the agent may write to the user.

    Raises:
        TraceError: the scenario cannot be judged; says why.
    """

    def __init__(
        self,
        trace: Trace,
        oracle_log: Sequence[Happening],
        *,
        soft: SoftJudge | None = None,
        scripted: Mapping[str, Any] | None = None,
        hard_only: bool = False,
        tolerance: Tolerance | None = None,
        extra_messages: int = 1,
    ) -> None:
        super().__init__(trace, oracle_log)
        self._soft = soft
        self._scripted = read_scripted(scripted or {}, self.oracle)
        self._hard_only = hard_only or scripted is not None
        self._tolerance = tolerance or Tolerance()
        self._extra_messages = extra_messages
        self._seen: list[Happening] = []
        self._stands_for: dict[int, Wanted] = {}
        self._index: dict[str, int] = {}
        self._undecided: list[str] = []

    def _judge(self, turn: int, happened: list[Happening]) -> tuple[str | None, dict[str, str]]:
        seen, stands_for, index = list(self._seen), dict(self._stands_for), dict(self._index)
        try:
            reason = self._mismatch(turn, happened, first=len(seen))
        except InfraError:
            # Whoever has another model at hand may ask again.
            self._seen, self._stands_for, self._index = seen, stands_for, index
            raise
        new = list(self._stands_for.items())[len(stands_for) :]
        return reason, {self._seen[position].id: wanted.id for position, wanted in new}

    def _mismatch(self, turn: int, happened: list[Happening], first: int) -> str | None:
        """Return why a turn is rejected, or None; what has been matched so far is kept."""
        self._seen += happened
        wanted = self.oracle.turns[turn]
        if reason := self._miscounted(happened, [one.happening for one in wanted]):
            return reason
        for one in wanted:
            if one.happening.kind == "AGENT":
                reason = self._unmatched(turn, one)
            else:
                reason = self._did_not_happen(one, first)
            if reason:
                return reason
        return None

    def _miscounted(self, happened: list[Happening], wanted: list[Happening]) -> str | None:
        actual, expected = Counter(map(tool_of, happened)), Counter(map(tool_of, wanted))
        names = {tool_of(one): f"{one.app}__{one.function}" for one in (*happened, *wanted)}
        lines = []
        for tool, name in names.items():
            extra = self._extra_messages if tool == SEND_TO_USER else 0
            if not expected[tool] <= actual[tool] <= expected[tool] + extra:
                lines.append(f"- {name}: {actual[tool]} instead of {expected[tool]}")
        if not lines:
            return None
        return "\n".join(("not as many calls and events as there should be", *lines))

    def _did_not_happen(self, wanted: Wanted, first: int) -> str | None:
        """Match an event of the user or the world, which happens by itself, by its id."""
        for index in range(first, len(self._seen)):
            one = self._seen[index]
            same = tool_of(one) == tool_of(wanted.happening)
            if one.id == wanted.id and one.kind == wanted.happening.kind and same:
                self._match(index, wanted)
                return None
        return f"event {wanted.id!r} of the scenario has not happened in this turn"

    def _unmatched(self, turn: int, wanted: Wanted) -> str | None:
        """Match an event of the oracle with a call of the agent, of this turn or a former one."""
        self._undecided = []
        results = {event: self._seen[index].result for event, index in self._index.items()}
        arguments = wanted.arguments(results)
        lines = []
        for index, one in enumerate(self._seen):
            if one.kind != "AGENT" or tool_of(one) != tool_of(wanted.happening):
                continue
            reason = self._refusal(index, turn, wanted, arguments)
            if reason is None:
                self._match(index, wanted)
                return None
            lines.append(f"- {_shown(one.arguments, wanted)} at {clock(one.time)}: {reason}")
        tool = f"{wanted.happening.app}__{wanted.happening.function}"
        if self._undecided:
            raise InfraError(
                f"{tool}, event {wanted.id!r}: {'; '.join(self._undecided)}. Whether that comes to "
                "the same needs a judge model: name one, give scripted checks, or judge hard_only"
            )
        call = f"{tool}{_shown(arguments, wanted)}"
        return "\n".join((f"no call of the agent stands for event {wanted.id!r}, {call}", *lines))

    def _match(self, index: int, wanted: Wanted) -> None:
        self._stands_for[index] = wanted
        self._index[wanted.id] = index

    def _refusal(
        self, index: int, turn: int, wanted: Wanted, arguments: Mapping[str, Any]
    ) -> str | None:
        """Return why a call of the agent does not stand for an event, or None."""
        if index in self._stands_for:
            return f"it stands for event {self._stands_for[index].id!r}"
        if late := [parent for parent in wanted.parents if self._index[parent] >= index]:
            return f"it comes before {', '.join(map(repr, late))}, which it depends on"
        agent = self._seen[index].arguments
        return (
            self._untimely(self._seen[index].time, wanted)
            or self._failed(wanted.rule.hard.items(), agent, arguments)
            or self._unscripted(agent, arguments, wanted)
            or (None if self._hard_only else self._different(turn, agent, arguments, wanted))
        )

    def _untimely(self, time: float, wanted: Wanted) -> str | None:
        """Measure a call's delay from the counterpart of what the oracle waited for last."""
        start = self.oracle.start
        waits = [(start, start)]
        for parent in wanted.parents:
            index = self._index[parent]
            waits.append((self._stands_for[index].happening.time, self._seen[index].time))
        last = max(oracle for oracle, _ in waits)
        since = max(agent for oracle, agent in waits if oracle >= last)
        moment = Moment(wanted.happening.time, last, wanted.absolute, wanted.comparator)
        return untimely(time, since, moment, self._tolerance)

    def _unscripted(
        self, agent: Mapping[str, Any], oracle: Mapping[str, Any], wanted: Wanted
    ) -> str | None:
        for argument, checks in self._scripted.get(wanted.id, {}).items():
            for check, texts in checks:
                if check in CHECKS:
                    reason = self._failed([(argument, check)], agent, oracle)
                else:
                    reason = LISTS[check](agent.get(argument), texts)
                    reason = reason and f"{argument}: {reason}"
                if reason:
                    return reason
        return None

    def _failed(
        self,
        checks: Iterable[tuple[str, str]],
        agent: Mapping[str, Any],
        oracle: Mapping[str, Any],
    ) -> str | None:
        """Return which argument is wrong, or None."""
        for argument, check in checks:
            given, expected = agent.get(argument), oracle.get(argument)
            try:
                right = CHECKS[check](given, expected, self.oracle.user.name)
            except (AttributeError, TypeError):
                # Only a recorded run can hold a value of a wrong type.
                right = False
            if not right:
                return f"{argument}: expected {_short(expected)}"
        return None

    def _different(
        self, turn: int, agent: Mapping[str, Any], oracle: Mapping[str, Any], wanted: Wanted
    ) -> str | None:
        """Compare free texts; what the oracle left empty may be anything."""
        soft = [name for name in wanted.rule.soft if oracle.get(name)]
        differ = [name for name in soft if normalise(agent.get(name)) != normalise(oracle[name])]
        if not differ:
            return None
        if self._soft is None:
            self._undecided += [
                f"{name} is {_short(agent.get(name))}, the oracle's {_short(oracle[name])}"
                for name in differ
            ]
            return "undecided"
        comparison = Comparison(
            tool=f"{wanted.happening.app}__{wanted.happening.function}",
            checks=wanted.rule.soft_checks,
            agent={name: str(agent.get(name)) for name in soft},
            oracle={name: str(oracle[name]) for name in soft},
            tasks=tuple(self.oracle.tasks[: turn + 1]),
            user=self.oracle.user,
            time=wanted.happening.time,
        )
        return self._soft.refusal(comparison)


def _shown(arguments: Mapping[str, Any], wanted: Wanted) -> str:
    """Return the arguments that count, as in a call."""
    names = wanted.rule.arguments
    return f"({', '.join(f'{name}={_short(arguments.get(name))}' for name in names)})"


def _short(value: Any, limit: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
