"""What every agent of this domain gets, and how it reads and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pytest_a2perf.domains.assistant.apps.times import text_of
from pytest_a2perf.domains.assistant.apps.tools import Tool
from pytest_a2perf.domains.assistant.world.notifications import Notification
from pytest_a2perf.errors import AgentError

__all__ = ["ANSWER", "Desk", "Player", "answer_tool", "news_text"]

ANSWER = "send_message_to_user"
"""The function by which an agent answers the user."""


class Desk(Protocol):
    """The world as an agent sees it."""

    @property
    def tools(self) -> Mapping[str, Tool]:
        """What it can call, by name."""

    @property
    def over(self) -> bool:
        """Whether the world is at its end."""

    @property
    def turn_over(self) -> bool:
        """Whether the agent has just answered the user."""

    @property
    def now(self) -> float:
        """Simulated seconds since 1970."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool, and return what it returns.

        Raises:
            ToolError: the call is wrong, or its app refuses.
        """

    def notifications(self) -> list[Notification]:
        """Return what is new."""

    def think(self, seconds: float) -> None:
        """Let the time pass that the agent has needed to decide."""

    def wait(self) -> None:
        """End the turn: let time pass until something is new, or the end."""


class Player(Protocol):
    """An agent of this domain."""

    def play(self, desk: Desk) -> None:
        """Act in a world until it is over."""


def news_text(news: Iterable[Notification]) -> str:
    """Return notifications as text: what the user has written, and what has happened and when."""
    return "\n".join(
        each.text if each.kind == "user" else f"[{text_of(each.time)}] {each.text}" for each in news
    )


def answer_tool(desk: Desk) -> str:
    """Return the name of the tool that answers the user.

    Raises:
        AgentError: there is none.
    """
    for name, tool in desk.tools.items():
        if tool.function == ANSWER:
            return name
    raise AgentError(f"this world has no tool {ANSWER}, so nothing can be answered")
