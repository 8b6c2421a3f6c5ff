"""The people of the demo suite, all invented, and the apps that hold what is theirs."""

from __future__ import annotations

import base64
from typing import Any

from assistant_demo.story import stamp

__all__ = [
    "SYSTEM", "calendar", "chats", "city", "contacts", "emails", "files", "flats", "mail",
    "meeting", "ride", "rides", "shop",
]  # fmt: skip

_USER = "Ines Halvorsen"
_PEOPLE: dict[str, dict[str, Any]] = {
    # name: phone, city, job, age
    _USER: {"phone": "+47 5550 1001", "city_living": "Bergen", "job": "Architect", "age": 38},
    "Tomasz Wrona": {"phone": "+48 555 010 22", "city_living": "Gdansk", "job": "Boat builder",
                     "age": 51},
    "Adaeze Okoro": {"phone": "+351 555 0133", "city_living": "Lisbon", "job": "Marine biologist",
                     "age": 34},
    "Bram Peeters": {"phone": "+32 555 01 44", "city_living": "Ghent", "job": "Baker", "age": 45},
    "Leila Farouk": {"phone": "+20 5550 0155", "city_living": "Cairo", "job": "Translator",
                     "age": 29},
    "Mateo Quispe": {"phone": "+51 555 0166", "city_living": "Lisbon", "job": "Guitarist",
                     "age": 41},
    "Yuki Tanabe": {"phone": "+81 55 5501 77", "city_living": "Nagano", "job": "Geologist",
                    "age": 36},
    "Bram de Wit": {"phone": "+31 555 0188", "city_living": "Utrecht", "job": "Notary", "age": 60},
}  # fmt: skip

SYSTEM: list[dict[str, Any]] = [
    {
        "name": "AgentUserInterface",
        "class_name": "AgentUserInterface",
        "app_state": {"messages": []},
    },
    {"name": "SystemApp", "class_name": "SystemApp", "app_state": {}},
]
"""The apps that every world has."""


def _short(name: str) -> str:
    return name.lower().replace(" ", ".")


def contacts(*names: str) -> dict[str, Any]:
    """Return the contacts of the user: the user and whoever is named."""
    people = {}
    for name in (_USER, *names):
        first, _, last = name.partition(" ")
        people[f"contact-{_short(name)}"] = {
            "first_name": first,
            "last_name": last,
            "contact_id": f"contact-{_short(name)}",
            "is_user": name == _USER,
            "gender": "Unknown",
            "nationality": "",
            "country": "",
            "status": "Employed",
            "description": "",
            "email": f"{_short(name)}@postbox.example",
            "address": "",
            **_PEOPLE[name],
        }
    return {
        "name": "Contacts",
        "class_name": "ContactsApp",
        "app_state": {"contacts": people, "view_limit": 10},
    }


