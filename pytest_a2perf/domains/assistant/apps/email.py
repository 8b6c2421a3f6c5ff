"""Mail: what agents can do with it."""

from __future__ import annotations

from pytest_a2perf.domains.assistant.apps.app import tool
from pytest_a2perf.domains.assistant.apps.mailbox import Mailbox
from pytest_a2perf.domains.assistant.apps.mails import Email, EmailFolderName, ReturnedEmails
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["EmailClientV2"]


class EmailClientV2(Mailbox):
    """The user's mail, with tools in the order in which ARE lists them."""

    classes = ("EmailClientV2", "Mail")

    @tool("agent", write=True)
    def send_email(
        self,
        recipients: list[str] | None = None,
        subject: str = "",
        content: str = "",
        cc: list[str] | None = None,
        attachment_paths: list[str] | None = None,
    ) -> str:
        """Send a mail from the user's address.

        Args:
            recipients: mail addresses of those it is for.
            subject: its subject line.
            content: its text.
            cc: mail addresses of those who get a copy.
            attachment_paths: paths, in the file system app, of files to attach.

        Returns:
            Id of the mail.
        """
        return self.put(
            "SENT",
            self.user_email,
            recipients,
            subject,
            content,
            attachment_paths=attachment_paths,
            cc=cc or [],
        )

    @tool("agent", write=True)
    def download_attachments(
        self,
        email_id: str,
        folder_name: str = "INBOX",
        path_to_save: str = "Downloads/",
    ) -> list[str]:
        """Save all attachments of a mail as files.

        Args:
            email_id: id of the mail.
            folder_name: folder that the mail is in: INBOX, SENT, DRAFT or TRASH.
            path_to_save: folder, in the file system app, to save them in.

        Returns:
            Paths of the new files; none if nothing is attached.
        """
        email = self.folder(folder_name).get(email_id)
        return [
            self.save(path_to_save, name, content)
            for name, content in (email.attachments or {}).items()
        ]

    @tool("agent", write=True)
    def reply_to_email(
        self,
        email_id: str,
        folder_name: str = "INBOX",
        content: str = "",
        attachment_paths: list[str] | None = None,
    ) -> str:
        """Answer a mail; a mail of the user's own is answered to whom the exchange began with.

        Args:
            email_id: id of the mail to answer.
            folder_name: folder that the mail is in: INBOX, SENT, DRAFT or TRASH.
            content: text of the answer.
            attachment_paths: paths, in the file system app, of files to attach.

        Returns:
            Id of the answer.
        """
        email = self.folder(folder_name).get(email_id)
        return self.put(
            "SENT",
            self.user_email,
            [self._partner(email)],
            "Re: " + email.subject,
            content,
            attachment_paths=attachment_paths,
            parent_id=email.email_id,
        )

    @tool("agent")
    def list_emails(
        self, folder_name: str = "INBOX", offset: int = 0, limit: int = 10
    ) -> ReturnedEmails:
        """List the mails of a folder, newest first.

        Args:
            folder_name: INBOX, SENT, DRAFT or TRASH.
            offset: how many of the newest to skip.
            limit: how many to list at most.

        Returns:
            The mails, the range of positions that they have, and how many the folder holds.
        """
        return self.folder(folder_name).page(offset, limit)

    @tool("agent")
    def get_email_by_id(self, email_id: str, folder_name: str = "INBOX") -> Email:
        """Read a mail; it then counts as read.

        Args:
            email_id: id of the mail.
            folder_name: folder that the mail is in: INBOX, SENT, DRAFT or TRASH.

        Returns:
            The mail.
        """
        email = self.folder(folder_name).get(email_id)
        email.is_read = True
        return email

    @tool("agent")
    def get_email_by_index(self, idx: int, folder_name: str = "INBOX") -> Email:
        """Read the mail at a position of a folder; it then counts as read.

        Args:
            idx: position of the mail; 0 is the newest.
            folder_name: INBOX, SENT, DRAFT or TRASH.

        Returns:
            The mail.
        """
        folder = self.folder(folder_name)
        try:
            email = folder.emails[idx]
        except IndexError:
            count = len(folder.emails)
            raise ToolError(f"{folder.name.value} has {count} mails, none at {idx}") from None
        email.is_read = True
        return email

    @tool("agent", write=True)
    def forward_email(
        self, email_id: str, recipients: list[str] | None = None, folder_name: str = "INBOX"
    ) -> str:
        """Send a mail on, with its attachments.

        Args:
            email_id: id of the mail.
            recipients: mail addresses of those who should get it.
            folder_name: folder that the mail is in: INBOX, SENT, DRAFT or TRASH.

        Returns:
            Id of the new mail.
        """
        email = self.get_email_by_id(email_id, folder_name)
        return self.put(
            "SENT",
            self.user_email,
            recipients,
            "FWD: " + email.subject,
            "> " + email.content,
            parent_id=email.email_id,
            attachments=email.attachments,
        )

    @tool("agent", write=True)
    def move_email(
        self, email_id: str, source_folder_name: str = "INBOX", dest_folder_name: str = "DRAFT"
    ) -> str:
        """Move a mail to another folder.

        Args:
            email_id: id of the mail.
            source_folder_name: folder that the mail is in: INBOX, SENT, DRAFT or TRASH.
            dest_folder_name: folder that it should be in: INBOX, SENT, DRAFT or TRASH.

        Returns:
            Id of the mail.
        """
        source, goal = self.folder(source_folder_name), self.folder(dest_folder_name)
        email = source.get(email_id)
        goal.add(email)
        source.emails.remove(email)
        return email.email_id

    @tool("agent", write=True)
    def delete_email(self, email_id: str, folder_name: str = "INBOX") -> str:
        """Throw a mail away: it goes to the folder TRASH.

        Args:
            email_id: id of the mail.
            folder_name: folder that the mail is in: INBOX, SENT, DRAFT or TRASH.

        Returns:
            Id of the mail.
        """
        folder = self.folder(folder_name)
        email = folder.get(email_id)
        folder.emails.remove(email)
        self.folders[EmailFolderName.TRASH].add(email)
        return email.email_id

    @tool("agent")
    def search_emails(self, query: str, folder_name: str = "INBOX") -> list[Email]:
        """Find the mails of a folder in which a text occurs.

        Looks at sender, recipients, subject and text; capitals make no difference.

        Args:
            query: what to look for.
            folder_name: INBOX, SENT, DRAFT or TRASH.

        Returns:
            The mails, newest first.
        """
        words = query.lower()
        return [email for email in self.folder(folder_name).emails if email.mentions(words)]

    def _partner(self, email: Email) -> str:
        """Return whom an answer to a mail goes to: who sent the first that is not the user's."""
        seen = set()
        while email.sender == self.user_email and email.parent_id:
            if email.email_id in seen:
                raise ToolError(f"the mails before {email.email_id} answer each other in a circle")
            seen.add(email.email_id)
            parent = next(
                (found for f in self.folders.values() if (found := f.find(email.parent_id))), None
            )
            if parent is None:
                raise ToolError(f"there is no mail with id {email.parent_id!r} to answer")
            email = parent
        return email.sender
