"""What agents are told of what happens, at three levels of verbosity."""

from __future__ import annotations

import pytest
from assistant_traces import START, UI, app, env, scenario, user
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.domains.assistant.world.happening import Happening
from pytest_a2perf.domains.assistant.world.notifications import VERBOSITIES, notification_of
from pytest_a2perf.domains.assistant.world.world import World

MAIL, SHOP, CAB = "EmailClientV2", "ShoppingApp", "CabApp"
FROM = {
    "low": [],
    "medium": [
        (MAIL, "create_and_add_email", {"sender": "ann@example.com"}, "new email from ann@example.com"),
        (MAIL, "send_email_to_user_only", {"sender": "ann@example.com"}, "new email from ann@example.com"),
        (MAIL, "reply_to_email_from_user", {"sender": "ann@example.com"}, "new email"),
        ("MessagingAppV2", "create_and_add_message", {"conversation_id": "c1"}, "new message in conversation c1"),
        (SHOP, "cancel_order", {"order_id": "o1"}, "order o1 was cancelled"),
        (SHOP, "update_order_status", {"order_id": "o1"}, "order o1 was updated"),
        (CAB, "cancel_ride", {}, "the ride was cancelled"),
        (CAB, "user_cancel_ride", {}, "the ride was cancelled"),
        (CAB, "end_ride", {}, "the ride is over"),
        ("CalendarApp", "add_calendar_event_by_attendee", {"who_add": "Ann"}, "Ann added an event"),
        ("CalendarApp", "delete_calendar_event_by_attendee", {"who_delete": "Ann"}, "Ann deleted an event"),
    ],
    "high": [
        (SHOP, "add_product", {"name": "Lamp"}, "new product Lamp"),
        (SHOP, "add_item_to_product", {"product_id": "p1"}, "new item of product p1"),
        (SHOP, "add_discount_code", {"item_id": "i1"}, "new discount code for item i1"),
        ("RentAFlat", "add_new_apartment", {"name": "Loft"}, "new apartment Loft"),
        (CAB, "update_ride_status", {}, "the status of the ride was updated"),
    ],
}  # fmt: skip
"""What is told from each level on: class, function, arguments, and in which words."""
ALL = [(level, *row) for level, rows in FROM.items() for row in rows]


def happening(app_class, function, arguments, **more):
    more = {"id": "e", "kind": "ENV", "time": START, "app": "Mine", "write": True, **more}
    return Happening(app_class=app_class, function=function, arguments=arguments, **more)


@pytest.mark.parametrize(("level", "app_class", "function", "arguments", "words"), ALL)
def test_each_level_tells_more(level, app_class, function, arguments, words):
    told = {
        verbosity: notification_of(happening(app_class, function, arguments), verbosity, START + 1)
        for verbosity in VERBOSITIES
    }
    hears = VERBOSITIES[VERBOSITIES.index(level) :]
    for verbosity, news in told.items():
        if verbosity in hears:
            assert (news.kind, news.text, news.time) == (
                "environment",
                f"{app_class}: {words}",
                START + 1,
            )
        else:
            assert news is None


@pytest.mark.parametrize(("level", "app_class", "function", "arguments", "words"), ALL)
def test_what_failed_or_is_of_another_app_is_not_told(level, app_class, function, arguments, words):
    assert (
        notification_of(happening(app_class, function, arguments, error="no"), level, START) is None
    )
    assert notification_of(happening("CityApp", function, arguments), level, START) is None


def test_agents_are_not_told_what_they_cancelled():
    mine = [
        (row[2], notification_of(happening(*row[1:4], kind="AGENT"), "high", START)) for row in ALL
    ]
    assert [function for function, news in mine if news is None] == [
        "cancel_order",
        "cancel_ride",
        "user_cancel_ride",
    ]


@pytest.mark.parametrize("verbosity", VERBOSITIES)
def test_messages_of_the_user_are_always_told(verbosity):
    files = [{"name": "a.png", "base64_data": "AA=="}]
    message = happening(
        UI,
        "send_message_to_agent",
        {"content": "Hi", "base64_utf8_encoded_attachment_contents": files},
        kind="USER",
    )
    news = notification_of(message, verbosity, START)
    assert (news.kind, news.text, news.attachments) == ("user", "Hi", tuple(files))


@given(
    st.text(), st.text(), st.sampled_from(["AGENT", "USER", "ENV"]), st.sampled_from(VERBOSITIES)
)
def test_nothing_else_is_told(app_class, function, kind, verbosity):
    known = {row[2] for row in ALL}
    news = notification_of(happening(app_class, function, {}, kind=kind), verbosity, START)
    assert news is None or function in known


@pytest.mark.parametrize(
    ("verbosity", "told"),
    [
        ("low", ["x", "SystemApp: nothing new for 100 seconds"]),
        ("medium", ["x", "Calendar: Ann added an event"]),
        ("high", ["x", "Shopping: new product Lamp", "Calendar: Ann added an event"]),
    ],
)
def test_agents_hear_of_a_world_what_they_asked_for(verbosity, told):
    meeting = {
        "who_add": "Ann",
        "title": "T",
        "start_datetime": "2024-10-16 10:00:00",
        "end_datetime": "2024-10-16 11:00:00",
    }
    run = World(
        scenario(
            [
                user("ask", "x"),
                env("lamp", "Shopping", "add_product", "ask", 10, name="Lamp"),
                env("meet", "Calendar", "add_calendar_event_by_attendee", "ask", 20, **meeting),
            ],
            [
                app("Calendar", events={}),
                app("Shopping", products={}, cart={}, orders={}, discount_codes={}),
            ],
        ),
        verbosity=verbosity,
    )
    heard = []
    while len(heard) < len(told):
        heard += run.notifications()
        run.call("SystemApp__wait_for_notification", {"timeout": 100})
    assert [news.text for news in heard] == told
    assert [news.time for news in heard] == sorted(news.time for news in heard)
