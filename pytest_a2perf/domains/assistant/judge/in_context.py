"""The judge that shows a model all calls of a turn at once."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_a2perf.domains.assistant.judge.base import Judge
from pytest_a2perf.domains.assistant.judge.oracle import Wanted
from pytest_a2perf.domains.assistant.judge.prompts import IN_CONTEXT
from pytest_a2perf.domains.assistant.judge.rules import rule_of
from pytest_a2perf.domains.assistant.judge.soft import Ask, poll
from pytest_a2perf.domains.assistant.judge.timing import Tolerance, clock
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.world.happening import Happening

__all__ = ["InContextJudge"]


class InContextJudge(Judge):
    """Judges a turn by one question to a model; it says nothing of single calls.

    Its verdicts are as good as its model's; it is there to be compared with the graph judge.

    Args:
        trace: the scenario.
        oracle_log: what happened when the oracle ran.
        ask: puts a conversation to the model.
        tolerance: how exact the agent's timing has to be.

    Raises:
        TraceError: the scenario cannot be judged; says why.
    """

    def __init__(
        self,
        trace: Trace,
        oracle_log: Sequence[Happening],
        *,
        ask: Ask,
        tolerance: Tolerance | None = None,
    ) -> None:
        super().__init__(trace, oracle_log)
        self._ask = ask
        self._tolerance = tolerance or Tolerance()

    def _judge(self, turn: int, happened: list[Happening]) -> tuple[str | None, dict[str, str]]:
        agent = [one for one in happened if one.kind == "AGENT"]
        oracle = [one for one in self.oracle.turns[turn] if one.happening.kind == "AGENT"]
        limits = self._tolerance
        texts = {
            "timing": (
                f"Where the oracle waits more than {limits.threshold:g} s, the agent may be "
                f"{limits.before:g} s earlier or {limits.after:g} s later."
            ),
            "user": self.oracle.user.name,
            "task": "\n\n".join(self.oracle.tasks[: turn + 1]),
            "reference": "\n\n".join(_reference(one) for one in oracle) or "(no calls)",
            "agent": "\n\n".join(_call(one) for one in agent) or "(no calls)",
        }
        success, answer = poll(self._ask, IN_CONTEXT.messages(texts), f"turn {turn + 1}")
        return (None if success else f"the judge's model objects: {answer}"), {}


def _reference(wanted: Wanted) -> str:
    waits = f"id: {wanted.id}\nwaits for: {', '.join(wanted.parents) or 'nothing'}\n"
    comparator = f"\ntime compared: {wanted.comparator}" if wanted.comparator else ""
    return waits + _call(wanted.happening) + comparator


def _call(one: Happening) -> str:
    """Return a call in words, with the arguments that count."""
    rule = rule_of(one.app_class, one.function)
    names = rule.arguments if rule else tuple(one.arguments)
    lines = (f"  {name}: {one.arguments.get(name)}" for name in names)
    return "\n".join((f"tool: {one.app}__{one.function}", f"time: {clock(one.time)}", *lines))
