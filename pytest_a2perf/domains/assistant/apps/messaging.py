"""Messages: what agents can do with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import tool
from pytest_a2perf.domains.assistant.apps.chats import Chats
from pytest_a2perf.domains.assistant.apps.conversations import ConversationV2, FileMessageV2
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["MessagingAppV2"]


class MessagingAppV2(Chats):
    """The user's messages, alone and in groups, with tools in the order in which ARE lists them."""

    classes = ("MessagingAppV2",)

    @tool("agent", write=True)
    def send_message(
        self, user_id: str, content: str = "", attachment_path: str | None = None
    ) -> str:
        """Write to one person, in the conversation with this person alone; begin it if need be.

        Args:
            user_id: id of who should get it (a phone number in apps that go by numbers).
            content: what to write.
            attachment_path: path, in the file system app, of a file to send with it.

        Returns:
            Id of the conversation.
        """
        message = self.message(content, attachment_path)
        title = self.title([user_id])
        for conversation_id in self.with_exactly([user_id]):
            if self.conversations[conversation_id].title == title:
                break
        else:
            conversation_id = self.begin([self.user(), user_id])
        self.conversations[conversation_id].add(message)
        return conversation_id

    @tool("agent", write=True)
    def send_message_to_group_conversation(
        self, conversation_id: str, content: str = "", attachment_path: str | None = None
    ) -> str:
        """Write in a conversation of the user with two others or more.

        Args:
            conversation_id: id of the conversation.
            content: what to write.
            attachment_path: path, in the file system app, of a file to send with it.

        Returns:
            Id of the conversation.
        """
        conversation = self.conversation(conversation_id)
        if len(conversation.participant_ids) < 3:
            raise ToolError(f"conversation {conversation_id} is no group: use send_message")
        conversation.add(self.message(content, attachment_path))
        return conversation_id

    @tool("agent", "env", write=True)
    def create_group_conversation(self, user_ids: list[str], title: str | None = None) -> str:
        """Begin a conversation of the user with two others or more.

        Args:
            user_ids: ids of the others (phone numbers in apps that go by numbers).
            title: its title; the names of the others, unless given.

        Returns:
            Id of the conversation.
        """
        if len(user_ids) < 2:
            raise ToolError("a group needs two others or more")
        return self.begin(user_ids, title)

    @tool("agent")
    def get_existing_conversation_ids(self, user_ids: list[str]) -> list[str]:
        """List the conversations of the user with exactly these others.

        Args:
            user_ids: ids of the others (phone numbers in apps that go by numbers).

        Returns:
            Ids of the conversations.
        """
        return self.with_exactly(user_ids)

    @tool("agent")
    def list_recent_conversations(
        self,
        offset: int = 0,
        limit: int = 5,
        offset_recent_messages_per_conversation: int = 0,
        limit_recent_messages_per_conversation: int = 10,
    ) -> list[ConversationV2]:
        """List conversations with some of their messages; what has changed last comes first.

        Args:
            offset: how many conversations to skip.
            limit: how many conversations to list at most; the app allows a few only.
            offset_recent_messages_per_conversation: how many of the newest messages of each to
                skip.
            limit_recent_messages_per_conversation: how many messages of each to show at most; the
                app allows a few only.

        Returns:
            The conversations.
        """
        recent = sorted(
            self.conversations.values(), key=lambda found: found.last_updated, reverse=True
        )
        return self._page(
            recent,
            (offset, limit),
            (offset_recent_messages_per_conversation, limit_recent_messages_per_conversation),
        )

    @tool("agent")
    def list_conversations_by_participant(
        self,
        user_id: str,
        offset: int = 0,
        limit: int = 5,
        offset_recent_messages_per_conversation: int = 0,
        limit_recent_messages_per_conversation: int = 5,
    ) -> list[ConversationV2]:
        """List the conversations that somebody takes part in, with some of their messages.

        Args:
            user_id: id of the participant (a phone number in apps that go by numbers).
            offset: how many conversations to skip.
            limit: how many conversations to list at most; the app allows a few only.
            offset_recent_messages_per_conversation: how many of the newest messages of each to
                skip.
            limit_recent_messages_per_conversation: how many messages of each to show at most; the
                app allows a few only.

        Returns:
            The conversations.
        """
        found = [
            conversation
            for conversation in self.conversations.values()
            if any(user_id in participant for participant in conversation.participant_ids)
        ]
        return self._page(
            found,
            (offset, limit),
            (offset_recent_messages_per_conversation, limit_recent_messages_per_conversation),
        )

    @tool("agent", write=True)
    def download_attachment(
        self, conversation_id: str, message_id: str, download_path: str = "Downloads/"
    ) -> str:
        """Save the file that came with a message.

        Args:
            conversation_id: id of the conversation.
            message_id: id of the message.
            download_path: folder, in the file system app, to save it in.

        Returns:
            Path of the new file.
        """
        messages = self.conversation(conversation_id).messages
        message = next((found for found in messages if found.message_id == message_id), None)
        if not isinstance(message, FileMessageV2) or not message.attachment:
            raise ToolError(f"there is no message {message_id!r} with a file in the conversation")
        return self.save(download_path, message.attachment_name or "", message.attachment)

    @tool("agent")
    def read_conversation(
        self,
        conversation_id: str,
        offset: int = 0,
        limit: int = 10,
        min_date: str | None = None,
        max_date: str | None = None,
    ) -> dict[str, Any]:
        """Read the messages of a conversation, newest first.

        Args:
            conversation_id: id of the conversation.
            offset: how many of the newest messages to skip.
            limit: how many messages to show at most.
            min_date: only messages from this time on, as YYYY-MM-DD HH:MM:SS.
            max_date: only messages up to this time, as YYYY-MM-DD HH:MM:SS.

        Returns:
            The messages, the range of positions that they have, how many there are in all, and id
            and title of the conversation.
        """
        conversation = self.conversation(conversation_id)
        messages = conversation.between(min_date, max_date)
        total = len(messages)
        if not 0 <= offset <= total:
            raise ToolError(f"the offset must be from 0 to {total}, not {offset}")
        messages.sort(key=lambda message: message.timestamp, reverse=True)
        end = min(total, offset + limit)
        return {
            "messages": messages[offset:end],
            "metadata": {
                "message_range": (offset, end),
                "conversation_length": total,
                "conversation_id": conversation_id,
                "conversation_title": conversation.title,
            },
        }

    @tool("agent", "env", write=True)
    def add_participant_to_conversation(self, conversation_id: str, user_id: str) -> str:
        """Let somebody take part in a conversation; a title made of names changes with it.

        Args:
            conversation_id: id of the conversation.
            user_id: id of who should take part (a phone number in apps that go by numbers).

        Returns:
            Id of the conversation.
        """
        conversation = self.conversation(conversation_id)
        if user_id in conversation.participant_ids:
            raise ToolError(f"{user_id!r} already takes part in conversation {conversation_id}")
        self._change(conversation, [*conversation.participant_ids, user_id])
        return conversation_id

    @tool("agent", "env", write=True)
    def remove_participant_from_conversation(self, conversation_id: str, user_id: str) -> str:
        """Take somebody out of a conversation; a title made of names changes with it.

        Args:
            conversation_id: id of the conversation.
            user_id: id of the participant (a phone number in apps that go by numbers).

        Returns:
            Id of the conversation.
        """
        conversation = self.conversation(conversation_id)
        if user_id not in conversation.participant_ids:
            raise ToolError(f"{user_id!r} takes no part in conversation {conversation_id}")
        rest = list(conversation.participant_ids)
        rest.remove(user_id)
        self._change(conversation, rest)
        return conversation_id

    @tool("agent", "env", write=True)
    def change_conversation_title(self, conversation_id: str, title: str) -> str:
        """Give a conversation another title.

        Args:
            conversation_id: id of the conversation.
            title: the new title.

        Returns:
            Id of the conversation.
        """
        self.conversation(conversation_id).title = title
        return conversation_id

    @tool("agent")
    def search(
        self, query: str, min_date: str | None = None, max_date: str | None = None
    ) -> list[str]:
        """Find the conversations in which a text occurs.

        Looks at ids of participants, titles and messages; capitals make no difference.

        Args:
            query: what to look for.
            min_date: only in messages from this time on, as YYYY-MM-DD HH:MM:SS.
            max_date: only in messages up to this time, as YYYY-MM-DD HH:MM:SS.

        Returns:
            Ids of the conversations.
        """
        words = query.lower()
        return self._search(lambda text: words in text.lower(), min_date, max_date)

    @tool("agent")
    def regex_search(
        self, query: str, min_date: str | None = None, max_date: str | None = None
    ) -> list[str]:
        """Find the conversations in which something matches a regular expression (Python's).

        Looks at ids of participants, titles and messages; capitals make no difference.

        Args:
            query: the regular expression.
            min_date: only in messages from this time on, as YYYY-MM-DD HH:MM:SS.
            max_date: only in messages up to this time, as YYYY-MM-DD HH:MM:SS.

        Returns:
            Ids of the conversations.
        """
        try:
            pattern = re.compile(query, re.IGNORECASE)
        except re.error as error:
            raise ToolError(f"{query!r} is no regular expression: {error}") from None
        return self._search(lambda text: bool(pattern.search(text)), min_date, max_date)

    def _change(self, conversation: ConversationV2, participants: list[str]) -> None:
        """Change who takes part, and the title if it is made of their names."""
        named = conversation.title == self.title(conversation.participant_ids)
        conversation.participant_ids = participants
        if named:
            conversation.title = self.title(participants)

    def _search(
        self, matches: Callable[[str], bool], min_date: str | None, max_date: str | None
    ) -> list[str]:
        return [
            found.conversation_id
            for found in self.conversations.values()
            if any(matches(participant.lower()) for participant in found.participant_ids)
            or (found.title is not None and matches(found.title.lower()))
            or any(matches(message.content) for message in found.between(min_date, max_date))
        ]

    def _page(
        self,
        found: list[ConversationV2],
        span: tuple[int, int],
        messages: tuple[int, int],
    ) -> list[ConversationV2]:
        """Return some of what was found, with some of the messages of each.

        Args:
            found: conversations.
            span: how many conversations to skip, and how many to return at most.
            messages: how many of the newest messages to skip, and how many to keep at most.

        Raises:
            ToolError: the app does not allow so many, or there is no such position.
        """
        (offset, limit), (skip, keep) = span, messages
        most, total = self.conversation_view_limit, len(self.conversations)
        if limit > most:
            raise ToolError(f"the limit must be {most} at most, not {limit}; go on with the offset")
        if not 0 <= offset <= total:
            raise ToolError(f"the offset must be from 0 to {total}, not {offset}")
        if keep > self.messages_view_limit:
            raise ToolError(
                f"the limit of messages must be {self.messages_view_limit} at most, not {keep};"
                " go on with their offset"
            )
        if skip < 0:
            raise ToolError(f"the offset of messages must not be negative, not {skip}")
        end = min(offset + limit, len(found))
        return [conversation.page(skip, keep) for conversation in found[offset:end]]
