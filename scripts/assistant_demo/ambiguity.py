"""Ambiguity: what the user says fits more than one thing, so that the agent has to ask."""

from __future__ import annotations

from assistant_demo.people import SYSTEM, calendar, chats, contacts, emails, meeting
from assistant_demo.story import Story

__all__ = ["stories"]


def stories() -> list[Story]:
    """Return the stories of this capability."""
    return [_which_bram(), _which_fitting()]


def _which_bram() -> Story:
    """Two people have the same first name."""
    story = Story("ambiguity_which_bram", "Ambiguity", [
        *SYSTEM,
        contacts("Bram Peeters", "Bram de Wit", "Leila Farouk"),
        chats("Bram Peeters", "Bram de Wit", "Leila Farouk"),
    ])  # fmt: skip
    story.user(
        "Send Bram the chat message 'The deed is signed.' and tell me 'Sent'. If anything is"
        " unclear, change nothing and ask me 'Which one?'."
    )
    story.reply("Which one?")
    story.user("The notary.", delay=20)
    story.agent("Chats", "send_message", user_id="chat-bram.de.wit",
                content="The deed is signed.")  # fmt: skip
    story.reply("Sent")
    return story


def _which_fitting() -> Story:
    """Two entries of the calendar are called the same."""
    story = Story("ambiguity_which_fitting", "Ambiguity", [
        *SYSTEM,
        contacts("Tomasz Wrona", "Adaeze Okoro"),
        emails(),
        calendar(
            meeting("event-1", "Fitting", "2026-03-05 09:00:00", "2026-03-05 10:00:00",
                    "Tomasz Wrona", location="Dry dock"),
            meeting("event-2", "Fitting", "2026-03-06 15:00:00", "2026-03-06 16:00:00",
                    "Adaeze Okoro", location="Dive shop"),
        ),
    ])  # fmt: skip
    story.user(
        "Delete the fitting from my calendar, send who would have come an email with the subject"
        " 'Fitting' and the text 'I cannot make it.', and tell me 'Deleted'. If anything is"
        " unclear, change nothing and ask me 'Which one?'."
    )
    story.reply("Which one?")
    answer = story.user("The one at the dive shop.", delay=20)
    gone = story.agent("Calendar", "delete_calendar_event", event_id="event-2")
    told = story.agent(
        "Emails", "send_email",
        after=answer,
        recipients=["adaeze.okoro@postbox.example"],
        subject="Fitting",
        content="I cannot make it.",
    )  # fmt: skip
    story.reply("Deleted", after=[gone, told])
    return story
