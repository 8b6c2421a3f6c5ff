"""A story: what a scenario of the assistant consists of, step by step."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

__all__ = ["Story", "stamp"]

_TYPES = {str: "str", bool: "bool", int: "int", float: "float", list: "list", dict: "dict"}


def stamp(moment: str) -> float:
    """Return the seconds since 1970 of a moment, e.g. ``2026-03-02 09:00:00``, in UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


class Story:
    """A scenario under construction; each event follows the one before it unless told otherwise.

    Args:
        name: the scenario's id, and its file's name.
        capability: which of Gaia2's it asks for, e.g. ``Execution``.
        apps: what `people` makes.
        start: when it begins.
        duration: how long the agent has, in simulated seconds.
    """

    def __init__(
        self,
        name: str,
        capability: str,
        apps: list[dict[str, Any]],
        *,
        start: str = "2026-03-02 09:00:00",
        duration: float = 1800,
    ) -> None:
        self.name = name
        self.capability = capability
        self._apps = apps
        self._start = stamp(start)
        self._duration = duration
        self._events: list[dict[str, Any]] = []
        self._hints: list[dict[str, Any]] = []

    def user(self, content: str, *, delay: float = 1) -> str:
        """Let the user ask something; return the event's id."""
        event = self._event(
            "USER", "AgentUserInterface", "send_message_to_agent", {"content": content}, delay=delay
        )
        return event["event_id"]

    def reply(self, content: str, *, after: str | list[str] | None = None, delay: float = 1) -> str:
        """Let the agent answer the user, which ends the turn; return the event's id."""
        return self.agent(
            "AgentUserInterface", "send_message_to_user", after=after, delay=delay, content=content
        )

    def env(
        self, app: str, function: str, /, *, delay: float, after: str | None = None, **args: Any
    ) -> str:
        """Let something happen in the world; return the event's id."""
        return self._event("ENV", app, function, args, after=after, delay=delay)["event_id"]

    def agent(
        self,
        app: str,
        function: str,
        /,
        *,
        after: str | list[str] | None = None,
        delay: float = 1,
        at: str | None = None,
        comparator: str | None = None,
        **args: Any,
    ) -> str:
        """Say what the agent should do; return the event's id.

        Args:
            app: instance of the app.
            function: which function of it.
            after: ids of the events that must have happened; None: the one before.
            delay: seconds after the last of them.
            at: the moment at which to do it, instead of a delay.
            comparator: how the agent's time is compared with this one's, e.g. ``LESS_THAN``.
            args: arguments of the function; ``{{event id}}`` stands for an earlier result.
        """
        event = self._event("AGENT", app, function, args, after=after, delay=delay)
        event["class_name"] = "OracleEvent"
        event["event_time_comparator"] = comparator
        if at is not None:
            event |= {"event_time": stamp(at), "event_relative_time": None}
        return event["event_id"]

    def to_json(self) -> str:
        """Return the scenario as JSON."""
        definition = {
            "scenario_id": self.name,
            "seed": 7,
            "duration": self._duration,
            "time_increment_in_seconds": 1,
            "start_time": self._start,
            "hints": self._hints,
            "tags": [self.capability],
        }
        trace = {
            "metadata": {"definition": definition},
            "apps": self._apps,
            "events": self._events,
            "completed_events": [],
            "world_logs": [],
            "version": "are_simulation_v1",
        }
        return json.dumps(trace, indent=1, ensure_ascii=False) + "\n"

    def _event(
        self,
        kind: str,
        app: str,
        function: str,
        args: dict[str, Any],
        *,
        after: str | list[str] | None = None,
        delay: float,
    ) -> dict[str, Any]:
        if after is None:
            after = [self._events[-1]["event_id"]] if self._events else []
        number = 1 + sum(event["event_type"] == kind for event in self._events)
        event_id = f"{kind.lower()}-{number}"
        event: dict[str, Any] = {
            "class_name": "Event",
            "event_type": kind,
            "event_id": event_id,
            "event_time": None,
            "event_relative_time": delay,
            "dependencies": [after] if isinstance(after, str) else after,
            "action": {
                "action_id": f"{app}.{function}-{event_id}",
                "app": app,
                "function": function,
                "operation_type": "WRITE",
                "args": [
                    {"name": name, "value": _text(value), "value_type": _TYPES[type(value)]}
                    for name, value in args.items()
                ],
            },
        }
        self._events.append(event)
        return event


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
