"""What agents are told of what happens in their world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from pytest_a2perf.domains.assistant.world.happening import Happening

__all__ = ["VERBOSITIES", "Notification", "Verbosity", "notification_of", "timeout_of"]

Verbosity = Literal["low", "medium", "high"]
VERBOSITIES: tuple[Verbosity, ...] = get_args(Verbosity)
"""From messages of the user only, over what an agent's doings may cause, to nearly everything."""


@dataclass(frozen=True, slots=True)
class Notification:
    """Something new.

    Attributes:
        kind: a message of the ``user``, or news of the ``environment``.
        text: what the user has written, or what has happened and in which class of app.
        time: simulated, in seconds since 1970.
        attachments: what came with the user's message, file by file.
    """

    kind: Literal["user", "environment"]
    text: str
    time: float
    attachments: tuple[dict[str, Any], ...] = ()


class _Rule(NamedTuple):
    classes: tuple[str, ...]
    verbosity: Verbosity
    text: str
    own: bool = True
    """Whether agents are also told when they did it themselves."""


_MAIL = ("EmailClientApp", "EmailClientV2", "Mail", "Emails")
_CHAT = ("MessagingApp", "MessagingAppV2", "Messages", "Chats")
_SHOP = ("ShoppingApp", "Shopping")
_FLATS = ("ApartmentListingApp", "RentAFlat")
_CABS = ("CabApp",)
_CALENDAR = ("CalendarApp", "Calendar")

_RULES: dict[str, _Rule] = {
    "create_and_add_email": _Rule(_MAIL, "medium", "new email from {sender}"),
    "send_email_to_user_only": _Rule(_MAIL, "medium", "new email from {sender}"),
    "reply_to_email_from_user": _Rule(_MAIL, "medium", "new email"),
    "create_and_add_message": _Rule(
        _CHAT, "medium", "new message in conversation {conversation_id}"
    ),
    "cancel_order": _Rule(_SHOP, "medium", "order {order_id} was cancelled", own=False),
    "update_order_status": _Rule(_SHOP, "medium", "order {order_id} was updated"),
    "add_product": _Rule(_SHOP, "high", "new product {name}"),
    "add_item_to_product": _Rule(_SHOP, "high", "new item of product {product_id}"),
    "add_discount_code": _Rule(_SHOP, "high", "new discount code for item {item_id}"),
    "add_new_apartment": _Rule(_FLATS, "high", "new apartment {name}"),
    "cancel_ride": _Rule(_CABS, "medium", "the ride was cancelled", own=False),
    "user_cancel_ride": _Rule(_CABS, "medium", "the ride was cancelled", own=False),
    "end_ride": _Rule(_CABS, "medium", "the ride is over"),
    "update_ride_status": _Rule(_CABS, "high", "the status of the ride was updated"),
    "add_calendar_event_by_attendee": _Rule(_CALENDAR, "medium", "{who_add} added an event"),
    "delete_calendar_event_by_attendee": _Rule(
        _CALENDAR, "medium", "{who_delete} deleted an event"
    ),
}


def notification_of(happening: Happening, verbosity: Verbosity, now: float) -> Notification | None:
    """Return what an agent is told of something that has happened; None: nothing.

    Nobody is told of what was tried but failed, whereas ARE tells of it as if it had happened.

    Args:
        happening: what has happened.
        verbosity: how much is told.
        now: in seconds since 1970.
    """
    if happening.failed:
        return None
    arguments = happening.arguments
    if (happening.app_class, happening.function) == ("AgentUserInterface", "send_message_to_agent"):
        files = arguments.get("base64_utf8_encoded_attachment_contents") or ()
        return Notification("user", arguments["content"], now, tuple(files))
    rule = _RULES.get(happening.function)
    if (
        rule is None
        or happening.app_class not in rule.classes
        or VERBOSITIES.index(rule.verbosity) > VERBOSITIES.index(verbosity)
        or (happening.kind == "AGENT" and not rule.own)
    ):
        return None
    text = rule.text.format_map(arguments)
    return Notification("environment", f"{happening.app_class}: {text}", now)


def timeout_of(seconds: float, now: float) -> Notification:
    """Return what an agent is told that has waited for news in vain."""
    return Notification("environment", f"SystemApp: nothing new for {seconds:g} seconds", now)
