"""An agent that knows what should be done: the scenario's own oracle, or a flawed copy of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pytest_a2perf.domains.assistant.agents.plan import FLAWS, Step, steps_of
from pytest_a2perf.domains.assistant.agents.player import Desk
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.trace.values import placeholders, resolve
from pytest_a2perf.domains.assistant.world.happening import Happening
from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["OracleAgent", "OracleDesk"]

_PATIENCE = 1.0  # seconds between looks at something that is due but has not happened yet


class OracleDesk(Desk, Protocol):
    """A desk that shows what agents are not shown."""

    @property
    def scenario(self) -> Trace:
        """What should happen."""

    @property
    def log(self) -> Sequence[Happening]:
        """What has happened."""


class OracleAgent:
    """Makes the calls that the scenario wants, at their times, with the results of earlier ones.

    Args:
        flaw: what to do wrong, of `FLAWS`; None: nothing.

    Raises:
        AgentError: there is no such flaw.
    """

    def __init__(self, flaw: str | None = None) -> None:
        if flaw is not None and flaw not in FLAWS:
            raise AgentError(
                f"there is no flaw {flaw!r}{did_you_mean(flaw, FLAWS)}; valid: {', '.join(FLAWS)}"
            )
        self._flaw = flaw

    def play(self, desk: OracleDesk) -> None:
        """Act in a world until it is over.

        Raises:
            AgentError: a call is refused that the scenario wants; names the event.
        """
        steps = steps_of(desk.scenario)
        if self._flaw:
            steps = FLAWS[self._flaw](steps, desk.tools.keys())
        start = desk.scenario.metadata.definition.start_time or 0.0
        names = {(tool.app.name, tool.function): name for name, tool in desk.tools.items()}
        done: dict[str, float] = {}
        results: dict[str, Any] = {}
        while not desk.over:
            desk.notifications()
            for happening in desk.log:
                if happening.kind != "AGENT" and happening.id not in done:
                    done[happening.id] = happening.time
                    results[happening.id] = happening.result
            waiting = [s for s in steps if s.id not in done and all(a in done for a in s.after)]
            if not waiting:
                desk.wait()
                continue
            step = min(waiting, key=lambda s: (_due(s, done, start), s.own, s.answer))
            due = _due(step, done, start)
            if due > desk.now:
                desk.think(due - desk.now)
            elif not step.own:
                desk.think(_PATIENCE)
            else:
                done[step.id] = desk.now
                results[step.id] = self._call(desk, step, names, results)

    def _call(
        self,
        desk: OracleDesk,
        step: Step,
        names: Mapping[tuple[str, str], str],
        results: Mapping[str, Any],
    ) -> Any:
        name = names.get((step.app, step.function), f"{step.app}__{step.function}")
        arguments = {key: resolve(value, results) for key, value in step.arguments.items()}
        try:
            return desk.call(name, arguments)
        except ToolError as error:
            if self._flaw:
                return None
            unknown = [value for value in arguments.values() if placeholders(value)]
            reason = f"; nothing is known of {unknown[0]}" if unknown else ""
            raise AgentError(f"the oracle's event {step.id!r} fails: {error}{reason}") from None


def _due(step: Step, done: Mapping[str, float], start: float) -> float:
    """Return when a step is due all of whose predecessors have happened."""
    ready = max((done[one] for one in step.after), default=start)
    return ready + step.delay if step.at is None else max(ready, step.at)
