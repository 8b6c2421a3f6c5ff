"""A simulated world: time passes, things happen, and an agent acts in it."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pytest_a2perf.domains.assistant.apps.app import App, Clock
from pytest_a2perf.domains.assistant.apps.registry import connect, make_app
from pytest_a2perf.domains.assistant.apps.system import SystemApp
from pytest_a2perf.domains.assistant.apps.tools import Tool, tools_of
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError
from pytest_a2perf.domains.assistant.judge.verdict import TurnVerdict
from pytest_a2perf.domains.assistant.trace import models
from pytest_a2perf.domains.assistant.trace.graph import EventGraph, execution_of
from pytest_a2perf.domains.assistant.world.clock import SimulatedClock
from pytest_a2perf.domains.assistant.world.happening import Happening, Kind
from pytest_a2perf.domains.assistant.world.noise import Failures, Noise
from pytest_a2perf.domains.assistant.world.notifications import (
    Notification,
    Verbosity,
    notification_of,
    timeout_of,
)
from pytest_a2perf.domains.assistant.world.plan import ends_of_turns, planned_events, resolved
from pytest_a2perf.domains.assistant.world.queue import EventQueue, Planned
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["AppMaker", "JudgeTurn", "Why", "World"]

AppMaker = Callable[[models.App, Clock, int, Path | None], App]
JudgeTurn = Callable[[int, Sequence[Happening]], TurnVerdict]
Why = Literal["finished", "rejected", "duration", "stopped"]


class World:
    """A world of a scenario, without threads and without real time passing.

    Things happen at their times, also while the agent thinks (`advance`) or waits (`wait`). Each
    message of the agent to the user ends a turn: a judge is asked, and either the next turn
    begins, its delays counted from the message, or the world is over. ARE is coarser: it asks at
    the next full second, and looks once a second whether something is due.

    A call that fails is logged as such. If it is one of the scenario's own, the world goes on, as
    in ARE.

    Args:
        trace: the scenario, checked.
        seed: of all that apps draw.
        verbosity: how much the agent is told.
        duration: seconds until the world ends; None: as the scenario says, if it does.
        oracle: whether the events of the agent happen as the scenario plans them; see `run`.
        judge_turn: is asked about turns, from 0; None: every turn is accepted, and results that
            later events need are looked for by turn and tool.
        noise: what disturbs the agent.
        files: folder in which apps may keep files.
        make_app: makes an app of what the scenario says of it.

    Raises:
        TraceError: an event asks for what does not exist, or an app cannot hold what it should.

    Attributes:
        start: when it started, in seconds since 1970.
        apps: by name.
        log: what has happened, in order.
        turn: how many messages the agent has sent to the user.
        turns: how many it should send.
        why: why it is over: all turns are ``finished``, one was ``rejected``, the ``duration`` was
            reached, or it was ``stopped`` (also if nothing could ever happen). None: it is not.
        verdicts: of the turns that were judged. The last is also judged when the world ends in it.
    """

    def __init__(
        self,
        trace: models.Trace,
        *,
        seed: int = 0,
        verbosity: Verbosity = "medium",
        duration: float | None = None,
        oracle: bool = False,
        judge_turn: JudgeTurn | None = None,
        noise: Noise | None = None,
        files: Path | None = None,
        make_app: AppMaker = make_app,
    ) -> None:
        definition = trace.metadata.definition
        duration = definition.duration if duration is None else duration
        graph = EventGraph(trace)
        self.start = definition.start_time or 0.0
        self.turn, self.turns = 0, graph.turns
        self.why: Why | None = None
        self.log: list[Happening] = []
        self.verdicts: list[TurnVerdict] = []
        self._trace = trace
        self._verbosity = verbosity
        self._judge_turn = judge_turn
        self._noise = noise
        self._failures = Failures(noise, seed) if noise and not oracle else None
        self._clock = SimulatedClock(self.start)
        self._end = math.inf if duration is None else self.start + duration
        self._ends = ends_of_turns(graph)
        self._results: dict[str, Any] = {}
        self._news: list[Notification] = []
        self._calls = 0
        try:
            self.apps = self._made_apps(seed, files, make_app)
            self._functions = {
                name: {tool.function: tool for tool in tools_of(app)}
                for name, app in self.apps.items()
            }
            events = list(planned_events(graph, oracle=oracle))
            if noise:
                first = next((event.id for event in events if not event.after), None)
                events += noise.events(
                    trace.augmentation, self.apps, after=first, duration=duration
                )
            for event in events:
                self._function_of(event)
        except TraceError as error:
            raise self._error(error) from error.__cause__
        self._queue = EventQueue(events, self.start)
        if not oracle:
            self._go_to(self.start)

    @property
    def now(self) -> float:
        """The simulated time, in seconds since 1970."""
        return self._clock.now

    @property
    def over(self) -> bool:
        """Whether nothing happens any more."""
        return self.why is not None

    @functools.cached_property
    def tools(self) -> dict[str, Tool]:
        """What the agent may call, by name."""
        tools = [
            tool
            for app in self.apps.values()
            if app.app_class != "InternalContacts"
            for tool in self._functions[app.name].values()
            if "agent" in tool.audience
        ]
        if self._noise:
            try:
                tools = list(self._noise.renamed(tools, self._trace.augmentation))
            except TraceError as error:
                raise self._error(error) from None
        return {tool.name: tool for tool in tools}

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool for the agent, and return what it returns.

        Raises:
            ToolError: there is no such tool, it cannot do that, or the world is over.
        """
        if self.over:
            raise ToolError(f"the world is over ({self.why}): nothing can be done any more")
        tool = self.tools.get(name)
        if tool is None:
            raise ToolError(f"there is no tool {name!r}{did_you_mean(name, self.tools)}")
        self._calls += 1
        event_id = f"AGENT-{tool.app.name}__{tool.function}-{self._calls}"
        happening = self._happening(event_id, "AGENT", tool)
        self._perform(happening, tool, arguments)
        if happening.error is not None:
            raise ToolError(happening.error)
        if _is_answer(happening):
            self._end_turn()
        return happening.result

    def notifications(self) -> list[Notification]:
        """Return what the agent has not been told yet, oldest first."""
        news, self._news = self._news, []
        return news

    def advance(self, seconds: float) -> None:
        """Let time pass while the agent thinks."""
        if not self.over:
            self._go_to(self.now + seconds)

    def wait(self, timeout: float | None = None) -> None:
        """Let time pass until there is news for the agent, or the world is over.

        Args:
            timeout: seconds after which there is news at the latest: that there was none.
        """
        limit = math.inf if timeout is None else self.now + timeout
        while not self.over and not self._news:
            due = self._queue.next_time
            target = limit if due is None else min(due, limit)
            if math.isinf(target) and math.isinf(self._end):
                self._stop("stopped")
            else:
                self._go_to(target)
                if timeout is not None and self.now == limit and not self._news:
                    self._news.append(timeout_of(timeout, self.now))

    def run(self) -> None:
        """Let all that is planned happen, up to the end of the world."""
        while not self.over and (due := self._queue.next_time) is not None:
            self._go_to(due)
        self.why = self.why or "finished"

    def stop(self) -> None:
        """End the world before its time."""
        if not self.over:
            self._stop("stopped")

    def _made_apps(self, seed: int, files: Path | None, make_app: AppMaker) -> dict[str, App]:
        specs = list(self._trace.apps)
        if not any(spec.name == "SystemApp" for spec in specs):
            specs.append(models.App(name="SystemApp", class_name="SystemApp"))
        apps = {spec.name: make_app(spec, self._clock, seed, files) for spec in specs}
        connect(apps.values())
        for app in apps.values():
            if isinstance(app, SystemApp):
                app.wait = self.wait
        return apps

    def _function_of(self, event: Planned) -> Tool:
        functions = self._functions.get(event.app)
        if functions is None:
            near = did_you_mean(event.app, self.apps)
            raise TraceError(f"event {event.id!r}: there is no app {event.app!r}{near}")
        if event.function not in functions:
            near = did_you_mean(event.function, functions)
            wanted = f"the app {event.app!r} has no function {event.function!r}"
            raise TraceError(f"event {event.id!r}: {wanted}{near}")
        return functions[event.function]

    def _go_to(self, time: float) -> None:
        """Let happen what is due by then, but not after the end."""
        until = min(time, self._end)
        while not self.over and (due := self._queue.next_time) is not None and due <= until:
            self._clock.move_to(due)
            self._carry_out(self._queue.pop())
        if not self.over:
            self._clock.move_to(until)
            if time > self._end:
                self._stop("duration")

    def _carry_out(self, event: Planned) -> None:
        tool = self._function_of(event)
        try:
            arguments = resolved(event, self._results)
        except TraceError as error:
            raise self._error(error) from None
        happening = self._happening(event.id, event.kind, tool)
        happening.noise = event.noise
        if event.turn is not None:
            happening.turn = event.turn
        self._perform(happening, tool, arguments)
        self._queue.happened(event.id, happening.time)
        if _is_answer(happening):
            self.turn += 1

    def _happening(self, event_id: str, kind: Kind, tool: Tool) -> Happening:
        return Happening(
            id=event_id, kind=kind, time=self.now, app=tool.app.name,
            app_class=tool.app.app_class, function=tool.function, write=tool.write, turn=self.turn,
        )  # fmt: skip

    def _perform(self, happening: Happening, tool: Tool, arguments: Mapping[str, Any]) -> None:
        """Make a call, and log it with what it returns or raises."""
        self.log.append(happening)
        happening.arguments = dict(arguments)
        try:
            bound = tool.bind(arguments)
            happening.arguments = copy.deepcopy(bound)  # apps may keep and change what they get
            if happening.kind == "AGENT" and self._failures:
                self._failures.strike(tool)
            happening.result = tool.call(**bound)
        except ToolError as error:
            happening.error = str(error)
        except A2PerfError as error:
            happening.error = str(error)
            raise
        except Exception as error:  # noqa: BLE001 - agents may do what apps have not thought of
            happening.error = f"{type(error).__name__}: {error}"
        else:
            self._results[happening.id] = happening.result
        if news := notification_of(happening, self._verbosity, self.now):
            self._news.append(news)

    def _end_turn(self) -> None:
        turn, self.turn = self.turn, self.turn + 1
        verdict = self._judged(turn)
        for happening in self.log:
            if happening.id in verdict.matched and not happening.failed:
                happening.id = verdict.matched[happening.id]
                self._results[happening.id] = happening.result
        if not verdict.success:
            self._stop("rejected")
        elif self.turn >= self.turns:
            self._stop("finished")
        else:
            for event_id in self._ends.get(turn, ()):
                self._queue.happened(event_id, self.now)
            self._go_to(self.now)

    def _judged(self, turn: int) -> TurnVerdict:
        if self._judge_turn is None:
            return TurnVerdict(True, "not judged", self._guessed(turn))
        verdict = self._judge_turn(turn, self.log)
        self.verdicts.append(verdict)
        return verdict

    def _guessed(self, turn: int) -> dict[str, str]:
        """Return which calls stand for events whose results are needed: the first of the tool."""
        matched = {}
        for needed in execution_of(self._trace).placeholders:
            for happening in self.log:
                if (
                    happening.kind == "AGENT"
                    and happening.turn == turn == needed.parent_turn_idx
                    and f"{happening.app}__{happening.function}" == needed.parent_tool_name
                    and not happening.failed
                ):
                    matched[happening.id] = needed.parent_event_id
                    break
        return matched

    def _stop(self, why: Why) -> None:
        self.why = why
        if why in {"duration", "stopped"} and self._judge_turn and self.turn == self.turns - 1:
            self._judged(self.turn)

    def _error(self, error: TraceError) -> TraceError:
        return TraceError(f"{self._trace.metadata.definition.scenario_id}: {error}")


def _is_answer(happening: Happening) -> bool:
    return (
        happening.kind == "AGENT"
        and happening.app_class == "AgentUserInterface"
        and happening.function == "send_message_to_user"
        and not happening.failed
    )
