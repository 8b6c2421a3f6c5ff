"""Messages, and the conversations that they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pytest_a2perf.domains.assistant.apps.state import at, part
from pytest_a2perf.domains.assistant.apps.times import seconds_of

__all__ = ["ConversationV2", "FileMessageV2", "MessageV2", "MessagingAppMode"]


class MessagingAppMode(Enum):
    """What ids of users are: invented, with a directory of names, or phone numbers."""

    NAME = "NAME"
    PHONE_NUMBER = "PHONE_NUMBER"


@dataclass
class MessageV2:
    """A message; ``timestamp`` is in seconds since 1970."""

    sender_id: str
    message_id: str = ""
    timestamp: float = 0.0
    content: str = ""


@dataclass
class FileMessageV2(MessageV2):
    """A message with a file, in base64."""

    attachment: str | None = None
    attachment_name: str | None = None


@dataclass
class ConversationV2:
    """A conversation.

    Attributes:
        participant_ids: ids of all who take part, the user among them.
        last_updated: time of the newest message, in seconds since 1970; without any, of its start.
    """

    participant_ids: list[str]
    messages: list[MessageV2] = field(default_factory=list)
    title: str | None = None
    conversation_id: str = ""
    last_updated: float = 0.0

    def add(self, message: MessageV2) -> None:
        """Put a message into it."""
        self.messages.append(message)
        self.last_updated = max(message.timestamp, self.last_updated)

    def between(self, min_date: str | None, max_date: str | None) -> list[MessageV2]:
        """Return the messages of a span of time; its ends belong to it, None leaves one open.

        Raises:
            ToolError: an end is no time.
        """
        start = -float("inf") if min_date is None else seconds_of(min_date)
        end = float("inf") if max_date is None else seconds_of(max_date)
        return [message for message in self.messages if start <= int(message.timestamp) <= end]

    def page(self, offset: int, limit: int) -> ConversationV2:
        """Return it with some of its messages only, newest first."""
        newest = sorted(self.messages, key=lambda message: message.timestamp, reverse=True)
        return ConversationV2(
            participant_ids=list(dict.fromkeys(self.participant_ids)),
            messages=newest[offset : min(len(newest), offset + limit)],
            title=self.title or ", ".join(self.participant_ids),
            conversation_id=self.conversation_id,
            last_updated=self.last_updated,
        )

    @classmethod
    def from_state(cls, state: dict[str, Any], now: float) -> ConversationV2:
        """Return the conversation that a state describes.

        Args:
            state: its fields.
            now: time of messages that have none.

        Raises:
            TraceError: a message is not as it should be; names it.
        """
        messages: list[MessageV2] = []
        for index, data in enumerate(part(state, "messages", [])):
            with at(f"messages[{index}]"):
                kind = FileMessageV2 if "attachment" in data else MessageV2
                messages.append(kind(**{"timestamp": now, **data}))
        return cls(
            participant_ids=state["participant_ids"],
            messages=messages,
            title=state["title"],
            conversation_id=state["conversation_id"],
            last_updated=state["last_updated"],
        )
