"""The rules that the events of a scenario must keep, as ARE 1.2 enforces them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

from pytest_a2perf.domains.assistant.trace.graph import is_answer, topological, trigger_turn
from pytest_a2perf.domains.assistant.trace.models import Event, Trace
from pytest_a2perf.domains.assistant.trace.values import decode
from pytest_a2perf.suggest import did_you_mean

__all__ = ["problems_of"]

_KINDS = ("AGENT", "USER", "ENV", "CONDITION")
_TO_AGENT, _TO_USER = "send_message_to_agent", "send_message_to_user"
_BUILT_IN = ("SystemApp",)
"""Apps that a world has though the scenario does not list them."""


def problems_of(trace: Trace) -> Iterator[str]:
    """Yield what is wrong with the events of a trace: which event, and what to do about it."""
    ids = Counter(event.event_id for event in trace.events)
    for event_id, count in ids.items():
        if count > 1:
            yield f"event {event_id!r}: {count} events have this id; give each its own"
    events = {event.event_id: event for event in trace.events}
    order = topological({key: event.dependencies for key, event in events.items()})
    if circle := _circle(events, order):
        names = ", ".join(map(repr, circle))
        yield f"events {names}: they wait for each other; remove one of their dependencies"
    # ARE leaves the apps out of traces of data sets on the Hub.
    elsewhere = not trace.apps and trace.metadata.definition.hf_metadata is not None
    apps = None if elsewhere else [app.name for app in trace.apps]
    grown = _Grown(trace.metadata.definition.start_time or 0.0)
    for event_id in dict.fromkeys([*order, *events]):
        event = events[event_id]
        for problem in [*_own_problems(event, apps), *_links(event, events)]:
            yield f"event {event_id!r}: {problem}"
        # Whatever hangs in a circle has no place in a graph that grows event by event.
        if event_id not in circle and all(parent in grown.events for parent in event.dependencies):
            for problem in grown.problems_with(event):
                yield f"event {event_id!r}: {problem}"
            grown.add(event)


def _circle(events: dict[str, Event], order: list[str]) -> list[str]:
    ordered = set(order)
    left = [key for key in events if key not in ordered]
    while True:
        needed = {parent for key in left for parent in events[key].dependencies}
        inside = [key for key in left if key in needed]
        if len(inside) == len(left):
            return left
        left = inside


def _own_problems(event: Event, apps: list[str] | None) -> Iterator[str]:
    """Yield what is wrong with an event whatever the others are."""
    if event.event_type not in _KINDS:
        yield f"unknown event_type {event.event_type!r}{did_you_mean(event.event_type, _KINDS)}"
        return
    if event.event_relative_time is not None and event.event_relative_time < 0:
        yield f"event_relative_time {event.event_relative_time:g} is negative; make it 0 or more"
    elif (
        event.event_relative_time is None and event.event_time is not None and event.event_time < 0
    ):
        yield f"event_time {event.event_time:g} is negative; seconds since 1970 are meant"
    if event.event_time_comparator and event.event_type != "AGENT":
        yield "event_time_comparator is for events of the agent (AGENT) only; remove it"
    action = event.action
    if event.event_type == "CONDITION":
        if trigger_turn(event) is None:
            yield "CONDITION events are only known as ARE's triggers of turns; remove it"
        return
    if action is None or not action.app or not action.function:
        yield "it says not what happens; give it an action with app and function"
        return
    if apps is not None and action.app not in apps and action.app not in _BUILT_IN:
        yield f"no app {action.app!r} in 'apps'{did_you_mean(action.app, apps)}"
    for argument in action.args or []:
        try:
            decode(argument.value, argument.value_type)
        except ValueError as error:
            yield f"argument {argument.name!r} of {action.function}: {error}"


def _links(event: Event, events: dict[str, Event]) -> Iterator[str]:
    """Yield what is wrong with what an event depends on."""
    for parent in dict.fromkeys(event.dependencies):
        if parent not in events:
            yield f"it depends on {parent!r}, which does not exist{did_you_mean(parent, events)}"
    parents = [events[parent] for parent in event.dependencies if parent in events]
    if event.event_type == "AGENT" and not event.dependencies:
        yield "the agent must have a reason to act; let it depend on an event, e.g. of the user"
    if event.event_type == "ENV":
        if len(event.dependencies) != 1:
            count = len(event.dependencies)
            yield f"an ENV event needs exactly one dependency, not {count}; name the last one"
        for parent_event in parents:
            if parent_event.event_type == "AGENT" and not _answers(parent_event):
                yield (
                    f"of what the agent does, an ENV event may depend on {_TO_USER} only, not on"
                    f" {parent_event.event_id!r}; let it depend on an ENV or USER event"
                )
    elif _function(event) != _TO_AGENT:
        for parent_event in parents:
            if _answers(parent_event):
                yield (
                    f"only ENV events or {_TO_AGENT} may follow {_TO_USER}"
                    f" ({parent_event.event_id!r}); let it depend on the user's next message"
                )


class _Grown:
    """The graph as ARE grows it: rules are asked of each event and those before it.

    ARE goes through the events breadth first, which matters where paths have unequal lengths: its
    times are then too early. We do the same, since what ARE accepts must be accepted.
    """

    def __init__(self, start: float) -> None:
        self.start = start
        self.events: dict[str, Event] = {}
        self._children: dict[str, list[str]] = {}
        self._branch: dict[str, str] = {}
        self._talk: dict[str, str] = {}

    def add(self, event: Event) -> None:
        """Add an event whose dependencies are there."""
        self.events[event.event_id] = event
        self._children[event.event_id] = []
        self._branch[event.event_id] = event.event_id
        for parent in event.dependencies:
            self._children[parent].append(event.event_id)
            self._join(parent, event.event_id)
        if _talks(event):
            self._talk.setdefault(self._root(event.event_id), event.event_id)

    def problems_with(self, event: Event) -> Iterator[str]:
        """Yield what adding an event would break."""
        yield from self._other_branch(event)
        yield from self._untimely(event)

    def _other_branch(self, event: Event) -> Iterator[str]:
        """User and agent have one conversation."""
        if _function(event) not in {_TO_AGENT, _TO_USER}:
            return
        parents = [self.events[parent] for parent in event.dependencies]
        # ARE cuts the conversation in pieces when it writes a trace of several turns.
        if any(parent.event_type == "CONDITION" for parent in parents):
            return
        own = {self._root(parent) for parent in event.dependencies}
        for root, talk in self._talk.items():
            if root not in own:
                yield (
                    f"{_function(event)} is not connected with {talk!r}, but all messages between"
                    f" user and agent must be; let it depend on {talk!r} or what follows from it"
                )
                return

    def _untimely(self, event: Event) -> Iterator[str]:
        """The agent's message to the user is the last event of its turn."""
        if not event.dependencies:
            return
        turns = self._turns()
        turn = {turns[parent] for parent in event.dependencies}
        if len(turn) > 1:
            names = ", ".join(f"{parent!r} (turn {turns[parent]})" for parent in event.dependencies)
            yield f"it depends on events of different turns: {names}; remove the earlier ones"
            return
        mates = [self.events[key] for key, number in turns.items() if number in turn]
        if all(_delay(mate) in {0, 1} for mate in mates):
            return
        times: dict[str, float] = {mate.event_id: 0.0 for mate in mates}
        for mate in mates:
            ready = self._ready(mate, times)
            delay = _delay(mate)
            if delay is None:
                assert mate.event_time is not None
                if mate.event_time < ready:
                    yield (
                        f"it follows {mate.event_id!r}, whose event_time {mate.event_time:g} is"
                        f" before what it depends on has happened ({ready:g}); make that later"
                    )
                times[mate.event_id] = mate.event_time
            else:
                times[mate.event_id] = ready + delay
        delay = _delay(event)
        # Zero is no time to ARE: such events are taken to be untimed.
        if not (delay or (delay is None and event.event_time)):
            return
        time = event.event_time if delay is None else self._ready(event, times) + delay
        assert time is not None
        if _function(event) == _TO_USER:
            latest = max(times, key=times.__getitem__)
            if time < times[latest]:
                yield (
                    f"{_TO_USER} ends its turn, but {latest!r} happens {times[latest] - time:g} s"
                    " later; delay it, or let it depend on that"
                )
            return
        answer = next((mate.event_id for mate in mates if is_answer(mate)), None)
        if answer and answer not in event.dependencies and times[answer] < time:
            yield (
                f"it happens {time - times[answer]:g} s after {answer!r}, which ends its turn;"
                " let it happen earlier, or that later"
            )

    def _ready(self, event: Event, times: dict[str, float]) -> float:
        # Events of earlier turns count as 0.
        return max((times.get(parent, 0.0) for parent in event.dependencies), default=self.start)

    def _turns(self) -> dict[str, int]:
        """Return the turns in the order in which ARE comes by the events."""
        turns: dict[str, int] = {}
        visited = set()
        queue = deque(key for key, event in self.events.items() if not event.dependencies)
        while queue:
            key = queue.popleft()
            if key in visited:
                continue
            visited.add(key)
            turns[key] = 0
            parents = [self.events[parent] for parent in self.events[key].dependencies]
            ended = any(is_answer(parent) for parent in parents)
            turns[key] = (
                max((turns.setdefault(parent.event_id, 0) for parent in parents), default=0) + ended
            )
            queue.extend(child for child in self._children[key] if child not in visited)
        return turns

    def _root(self, key: str) -> str:
        while self._branch[key] != key:
            key = self._branch[key]
        return key

    def _join(self, one: str, other: str) -> None:
        root, joined = self._root(one), self._root(other)
        if root == joined:
            return
        self._branch[joined] = root
        if talk := self._talk.pop(joined, None):
            self._talk.setdefault(root, talk)


def _function(event: Event) -> str | None:
    return event.action.function if event.action else None


def _answers(event: Event) -> bool:
    return event.event_type == "AGENT" and _function(event) == _TO_USER


def _talks(event: Event) -> bool:
    return _answers(event) or (
        event.event_type in {"USER", "ENV"} and _function(event) == _TO_AGENT
    )


def _delay(event: Event) -> float | None:
    """Return seconds after what an event depends on; None: it has an absolute time."""
    if event.event_relative_time is None and event.event_time is None:
        return 0.0
    return event.event_relative_time
