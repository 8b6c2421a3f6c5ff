"""What is to happen in a world, and when."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_a2perf.domains.assistant.world.happening import Kind

__all__ = ["EventQueue", "Planned"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A call that is to happen.

    Attributes:
        id: of the event.
        kind: who makes it.
        app: name of the app's instance.
        function: e.g. ``create_and_add_email``.
        arguments: some of them, in their types; placeholders stay as they are.
        after: ids of the events that must have happened before.
        delay: seconds after the last of them, or after the start of the world.
        at: not before this time either, in seconds since 1970; then there is no delay.
        last: whether it lets others that are due at the same time go first.
        turn: of the scenario, from 0; None: the one it is when it happens.
        noise: whether it was added to disturb.
    """

    id: str
    kind: Kind
    app: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    delay: float = 0.0
    at: float | None = None
    last: bool = False
    turn: int | None = None
    noise: bool = False


class EventQueue:
    """Planned events: first they wait for others to happen, then for their time.

    Of those due at the same time, ARE takes all that are ready in the order of their ids, then
    those that these have made ready, and so on; so do we. But ARE takes an event for ready as soon
    as it knows when what it waits for is due, so that it may come before that.

    Args:
        events: all of them.
        start: when the delay of what waits for nothing starts to count, in seconds since 1970.
    """

    def __init__(self, events: Iterable[Planned], start: float) -> None:
        self._due: list[tuple[float, bool, int, str, int, Planned]] = []
        self._missing: dict[str, set[str]] = {}
        self._base: dict[str, float] = {}
        self._followers: dict[str, list[Planned]] = {}
        self._now, self._wave, self._puts = float("-inf"), 0, 0
        for event in events:
            self._missing[event.id] = set(event.after)
            self._base[event.id] = start
            for earlier in self._missing[event.id]:
                self._followers.setdefault(earlier, []).append(event)
            if not event.after:
                self._put(event)

    @property
    def next_time(self) -> float | None:
        """When the next event is due, in seconds since 1970; None: none waits for its time."""
        return self._due[0][0] if self._due else None

    def happened(self, event_id: str, time: float) -> None:
        """Let what has waited for an event, and for nothing else any more, wait for its time."""
        for event in self._followers.pop(event_id, ()):
            self._base[event.id] = max(self._base[event.id], time)
            self._missing[event.id].discard(event_id)
            if not self._missing[event.id]:
                self._put(event)

    def pop(self) -> Planned:
        """Take out the next event."""
        self._now, _, wave, _, _, event = heapq.heappop(self._due)
        self._wave = wave + 1
        return event

    def _put(self, event: Planned) -> None:
        base = self._base[event.id]
        time = base + event.delay if event.at is None else max(base, event.at)
        wave = self._wave if time <= self._now else 0
        self._puts += 1  # makes entries comparable should two events have the same id
        heapq.heappush(self._due, (time, event.last, wave, event.id, self._puts, event))
