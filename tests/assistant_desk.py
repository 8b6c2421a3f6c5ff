"""A small world of real apps: a user who writes one message after the other, and a note book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import App, tool
from pytest_a2perf.domains.assistant.apps.system import SystemApp
from pytest_a2perf.domains.assistant.apps.tools import Tool, tools_of
from pytest_a2perf.domains.assistant.apps.user_interface import AgentUserInterface
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.domains.assistant.world.clock import SimulatedClock
from pytest_a2perf.domains.assistant.world.notifications import Notification
from pytest_a2perf.suggest import did_you_mean

START = 1_700_000_000.0  # Tuesday, 2023-11-14 22:13:20
SEND = "AgentUserInterface__send_message_to_user"


class Notes(App):
    """A note book."""

    def __init__(self, name: str, clock: SimulatedClock) -> None:
        super().__init__(name, clock)
        self.notes: list[str] = []

    @tool("agent", write=True)
    def add(self, text: str, pinned: bool = False) -> int:
        """Write a note.

        Args:
            text: what it says.
            pinned: whether it comes first.

        Returns:
            Number of notes.
        """
        if not text:
            raise ToolError("a note must say something")
        self.notes.insert(0 if pinned else len(self.notes), text)
        return len(self.notes)

    @tool("agent")
    def list_notes(self) -> list[str]:
        """Read all notes.

        Returns:
            The notes, in order.
        """
        return list(self.notes)


class SmallDesk:
    """See `Desk`. The user writes the next of ``messages`` as soon as the agent has answered.

    Args:
        messages: of the user; news of the environment start with ``!``.
        duration: seconds after which the world ends.
        notes: name of the note book.
    """

    def __init__(self, *messages: str, duration: float = 3600.0, notes: str = "Notes") -> None:
        self.clock = SimulatedClock(START)
        self.notes = Notes(notes, self.clock)
        self.user = AgentUserInterface("AgentUserInterface", self.clock)
        self.system = SystemApp("SystemApp", self.clock)
        self.system.wait = self.think
        apps = (self.user, self.system, self.notes)
        self.tools: Mapping[str, Tool] = {
            each.name: each for app in apps for each in tools_of(app, "agent")
        }
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.thought: list[float] = []
        self.turn_over = False
        self._end = START + duration
        self._coming = list(messages)
        self._news: list[Notification] = []
        self._no_more = False

    @property
    def now(self) -> float:
        return self.clock.now

    @property
    def over(self) -> bool:
        return self._no_more or self.now >= self._end

    @property
    def said(self) -> list[str]:
        """What the agent has written to the user."""
        return [message.content for message in self.user.messages]

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        assert not self.over, f"{name} after the end"
        assert not self.turn_over, f"{name} after the turn"
        if name not in self.tools:
            raise ToolError(f"there is no tool {name!r}{did_you_mean(name, self.tools)}")
        found = self.tools[name]
        self.calls.append((name, dict(arguments)))
        result = found.call(**found.bind(arguments))
        self.turn_over = found.function == "send_message_to_user"
        return result

    def notify(self, text: str) -> None:
        """Let something happen in the environment."""
        self._news.append(Notification("environment", text, self.now))

    def notifications(self) -> list[Notification]:
        news, self._news = self._news, []
        return news

    def think(self, seconds: float) -> None:
        assert seconds >= 0
        self.thought.append(seconds)
        self.clock.move_to(self.now + seconds)

    def wait(self) -> None:
        assert not self.over, "waiting for nothing"
        self.turn_over = False
        if self._news:
            return
        if not self._coming:
            self._no_more = True
            return
        self.clock.move_to(self.now + 1)
        text = self._coming.pop(0)
        kind = "environment" if text.startswith("!") else "user"
        self._news.append(Notification(kind, text.removeprefix("!"), self.now))
