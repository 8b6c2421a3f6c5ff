"""What has happened in a world: one call of an app's function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Happening", "Kind"]

Kind = Literal["AGENT", "USER", "ENV"]


@dataclass(slots=True)
class Happening:
    """One call, whoever made it, and what became of it.

    Attributes:
        id: of the scenario's event for what was planned; of its own for what an agent did. Once
            a judge has matched the agent's call with an event of the oracle, the event's.
        kind: who made it.
        time: simulated, in seconds since 1970.
        app: name of the app's instance, e.g. ``Emails``.
        app_class: name of its class in the scenario, e.g. ``EmailClientV2``.
        function: e.g. ``send_email``.
        write: whether it is meant to change anything.
        arguments: all of them, with defaults, in the types that the function asks for.
        result: what was returned.
        error: message of what was raised, or None.
        turn: how many messages the agent had sent to the user before it.
        noise: whether it is part of no scenario but was added to disturb.
    """

    id: str
    kind: Kind
    time: float
    app: str
    app_class: str
    function: str
    write: bool
    arguments: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    error: str | None = None
    turn: int = 0
    noise: bool = False

    @property
    def failed(self) -> bool:
        """Whether it raised."""
        return self.error is not None
