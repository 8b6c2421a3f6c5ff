"""Adaptability: something happens after the first answer, and the plan has to change."""

from __future__ import annotations

from assistant_demo.people import SYSTEM, calendar, chats, contacts, emails, mail, rides, shop
from assistant_demo.story import Story

__all__ = ["stories"]


def stories() -> list[Story]:
    """Return the stories of this capability."""
    return [_lunch_moves(), _order_is_lost(), _cab_is_cancelled()]


def _lunch_moves() -> Story:
    """The guest answers the agent's own email and asks for another time."""
    story = Story("adaptability_lunch_moves", "Adaptability", [
        *SYSTEM,
        contacts("Adaeze Okoro", "Bram Peeters"),
        emails(mail("mail-1", "Adaeze Okoro", "Back in town", "Lunch one of these days?")),
        calendar(),
    ])  # fmt: skip
    ask = story.user(
        "Put lunch with Adaeze into my calendar, Wednesday 12:00 to 13:00, title 'Lunch', and send"
        " her an email with the subject 'Lunch' and the text 'Lunch on Wednesday at 12:00?'. Tell"
        " me 'Invited'. If she asks for another time, move the entry, as long as before, answer her"
        " email with 'Fine with me.' and tell me 'Moved'."
    )
    first = story.agent(
        "Calendar", "add_calendar_event",
        after=ask,
        title="Lunch",
        start_datetime="2026-03-04 12:00:00",
        end_datetime="2026-03-04 13:00:00",
        attendees=["Adaeze Okoro"],
    )  # fmt: skip
    invitation = story.agent(
        "Emails", "send_email",
        after=ask,
        recipients=["adaeze.okoro@postbox.example"],
        subject="Lunch",
        content="Lunch on Wednesday at 12:00?",
    )  # fmt: skip
    story.reply("Invited", after=[first, invitation])
    answer = story.env(
        "Emails", "reply_to_email_from_user",
        delay=60,
        sender="adaeze.okoro@postbox.example",
        email_id=f"{{{{{invitation}}}}}",
        content="Could we make it 13:30 on the same day?",
    )  # fmt: skip
    removed = story.agent("Calendar", "delete_calendar_event", event_id=f"{{{{{first}}}}}")
    second = story.agent(
        "Calendar", "add_calendar_event",
        after=removed,
        title="Lunch",
        start_datetime="2026-03-04 13:30:00",
        end_datetime="2026-03-04 14:30:00",
        attendees=["Adaeze Okoro"],
    )  # fmt: skip
    thanks = story.agent(
        "Emails", "reply_to_email",
        after=answer, email_id=f"{{{{{answer}}}}}", folder_name="INBOX", content="Fine with me.",
    )  # fmt: skip
    story.reply("Moved", after=[second, thanks])
    return story


def _order_is_lost() -> Story:
    """The shop cancels what the agent ordered; there is a second choice."""
    story = Story("adaptability_order_is_lost", "Adaptability", [
        *SYSTEM,
        contacts("Mateo Quispe"),
        shop({
            "Guitar strings": [
                ("strings-silk", 18.0, {"kind": "silk and steel"}),
                ("strings-nylon", 11.0, {"kind": "nylon"}),
            ],
        }),
    ])  # fmt: skip
    story.user(
        "Order one set of silk and steel guitar strings and tell me 'Ordered'. Should the shop"
        " cancel the order, order a set of nylon strings instead and tell me 'Ordered nylon'."
    )
    story.agent("Shopping", "add_to_cart", item_id="strings-silk", quantity=1)
    order = story.agent("Shopping", "checkout")
    story.reply("Ordered")
    story.env("Shopping", "update_order_status", delay=120, order_id=f"{{{{{order}}}}}",
              status="cancelled")  # fmt: skip
    story.agent("Shopping", "add_to_cart", item_id="strings-nylon", quantity=1)
    story.agent("Shopping", "checkout")
    story.reply("Ordered nylon")
    return story


def _cab_is_cancelled() -> Story:
    """The driver cancels; another cab is needed, and somebody has to know. Then one thing more."""
    story = Story("adaptability_cab_is_cancelled", "Adaptability", [
        *SYSTEM,
        contacts("Leila Farouk"),
        rides(),
        chats("Leila Farouk"),
    ])  # fmt: skip
    story.user(
        "Book a Default cab from Home to Concert hall, today at 18:00, and tell me 'Booked'. If the"
        " driver cancels, book a Premium one for the same ride, send Leila the chat message 'I may"
        " be late.' and tell me 'Booked again'."
    )
    story.agent(
        "Cabs", "order_ride",
        start_location="Home", end_location="Concert hall", service_type="Default",
        ride_time="2026-03-02 18:00:00",
    )  # fmt: skip
    story.reply("Booked")
    lost = story.env("Cabs", "cancel_ride", delay=90, who_cancel="driver",
                     message="Flat tyre, sorry.")  # fmt: skip
    again = story.agent(
        "Cabs", "order_ride",
        start_location="Home", end_location="Concert hall", service_type="Premium",
        ride_time="2026-03-02 18:00:00",
    )  # fmt: skip
    late = story.agent(
        "Chats", "send_message", after=lost, user_id="chat-leila.farouk", content="I may be late."
    )
    story.reply("Booked again", after=[again, late])
    story.user("She stays at home today. Cancel the cab and tell me 'Cancelled'.", delay=60)
    story.agent("Cabs", "user_cancel_ride")
    story.reply("Cancelled")
    return story
