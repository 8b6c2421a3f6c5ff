"""Search: what the user wants to know must be found in several places first."""

from __future__ import annotations

from assistant_demo.people import (
    SYSTEM,
    chats,
    city,
    contacts,
    emails,
    flats,
    mail,
    ride,
    rides,
)  # fmt: skip
from assistant_demo.story import Story

__all__ = ["stories"]


def stories() -> list[Story]:
    """Return the stories of this capability."""
    return [_elder_in_lisbon(), _flat_for_a_dog(), _locker_code(), _cab_spending()]


def _elder_in_lisbon() -> Story:
    """Nothing is to be changed; only the answer counts."""
    story = Story("search_elder_in_lisbon", "Search", [
        *SYSTEM,
        contacts("Adaeze Okoro", "Mateo Quispe", "Yuki Tanabe", "Tomasz Wrona"),
    ])  # fmt: skip
    story.user(
        "Which of my contacts who live in Lisbon is the oldest? Answer with the full name only."
    )
    story.reply("Mateo Quispe")
    return story


def _flat_for_a_dog() -> Story:
    """Two apps have to be read to know which apartment to save."""
    story = Story("search_flat_for_a_dog", "Search", [
        *SYSTEM,
        contacts("Leila Farouk"),
        flats(
            ("Quay House", "Bergen", "5003", 1450.0, 2, "Cats and dogs allowed"),
            ("Rope Walk", "Bergen", "5011", 1180.0, 2, "Cats and dogs allowed"),
            ("Net Loft", "Bergen", "5011", 990.0, 2, "No pets"),
            ("Tar Yard", "Bergen", "5018", 1090.0, 2, "Cats and dogs allowed"),
            ("Sail Room", "Bergen", "5003", 1020.0, 1, "Cats and dogs allowed"),
        ),
        city(z5003=(3.1, 12.0), z5011=(4.2, 9.5), z5018=(9.8, 31.0)),
    ])  # fmt: skip
    story.user(
        "Save the cheapest apartment in Bergen with two bedrooms where a dog may live, but only in"
        " a zip code with a violent crime rate below 5. Tell me its name, and nothing else."
    )
    story.agent("RentAFlat", "save_apartment", apartment_id="flat-2")
    story.reply("Rope Walk")
    return story


def _locker_code() -> Story:
    """An email holds what a message has to say."""
    story = Story("search_locker_code", "Search", [
        *SYSTEM,
        contacts("Yuki Tanabe", "Bram Peeters"),
        emails(
            mail("mail-1", "Bram Peeters", "Keys", "The bakery's key hangs behind the clock.",
                 when="2026-02-20 07:00:00"),
            mail("mail-2", "Adaeze Okoro", "Diving gear", "It is in locker 31, the code is 7204.",
                 when="2026-02-22 15:30:00"),
            mail("mail-3", "Tomasz Wrona", "Locker", "I gave up locker 12 last year, code 1188.",
                 when="2026-02-23 11:00:00"),
        ),
        chats("Yuki Tanabe", "Bram Peeters",
              talks={"Yuki Tanabe": [("Yuki Tanabe", "Where is Adaeze's diving gear?")]}),
    ])  # fmt: skip
    story.user(
        "Yuki asked in the chat where the diving gear is. Look it up in my emails and send Yuki a"
        " message: 'Locker 31, code 7204.' with the right figures. Then tell me 'Sent'."
    )
    story.agent("Chats", "send_message", user_id="chat-yuki.tanabe",
                content="Locker 31, code 7204.")  # fmt: skip
    story.reply("Sent")
    return story


def _cab_spending() -> Story:
    """A sum over some of the rides; then one is booked where the dearest went."""
    story = Story("search_cab_spending", "Search", [
        *SYSTEM,
        contacts("Leila Farouk"),
        rides(
            ride(1, "Home", "Airport", 31.0, when="2026-01-30 06:00:00"),
            ride(2, "Home", "Dry dock", 14.5, when="2026-02-04 08:00:00"),
            ride(3, "Dry dock", "Concert hall", 22.0, when="2026-02-11 18:30:00"),
            ride(4, "Concert hall", "Home", 17.0, when="2026-02-11 23:10:00"),
        ),
    ])  # fmt: skip
    story.user(
        "What did my cab rides in February cost altogether? Answer with the number only. And book"
        " a Van from Home to where the dearest of them went, today at 19:00."
    )
    story.agent(
        "Cabs", "order_ride",
        start_location="Home", end_location="Concert hall", service_type="Van",
        ride_time="2026-03-02 19:00:00",
    )  # fmt: skip
    story.reply("53.5")
    return story
