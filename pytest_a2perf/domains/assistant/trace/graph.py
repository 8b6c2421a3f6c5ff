"""The events of a scenario as a graph: their order, their times, their turns."""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Iterable, Mapping

from pytest_a2perf.domains.assistant.trace.models import Event, Execution, Placeholder, Trace
from pytest_a2perf.domains.assistant.trace.values import placeholders

__all__ = ["UI", "EventGraph", "execution_of", "is_answer", "topological", "trigger_turn"]

UI = "AgentUserInterface"
"""The app through which user and agent write to each other."""

_TRIGGER = re.compile(r"wrapped_condition__turn_idx_(\d+)__scenario_id_")


class EventGraph:
    """The events of a checked trace, and what follows from their dependencies.

    A turn ends with the agent's message to the user (`is_answer`), so an event's turn is the number
    of such messages that must have been sent before it; where a trace has no events of the agent,
    its ``CONDITION`` events stand for them.

    Attributes:
        events: by id, in the order of the file.
        turns: how many there are.
    """

    def __init__(self, trace: Trace) -> None:
        self.events: dict[str, Event] = {event.event_id: event for event in trace.events}
        self._children: dict[str, list[str]] = {event_id: [] for event_id in self.events}
        for event in trace.events:
            for parent in dict.fromkeys(event.dependencies):
                self._children[parent].append(event.event_id)
        self._order = topological({key: event.dependencies for key, event in self.events.items()})
        self._turn: dict[str, int] = {}
        for event_id in self._order:
            parents = [self.events[parent] for parent in self.events[event_id].dependencies]
            ended = any(is_answer(parent) or parent.event_type == "CONDITION" for parent in parents)
            turns = (self._turn[parent.event_id] for parent in parents)
            self._turn[event_id] = max(turns, default=0) + ended
        self.turns = max(self._turn.values(), default=0) + 1

    def order(self) -> list[str]:
        """Return the ids so that each comes after all it depends on, else as in the file."""
        return list(self._order)

    def children(self, event_id: str) -> list[str]:
        """Return the events that depend on one directly, in the order of the file."""
        return list(self._children[event_id])

    def ancestors(self, event_id: str) -> frozenset[str]:
        """Return all events that must happen before one."""
        return self._ancestors[event_id]

    def turn_of(self, event_id: str) -> int:
        """Return the turn of an event, from 0."""
        return self._turn[event_id]

    def times(self, start: float) -> dict[str, float]:
        """Return when each event happens at the earliest, in seconds since 1970.

        Args:
            start: when the scenario starts, in seconds since 1970.
        """
        times: dict[str, float] = {}
        for event_id in self._order:
            event = self.events[event_id]
            if event.event_time is not None and event.event_relative_time is None:
                times[event_id] = event.event_time
            else:
                ready = max((times[parent] for parent in event.dependencies), default=start)
                times[event_id] = ready + (event.event_relative_time or 0.0)
        return times

    @functools.cached_property
    def _ancestors(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for event_id in self._order:
            parents = self.events[event_id].dependencies
            found[event_id] = frozenset(parents).union(*(found[parent] for parent in parents))
        return found


def topological(dependencies: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the keys so that each comes after its dependencies, breadth first, without cycles."""
    children: dict[str, list[str]] = {key: [] for key in dependencies}
    waiting: dict[str, int] = {}
    for key, parents in dependencies.items():
        known = [parent for parent in dict.fromkeys(parents) if parent in children]
        waiting[key] = len(known)
        for parent in known:
            children[parent].append(key)
    queue = deque(key for key, count in waiting.items() if count == 0)
    order = []
    while queue:
        order.append(key := queue.popleft())
        for child in children[key]:
            waiting[child] -= 1
            if waiting[child] == 0:
                queue.append(child)
    return order


def is_answer(event: Event) -> bool:
    """Whether the agent should write to the user, which ends a turn."""
    action = event.action
    return (
        event.event_type == "AGENT"
        and action is not None
        and action.app == UI
        and action.function == "send_message_to_user"
    )


def trigger_turn(event: Event) -> int | None:
    """Return the turn that a ``CONDITION`` event of ARE's starts; None: it is none of them."""
    if event.event_type != "CONDITION" or not event.action or not event.action.function:
        return None
    match = _TRIGGER.match(event.action.function)
    return int(match[1]) if match else None


def execution_of(trace: Trace) -> Execution:
    """Return what a run of several turns needs to know of placeholders.

    The trace says it itself, or it is found out: which arguments of the user's and the world's
    events stand for results of the agent, and whether a result could be another call's, because
    the same tool is to be used twice in that turn.
    """
    if trace.metadata.execution is not None:
        return trace.metadata.execution
    graph = EventGraph(trace)
    oracle = {key: event for key, event in graph.events.items() if event.event_type == "AGENT"}
    tools = {
        key: (graph.turn_of(key), event.action.app, event.action.function)
        for key, event in oracle.items()
        if event.action
    }
    found = []
    for event_id in graph.order():
        event = graph.events[event_id]
        if event.event_type not in {"USER", "ENV"} or not event.action:
            continue
        for argument in event.action.args or []:
            for parent, _ in placeholders(argument.value):
                if parent in tools:
                    turn, app, function = tools[parent]
                    found.append(
                        Placeholder(
                            parent_tool_name=f"{app}__{function}",
                            parent_turn_idx=turn,
                            parent_event_id=parent,
                            placeholder_turn_idx=graph.turn_of(event_id),
                            placeholder_event_id=event_id,
                        )
                    )
    conflicts = any(
        list(tools.values()).count(tools[placeholder.parent_event_id]) > 1 for placeholder in found
    )
    return Execution(has_placeholder_conflicts=conflicts, placeholders=found)
