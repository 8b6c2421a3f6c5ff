"""The interface between the user and the agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import App, Clock, tool
from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.apps.state import at, part
from pytest_a2perf.domains.assistant.apps.times import text_of

__all__ = ["AUIMessage", "AgentUserInterface", "Sender"]


class Sender(Enum):
    """Who wrote a message."""

    USER = "User"
    AGENT = "Agent"


@dataclass(slots=True)
class AUIMessage:
    """A message between user and agent; times are in seconds since 1970."""

    sender: Sender
    content: str
    attachments: list[str] = field(default_factory=list)
    timestamp: float = 0.0
    time_read: float | None = None
    id: str | None = None

    @property
    def already_read(self) -> bool:
        """Whether it has been read."""
        return self.time_read is not None

    def __str__(self) -> str:
        lines = [
            f"Received at: {text_of(self.timestamp)}",
            f"Sender: {self.sender.value}",
            f"Message: {self.content}",
            f"Already read: {self.already_read}",
        ]
        if self.time_read is not None:
            lines.append(f"Read at: {text_of(self.time_read)}")
        return "\n".join(lines)


class AgentUserInterface(App):
    """What the user and the agent write to each other.

    Agents get `send_message_to_user` only: what the user writes reaches them as notifications.
    """

    classes = ("AgentUserInterface",)

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.messages: list[AUIMessage] = []

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`; times are moved so that the first is 0."""
        self.messages = []
        for index, data in enumerate(part(state, "messages", [])):
            with at(f"messages[{index}]"):
                read, number = data.get("time_read"), data.get("id")
                self.messages.append(
                    AUIMessage(
                        sender=Sender[data["sender"].upper()],
                        content=data["content"],
                        attachments=list(data.get("attachments") or []),
                        timestamp=data["timestamp"],
                        time_read=None if read is None else float(read),
                        id=None if number is None else str(number),
                    )
                )
        times = [message.timestamp for message in self.messages]
        times += [message.time_read for message in self.messages if message.time_read]
        first = min(times, default=0.0)
        for message in self.messages:
            message.timestamp -= first
            if message.time_read:
                message.time_read -= first

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`."""
        return {"messages": plain(self.messages)}

    @tool("agent", write=True)
    def send_message_to_user(self, content: str = "") -> None:
        """Write to the user, and end the turn: the user answers, if at all, in a new one.

        Args:
            content: what the user should read.
        """
        self._add(Sender.AGENT, content)

    @tool("user", write=True)
    def send_message_to_agent(
        self,
        content: str = "",
        attachments: list[str] | None = None,
        base64_utf8_encoded_attachment_contents: list[dict[str, Any]] | None = None,  # noqa: ARG002
    ) -> str:
        """Write to the agent.

        Args:
            content: what the agent should read.
            attachments: addresses of files that go with it.
            base64_utf8_encoded_attachment_contents: what these files hold, in the same order.

        Returns:
            Id of the message.
        """
        return self._add(Sender.USER, content, attachments)

    @tool()
    def get_last_message_from_user(self) -> AUIMessage | None:
        """Read the newest message of the user.

        Returns:
            The message, or None before the first one.
        """
        message = self._last(Sender.USER)
        if message and not message.already_read:
            message.time_read = self.clock.now
        return message

    @tool()
    def get_last_unread_messages(self) -> list[AUIMessage]:
        """Read all messages of the user that have not been read.

        Returns:
            The messages, oldest first.
        """
        unread = [
            message
            for message in self.messages
            if message.sender is Sender.USER and not message.already_read
        ]
        for message in unread:
            message.time_read = self.clock.now
        return unread

    @tool()
    def get_last_message_from_agent(self) -> AUIMessage | None:
        """Read the newest message of the agent.

        Returns:
            The message, or None before the first one.
        """
        return self._last(Sender.AGENT)

    @tool()
    def get_all_messages(self) -> list[AUIMessage]:
        """Read everything that user and agent have written.

        Returns:
            All messages, newest first.
        """
        for message in self.messages:
            message.time_read = self.clock.now
        return sorted(self.messages, key=lambda message: message.timestamp, reverse=True)

    def _last(self, sender: Sender) -> AUIMessage | None:
        own = (message for message in reversed(self.messages) if message.sender is sender)
        return next(own, None)

    def _add(self, sender: Sender, content: str, attachments: list[str] | None = None) -> str:
        now = self.clock.now
        message_id = self.new_id()
        read = now if sender is Sender.AGENT else None
        self.messages.append(
            AUIMessage(sender, content, list(attachments or []), now, read, message_id)
        )
        return message_id
