"""Execution: several things to change in several apps, some of them with each other's results."""

from __future__ import annotations

from assistant_demo.people import (
    SYSTEM,
    calendar,
    chats,
    contacts,
    emails,
    files,
    mail,
    meeting,
    shop,
)  # fmt: skip
from assistant_demo.story import Story

__all__ = ["stories"]


def stories() -> list[Story]:
    """Return the stories of this capability."""
    return [_canal_walk(), _new_neighbour(), _invoices(), _tea_order()]


def _canal_walk() -> Story:
    """A calendar entry with attendees, and an email to both of them, in any order."""
    story = Story("execution_canal_walk", "Execution", [
        *SYSTEM,
        contacts("Bram Peeters", "Leila Farouk", "Tomasz Wrona"),
        emails(mail("mail-1", "Bram Peeters", "Legs", "I could do with a long walk this week.")),
        calendar(meeting("event-1", "Site visit", "2026-03-03 10:00:00", "2026-03-03 12:00:00",
                         "Tomasz Wrona", location="Dry dock")),
    ])  # fmt: skip
    ask = story.user(
        "Put a canal walk with Bram and Leila into my calendar: tomorrow from 17:00 to 18:30, meet"
        " at the Lift Bridge. Send them one email together, with the subject 'Canal walk' and the"
        " text 'Canal walk tomorrow at 17:00, meet at the Lift Bridge.' Tell me 'Done' when it is"
        " all done."
    )
    entry = story.agent(
        "Calendar", "add_calendar_event",
        after=ask,
        title="Canal walk",
        start_datetime="2026-03-03 17:00:00",
        end_datetime="2026-03-03 18:30:00",
        location="Lift Bridge",
        attendees=["Bram Peeters", "Leila Farouk"],
    )  # fmt: skip
    invitation = story.agent(
        "Emails", "send_email",
        after=ask,
        recipients=["bram.peeters@postbox.example", "leila.farouk@postbox.example"],
        subject="Canal walk",
        content="Canal walk tomorrow at 17:00, meet at the Lift Bridge.",
    )  # fmt: skip
    story.reply("Done", after=[entry, invitation])
    return story


def _new_neighbour() -> Story:
    """A contact with a phone number, a group chat, and a message to the group just made."""
    story = Story("execution_new_neighbour", "Execution", [
        *SYSTEM,
        contacts("Mateo Quispe", "Adaeze Okoro"),
        chats("Mateo Quispe", "Adaeze Okoro",
              talks={"Mateo Quispe": [("Mateo Quispe", "Is the terrace free on Friday?")]}),
    ])  # fmt: skip
    ask = story.user(
        "Add my new neighbour Rosa Lindqvist to my contacts, phone +46 555 019 90, email"
        " rosa.lindqvist@postbox.example. Then make a group chat 'Terrace' with Mateo and Adaeze,"
        " write 'Rosa joins us on the terrace on Friday.' there, and tell me 'Rosa is in'."
    )
    story.agent(
        "Contacts", "add_new_contact",
        first_name="Rosa",
        last_name="Lindqvist",
        phone="+46 555 019 90",
        email="rosa.lindqvist@postbox.example",
    )  # fmt: skip
    group = story.agent(
        "Chats", "create_group_conversation",
        after=ask,
        user_ids=["chat-mateo.quispe", "chat-adaeze.okoro"],
        title="Terrace",
    )  # fmt: skip
    message = story.agent(
        "Chats", "send_message_to_group_conversation",
        conversation_id=f"{{{{{group}}}}}",
        content="Rosa joins us on the terrace on Friday.",
    )  # fmt: skip
    story.reply("Rosa is in", after=["agent-1", message])
    return story


def _invoices() -> Story:
    """A folder to make, an attachment to put there, another folder to rename, an email to bin."""
    story = Story("execution_invoices", "Execution", [
        *SYSTEM,
        contacts("Tomasz Wrona"),
        emails(
            mail("mail-1", "Tomasz Wrona", "Invoice for the hull", "Please find it attached.",
                 attachments={"hull.txt": "Invoice 26-014: 1,840.00"}),
            mail("mail-2", "Tomasz Wrona", "Wrong invoice, ignore", "Please delete this one.",
                 when="2026-02-27 08:00:00", attachments={"old.txt": "Invoice 26-013: 0.00"}),
        ),
        files("Documents", "Scans"),
    ])  # fmt: skip
    ask = story.user(
        "Make a folder /Documents/Invoices, save the attachment of Tomasz' invoice for the hull"
        " there, rename the folder /Scans to /Old scans, and delete his email with the wrong"
        " invoice. Then tell me 'Invoices are filed'."
    )
    story.agent("Files", "mkdir", path="/Documents/Invoices")
    saved = story.agent(
        "Emails", "download_attachments",
        email_id="mail-1", folder_name="INBOX", path_to_save="/Documents/Invoices",
    )  # fmt: skip
    moved = story.agent("Files", "mv", after=ask, path1="/Scans", path2="/Old scans",
                        recursive=True)  # fmt: skip
    binned = story.agent(
        "Emails", "delete_email", after=ask, email_id="mail-2", folder_name="INBOX"
    )
    story.reply("Invoices are filed", after=[saved, moved, binned])
    return story


def _tea_order() -> Story:
    """An order with a discount; a turn later it is shipped, and then there is one to cancel."""
    story = Story("execution_tea_order", "Execution", [
        *SYSTEM,
        contacts("Yuki Tanabe"),
        shop({
            "Loose leaf tea": [
                ("tea-green", 9.5, {"kind": "green", "grams": "100"}),
                ("tea-smoked", 12.0, {"kind": "smoked", "grams": "100"}),
            ],
            "Enamel pot": [("pot-blue", 24.0, {"colour": "blue"})],
        }, discounts={"tea-smoked": {"LEAF10": 10.0}}),
    ])  # fmt: skip
    story.user(
        "Order two packets of smoked tea with the discount code LEAF10, then tell me 'Ordered'."
    )
    story.agent("Shopping", "add_to_cart", item_id="tea-smoked", quantity=2)
    order = story.agent("Shopping", "checkout", discount_code="LEAF10")
    story.reply("Ordered")
    story.user("Thank you. Yuki brings some, please cancel that order and tell me 'Cancelled'.",
               delay=30)  # fmt: skip
    story.agent("Shopping", "cancel_order", order_id=f"{{{{{order}}}}}")
    story.reply("Cancelled")
    return story
