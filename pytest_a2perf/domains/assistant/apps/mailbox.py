"""The mailbox: its folders, how mails get into them, and what others write."""

from __future__ import annotations

from typing import Any

from pytest_a2perf.domains.assistant.apps.app import Clock, tool
from pytest_a2perf.domains.assistant.apps.attachments import Attaching
from pytest_a2perf.domains.assistant.apps.mails import Email, EmailFolderName, Folder
from pytest_a2perf.domains.assistant.apps.state import at, part
from pytest_a2perf.domains.assistant.apps.times import seconds_of
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["Mailbox"]


class Mailbox(Attaching):
    """The user's mails.

    Attributes:
        user_email: the user's address.
        view_limit: kept for the state; no tool asks for it.
        folders: all there are.
    """

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.user_email = "user@meta.com"
        self.view_limit = 5
        self.folders = {name: Folder(name) for name in EmailFolderName}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`."""
        self.user_email = part(state, "user_email", self.user_email)
        self.view_limit = part(state, "view_limit", self.view_limit)
        for key, data in part(state, "folders", {}).items():
            with at(f"folders.{key}"):
                folder = self.folders[EmailFolderName[data.get("folder_name", key)]]
                folder.load_state(data, self.clock.now)
                for email in folder.emails:
                    email.email_id = email.email_id or self.new_id()

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`."""
        return {
            "user_email": self.user_email,
            "view_limit": self.view_limit,
            "folders": {name.value: folder.get_state() for name, folder in self.folders.items()},
        }

    def folder(self, name: str) -> Folder:
        """Return a folder by its name, in capitals or not.

        Raises:
            ToolError: there is none of that name.
        """
        return self.folders[EmailFolderName.find(name)]

    def put(
        self,
        folder: str,
        sender: str,
        recipients: list[str] | None,
        subject: str,
        content: str,
        *,
        attachment_paths: list[str] | None = None,
        **others: Any,
    ) -> str:
        """Put a new mail into a folder: of the present time, and unread, unless told.

        Args:
            folder: its name, in capitals.
            sender: address of who writes it.
            recipients: addresses of those it is for.
            subject: its subject line.
            content: its text.
            attachment_paths: files to attach.
            others: values of other fields of `Email`.

        Returns:
            Id of the mail.

        Raises:
            ToolError: there is no such folder or file, or an address is none.
        """
        if folder not in EmailFolderName.__members__:
            raise ToolError(f"there is no folder {folder!r}; valid: INBOX, SENT, DRAFT, TRASH")
        email = Email(
            sender,
            recipients or [],
            subject,
            content,
            self.new_id(),
            **{"timestamp": self.clock.now, **others},
        )
        for path in attachment_paths or []:
            name, data = self.attachment(path)
            email.attachments = {**(email.attachments or {}), name: data}
        self.folders[EmailFolderName[folder]].add(email)
        return email.email_id

    @tool("env", write=True)
    def reply_to_email_from_user(
        self,
        sender: str,
        email_id: str,
        content: str = "",
        attachment_paths: list[str] | None = None,
    ) -> str:
        """Let somebody answer a mail that the user has sent.

        Args:
            sender: mail address of who answers, one of the mail's recipients.
            email_id: id of the user's mail.
            content: text of the answer.
            attachment_paths: paths, in the file system app, of files to attach.

        Returns:
            Id of the answer.
        """
        email = self.folders[EmailFolderName.SENT].get(email_id)
        if sender not in email.recipients:
            known = ", ".join(email.recipients)
            raise ToolError(f"{sender!r} has not received mail {email_id}; recipients: {known}")
        return self.put(
            "INBOX",
            sender,
            [self.user_email],
            "Re: " + email.subject,
            content,
            attachment_paths=attachment_paths,
            parent_id=email.email_id,
        )

    @tool("env", write=True)
    def send_email_to_user_only(self, sender: str, subject: str = "", content: str = "") -> str:
        """Let somebody write to the user alone.

        Args:
            sender: mail address of who writes.
            subject: subject line of the mail.
            content: its text.

        Returns:
            Id of the mail.
        """
        return self.put("INBOX", sender, [self.user_email], subject, content)

    @tool("env", write=True)
    def create_and_add_email(
        self,
        sender: str,
        recipients: list[str] | None = None,
        subject: str = "",
        content: str = "",
        folder_name: str = "INBOX",
    ) -> str:
        """Put a new mail of the present time into a folder.

        Args:
            sender: mail address of who wrote it.
            recipients: mail addresses of those it is for.
            subject: its subject line.
            content: its text.
            folder_name: where it goes: INBOX, SENT, DRAFT or TRASH.

        Returns:
            Id of the mail.
        """
        return self.put(folder_name, sender, recipients, subject, content)

    @tool(write=True)
    def create_and_add_email_with_time(  # noqa: PLR0917
        self,
        sender: str,
        recipients: list[str] | None = None,
        subject: str = "",
        content: str = "",
        email_time: str | None = None,
        folder_name: str = "INBOX",
    ) -> str:
        """Put a mail of any time, already read, into a folder.

        Args:
            sender: mail address of who wrote it.
            recipients: mail addresses of those it is for.
            subject: its subject line.
            content: its text.
            email_time: when it was sent, as YYYY-MM-DD HH:MM:SS; now, unless given.
            folder_name: where it goes: INBOX, SENT, DRAFT or TRASH.

        Returns:
            Id of the mail.
        """
        return self.put(
            folder_name,
            sender,
            recipients,
            subject,
            content,
            timestamp=self.clock.now if email_time is None else seconds_of(email_time),
            is_read=True,
        )
