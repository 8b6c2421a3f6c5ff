"""The same agents in our world and in Meta ARE's: the same things happen, the same is accepted.

The package runs in a virtual environment of its own; see `are_driver`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
from are_driver import are_oracles, demo_texts, find_are, play_are, play_native

from pytest_a2perf.domains.assistant.agents.oracle import OracleAgent
from pytest_a2perf.domains.assistant.agents.plan import FLAWS
from pytest_a2perf.domains.assistant.agents.scripted import Call, ScriptedAgent
from pytest_a2perf.domains.assistant.apps.results import plain, render
from pytest_a2perf.domains.assistant.backends.are import AreWorld
from pytest_a2perf.domains.assistant.backends.are_process import (
    PYTHON_VARIABLE,
    AreProcess,
    close_idle,
)
from pytest_a2perf.domains.assistant.desk import OpenDesk
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError
from pytest_a2perf.domains.assistant.trace.read import parse_trace
from pytest_a2perf.domains.assistant.world.oracle import run_oracle
from pytest_a2perf.domains.assistant.world.world import World
from pytest_a2perf.errors import InfraError

pytestmark = pytest.mark.slow

TEXTS = demo_texts()


@pytest.fixture(scope="module")
def python(request):
    yield find_are(request.config.cache.mkdir("are-1.2.0"))
    close_idle()  # or later tests of memory find a child that is not theirs


@pytest.fixture(scope="module")
def no_files(tmp_path_factory):
    return tmp_path_factory.mktemp("no_files")


@pytest.fixture(autouse=True)
def named(python, no_files, monkeypatch):
    monkeypatch.setenv(PYTHON_VARIABLE, python)
    # Else the package would ask the Hub for the contents of files.
    monkeypatch.setenv("DEMO_FS_PATH", str(no_files))


# The calls of good agents, without times: tests change them into others.
USER = "AgentUserInterface__send_message_to_user"


def call(tool: str, wait: float = 0.0, **arguments: Any) -> Call:
    return Call(tool=tool, arguments=arguments, wait=wait)


def answer(content: str, wait: float = 0.0) -> Call:
    return call(USER, wait, content=content)


def other(one: Call, /, wait: float | None = None, **arguments: Any) -> Call:
    """Return a call with other arguments, or made at another time."""
    given = {**one.arguments, **arguments}
    return one.model_copy(update={"arguments": given, "wait": one.wait if wait is None else wait})


ENTRY = call(
    "Calendar__add_calendar_event",
    title="Canal walk",
    start_datetime="2026-03-03 17:00:00",
    end_datetime="2026-03-03 18:30:00",
    location="Lift Bridge",
    attendees=["Bram Peeters", "Leila Farouk"],
)
MAIL = call(
    "Emails__send_email",
    recipients=["bram.peeters@postbox.example", "leila.farouk@postbox.example"],
    subject="Canal walk",
    content="Canal walk tomorrow at 17:00, meet at the Lift Bridge.",
)
DONE = answer("Done")

ROSA = call(
    "Contacts__add_new_contact",
    first_name="Rosa",
    last_name="Lindqvist",
    phone="+46 555 019 90",
    email="rosa.lindqvist@postbox.example",
)
GROUP = Call(
    tool="Chats__create_group_conversation",
    arguments={"user_ids": ["chat-mateo.quispe", "chat-adaeze.okoro"], "title": "Terrace"},
    name="group",
)
TERRACE = call(
    "Chats__send_message_to_group_conversation",
    conversation_id="{{group}}",
    content="Rosa joins us on the terrace on Friday.",
)
ROSA_IS_IN = answer("Rosa is in")

FOLDER = call("Files__mkdir", path="/Documents/Invoices")
SAVE = call(
    "Emails__download_attachments",
    email_id="mail-1",
    folder_name="INBOX",
    path_to_save="/Documents/Invoices",
)
RENAME = call("Files__mv", path1="/Scans", path2="/Old scans", recursive=True)
BIN = call("Emails__delete_email", email_id="mail-2", folder_name="INBOX")
FILED = answer("Invoices are filed")

TEA = call("Shopping__add_to_cart", item_id="tea-smoked", quantity=2)
CHECKOUT = Call(
    tool="Shopping__checkout", arguments={"discount_code": "LEAF10"}, name="order"
)  # fmt: skip
CANCEL = call("Shopping__cancel_order", order_id="{{order}}")
ORDERED, CANCELLED = answer("Ordered"), answer("Cancelled")

EGGS = call("Chats__send_message", user_id="chat-mateo.quispe", content="The eggs are done.")
SENT = answer("Sent")

DRAWINGS = call(
    "Emails__send_email",
    recipients=["tomasz.wrona@postbox.example"],
    subject="Drawings",
    content="The drawings are on their way.",
)
CALL_OVER = call("Calendar__delete_calendar_event", event_id="event-1")
ALL_SET = answer("All set")

LEILA = call(
    "Chats__send_message", user_id="chat-leila.farouk", content="Can you proofread a page?"
)
ADAEZE = other(LEILA, user_id="chat-adaeze.okoro")
ASKED = answer("Asked")

TAKE = call("Chats__send_message", user_id="chat-bram.peeters", content="I take it.")
KEPT = answer("Bread is kept")

WHICH = answer("Which one?")
DEED = call("Chats__send_message", user_id="chat-bram.de.wit", content="The deed is signed.")

RIDE = call(
    "Cabs__order_ride",
    start_location="Home",
    end_location="Concert hall",
    service_type="Van",
    ride_time="2026-03-02 19:00:00",
)
SPENT = answer("53.5")

LUNCH = Call(
    tool="Calendar__add_calendar_event",
    arguments={
        "title": "Lunch",
        "start_datetime": "2026-03-04 12:00:00",
        "end_datetime": "2026-03-04 13:00:00",
        "attendees": ["Adaeze Okoro"],
    },
    name="lunch",
)
INVITE = call(
    "Emails__send_email",
    recipients=["adaeze.okoro@postbox.example"],
    subject="Lunch",
    content="Lunch on Wednesday at 12:00?",
)
INVITED, MOVED = answer("Invited"), answer("Moved")
INBOX = Call(tool="Emails__get_email_by_index", arguments={"idx": 0}, name="newest")
UNLUNCH = call("Calendar__delete_calendar_event", event_id="{{lunch}}")
LATER = other(LUNCH, start_datetime="2026-03-04 13:30:00", end_datetime="2026-03-04 14:30:00")
FINE = call("Emails__reply_to_email", email_id="{{newest.email_id}}", content="Fine with me.")


@dataclass(frozen=True)
class Case:
    """Calls in a scenario, and whether they are right.

    Attributes:
        scenario: its id.
        turns: the calls of each turn.
        right: what both judges have to say.
        model: what the judge's model says: it accepts, refuses, or is not there.
    """

    scenario: str
    turns: tuple[tuple[Call, ...], ...]
    right: bool
    model: bool | None = None


def walk(*calls: Call, right: bool, model: bool | None = None) -> Case:
    return Case("execution_canal_walk", (calls,), right, model)


def neighbour(*calls: Call, right: bool, model: bool | None = None) -> Case:
    return Case("execution_new_neighbour", (calls,), right, model)


def invoices(*calls: Call, right: bool) -> Case:
    return Case("execution_invoices", (calls,), right)


def tea(*turns: tuple[Call, ...], right: bool) -> Case:
    return Case("execution_tea_order", turns, right)


def eggs(wait: float, *, right: bool) -> Case:
    return Case("time_three_minutes", ((other(EGGS, wait=wait), SENT),), right)


def lunch(*calls: Call, right: bool) -> Case:
    return Case("adaptability_lunch_moves", ((LUNCH, INVITE, INVITED), calls), right)


MALFORMED = Call(tool=MAIL.tool, arguments='{"recipients": ["bram.peeters@postbox.example", ')
INVITATION = "Fancy a stroll along the canal? Tomorrow at five, from the Lift Bridge."

CASES = {
    # one turn
    "exact": walk(ENTRY, MAIL, DONE, right=True),
    "independent calls the other way round": walk(MAIL, ENTRY, DONE, right=True),
    "answer first": walk(DONE, ENTRY, MAIL, right=False),
    "answer in between": walk(ENTRY, DONE, MAIL, right=False),
    "missing call": walk(ENTRY, DONE, right=False),
    "missing answer": walk(ENTRY, MAIL, right=False),
    "nothing at all": walk(right=False),
    "the same twice": walk(ENTRY, MAIL, MAIL, DONE, right=False),
    "another write": walk(ENTRY, MAIL, ROSA, DONE, right=False),
    "another read": walk(call("Emails__list_emails"), ENTRY, MAIL, DONE, right=True),
    "three reads": walk(
        call("Contacts__search_contacts", query="Bram"),
        ENTRY,
        call("Calendar__read_today_calendar_events"),
        MAIL,
        call("SystemApp__get_current_time"),
        DONE,
        right=True,
    ),
    "wrong recipient": walk(
        ENTRY,
        other(MAIL, recipients=["bram.peeters@postbox.example", "x@y.example"]),
        DONE,
        right=False,
    ),
    "one recipient less": walk(
        ENTRY, other(MAIL, recipients=["bram.peeters@postbox.example"]), DONE, right=False
    ),
    "recipients in another order, and twice": walk(
        ENTRY,
        other(
            MAIL,
            recipients=[*reversed(MAIL.arguments["recipients"]), "bram.peeters@postbox.example"],
        ),
        DONE,
        right=True,
    ),
    "a copy to somebody": walk(
        ENTRY, other(MAIL, cc=["tomasz.wrona@postbox.example"]), DONE, right=False
    ),
    "a copy to nobody": walk(ENTRY, other(MAIL, cc=[]), DONE, right=True),
    "attendees with the user": walk(
        other(ENTRY, attendees=["leila farouk", "Bram Peeters", "Ines Halvorsen"]),
        MAIL,
        DONE,
        right=True,
    ),
    "another attendee": walk(
        other(ENTRY, attendees=["Bram Peeters", "Leila Farouk", "Tomasz Wrona"]),
        MAIL,
        DONE,
        right=False,
    ),
    "an hour later": walk(
        other(ENTRY, start_datetime="2026-03-03 18:00:00"), MAIL, DONE, right=False
    ),
    "a date that the calendar refuses, then the right one": walk(
        other(ENTRY, start_datetime="tomorrow at five"), ENTRY, MAIL, DONE, right=True
    ),
    "a tag, which nobody looks at": walk(other(ENTRY, tag="friends"), MAIL, DONE, right=True),
    "other case and punctuation": walk(
        ENTRY,
        other(
            MAIL,
            subject="CÄNAL walk!",
            content="canal walk tomorrow at 1700; meet at the lift bridge",
        ),
        answer("done."),
        right=True,
    ),
    "a list as text": walk(
        ENTRY, other(MAIL, recipients="bram.peeters@postbox.example"), DONE, right=False
    ),
    # what the model of the judge says
    "paraphrase, accepted": walk(
        ENTRY, other(MAIL, content=INVITATION), DONE, right=True, model=True
    ),
    "paraphrase, refused": walk(
        ENTRY, other(MAIL, content=INVITATION), DONE, right=False, model=False
    ),
    "all in other words": walk(
        other(ENTRY, title="A walk along the canal", location="At the Lift Bridge"),
        other(MAIL, content=INVITATION),
        answer("I have invited both."),
        right=True,
        model=True,
    ),
    "other words for the user, refused": walk(
        ENTRY, MAIL, answer("I could not do it."), right=False, model=False
    ),
    "wrong recipient, whatever the model says": walk(
        ENTRY,
        other(MAIL, content=INVITATION, recipients=["x@y.example"]),
        DONE,
        right=False,
        model=True,
    ),
    "a name that nobody has filled in": walk(
        ENTRY,
        other(MAIL, content=f"{INVITATION} Best regards,\nYour Name"),
        DONE,
        right=False,
        model=True,
    ),
    # calls that are none
    "malformed JSON, then right": walk(ENTRY, MALFORMED, MAIL, DONE, right=True),
    "malformed JSON only": walk(ENTRY, MALFORMED, DONE, right=False),
    "unknown argument, then right": walk(
        ENTRY, other(MAIL, bcc=["x@y.example"]), MAIL, DONE, right=True
    ),
    "unknown tool": walk(
        call("Emails__shred_email", email_id="mail-1"), ENTRY, MAIL, DONE, right=True
    ),
    # contacts, phones, ids of what was made before
    "phone in other digits' groups": neighbour(
        other(ROSA, phone="+46-55501990"), GROUP, TERRACE, ROSA_IS_IN, right=True
    ),
    "wrong phone": neighbour(
        other(ROSA, phone="+46 555 019 91"), GROUP, TERRACE, ROSA_IS_IN, right=False
    ),
    "no phone": neighbour(other(ROSA, phone=None), GROUP, TERRACE, ROSA_IS_IN, right=False),
    "email with blanks around": neighbour(
        other(ROSA, email=" rosa.lindqvist@postbox.example "),
        GROUP,
        TERRACE,
        ROSA_IS_IN,
        right=True,
    ),
    "name in another case": neighbour(
        other(ROSA, first_name="rosa"), GROUP, TERRACE, ROSA_IS_IN, right=False
    ),
    "members the other way round": neighbour(
        ROSA,
        other(GROUP, user_ids=["chat-adaeze.okoro", "chat-mateo.quispe"]),
        TERRACE,
        ROSA_IS_IN,
        right=True,
    ),
    "one member less": neighbour(
        ROSA, other(GROUP, user_ids=["chat-adaeze.okoro"]), TERRACE, ROSA_IS_IN, right=False
    ),
    "the contact last": neighbour(GROUP, TERRACE, ROSA, ROSA_IS_IN, right=True),
    # files
    "files": invoices(FOLDER, SAVE, RENAME, BIN, FILED, right=True),
    "paths written otherwise": invoices(
        other(FOLDER, path="Documents/./Invoices/"),
        other(SAVE, path_to_save="Documents/Invoices/"),
        other(RENAME, path1="Scans"),
        BIN,
        FILED,
        right=True,
    ),
    "makedirs instead of mkdir": invoices(
        call("Files__makedirs", path="/Documents/Invoices"), SAVE, RENAME, BIN, FILED, right=True
    ),
    "wrong folder": invoices(
        FOLDER, other(SAVE, path_to_save="/Documents"), RENAME, BIN, FILED, right=False
    ),
    "wrong email binned": invoices(
        FOLDER, SAVE, RENAME, other(BIN, email_id="mail-1"), FILED, right=False
    ),
    "outside the files": invoices(
        call("Files__mkdir", path="/../../escape"), FOLDER, SAVE, RENAME, BIN, FILED, right=True
    ),
    # shopping, over two turns
    "two turns": tea((TEA, CHECKOUT, ORDERED), (CANCEL, CANCELLED), right=True),
    "two turns, the second not": tea((TEA, CHECKOUT, ORDERED), (CANCELLED,), right=False),
    "two turns, the first not": tea((TEA, ORDERED), (CANCEL, CANCELLED), right=False),
    "no discount": tea(
        (TEA, Call(tool=CHECKOUT.tool, name="order"), ORDERED), (CANCEL, CANCELLED), right=False
    ),
    "one packet only": tea(
        (other(TEA, quantity=1), CHECKOUT, ORDERED), (CANCEL, CANCELLED), right=False
    ),
    "two packets one by one": tea(
        (other(TEA, quantity=1), other(TEA, quantity=1), CHECKOUT, ORDERED),
        (CANCEL, CANCELLED),
        right=False,
    ),
    "another order cancelled": tea(
        (TEA, CHECKOUT, ORDERED), (other(CANCEL, order_id="order-1"), CANCELLED), right=False
    ),
    "cancelled in the first turn": tea((TEA, CHECKOUT, CANCEL, ORDERED), (CANCELLED,), right=False),
    # rides
    "a quotation before": Case(
        "search_cab_spending", ((call("Cabs__get_quotation", **RIDE.arguments), RIDE, SPENT),), True
    ),
    "another service": Case(
        "search_cab_spending", ((other(RIDE, service_type="Default"), SPENT),), False
    ),
    "another sum": Case("search_cab_spending", ((RIDE, answer("53.50 or so")),), False, False),
    "a sum that is right in other words": Case(
        "search_cab_spending", ((RIDE, answer("53.50")),), True, True
    ),
    # time: 180 s, of which 10 s less and 25 s more will do
    "in time": eggs(179, right=True),
    "ten seconds early": eggs(170, right=True),
    "eleven seconds early": eggs(169, right=False),
    "at once": eggs(0, right=False),
    "25 seconds late": eggs(205, right=True),
    "26 seconds late": eggs(206, right=False),
    "when the time is over": eggs(500, right=False),
    "long before a latest moment": Case(
        "time_before_the_call", ((DRAWINGS, other(CALL_OVER, wait=299), ALL_SET),), True
    ),
    "at the latest moment": Case(
        "time_before_the_call",
        ((other(DRAWINGS, wait=144), other(CALL_OVER, wait=155), ALL_SET),),
        True,
    ),
    "after the latest moment": Case(
        "time_before_the_call",
        ((other(DRAWINGS, wait=146), other(CALL_OVER, wait=153), ALL_SET),),
        False,
    ),
    "before an exact moment": Case(
        "time_before_the_call", ((DRAWINGS, other(CALL_OVER, wait=280), ALL_SET),), False
    ),
    "after an exact moment": Case(
        "time_before_the_call", ((DRAWINGS, other(CALL_OVER, wait=330), ALL_SET),), False
    ),
    "the earliest moment": Case("time_no_answer", ((LEILA, other(ADAEZE, wait=110), ASKED),), True),
    "before the earliest moment": Case(
        "time_no_answer", ((LEILA, other(ADAEZE, wait=109), ASKED),), False
    ),
    "long after the earliest moment": Case(
        "time_no_answer", ((LEILA, other(ADAEZE, wait=380), ASKED),), True
    ),
    "counted from its own call": Case(
        "time_no_answer", ((other(LEILA, wait=20), other(ADAEZE, wait=120), ASKED),), True
    ),
    "an answer in time": Case("time_answer_in_time", ((other(TAKE, wait=105), KEPT),), True),
    "an answer too late": Case("time_answer_in_time", ((other(TAKE, wait=140), KEPT),), False),
    "an answer before the question": Case(
        "time_answer_in_time", ((TAKE, other(KEPT, wait=120)),), False
    ),
    # ambiguity
    "asked first": Case("ambiguity_which_bram", ((WHICH,), (DEED, SENT)), True),
    "not asked": Case("ambiguity_which_bram", ((DEED, SENT),), False),
    "asked, then guessed wrong": Case(
        "ambiguity_which_bram", ((WHICH,), (other(DEED, user_id="chat-bram.peeters"), SENT)), False
    ),
    "asked, and done at once": Case("ambiguity_which_bram", ((DEED, WHICH), (SENT,)), False),
    # what happens between two turns
    "moved": lunch(INBOX, UNLUNCH, LATER, FINE, MOVED, right=True),
    "moved, answered first": lunch(INBOX, FINE, UNLUNCH, LATER, MOVED, right=True),
    "moved, but put in before taken out": lunch(INBOX, LATER, UNLUNCH, FINE, MOVED, right=False),
    "answered the wrong email": lunch(
        INBOX, UNLUNCH, LATER, other(FINE, email_id="mail-1"), MOVED, right=False
    ),
    "left as it was": lunch(INBOX, LATER, FINE, MOVED, right=False),
}


def a_model(accepts: bool | None):
    """Return a judge's model in a few words: both judges' are in them."""
    said = "[[True]] [[Success]]" if accepts else "[[False]] [[Failure]]"
    return None if accepts is None else lambda messages: f"<subtask>it</subtask> {said}"


@pytest.mark.parametrize("name", CASES)
def test_judges_agree(name, tmp_path):
    case = CASES[name]
    agent, model = ScriptedAgent(case.turns), a_model(case.model)
    theirs = play_are(TEXTS[case.scenario], agent, model)
    ours = play_native(TEXTS[case.scenario], agent, model, files=tmp_path)
    assert (theirs.success, ours.success) == (case.right, case.right), both(theirs, ours)
    assert ours.turns == theirs.turns, both(theirs, ours)
    assert ours.why == theirs.why
    assert happened(ours) == happened(theirs)


@pytest.mark.parametrize("flaw", [None, *FLAWS])
@pytest.mark.parametrize("scenario", TEXTS)
def test_judges_agree_on_oracles(scenario, flaw, tmp_path):
    theirs = play_are(TEXTS[scenario], OracleAgent(flaw))
    ours = play_native(TEXTS[scenario], OracleAgent(flaw), files=tmp_path)
    assert theirs.success == (flaw is None), both(theirs, ours)
    assert (ours.turns, ours.why) == (theirs.turns, theirs.why), both(theirs, ours)
    # The package asks its judge at the next second, and until then the world goes on.
    assert happened(ours) == happened(theirs)[: len(happened(ours)) if flaw else None]


def both(theirs, ours):
    return f"ARE: {theirs.why}, {theirs.rationale}\nours: {ours.why}, {ours.rationale}"


def happened(played):
    """Return what has changed anything: the package also logs what its apps read of themselves."""
    return [
        (one.kind, one.app, one.app_class, one.function)
        for one in played.log
        if not one.failed and (one.write or one.kind != "AGENT")
    ]


def test_oracles_run_alike(python, tmp_path):
    found = are_oracles(python, list(TEXTS.values()), tmp_path)
    for text, theirs in zip(TEXTS.values(), found, strict=True):
        assert theirs["success"] is True
        assert not theirs["failed"]
        ours = run_oracle(parse_trace(text, "scenario"), files=tmp_path)
        assert {one.id: one.time for one in ours.log} == theirs["times"]


@pytest.fixture
def worlds(request, tmp_path):
    """The same scenario in both worlds, ours first."""
    text = TEXTS[request.param]
    ours = World(parse_trace(text, "scenario"), files=tmp_path)
    theirs = AreWorld(text)
    yield ours, theirs
    theirs.close()


ALL_WORLDS = pytest.mark.parametrize("worlds", TEXTS, indirect=True)


@ALL_WORLDS
def test_tools_are_the_same(worlds):
    ours, theirs = (world.tools for world in worlds)
    assert sorted(ours) == sorted(theirs)
    for name, tool in ours.items():
        other = theirs[name]
        assert (tool.write, tool.function) == (other.write, other.function), name
        known = [one for one in other.parameters if one.name != "kwargs"]
        assert [one.name for one in tool.parameters] == [one.name for one in known], name
        for mine, one in zip(tool.parameters, known, strict=True):
            assert (mine.name, mine.required) == (one.name, one.required), name
            if not mine.required:
                assert plain(mine.default) == one.default, name
        assert tool.app.app_class == other.app.app_class


# What can be read of each class of app; refusals count as well.
READS = {
    "EmailClientV2": [
        ("list_emails", {}),
        ("list_emails", {"folder_name": "SENT", "limit": 2}),
        ("list_emails", {"offset": 99}),
        ("get_email_by_id", {"email_id": "mail-1"}),
        ("get_email_by_id", {"email_id": "nothing"}),
        ("get_email_by_index", {"idx": 0}),
        ("search_emails", {"query": "locker"}),
    ],
    "ContactsApp": [
        ("get_contacts", {}),
        ("get_contact", {"contact_id": "contact-bram.peeters"}),
        ("get_current_user_details", {}),
        ("search_contacts", {"query": "lisbon"}),
        ("search_contacts", {"query": "BRAM"}),
    ],
    "CalendarApp": [
        ("get_calendar_event", {"event_id": "event-1"}),
        ("get_calendar_events_from_to",
         {"start_datetime": "2026-03-01 00:00:00", "end_datetime": "2026-03-09 00:00:00"}),
        ("read_today_calendar_events", {}),
        ("get_all_tags", {}),
        ("search_events", {"query": "fitting"}),
    ],
    "MessagingAppV2": [
        ("get_user_id", {"user_name": "Mateo Quispe"}),
        ("lookup_user_id", {"user_name": "Bram"}),
        ("list_recent_conversations", {}),
        ("read_conversation", {"conversation_id": "talk-1"}),
        ("read_conversation", {"conversation_id": "talk-9"}),
        ("search", {"query": "terrace"}),
        ("regex_search", {"query": "^Wh.re"}),
    ],
    "ShoppingApp": [
        ("list_all_products", {}),
        ("get_product_details", {"product_id": "product-1"}),
        ("search_product", {"product_name": "tea"}),
        ("list_cart", {}),
        ("list_orders", {}),
        ("get_discount_code_info", {"discount_code": "LEAF10"}),
        ("get_all_discount_codes", {}),
    ],
    "RentAFlat": [
        ("list_all_apartments", {}),
        ("get_apartment_details", {"apartment_id": "flat-2"}),
        ("list_saved_apartments", {}),
        ("search_apartments", {"number_of_bedrooms": 2, "max_price": 1200}),
        ("search_apartments", {"location": "bergen", "zip_code": "5011"}),
    ],
    "CityApp": [
        ("get_crime_rate", {"zip_code": "5011"}),
        ("get_crime_rate", {"zip_code": "0000"}),
        ("get_api_call_limit", {}),
    ],
    "CabApp": [
        ("get_ride_history", {}),
        ("get_ride", {"idx": 0}),
        ("get_ride_history_length", {}),
        ("get_current_ride_status", {}),
    ],
    "SandboxLocalFileSystem": [
        ("ls", {"path": "/"}),
        ("tree", {}),
        ("exists", {"path": "/Documents"}),
        ("exists", {"path": "/nothing"}),
    ],
    "SystemApp": [("get_current_time", {})],
}  # fmt: skip


@ALL_WORLDS
def test_what_is_read_is_the_same(worlds):
    ours, theirs = worlds
    for tool in ours.tools.values():
        for function, arguments in READS.get(tool.app.app_class, ()):
            if function == tool.function:
                assert read(ours, tool.name, arguments) == read(theirs, tool.name, arguments)


def read(world, name, arguments):
    try:
        result = world.call(name, arguments)
    except ToolError:
        return "refused"
    if "participant_ids" in render(result):  # a set, which the package has in any order
        return by_name(plain(result))
    return plain(result), render(result)


def by_name(value):
    """Return a result with the members of conversations in order."""
    if isinstance(value, list):
        return [by_name(item) for item in value]
    if isinstance(value, dict):
        return {
            key: sorted(item) if key == "participant_ids" else by_name(item)
            for key, item in value.items()
        }
    return value


def test_malformed_arguments_are_refused_by_the_packages_own_parser():
    world = AreWorld(TEXTS["execution_canal_walk"])
    with pytest.raises(ToolError, match="JSON"):
        world.call(MAIL.tool, MALFORMED.arguments)
    world.call(MAIL.tool, '{"recipients": ["x@y.example"], "subject": "It is\\n fine"}')
    assert [one.function for one in world.log if one.kind == "AGENT"] == ["send_email"]
    world.close()


def test_news_are_the_users_own_words():
    world = AreWorld(TEXTS["search_elder_in_lisbon"])
    assert world.notifications() == []
    world.wait()
    (news,) = world.notifications()
    assert (news.kind, news.time) == ("user", world.start + 1)
    assert news.text.startswith("Which of my contacts")
    assert news.text.endswith("full name only.")
    world.close()


def test_a_scenario_that_the_package_refuses_is_named_wrong():
    text = TEXTS["search_elder_in_lisbon"].replace('"are_simulation_v1"', '"are_simulation_v2"')
    with pytest.raises(TraceError, match="ARE does not take the scenario: Exception"):
        AreWorld(text)


def test_a_scenario_without_an_oracle_is_refused():
    trace = parse_trace(TEXTS["search_elder_in_lisbon"], "scenario")
    trace.events = [event for event in trace.events if event.event_type != "AGENT"]
    with pytest.raises(TraceError, match="no events of the agent"):
        AreWorld(trace.model_dump_json())


def test_an_app_that_the_package_does_not_load_is_named():
    text = TEXTS["search_cab_spending"].replace('"CabApp"', '"CabsApp"')
    with pytest.raises(TraceError, match="Cabs"):
        AreWorld(text)


def test_an_agent_that_waits_beyond_the_end_has_failed(tmp_path):
    sleep = call("SystemApp__wait_for_notification", timeout=100_000)
    agent = ScriptedAgent(((sleep, EGGS, SENT),))
    theirs = play_are(TEXTS["time_three_minutes"], agent)
    ours = play_native(TEXTS["time_three_minutes"], agent, files=tmp_path)
    assert (ours.success, ours.why) == (theirs.success, theirs.why) == (False, "duration")


def test_a_judge_without_its_model_is_nobodys_fault():
    turns = ((RIDE, answer("About fifty")),)
    with pytest.raises(InfraError, match=r"options\.judge"):
        play_are(TEXTS["search_cab_spending"], ScriptedAgent(turns))


def test_a_judge_whose_model_fails_is_nobodys_fault():
    def out_of_order(messages):
        raise InfraError("503")

    turns = ((RIDE, answer("About fifty")),)
    with pytest.raises(InfraError, match="503"):
        play_are(TEXTS["search_cab_spending"], ScriptedAgent(turns), out_of_order)
    assert play_are(TEXTS["search_cab_spending"], OracleAgent()).success


def test_a_process_that_dies_is_nobodys_fault():
    world = AreWorld(TEXTS["search_elder_in_lisbon"])
    assert world.log == []
    world._process._process.kill()
    with pytest.raises(InfraError, match="has died"):
        world.advance(1)
    assert world.log == []
    world.close()
    assert play_are(TEXTS["search_elder_in_lisbon"], OracleAgent()).success


def test_a_process_left_in_mid_answer_is_not_used_again():
    class TimeIsUp(BaseException):
        pass

    def slow(messages):
        raise TimeIsUp

    turns = ((RIDE, answer("About fifty")),)
    with pytest.raises(TimeIsUp):
        play_are(TEXTS["search_cab_spending"], ScriptedAgent(turns), slow)
    assert play_are(TEXTS["search_cab_spending"], OracleAgent()).success


def test_this_process_stays_as_it_was(python, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("LEAKED=1")
    state = random.getstate()
    process = AreProcess(python)
    folder = process._folder.name
    assert process.version.startswith("1.2.")
    process.close()
    assert random.getstate() == state
    assert not (tmp_path / folder).exists()


def test_verbosity_is_the_packages():
    world = AreWorld(TEXTS["adaptability_order_is_lost"], verbosity="low")
    ScriptedAgent(((call("Shopping__add_to_cart", item_id="strings-silk"),
                    call("Shopping__checkout"), ORDERED),)).play(OpenDesk(world, None))  # fmt: skip
    assert world.why == "duration"
    world.close()
