"""How the arguments of each tool are judged, as data.

`ARGUMENTS` says for each tool which arguments count and how each is compared: by one of the checks
in `checks.CHECKS`, or ``soft``: by a model, unless both texts are the same. Arguments that are not
named do not count. `SOFT_CHECKS` says what the model is asked of a tool's soft arguments, in this
order. `ALIASES` gives the other names that an app's class goes by.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ALIASES", "ARGUMENTS", "SOFT_CHECKS", "Rule", "class_of", "rule_of"]

ARGUMENTS: dict[str, dict[str, dict[str, str]]] = {
    "AgentUserInterface": {
        "send_message_to_user": {"content": "soft"},
    },
    "ApartmentListingApp": {
        "save_apartment": {"apartment_id": "eq"},
        "remove_saved_apartment": {"apartment_id": "eq"},
    },
    "CabApp": {
        "order_ride": {
            "start_location": "soft",
            "end_location": "soft",
            "service_type": "eq",
            "ride_time": "datetime",
        },
        "user_cancel_ride": {},
    },
    "CalendarApp": {
        "add_calendar_event": {
            "attendees": "list_attendees",
            "end_datetime": "datetime",
            "start_datetime": "datetime",
            "title": "soft",
            "description": "soft",
            "location": "soft",
        },
        "delete_calendar_event": {"event_id": "eq"},
    },
    "ContactsApp": {
        "add_new_contact": {
            "first_name": "eq_str_strip",
            "last_name": "eq_str_strip",
            "email": "eq_str_strip",
            "phone": "phone",
        },
        "edit_contact": {"contact_id": "eq", "updates": "soft"},
        "delete_contact": {"contact_id": "eq"},
    },
    "EmailClientApp": {
        "send_email": {
            "recipients": "unordered_list",
            "cc": "unordered_list",
            "attachment_paths": "unordered_path_list",
            "subject": "soft",
            "content": "soft",
        },
        "reply_to_email": {
            "email_id": "eq",
            "content": "soft",
            "attachment_paths": "unordered_path_list",
        },
        "forward_email": {
            "email_id": "eq",
            "recipients": "unordered_list",
            "folder_name": "eq",
        },
        "move_email": {
            "email_id": "eq",
            "source_folder_name": "path",
            "dest_folder_name": "path",
        },
        "delete_email": {"email_id": "eq"},
        "download_attachments": {
            "email_id": "eq",
            "folder_name": "eq",
            "path_to_save": "path",
        },
    },
    "MessagingApp": {
        "create_conversation": {"participants": "unordered_list"},
        "send_message": {"conversation_id": "eq", "content": "soft"},
        "add_participant_to_conversation": {"conversation_id": "eq", "participant": "eq"},
        "remove_participant_from_conversation": {"conversation_id": "eq", "participant": "eq"},
    },
    "MessagingAppV2": {
        "send_message": {"user_id": "eq", "content": "soft", "attachment_path": "path"},
        "send_message_to_group_conversation": {
            "conversation_id": "eq",
            "content": "soft",
            "attachment_path": "path",
        },
        "create_group_conversation": {"user_ids": "unordered_list", "title": "soft"},
        "change_conversation_title": {"conversation_id": "eq", "title": "soft"},
        "add_participant_to_conversation": {"conversation_id": "eq", "user_id": "eq"},
        "remove_participant_from_conversation": {"conversation_id": "eq", "user_id": "eq"},
    },
    "SandboxLocalFileSystem": {
        "open": {"path": "path", "mode": "eq"},
        "mkdir": {"path": "path"},
        "mv": {"path1": "path", "path2": "path"},
        "rm": {"path": "path", "recursive": "eq"},
        "rmdir": {"path": "path"},
    },
    "ShoppingApp": {
        "add_to_cart": {"item_id": "eq", "quantity": "eq"},
        "remove_from_cart": {"item_id": "eq", "quantity": "eq"},
        "checkout": {"discount_code": "eq_str_strip"},
        "cancel_order": {"order_id": "eq"},
    },
    "VirtualFileSystem": {
        "open": {"path": "path", "mode": "eq"},
        "mkdir": {"path": "path", "create_recursive": "eq"},
        "mv": {"path1": "path", "path2": "path"},
        "rm": {"path": "path", "recursive": "eq"},
        "rmdir": {"path": "path"},
    },
}

SOFT_CHECKS: dict[str, dict[str, tuple[str, ...]]] = {
    "AgentUserInterface": {"send_message_to_user": ("sanity", "user_message")},
    "CabApp": {"order_ride": ("cab",)},
    "CalendarApp": {"add_calendar_event": ("event",)},
    "EmailClientApp": {
        "send_email": ("placeholder", "signature", "tone", "email"),
        "reply_to_email": ("placeholder", "signature", "tone", "email"),
    },
    "MessagingApp": {"send_message": ("placeholder", "tone", "message")},
    "MessagingAppV2": {
        "send_message": ("placeholder", "tone", "message"),
        "send_message_to_group_conversation": ("placeholder", "tone", "message"),
    },
}
"""Of a tool that is not named here, the model is asked for ``content`` alone."""

ALIASES: dict[str, str] = {
    "Cabs": "CabApp",
    "Calendar": "CalendarApp",
    "Chats": "MessagingAppV2",
    "Contacts": "ContactsApp",
    "EmailClientV2": "EmailClientApp",
    "Emails": "EmailClientApp",
    "Files": "SandboxLocalFileSystem",
    "Mail": "EmailClientApp",
    "Messages": "MessagingAppV2",
    "RentAFlat": "ApartmentListingApp",
    "Shopping": "ShoppingApp",
}


@dataclass(frozen=True)
class Rule:
    """How the calls of one tool are judged.

    Attributes:
        hard: the check of each argument that needs no model.
        soft: arguments that a model compares.
        soft_checks: what the model is asked.
    """

    hard: Mapping[str, str]
    soft: tuple[str, ...]
    soft_checks: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """All arguments that count."""
        return (*self.hard, *self.soft)


def class_of(name: str) -> str:
    """Return the name under which the tables know an app's class."""
    return ALIASES.get(name, name)


@functools.cache
def rule_of(app_class: str, function: str) -> Rule | None:
    """Return how a tool is judged, or None where the tables do not know it."""
    name = class_of(app_class)
    checks = ARGUMENTS.get(name, {}).get(function)
    if checks is None:
        return None
    return Rule(
        hard={argument: check for argument, check in checks.items() if check != "soft"},
        soft=tuple(argument for argument, check in checks.items() if check == "soft"),
        soft_checks=SOFT_CHECKS.get(name, {}).get(function, ("content",)),
    )
