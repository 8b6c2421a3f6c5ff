"""What an oracle means to do, step by step, and ways to get it wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_a2perf.domains.assistant.trace.graph import EventGraph, is_answer
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.trace.values import decode, placeholders

__all__ = ["FLAWS", "Step", "steps_of"]


@dataclass(frozen=True)
class Step:
    """Something to do, or to wait for.

    Attributes:
        id: of the scenario's event.
        app: instance of the app.
        function: which function of it.
        arguments: may hold placeholders for what other steps return.
        after: ids of the steps before.
        delay: seconds after the last of them.
        at: when, in seconds since 1970, instead of the delay.
        turn: of the scenario, from 0.
        own: whether it is the agent's; else the world makes it happen.
        answer: whether it ends a turn.
    """

    id: str
    app: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    delay: float = 0.0
    at: float | None = None
    turn: int = 0
    own: bool = True
    answer: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the steps whose results it is given."""
        return tuple(
            source for value in self.arguments.values() for source, _ in placeholders(value)
        )


def steps_of(scenario: Trace) -> list[Step]:
    """Return what happens in a scenario when all goes well, each step after those before it."""
    graph = EventGraph(scenario)
    steps = []
    for event_id in graph.order():
        event = graph.events[event_id]
        action = event.action
        if event.event_type == "CONDITION" or action is None:
            continue
        steps.append(
            Step(
                id=event_id,
                app=action.app or "",
                function=action.function or "",
                arguments={
                    one.name: decode(one.value, one.value_type) for one in action.args or ()
                },
                after=tuple(event.dependencies),
                delay=event.event_relative_time or 0.0,
                at=event.event_time if event.event_relative_time is None else None,
                turn=graph.turn_of(event_id),
                own=event.event_type == "AGENT",
                answer=is_answer(event),
            )
        )
    return steps


_WHOM = ("recipients", "user_id", "user_ids", "participants", "participant", "attendees")
_WHAT = (
    "conversation_id", "email_id", "contact_id", "event_id", "item_id", "order_id", "apartment_id",
    "service_type", "path", "path1", "phone", "start_datetime",
)  # fmt: skip


def _wrong_recipient(steps: list[Step], tools: Collection[str]) -> list[Step]:
    """Address somebody else; where nobody is addressed, name something else."""
    works = _works(steps)
    for name in _WHOM + _WHAT:
        for step in works:
            if name in step.arguments:
                return _changed(steps, _other(step, name))
    return _missing_call(steps, tools)


def _missing_call(steps: list[Step], tools: Collection[str]) -> list[Step]:
    """Leave out the first call, with what needs its result; if there is none, every answer."""
    works = _works(steps)
    return _without(steps, {works[0].id}) if works else _silent(steps, tools)


def _extra_write(steps: list[Step], tools: Collection[str]) -> list[Step]:
    """Do something as well that nobody has asked for."""
    first = next(step for step in steps if step.own)
    app, function, arguments = next(
        ((tool.partition("__")[0], function, arguments)
         for function, arguments in _EXTRAS.items()
         for tool in tools if tool.endswith(f"__{function}")),
        (first.app, first.function, first.arguments),
    )  # fmt: skip
    extra = replace(
        first, id="extra", app=app, function=function, arguments=arguments, answer=False
    )
    return [
        extra,
        *(replace(s, after=(*s.after, "extra")) if s.answer and s.turn == 0 else s for s in steps),
    ]


def _early(steps: list[Step], _tools: Collection[str]) -> list[Step]:
    """Do all of the first turn at once, without having been asked or waiting for any time."""
    return [
        replace(step, after=step.needs, delay=0.0, at=None) if step.own and step.turn == 0 else step
        for step in steps
    ]


def _wrong_order(steps: list[Step], tools: Collection[str]) -> list[Step]:
    """Do something before what it has to wait for; answer first if nothing else has to wait."""
    works = {step.id: step for step in _works(steps)}
    for second in works.values():
        for first in (works[one] for one in second.after if one in works):
            if first.id not in second.needs:
                return _swapped(steps, first, second)
    turn = min((step.turn for step in works.values()), default=0)
    asked = {step.id for step in steps if not step.own}
    answer = next((step for step in steps if step.answer and step.turn == turn), None)
    if answer is None or not works:
        return _early(steps, tools)
    ahead = replace(answer, after=tuple(s.id for s in steps if s.id in asked and s.turn == turn))
    return [
        ahead if s is answer else replace(s, after=(*s.after, answer.id))
        if s.own and s.turn == turn else s
        for s in steps
    ]  # fmt: skip


def _silent(steps: list[Step], _tools: Collection[str]) -> list[Step]:
    """Never answer the user."""
    return [step for step in steps if not step.answer]


FLAWS: dict[str, Callable[[list[Step], Collection[str]], list[Step]]] = {
    "wrong-recipient": _wrong_recipient,
    "missing-call": _missing_call,
    "extra-write": _extra_write,
    "early": _early,
    "wrong-order": _wrong_order,
    "silent": _silent,
}
"""What to make of the steps so that a judge has to refuse them, given the tools' names."""

_EXTRAS: dict[str, dict[str, Any]] = {
    "add_new_contact": {"first_name": "Nemo", "last_name": "Nobody"},
    "add_calendar_event": {"title": "Nothing"},
    "mkdir": {"path": "/nothing"},
}


def _works(steps: Iterable[Step]) -> list[Step]:
    """Return the agent's steps other than answers."""
    return [step for step in steps if step.own and not step.answer]


def _changed(steps: Iterable[Step], changed: Step) -> list[Step]:
    return [changed if step.id == changed.id else step for step in steps]


def _other(step: Step, name: str) -> Step:
    """Give a step another value of an argument, of the same type."""
    value = step.arguments[name]
    other: Any = "nobody"
    if isinstance(value, list):
        other = ["nobody@postbox.example"]
    elif isinstance(value, bool):
        other = not value
    elif isinstance(value, int | float):
        other = value + 1
    return replace(step, arguments={**step.arguments, name: other})


def _without(steps: list[Step], gone: set[str]) -> list[Step]:
    """Leave steps out, with what needs their results; what followed them moves up."""
    left: dict[str, Step] = {}
    before: dict[str, tuple[str, ...]] = {}
    for step in steps:
        after = tuple(dict.fromkeys(a for one in step.after for a in before.get(one, (one,))))
        if step.id in gone or before.keys() & set(step.needs):
            before[step.id] = after
        else:
            left[step.id] = replace(step, after=after)
    return list(left.values())


def _swapped(steps: Iterable[Step], first: Step, second: Step) -> list[Step]:
    new = {
        first.id: replace(second, after=first.after, delay=first.delay, at=first.at),
        second.id: replace(first, after=(second.id,), delay=second.delay, at=second.at),
    }
    return [
        new.get(step.id)
        or replace(step, after=tuple(first.id if a == second.id else a for a in step.after))
        for step in steps
    ]
