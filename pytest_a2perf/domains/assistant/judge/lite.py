"""Judging the lite form of a trace, which holds conversations and nothing else.

The agent's calls are read out of what its model wrote. That is less than a trace holds, so every
verdict says in its notes what was assumed or could not be seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_a2perf.domains.assistant.apps.tools import Tool
from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.judge.calls import SEND_TO_USER, tool_of
from pytest_a2perf.domains.assistant.judge.graph import GraphJudge
from pytest_a2perf.domains.assistant.judge.offline import MakeJudge, oracle_log_of
from pytest_a2perf.domains.assistant.judge.verdict import Verdict
from pytest_a2perf.domains.assistant.trace.graph import EventGraph
from pytest_a2perf.domains.assistant.trace.lite import LiteTrace, Message
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.trace.values import placeholders
from pytest_a2perf.domains.assistant.world.happening import Happening

__all__ = ["judge_lite"]

_RESULT = re.compile(r"Observation[^\n]*:\n(?:\*\*\*\n)?(.*?)(?:\n\*\*\*\s*)?$", re.DOTALL)
_ERROR = re.compile(r"^(\[OUTPUT OF STEP \d+\] ERROR|Error in step \d+|Error:)")
_ASSUMED = "the user's and the world's events are assumed to have happened as in the oracle's run"


@dataclass(frozen=True)
class _Call:
    """A call that a model wrote, with what it was answered."""

    time: float
    tool: str
    arguments: dict[str, Any]
    result: str | None
    failed: bool


def judge_lite(
    scenario: Trace,
    lite: LiteTrace,
    *,
    make: MakeJudge = GraphJudge,
    oracle_log: Sequence[Happening] | None = None,
) -> Verdict:
    """Judge a run of which only the conversations are left, as far as possible.

    Args:
        scenario: what was run.
        lite: what is left.
        make: makes the judge.
        oracle_log: what happened when the oracle ran; None: it runs now.

    Raises:
        TraceError: it is of another scenario, or holds no call of a tool.
        InfraError: see `Judge.judge_turn`.
    """
    from pytest_a2perf.domains.assistant.world.world import World

    name = scenario.metadata.definition.scenario_id
    if lite.scenario_id != name:
        raise TraceError(f"{lite.scenario_id}: cannot be judged as a run of {name}")
    oracle = list(oracle_log or oracle_log_of(scenario))
    start = scenario.metadata.definition.start_time or 0.0
    notes = [_ASSUMED]
    calls = [
        call
        for messages in lite.per_agent_interaction_histories.values()
        for call in _calls(messages, start)
    ]
    if not calls:
        raise TraceError(f"{name}: the lite trace holds no calls; judge the trace in form 'hf'")
    if any(
        message.timestamp is None
        for messages in lite.per_agent_interaction_histories.values()
        for message in messages
        if message.role == "assistant"
    ):
        notes.append("some calls have no time, and are taken to follow at once")
    tools = World(scenario).tools
    if unknown := sorted({call.tool for call in calls if call.tool not in tools}):
        notes.append(f"calls of unknown tools are left out: {', '.join(unknown)}")
    calls = sorted((one for one in calls if one.tool in tools), key=lambda call: call.time)
    log = [_happening(number, one, tools[one.tool]) for number, one in enumerate(calls)]
    notes += _unseen(scenario)
    verdict = make(scenario, oracle).judge(_merged(scenario, oracle, log))
    return Verdict(verdict.success, verdict.rationale, verdict.turns, tuple(notes))


def _calls(messages: Sequence[Message], start: float) -> Iterator[_Call]:
    """Yield the calls of one agent, each with what the next messages say of it."""
    time = start
    for index, message in enumerate(messages):
        time = time if message.timestamp is None else message.timestamp
        if message.role != "assistant":
            continue
        told = _told(messages[index + 1 :])
        for call_id, tool, arguments in _written(message):
            text = told.get(call_id, "")
            result = _RESULT.search(text)
            yield _Call(
                time=time,
                tool=tool,
                arguments=arguments,
                result=result[1].strip() if result else text or None,
                failed=bool(_ERROR.match(text)),
            )


def _told(following: Sequence[Message]) -> dict[str, str]:
    """Return what came back from calls, by their ids; ``""`` of a call without one."""
    told: dict[str, str] = {}
    for message in following:
        if message.role == "assistant":
            break
        extra = message.model_extra or {}
        text = message.content if isinstance(message.content, str) else ""
        if call_id := extra.get("tool_call_id"):
            told[call_id] = text
        elif _ERROR.match(text) or "Observation" in text.partition("\n")[0]:
            told.setdefault("", text)
    return told


def _written(message: Message) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield id, tool and arguments of the calls in what a model wrote; what is no call is not."""
    from pytest_a2perf.domains.assistant.agents.react import ActionError, parse_action

    for call in (message.model_extra or {}).get("tool_calls") or ():
        try:
            arguments = json.loads(call["function"]["arguments"] or "{}")
            yield call["id"], call["function"]["name"], dict(arguments)
        except (KeyError, TypeError, ValueError):
            continue
    if isinstance(message.content, str) and "Action:" in message.content:
        try:
            action = parse_action(message.content.partition("<end_action>")[0])
        except ActionError:
            return
        yield "", action.tool, action.arguments


def _happening(number: int, call: _Call, tool: Tool) -> Happening:
    defaults = {one.name: one.default for one in tool.parameters if not one.required}
    return Happening(
        id=f"call-{number}",
        kind="AGENT",
        time=call.time,
        app=tool.app.name,
        app_class=tool.app.app_class,
        function=tool.function,
        write=tool.write,
        arguments=defaults | call.arguments,
        result=call.result,
        error="the tool refused it" if call.failed else None,
    )


def _merged(
    scenario: Trace, oracle: Sequence[Happening], log: Sequence[Happening]
) -> list[Happening]:
    """Return the agent's calls with the user's and the world's events.

    Those happen as long after the beginning of their turn as in the oracle's run; at the same time
    as calls of their turn, before these.
    """
    graph = EventGraph(scenario)
    start = scenario.metadata.definition.start_time or 0.0
    begins, oracle_begins = ([start, *_answers(one)] for one in (log, oracle))
    turns: list[list[Happening]] = [[] for _ in begins]
    for one in oracle:
        if one.kind != "AGENT" and one.id in graph.events:
            turn = graph.turn_of(one.id)
            if turn < min(len(begins), len(oracle_begins)):
                shift = begins[turn] - oracle_begins[turn]
                turns[turn].append(replace(one, time=one.time + shift))
    turn = 0
    for one in log:
        turns[turn].append(one)
        turn += _is_answer(one)
    return [one for happened in turns for one in happened]


def _is_answer(one: Happening) -> bool:
    return one.kind == "AGENT" and not one.failed and tool_of(one) == SEND_TO_USER


def _answers(log: Sequence[Happening]) -> list[float]:
    """Return when the agent wrote to the user, which ended its turns."""
    return [one.time for one in log if _is_answer(one)]


def _unseen(scenario: Trace) -> Iterator[str]:
    """Yield which results the judge would need that no conversation holds."""
    events = {event.event_id: event for event in scenario.events}
    for event in scenario.events:
        if event.event_type != "AGENT" or event.action is None:
            continue
        for argument in event.action.args or ():
            for source, _ in placeholders(argument.value):
                if source in events and events[source].event_type != "AGENT":
                    yield (
                        f"argument {argument.name!r} of event {event.event_id!r} is what event "
                        f"{source!r} returned, which is not recorded: the oracle's own is expected"
                    )
