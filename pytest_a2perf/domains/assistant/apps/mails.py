"""Mails, and the folders that they lie in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.apps.state import at, part
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Email", "EmailFolderName", "Folder", "ReturnedEmails"]


class EmailFolderName(Enum):
    """The folders that there are."""

    INBOX = "INBOX"
    SENT = "SENT"
    DRAFT = "DRAFT"
    TRASH = "TRASH"

    @classmethod
    def find(cls, name: str) -> EmailFolderName:
        """Return a folder by its name, in capitals or not.

        Raises:
            ToolError: there is none of that name.
        """
        try:
            return cls[name.upper()]
        except KeyError:
            names = cls.__members__
            raise ToolError(f"there is no folder {name!r}{did_you_mean(name, names)}") from None


@dataclass
class Email:
    """A mail.

    Attributes:
        parent_id: of the mail that it answers or forwards, or None.
        attachments: their content in base64, by file name.
        timestamp: in seconds since 1970.
    """

    sender: str = "user@meta.com"
    recipients: list[str] = field(default_factory=list)
    subject: str = ""
    content: str = ""
    email_id: str = ""
    parent_id: str | None = None
    cc: list[str] = field(default_factory=list)
    attachments: dict[str, str] | None = field(default_factory=dict)
    timestamp: float = 0.0
    is_read: bool = False

    def __post_init__(self) -> None:
        """Check the addresses.

        Raises:
            ToolError: one is none.
        """
        if self.cc is None:  # in states
            self.cc = []
        for address in (self.sender, *self.recipients, *self.cc):
            if "@" not in address:
                raise ToolError(f"{address!r} is no mail address")

    def __str__(self) -> str:
        return (
            f"From: {self.sender}\nTo: {', '.join(self.recipients)}\nCC: {', '.join(self.cc)}"
            f"\nSubject: {self.subject}\nContent: {self.content}"
        )

    def mentions(self, query: str) -> bool:
        """Return whether a text in small letters occurs, in any case, in what matters of it."""
        texts = (self.sender, *self.recipients, self.subject, self.content)
        return any(query in text.lower() for text in texts)


@dataclass
class ReturnedEmails:
    """Some mails of a folder.

    Attributes:
        emails_range: position of the first of them in the folder, and of the first after them.
        total_returned_emails: one more than there are, as ARE counts them.
        total_emails: in the folder.
    """

    emails: list[Email]
    emails_range: tuple[int, int]
    total_returned_emails: int
    total_emails: int


class Folder:
    """A folder; new mails put it in order, newest first."""

    def __init__(self, name: EmailFolderName) -> None:
        self.name = name
        self.emails: list[Email] = []

    def add(self, email: Email) -> None:
        """Put a mail into it."""
        self.emails.append(email)
        self.emails.sort(key=lambda email: email.timestamp, reverse=True)

    def page(self, offset: int, limit: int) -> ReturnedEmails:
        """Return some of its mails.

        Raises:
            ToolError: there is no such position.
        """
        total = len(self.emails)
        if not 0 <= offset <= total:
            raise ToolError(f"the offset must be from 0 to {total}, not {offset}")
        end = min(offset + limit, total)
        return ReturnedEmails(self.emails[offset:end], (offset, end), end - offset + 1, total)

    def find(self, email_id: str) -> Email | None:
        """Return a mail by its id, or None."""
        return next((email for email in self.emails if email.email_id == email_id), None)

    def get(self, email_id: str) -> Email:
        """Return a mail by its id.

        Raises:
            ToolError: it is not here.
        """
        if email := self.find(email_id):
            return email
        raise ToolError(f"there is no mail with id {email_id!r} in {self.name.value}")

    def load_state(self, state: dict[str, Any], now: float) -> None:
        """Take over what it holds.

        Args:
            state: in the form of `get_state`.
            now: time of mails that have none.

        Raises:
            TraceError: a mail is not as it should be; names it.
        """
        self.emails = []
        for index, data in enumerate(part(state, "emails", [])):
            with at(f"emails[{index}]"):
                self.emails.append(Email(**{"timestamp": now, **data}))

    def get_state(self) -> dict[str, Any]:
        """Return what it holds."""
        return {"folder_name": self.name.value, "emails": plain(self.emails)}
