"""Conversations: who can take part, how they begin, and what others write."""

from __future__ import annotations

from typing import Any

from pytest_a2perf.domains.assistant.apps.app import Clock, tool
from pytest_a2perf.domains.assistant.apps.attachments import Attaching
from pytest_a2perf.domains.assistant.apps.conversations import (
    ConversationV2,
    FileMessageV2,
    MessageV2,
    MessagingAppMode,
)
from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.apps.state import at, part
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["Chats"]

_NEAR = 80
"""From 0 to 100: how much a name must be like the one that is looked up."""


class Chats(Attaching):
    """The user's conversations.

    Attributes:
        conversations: by id.
        mode: what ids of users are.
        id_to_name: names of users, by id.
        name_to_id: ids of users, by name.
        current_user_id: of the user.
        current_user_name: of the user.
        messages_view_limit: how many messages of a conversation a list may show.
        conversation_view_limit: how many conversations a list may show.
    """

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.conversations: dict[str, ConversationV2] = {}
        self.mode = MessagingAppMode.NAME
        self.id_to_name: dict[str, str] = {}
        self.name_to_id: dict[str, str] = {}
        self.current_user_id: str | None = None
        self.current_user_name: str | None = None
        self.messages_view_limit = 10
        self.conversation_view_limit = 5

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`."""
        self.conversations = {}
        for key, data in part(state, "conversations", {}).items():
            with at(f"conversations.{key}"):
                conversation = ConversationV2.from_state(
                    {"title": None, "conversation_id": key, "last_updated": 0.0, **data},
                    self.clock.now,
                )
                for message in conversation.messages:
                    message.message_id = message.message_id or self.new_id()
                self.conversations[key] = conversation
        self.messages_view_limit = part(state, "messages_view_limit", self.messages_view_limit)
        self.conversation_view_limit = part(
            state, "conversation_view_limit", self.conversation_view_limit
        )
        with at("mode"):
            self.mode = MessagingAppMode(state.get("mode", self.mode))
        self.name_to_id = dict(part(state, "name_to_id", {}))
        self.id_to_name = dict(part(state, "id_to_name", {}))
        self.current_user_id = state.get("current_user_id")
        self.current_user_name = state.get("current_user_name")

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`."""
        return {
            "conversations": plain(self.conversations),
            "messages_view_limit": self.messages_view_limit,
            "conversation_view_limit": self.conversation_view_limit,
            "mode": self.mode.value,
            "name_to_id": dict(self.name_to_id),
            "id_to_name": dict(self.id_to_name),
            "current_user_id": self.current_user_id,
            "current_user_name": self.current_user_name,
        }

    @tool("agent")
    def get_user_id(self, user_name: str) -> str | None:
        """Tell the id of somebody whose name is known exactly.

        Args:
            user_name: full name, exactly as it is written.

        Returns:
            The id (a phone number in apps that go by numbers), or None if nobody has this name.
        """
        return self.name_to_id.get(user_name)

    @tool("agent")
    def get_user_name_from_id(self, user_id: str) -> str | None:
        """Tell the name of somebody whose id is known exactly.

        Args:
            user_id: the id (a phone number in apps that go by numbers).

        Returns:
            Full name, or None if nobody has this id.
        """
        return self.id_to_name.get(user_id)

    @tool("agent")
    def lookup_user_id(self, user_name: str) -> dict[str, str]:
        """Find people whose names are like a name; check that who is found is who is meant.

        Args:
            user_name: name, or part of it; it need not be written correctly.

        Returns:
            Ids by full name, the most similar first; empty if no name is near.
        """
        if user_name in self.name_to_id:
            return {user_name: self.name_to_id[user_name]}
        from rapidfuzz import process

        near = process.extract(
            user_name.lower().strip(),
            self.name_to_id.keys(),
            processor=str.lower,
            limit=None,
            score_cutoff=_NEAR,
        )
        return {name: self.name_to_id[name] for name, _, _ in near}

    @tool(write=True)
    def add_message(
        self, conversation_id: str, sender_id: str, content: str, timestamp: float | None = None
    ) -> None:
        """Let somebody write in a conversation, at any time.

        Args:
            conversation_id: id of the conversation.
            sender_id: id of who writes, one of the participants.
            content: what is written.
            timestamp: when, in seconds since 1970; now, unless given.
        """
        conversation = self.conversation(conversation_id)
        if sender_id not in conversation.participant_ids:
            raise ToolError(f"{sender_id!r} takes no part in conversation {conversation_id}")
        conversation.add(MessageV2(sender_id, self.new_id(), timestamp or self.clock.now, content))

    @tool("env", write=True)
    def create_and_add_message(self, conversation_id: str, sender_id: str, content: str) -> None:
        """Let somebody write in a conversation.

        Args:
            conversation_id: id of the conversation.
            sender_id: id of who writes, one of the participants.
            content: what is written.
        """
        self.add_message(conversation_id, sender_id, content, float(int(self.clock.now)))

    def conversation(self, conversation_id: str) -> ConversationV2:
        """Return a conversation by its id.

        Raises:
            ToolError: there is none.
        """
        if conversation_id not in self.conversations:
            raise ToolError(f"there is no conversation with id {conversation_id!r}")
        return self.conversations[conversation_id]

    def with_exactly(self, user_ids: list[str]) -> list[str]:
        """Return the ids of the conversations of some users and the user, with nobody else."""
        wanted = {*user_ids, self.current_user_id}
        return [
            key for key, found in self.conversations.items() if wanted == set(found.participant_ids)
        ]

    def title(self, user_ids: list[str]) -> str:
        """Return the title that a conversation gets by itself: the names of all but the user.

        Raises:
            ToolError: it is not known who the user is.
        """
        if self.user() not in self.id_to_name:
            raise ToolError(f"the app does not know the user: {self.user()!r} has no name")
        others = {user_id for user_id in user_ids if user_id != self.current_user_id}
        if self.mode is MessagingAppMode.NAME:
            others &= self.id_to_name.keys()
        return ", ".join(sorted(self.id_to_name.get(user_id, user_id) for user_id in others))

    def user(self) -> str:
        """Return the user's id.

        Raises:
            ToolError: it is not known who the user is.
        """
        if self.current_user_id is None:
            raise ToolError("the app does not know the user: 'current_user_id' is not set")
        return self.current_user_id

    def begin(self, user_ids: list[str], title: str | None = None) -> str:
        """Begin a conversation of some users and the user, and return its id.

        Raises:
            ToolError: there is no such user.
        """
        for user_id in user_ids:
            if self.mode is MessagingAppMode.NAME:
                if user_id not in self.id_to_name:
                    raise ToolError(f"there is no user with id {user_id!r}")
            elif not any(character.isdigit() for character in user_id):
                raise ToolError(f"{user_id!r} is no phone number")
        if title is None:
            title = self.title(user_ids)
        participants = list(dict.fromkeys([*user_ids, self.user()]))
        conversation = ConversationV2(
            participant_ids=participants,
            title=title or ", ".join(participants),
            conversation_id=self.new_id(),
            last_updated=self.clock.now,
        )
        self.conversations[conversation.conversation_id] = conversation
        return conversation.conversation_id

    def message(self, content: str, attachment_path: str | None) -> MessageV2:
        """Return a new message of the user's.

        Raises:
            ToolError: there is no such file, or it is not known who the user is.
        """
        who, what, now = self.user(), self.new_id(), self.clock.now
        if attachment_path is None:
            return MessageV2(who, what, now, content)
        name, data = self.attachment(attachment_path)
        return FileMessageV2(who, what, now, content, data, name)
