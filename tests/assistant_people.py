"""Apps of people, as scenarios describe them, and a clock that stands still until it is moved."""

from __future__ import annotations

import copy

from pytest_a2perf.domains.assistant.apps.registry import make_app
from pytest_a2perf.domains.assistant.apps.tools import tools_of
from pytest_a2perf.domains.assistant.trace.models import App as AppSpec

NOW = 1728975600.0
"""Tuesday, 15 October 2024, 07:00 UTC."""
HOUR = 3600.0

MAIL = {
    "sender": "ann@example.com",
    "recipients": ["me@example.com"],
    "subject": "Lunch",
    "content": "At noon?",
    "email_id": "m1",
    "parent_id": None,
    "cc": [],
    "attachments": {"menu.txt": "c291cA=="},
    "timestamp": NOW - HOUR,
    "is_read": False,
}
CONTACT = {
    "first_name": "Ann",
    "last_name": "Bell",
    "contact_id": "c1",
    "is_user": True,
    "gender": "Female",
    "age": 40,
    "nationality": "French",
    "city_living": "Paris",
    "country": "France",
    "status": "Employed",
    "job": "Cook",
    "description": "Two\nlines",
    "phone": "+331",
    "email": "ann@example.com",
    "address": "1 Rue",
}
EVENT = {
    "event_id": "e1",
    "title": "Lunch",
    "start_datetime": NOW + 4 * HOUR,
    "end_datetime": NOW + 5 * HOUR,
    "tag": "food",
    "description": None,
    "location": "Cafe",
    "attendees": ["Ann Bell"],
    "start_strftime": "Tuesday, 2024-10-15 11:00:00",
    "end_strftime": "Tuesday, 2024-10-15 12:00:00",
}
MESSAGE = {"sender_id": "u1", "message_id": "s1", "timestamp": NOW - HOUR, "content": "Hi"}
CONVERSATION = {
    "participant_ids": ["u0", "u1"],
    "messages": [MESSAGE],
    "title": "Ann Bell",
    "conversation_id": "v1",
    "last_updated": NOW - HOUR,
}
NAMES = {"Me": "u0", "Ann Bell": "u1", "Anna Beller": "u2", "Zoe Day": "u3"}

STATES = {
    "EmailClientV2": {
        "user_email": "me@example.com",
        "view_limit": 5,
        "folders": {
            name: {"folder_name": name, "emails": [MAIL] if name == "INBOX" else []}
            for name in ("INBOX", "SENT", "DRAFT", "TRASH")
        },
    },
    "ContactsApp": {"contacts": {"c1": CONTACT}, "view_limit": 10},
    "CalendarApp": {"events": {"e1": EVENT}},
    "MessagingAppV2": {
        "conversations": {"v1": CONVERSATION},
        "messages_view_limit": 10,
        "conversation_view_limit": 5,
        "mode": "NAME",
        "name_to_id": NAMES,
        "id_to_name": {user_id: name for name, user_id in NAMES.items()},
        "current_user_id": "u0",
        "current_user_name": "Me",
    },
    "AgentUserInterface": {
        "messages": [
            {
                "sender": sender,
                "content": content,
                "attachments": [],
                "timestamp": time,
                "time_read": read,
                "id": content,
            }
            for sender, content, time, read in [
                ("User", "Hello", 0.0, None),
                ("Agent", "Yes?", 60.0, 60.0),
            ]
        ]
    },
}
"""As ARE exports them, one of each class."""


class Clock:
    """Tells the time that it is set to."""

    now = NOW


class Store:
    """Files in a dictionary."""

    def __init__(self, **files):
        self.files = files

    def exists(self, path):
        return path in self.files

    def read_bytes(self, path):
        return self.files[path]

    def write_bytes(self, path, content):
        self.files[path] = content


def make(class_name, *, name=None, seed=0, **state):
    """Return an app with a state of `STATES`, of which some parts may be others."""
    state = copy.deepcopy({**STATES.get(class_name, {}), **state})
    spec = AppSpec(name=name or class_name, class_name=class_name, app_state=state)
    return make_app(spec, Clock(), seed, None)


def caller(app):
    """Return a function that calls any of an app's tools by its name, as worlds do."""
    tools = {tool.function: tool for tool in tools_of(app)}
    return lambda name, /, **arguments: tools[name].call(**tools[name].bind(arguments))
