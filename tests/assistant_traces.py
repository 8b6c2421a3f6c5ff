"""Small scenarios, built in Python, for tests of the domain ``assistant``."""

from __future__ import annotations

from pytest_a2perf.domains.assistant.trace.models import (
    Action,
    App,
    Argument,
    Definition,
    Event,
    Metadata,
    Trace,
)
from pytest_a2perf.domains.assistant.trace.values import encode

UI = "AgentUserInterface"
START = 1728975600.0
"""Tuesday, 15 October 2024, 07:00 UTC."""


def scenario(events=(), apps=(), *, augmentation=None, scenario_id="scenario", **definition):
    """Return a scenario: events, apps (`app`) besides AgentUserInterface and SystemApp, definition."""
    definition = {"seed": 0, "start_time": START, "duration": 600, **definition}
    return Trace(
        metadata=Metadata(definition=Definition(scenario_id=scenario_id, **definition)),
        apps=[app(UI, messages=[]), app("SystemApp"), *apps],
        events=list(events),
        augmentation=augmentation,
    )


def app(name, class_name=None, **state):
    """Return an app; its class has the same name unless told."""
    return App(name=name, class_name=class_name or name, app_state=state)


def mailbox(*emails, name="Emails", user_email="me@example.com"):
    """Return an app with mail; ``emails`` are dictionaries, see ARE's Email, of the inbox."""
    folders = {
        folder: {"folder_name": folder, "emails": list(emails) if folder == "INBOX" else []}
        for folder in ("INBOX", "SENT", "DRAFT", "TRASH")
    }
    return app(name, "EmailClientV2", user_email=user_email, view_limit=5, folders=folders)


def contacts(*people, name="Contacts"):
    """Return an app with contacts: the user, Max Mustermann, and ``people`` (ARE's Contact)."""
    me = {"first_name": "Max", "last_name": "Mustermann", "contact_id": "me", "age": 40}
    me |= {"is_user": True}
    known = {person["contact_id"]: person for person in (me, *people)}
    return app(name, "ContactsApp", contacts=known, view_limit=10)


def user(event_id, content, /, after=(), delay=0, at=None):
    """Return an event: the user writes to the agent."""
    action = call(UI, "send_message_to_agent", {"content": content})
    return event("Event", "USER", event_id, after, delay, at, action)


def agent(event_id, app, function, /, after, delay=None, comparator=None, at=None, **arguments):
    """Return an event of the oracle: the agent calls a function."""
    action = call(app, function, arguments)
    result = event("OracleEvent", "AGENT", event_id, after, delay, at, action)
    return result.model_copy(update={"event_time_comparator": comparator})


def answer(event_id, content, /, after, delay=None):
    """Return an event of the oracle that ends a turn: the agent writes to the user."""
    return agent(event_id, UI, "send_message_to_user", after, delay, content=content)


def env(event_id, app, function, /, after, delay=None, at=None, **arguments):
    """Return an event that the world brings about by itself."""
    return event("Event", "ENV", event_id, after, delay, at, call(app, function, arguments))


def event(class_name, kind, event_id, after, delay, at, action):
    """Return any event; ``delay`` is in seconds after ``after`` (an id or ids), ``at`` absolute."""
    return Event(
        class_name=class_name,
        event_type=kind,
        event_id=event_id,
        event_time=at,
        event_relative_time=None if at is not None else delay or 0,
        dependencies=[after] if isinstance(after, str) else list(after),
        action=action,
    )


def call(app, function, arguments):
    """Return a call with encoded arguments."""
    args = []
    for name, value in arguments.items():
        text, value_type = encode(value)
        args.append(Argument(name=name, value=text, value_type=value_type))
    return Action(action_id=f"{app}.{function}", app=app, function=function, args=args)


def two_turns():
    """Return a scenario of two turns with a placeholder: mail is sent, answered and replied to."""
    return scenario(
        [
            user("ask", "Tell Ann that I am late."),
            agent(
                "send", "Emails", "send_email", "ask",
                recipients=["ann@example.com"], subject="Late", content="I am late.",
            ),
            answer("told", "Done.", "send"),
            env(
                "reply", "Emails", "reply_to_email_from_user", "told", 60,
                sender="ann@example.com", email_id="{{send}}", content="No problem.",
            ),
            user("thank", "Thank her when she answers.", "told"),
            agent(
                "thanks", "Emails", "reply_to_email", ["reply", "thank"],
                email_id="{{reply}}", content="Thank you.",
            ),
            answer("thanked", "Done again.", "thanks"),
        ],
        [mailbox(), contacts()],
        scenario_id="two-turns",
        tags=["Adaptability"],
    )  # fmt: skip
