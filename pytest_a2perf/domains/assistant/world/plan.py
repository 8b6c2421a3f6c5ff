"""What a scenario plans to happen, ready for the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.trace.graph import EventGraph, is_answer
from pytest_a2perf.domains.assistant.trace.models import Event
from pytest_a2perf.domains.assistant.trace.values import decode, placeholders, resolve
from pytest_a2perf.domains.assistant.world.queue import Planned

__all__ = ["ends_of_turns", "planned_events", "resolved"]


def planned_events(graph: EventGraph, *, oracle: bool) -> Iterator[Planned]:
    """Yield what is to happen without an agent, or with an oracle in its place.

    Raises:
        TraceError: an event says not what happens, or waits for what only an oracle does; names it.
    """
    for event_id, event in graph.events.items():
        if event.event_type == "CONDITION" or (event.event_type == "AGENT" and not oracle):
            continue
        if not oracle:
            _check_reachable(event, graph)
        yield _planned(event, graph.turn_of(event_id) if oracle else None)


def ends_of_turns(graph: EventGraph) -> dict[int, list[str]]:
    """Return by turn the events that the agent's message to the user stands for."""
    ends: dict[int, list[str]] = {}
    for event_id, event in graph.events.items():
        if is_answer(event) or event.event_type == "CONDITION":
            ends.setdefault(graph.turn_of(event_id), []).append(event_id)
    return ends


def resolved(event: Planned, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an event with what earlier events have returned.

    Raises:
        TraceError: a placeholder stands for nothing; names event, argument and key.
    """
    arguments = {}
    for name, value in event.arguments.items():
        arguments[name] = resolve(value, results)
        if arguments[name] is value and (found := placeholders(value)):
            source, keys = found[0]
            if source not in results:
                reason = f"event {source!r} has returned nothing by then"
            else:
                reason = f"what event {source!r} has returned has no {'.'.join(keys)!r}"
            raise TraceError(f"event {event.id!r}: argument {name!r} is {value!r}, but {reason}")
    return arguments


def _check_reachable(event: Event, graph: EventGraph) -> None:
    for parent in event.dependencies:
        before = graph.events[parent]
        if before.event_type == "AGENT" and not is_answer(before):
            raise TraceError(
                f"event {event.event_id!r} waits for {parent!r}, which nobody but an oracle makes"
                " happen; let it wait for send_message_to_user, or for an ENV or USER event"
            )


def _planned(event: Event, turn: int | None) -> Planned:
    action = event.action
    if action is None or not action.app or not action.function:
        raise TraceError(f"event {event.event_id!r}: it says not what happens")
    arguments = {}
    for argument in action.args or []:
        try:
            arguments[argument.name] = decode(argument.value, argument.value_type)
        except ValueError as error:
            where = f"event {event.event_id!r}: argument {argument.name!r}"
            raise TraceError(f"{where} of {action.function}: {error}") from None
    if arguments.get("kwargs") == {}:  # ARE's file tools take any, and its traces say so
        del arguments["kwargs"]
    return Planned(
        id=event.event_id,
        kind=event.event_type,  # type: ignore[arg-type]
        app=action.app,
        function=action.function,
        arguments=arguments,
        after=tuple(event.dependencies),
        delay=event.event_relative_time or 0.0,
        at=event.event_time if event.event_relative_time is None else None,
        last=is_answer(event),
        turn=turn,
    )
