"""The internal form of a recorded session: every turn's whole input, each message kept once.

Real traces are not always prefix extensions of one another (a counter in the last message is
replaced, old tool results are cut), so that a turn says which messages it sends, instead of how
many more than the turn before. This module is read by the processes that make load: it imports
nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Message", "Session", "Turn"]

Message = dict[str, Any]
"""A message of OpenAI's chat interface: ``role`` (system, developer, user, assistant or tool),
``content`` (text, or a list of parts), and where they apply ``tool_calls``, ``tool_call_id``,
``name`` and ``reasoning_content``."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of an agent.

    Attributes:
        messages: what is sent, as indexes into the session's messages.
        output_tokens: length of the recorded reply, reasoning included; None where unknown.
        tool_delay: seconds that the tools took after the reply, before the next turn.
        think_time: seconds that a person took after the reply, before the next turn.
        prompt_tokens: recorded length of the input; None where unknown.
        duration: seconds that the recorded reply took; None where unknown.
        calls: names of the tools that the recorded reply called.
    """

    messages: tuple[int, ...]
    output_tokens: int | None = None
    tool_delay: float = 0.0
    think_time: float = 0.0
    prompt_tokens: int | None = None
    duration: float | None = None
    calls: tuple[str, ...] = ()

    @property
    def pause(self) -> float:
        """Seconds between the end of the reply and the next turn's request."""
        return self.tool_delay + self.think_time


@dataclass(frozen=True, slots=True)
class Session:
    """A trajectory: the turns of one agent's run, in order.

    Attributes:
        id: unique in its workload.
        messages: what its turns send, each message once.
        turns: at least one.
        tools: declarations in OpenAI's form (``{"type": "function", "function": {...}}``).
        model: that was recorded; empty where unknown.
        source: format that it was read from.
        parent: id of the session that started it as a sub-agent, or empty.
    """

    id: str
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]
    tools: tuple[dict[str, Any], ...] = ()
    model: str = ""
    source: str = ""
    parent: str = ""

    def input_of(self, turn: Turn) -> list[Message]:
        """Return what a turn sends."""
        return [self.messages[index] for index in turn.messages]
