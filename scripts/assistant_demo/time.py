"""Time: when something is done decides whether it is right."""

from __future__ import annotations

from assistant_demo.people import SYSTEM, calendar, chats, contacts, emails, meeting
from assistant_demo.story import Story

__all__ = ["stories"]

_DURATION = 420


def stories() -> list[Story]:
    """Return the stories of this capability."""
    return [_three_minutes(), _before_the_call(), _no_answer(), _answer_in_time()]


def _three_minutes() -> Story:
    """A delay, in a window around it."""
    story = Story("time_three_minutes", "Time", [
        *SYSTEM,
        contacts("Mateo Quispe"),
        chats("Mateo Quispe"),
    ], duration=_DURATION)  # fmt: skip
    story.user(
        "In three minutes from now, send Mateo the chat message 'The eggs are done.' Then tell me"
        " 'Sent'."
    )
    story.agent("Chats", "send_message", delay=180, user_id="chat-mateo.quispe",
                content="The eggs are done.")  # fmt: skip
    story.reply("Sent")
    return story


def _before_the_call() -> Story:
    """A moment that is the latest, and one that is exact."""
    story = Story("time_before_the_call", "Time", [
        *SYSTEM,
        contacts("Tomasz Wrona", "Bram Peeters"),
        emails(),
        calendar(meeting("event-1", "Call about the hull", "2026-03-02 09:05:00",
                         "2026-03-02 09:20:00", "Tomasz Wrona")),
    ], duration=_DURATION)  # fmt: skip
    ask = story.user(
        "Before 09:02 send Tomasz an email with the subject 'Drawings' and the text 'The drawings"
        " are on their way.' When the call in my calendar begins, delete its entry. Then tell me"
        " 'All set'."
    )
    story.agent(
        "Emails", "send_email",
        at="2026-03-02 09:02:00", comparator="LESS_THAN",
        recipients=["tomasz.wrona@postbox.example"],
        subject="Drawings",
        content="The drawings are on their way.",
    )  # fmt: skip
    gone = story.agent(
        "Calendar", "delete_calendar_event", after=[ask, "agent-1"], at="2026-03-02 09:05:00",
        comparator="EQUAL", event_id="event-1",
    )  # fmt: skip
    story.reply("All set", after=gone)
    return story


def _no_answer() -> Story:
    """Nobody answers, so that somebody else is asked, not before two minutes have passed."""
    story = Story("time_no_answer", "Time", [
        *SYSTEM,
        contacts("Leila Farouk", "Adaeze Okoro"),
        chats("Leila Farouk", "Adaeze Okoro"),
    ], duration=_DURATION)  # fmt: skip
    story.user(
        "Send Leila the chat message 'Can you proofread a page?'. If she has not answered after"
        " two minutes, send the same to Adaeze. Tell me 'Asked' at the end."
    )
    story.agent("Chats", "send_message", user_id="chat-leila.farouk",
                content="Can you proofread a page?")  # fmt: skip
    story.agent("Chats", "send_message", delay=120, comparator="GREATER_THAN",
                user_id="chat-adaeze.okoro", content="Can you proofread a page?")  # fmt: skip
    story.reply("Asked")
    return story


def _answer_in_time() -> Story:
    """An answer comes while the agent waits, and ends the waiting."""
    story = Story("time_answer_in_time", "Time", [
        *SYSTEM,
        contacts("Yuki Tanabe", "Bram Peeters"),
        chats("Yuki Tanabe", "Bram Peeters", talks={
            "Bram Peeters": [("Bram Peeters", "Rye or wheat? I can keep one loaf until ten.")],
        }),
    ], duration=_DURATION)  # fmt: skip
    ask = story.user(
        "Bram will write in the chat which bread is left. Wait for it; when he has written, answer"
        " him at once with 'I take it.' Then tell me 'Bread is kept'."
    )
    left = story.env("Chats", "create_and_add_message", after=ask, delay=100,
                     conversation_id="talk-1", sender_id="chat-bram.peeters",
                     content="Only rye is left.")  # fmt: skip
    story.agent("Chats", "send_message", after=left, delay=2, comparator="LESS_THAN",
                user_id="chat-bram.peeters", content="I take it.")  # fmt: skip
    story.reply("Bread is kept")
    return story
