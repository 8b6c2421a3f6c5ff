"""What the oracle did, as a judge needs it: turn by turn, with what each event waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.judge.calls import SEND_TO_AGENT, counts, tool_of
from pytest_a2perf.domains.assistant.judge.rules import Rule, class_of, rule_of
from pytest_a2perf.domains.assistant.judge.soft import User
from pytest_a2perf.domains.assistant.trace.graph import EventGraph, topological
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.trace.values import placeholders, resolve
from pytest_a2perf.domains.assistant.world.happening import Happening

__all__ = ["Oracle", "Wanted"]

_NOTHING = Rule(hard={}, soft=(), soft_checks=())


@dataclass(frozen=True)
class Wanted:
    """Something that has to happen.

    Attributes:
        happening: what the oracle did.
        parents: the oracle's events of the same turn that it waits for, of those that count.
        absolute: when it has to happen, in seconds since 1970, if the scenario says so.
        comparator: how its time is compared; see `timing.Moment`.
        references: arguments that stand for what an earlier event returned.
        rule: how a call of the agent is compared with it.
    """

    happening: Happening
    parents: tuple[str, ...]
    absolute: float | None
    comparator: str | None
    references: Mapping[str, str]
    rule: Rule

    @property
    def id(self) -> str:
        """Id of the event."""
        return self.happening.id

    def arguments(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that the agent should have given.

        Args:
            results: what the agent's calls returned, by the events they stand for; with ids of its
                own the agent is right where its world gave it other ids than the oracle's.
        """
        arguments = dict(self.happening.arguments)
        for name, reference in self.references.items():
            result = resolve(reference, results)
            if result is not reference:
                arguments[name] = result
        return arguments


class Oracle:
    """What the oracle did in a scenario.

    Args:
        trace: the scenario.
        log: what happened when the oracle ran.

    Attributes:
        turns: what has to happen in each turn, parents first.
        tasks: what the user wrote in each turn.
        user: whom the agent works for.
        start: when the scenario starts, in seconds since 1970.

    Raises:
        TraceError: the oracle used a tool that no judge knows.
    """

    def __init__(self, trace: Trace, log: Sequence[Happening]) -> None:
        graph = EventGraph(trace)
        happened = {
            happening.id: happening
            for happening in sorted(log, key=lambda happening: happening.time)
            if happening.id in graph.events and counts(happening)
        }
        turns: list[dict[str, list[str]]] = [{} for _ in range(graph.turns)]
        tasks: list[list[str]] = [[] for _ in range(graph.turns)]
        for event_id, happening in happened.items():
            turn = graph.turn_of(event_id)
            turns[turn][event_id] = graph.events[event_id].dependencies
            if tool_of(happening) == SEND_TO_AGENT:
                tasks[turn].append(str(happening.arguments.get("content", "")))
        self.turns = [
            [
                _wanted(graph, happened[event_id], [one for one in turn[event_id] if one in turn])
                for event_id in topological(turn)
            ]
            for turn in turns
        ]
        self.tasks = ["\n".join(texts) for texts in tasks]
        self.user = user_of(trace)
        self.start = trace.metadata.definition.start_time or 0.0


def _wanted(graph: EventGraph, happening: Happening, parents: list[str]) -> Wanted:
    event = graph.events[happening.id]
    rule = rule_of(*tool_of(happening)) if happening.kind == "AGENT" else _NOTHING
    if rule is None:
        raise TraceError(
            f"event {happening.id!r}: no judge knows {happening.app_class}.{happening.function}; "
            "let the oracle use another tool, see ARGUMENTS in pytest_a2perf.domains.assistant"
            ".judge.rules"
        )
    raw = {} if event.action is None else {one.name: one.value for one in event.action.args or ()}
    return Wanted(
        happening=happening,
        parents=tuple(parents),
        absolute=None if event.event_relative_time is not None else event.event_time,
        comparator=event.event_time_comparator,
        references={name: text for name, text in raw.items() if text and placeholders(text)},
        rule=rule,
    )


def user_of(trace: Trace) -> User:
    """Return whom a scenario's agent works for: the contact that is marked as the user."""
    for app in trace.apps:
        if class_of(app.class_name or app.name) not in {"ContactsApp", "InternalContacts"}:
            continue
        contacts = (app.app_state or {}).get("contacts") or {}
        for contact in contacts.values() if isinstance(contacts, dict) else contacts:
            if contact.get("is_user"):
                name = f"{contact.get('first_name', '')} {contact.get('last_name', '')}".strip()
                return User(name=name, address=contact.get("address") or "")
    return User()