def mail(
    email_id: str,
    sender: str,
    subject: str,
    content: str,
    *,
    when: str = "2026-03-01 18:20:00",
    attachments: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return an email to the user; attachments are text by name."""
    return {
        "sender": f"{_short(sender)}@postbox.example",
        "recipients": [f"{_short(_USER)}@postbox.example"],
        "subject": subject,
        "content": content,
        "email_id": email_id,
        "parent_id": None,
        "cc": [],
        "attachments": {
            name: base64.b64encode(text.encode()).decode()
            for name, text in (attachments or {}).items()
        },
        "timestamp": stamp(when),
        "is_read": False,
    }


def emails(*inbox: dict[str, Any]) -> dict[str, Any]:
    """Return the user's mailbox; the newest email comes first."""
    held = {"INBOX": sorted(inbox, key=lambda email: email["timestamp"], reverse=True)}
    return {
        "name": "Emails",
        "class_name": "EmailClientV2",
        "app_state": {
            "user_email": f"{_short(_USER)}@postbox.example",
            "view_limit": 5,
            "folders": {
                folder: {"folder_name": folder, "emails": held.get(folder, [])}
                for folder in ("INBOX", "SENT", "DRAFT", "TRASH")
            },
        },
    }


def chats(*names: str, talks: dict[str, list[tuple[str, str]]] | None = None) -> dict[str, Any]:
    """Return the chat app, whose users' ids are ``chat-`` and their names.

    Args:
        names: whom the user can write to.
        talks: for a name, or several with commas between, what was said: (who, what).
    """
    ids = {name: f"chat-{_short(name)}" for name in (_USER, *names)}
    conversations = {}
    for number, (members, lines) in enumerate((talks or {}).items(), 1):
        conversation = f"talk-{number}"
        when = stamp(f"2026-03-01 1{number}:00:00")
        conversations[conversation] = {
            "participant_ids": [ids[name] for name in (_USER, *members.split(", "))],
            "messages": [
                {
                    "sender_id": ids[who],
                    "message_id": f"{conversation}-{index}",
                    "timestamp": when + 60 * index,
                    "content": what,
                }
                for index, (who, what) in enumerate(lines)
            ],
            "title": members,
            "conversation_id": conversation,
            "last_updated": when + 60 * (len(lines) - 1),
        }
    return {
        "name": "Chats",
        "class_name": "MessagingAppV2",
        "app_state": {
            "conversations": conversations,
            "messages_view_limit": 10,
            "conversation_view_limit": 5,
            "mode": "NAME",
            "name_to_id": ids,
            "id_to_name": {user: name for name, user in ids.items()},
            "current_user_id": ids[_USER],
            "current_user_name": _USER,
        },
    }


def meeting(
    event_id: str, title: str, start: str, end: str, *attendees: str, location: str = ""
) -> dict[str, Any]:
    """Return an entry of the calendar."""
    return {
        "event_id": event_id,
        "title": title,
        "start_datetime": stamp(start),
        "end_datetime": stamp(end),
        "tag": None,
        "description": None,
        "location": location or None,
        "attendees": list(attendees),
    }


def calendar(*meetings: dict[str, Any]) -> dict[str, Any]:
    """Return the user's calendar."""
    return {
        "name": "Calendar",
        "class_name": "CalendarApp",
        "app_state": {"events": {event["event_id"]: event for event in meetings}},
    }


def shop(
    products: dict[str, list[tuple[str, float, dict[str, str]]]],
    discounts: dict[str, dict[str, float]] | None = None,
) -> dict[str, Any]:
    """Return a shop: of each product the items (id, price, options); percentages off by item."""
    return {
        "name": "Shopping",
        "class_name": "ShoppingApp",
        "app_state": {
            "products": {
                f"product-{number}": {
                    "name": name,
                    "product_id": f"product-{number}",
                    "variants": {
                        item: {
                            "price": price,
                            "available": True,
                            "item_id": item,
                            "options": options,
                        }
                        for item, price, options in items
                    },
                }
                for number, (name, items) in enumerate(products.items(), 1)
            },
            "discount_codes": discounts or {},
            "cart": {},
            "orders": {},
        },
    }


def ride(number: int, start: str, end: str, price: float, *, when: str) -> dict[str, Any]:
    """Return a ride of the past."""
    return {
        "ride_id": f"ride-{number}",
        "status": "COMPLETED",
        "service_type": "Default",
        "start_location": start,
        "end_location": end,
        "price": price,
        "duration": 12.0,
        "time_stamp": stamp(when),
        "distance_km": 8.0,
        "delay": 3.0,
        "delay_history": [],
    }


def rides(*history: dict[str, Any]) -> dict[str, Any]:
    """Return the cab app with the rides of the past."""
    services = {"Default": (4, 1.0, 5), "Premium": (4, 2.0, 3), "Van": (6, 1.5, 7)}
    return {
        "name": "Cabs",
        "class_name": "CabApp",
        "app_state": {
            "ride_history": list(history),
            "quotation_history": [],
            "d_service_config": {
                name: {
                    "nb_seats": seats,
                    "price_per_km": price,
                    "base_delay_min": delay,
                    "max_distance_km": 25,
                }
                for name, (seats, price, delay) in services.items()
            },
        },
    }


def flats(*listing: tuple[str, str, str, float, int, str]) -> dict[str, Any]:
    """Return apartments: (name, city, zip code, price, bedrooms, pet policy)."""
    return {
        "name": "RentAFlat",
        "class_name": "RentAFlat",
        "app_state": {
            "apartments": {
                f"flat-{number}": {
                    "name": name,
                    "location": place,
                    "zip_code": zip_code,
                    "price": price,
                    "bedrooms": bedrooms,
                    "bathrooms": 1,
                    "property_type": "Apartment",
                    "square_footage": 500 + 150 * bedrooms,
                    "furnished_status": "Unfurnished",
                    "floor_level": "Upper floors",
                    "pet_policy": pets,
                    "lease_term": "1 year",
                    "amenities": ["Laundry"],
                    "saved": False,
                }
                for number, (name, place, zip_code, price, bedrooms, pets) in enumerate(listing, 1)
            },
            "saved_apartments": [],
        },
    }


def city(**crime: tuple[float, float]) -> dict[str, Any]:
    """Return the city's figures: by zip code (``z`` before it), violent and property crime."""
    return {
        "name": "City",
        "class_name": "CityApp",
        "app_state": {
            "crime_data": {
                zip_code.removeprefix("z"): {"violent_crime": violent, "property_crime": other}
                for zip_code, (violent, other) in crime.items()
            },
            "api_call_limit": 100,
        },
    }


def files(*folders: str) -> dict[str, Any]:
    """Return a file system with empty folders, all directly below the root."""
    children = [{"name": name, "type": "directory", "children": []} for name in folders]
    return {
        "name": "Files",
        "class_name": "SandboxLocalFileSystem",
        "app_state": {
            "files": {"name": "", "type": "directory", "children": children},
            "tmpdir": "",
        },
    }
