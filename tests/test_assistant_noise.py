"""Noise: tools that fail, tools by other names, news that have nothing to do with the task."""

from __future__ import annotations

import contextlib

import pytest
from assistant_traces import START, UI, agent, answer, app, env, mailbox, scenario, two_turns, user

from pytest_a2perf.domains.assistant.errors import ToolError, TraceError
from pytest_a2perf.domains.assistant.trace.models import Augmentation
from pytest_a2perf.domains.assistant.world.noise import Noise
from pytest_a2perf.domains.assistant.world.world import World

SEND = f"{UI}__send_message_to_user"
QUIET = {"failures": 0.0, "renames": False, "events_per_minute": 0.0}


def only(**noise):
    return Noise(**{**QUIET, **noise})


def failures(noise, *, calls=200, seed=0):
    """Which of many calls fail, by number."""
    world = World(two_turns(), noise=noise, seed=seed)
    for _ in range(calls):
        with contextlib.suppress(ToolError):
            world.call("Emails__list_emails", {})
    errors = [happening.error for happening in world.log if happening.kind == "AGENT"]
    assert set(errors) <= {
        None,
        "Emails__list_emails failed with an internal error; try again later",
    }
    return [number for number, error in enumerate(errors) if error]


# Failures


def test_calls_fail_as_often_as_asked():
    assert 8 <= len(failures(only(failures=0.1))) <= 40
    assert failures(only()) == []
    assert len(failures(only(failures=1.0), calls=5)) == 5


def test_seeds_decide_which_calls_fail():
    first = failures(Noise(), seed=1)
    assert first == failures(Noise(), seed=1)
    assert first != failures(Noise(), seed=2)
    assert first != failures(Noise(seed=7), seed=1)


def test_tools_fail_independently_of_each_other():
    world = World(two_turns(), noise=only(failures=0.3))
    failed = []
    for number in range(100):
        for name in ("Emails__list_emails", "Emails__search_emails"):
            try:
                world.call(name, {"query": "x"} if "search" in name else {})
            except ToolError:
                failed.append((name, number))
    assert [number for name, number in failed if "list" in name] == failures(
        only(failures=0.3), calls=100
    )
    assert len({tuple(n for name, n in failed if name == one) for one, _ in failed}) == 2


def test_user_time_and_the_scenarios_own_events_never_fail():
    world = World(two_turns(), noise=only(failures=1.0))
    world.call("SystemApp__get_current_time", {})
    world.call("SystemApp__wait_for_notification", {"timeout": 5})
    with pytest.raises(ToolError, match="internal error"):
        world.call("Emails__list_emails", {})
    assert [happening.failed for happening in world.log] == [False, False, False, True]
    case = scenario([user("ask", "x"), answer("done", "x", "ask"), user("more", "y", "done")])
    world = World(case, noise=only(failures=1.0))
    world.call(SEND, {"content": "Done."})
    assert [happening.failed for happening in world.log] == [False] * 3


def test_an_oracle_is_not_disturbed():
    world = World(two_turns(), noise=only(failures=1.0), oracle=True)
    world.run()
    assert not any(happening.failed for happening in world.log)


# Renames

NAMES = {"Emails__send_email": "Post__write", f"{UI}__send_message_to_user": "Say", "Gone__x": "y"}
WORDS = {"Emails__send_email": "Puts a letter into the post."}


def renamed(names=NAMES):
    augmentation = Augmentation(tool_names_mapping=names, tool_descriptions_mapping=WORDS)
    return scenario([user("ask", "x")], [mailbox()], augmentation=augmentation)


def test_tools_get_other_names_and_words():
    world = World(renamed(), noise=only(renames=True))
    plain = World(renamed(), noise=only())
    assert set(plain.tools) - set(world.tools) == {"Emails__send_email"}
    assert set(world.tools) - set(plain.tools) == {"Post__write"}
    schema = world.tools["Post__write"].schema()["function"]
    assert (schema["name"], schema["description"]) == (
        "Post__write",
        "Puts a letter into the post.",
    )
    assert SEND in world.tools  # spared, as in ARE
    world.call("Post__write", {"recipients": ["a@b.c"], "subject": "s", "content": "c"})
    assert (world.log[-1].app, world.log[-1].function) == ("Emails", "send_email")
    with pytest.raises(ToolError, match="there is no tool"):
        world.call("Emails__send_email", {})


def test_two_tools_cannot_have_one_name():
    both = {"Emails__send_email": "post", "Emails__reply_to_email": "post"}
    with pytest.raises(
        TraceError, match=r"scenario: augmentation.tool_names_mapping: .* would both be 'post'"
    ):
        _ = World(renamed(both), noise=Noise()).tools


# Events


def email(number):
    return {
        "email_id": f"m{number}", "sender": f"s{number}@example.com", "recipients": ["me@example.com"],
        "subject": f"Offer {number}", "content": "Buy!", "parent_id": None, "timestamp": 0, "is_read": False,
    }  # fmt: skip


def product(number):
    item = {"price": 2.0, "available": True, "options": {"size": "L"}}
    variants = {f"i{number}{letter}": {"item_id": f"i{number}{letter}", **item} for letter in "abc"}
    return {"name": f"Lamp {number}", "product_id": f"p{number}", "variants": variants}


def apartment(number):
    return {
        "name": f"Loft {number}", "location": "Rome", "zip_code": "00100", "price": 900, "bedrooms": 2,
        "bathrooms": 1, "property_type": "Flat", "square_footage": 80, "furnished_status": "Furnished",
        "floor_level": "Top", "pet_policy": "None", "lease_term": "1 year", "apartment_id": f"a{number}",
        "amenities": ["Lift"], "saved": False,
    }  # fmt: skip


def conversation(number):
    messages = [
        {"sender_id": "+1", "content": f"Hello {n}", "timestamp": 0, "message_id": f"{number}{n}"}
        for n in range(6)
    ]
    return {
        "conversation_id": f"c{number}",
        "participant_ids": ["+1", "+2"],
        "title": "T",
        "messages": messages,
        "last_updated": 0,
    }


SHOP = {"cart": {}, "orders": {}}
POOL = [
    mailbox(*map(email, range(100))),
    app("Shopping", products={f"p{n}": product(n) for n in range(30)}, discount_codes={f"i{n}a": {"TEN": 10} for n in range(30)}),
    app("RentAFlat", apartments={f"a{n}": apartment(n) for n in range(50)}, saved_apartments=[]),
    app("Messages", "MessagingAppV2", conversations={f"c{n}": conversation(n) for n in range(3)}),
    app("Contacts", contacts={}),
]  # fmt: skip


def people(name="Messages"):
    quiet = {f"c{n}": {**conversation(n), "messages": []} for n in range(3)}
    return app(
        name,
        "MessagingAppV2",
        conversations=quiet,
        current_user_id="+2",
        current_user_name="Me",
        id_to_name={"+1": "Ann", "+2": "Me"},
        name_to_id={"Ann": "+1", "Me": "+2"},
    )


def lively(pool=POOL, apps=None, **more):
    shop = app("Shopping", products={}, discount_codes={}, **SHOP)
    flats = app("RentAFlat", apartments={}, saved_apartments=[])
    apps = [mailbox(), shop, flats, people()] if apps is None else apps
    events = [
        user("ask", "x", delay=5),
        agent("look", "Emails", "list_emails", "ask"),
        answer("done", "x", "look"),
    ]
    return scenario(events, apps, augmentation=Augmentation(apps=pool), **more)


def added(case=None, noise=None, **options):
    world = World(case or lively(), noise=noise or only(events_per_minute=10.0), **options)
    while not world.over:
        world.notifications()
        world.wait()
    return [happening for happening in world.log if happening.noise]


def test_the_world_gets_lively():
    news = added()
    by_function = {}
    for one in news:
        by_function.setdefault(one.function, []).append(one)
    # 600 s with 10 events a minute are 100 events, 25 for each of the four apps with data.
    assert set(by_function) == {
        "create_and_add_email", "add_product", "add_item_to_product", "add_discount_code",
        "add_new_apartment", "create_and_add_message",
    }  # fmt: skip
    assert 15 <= len(by_function["create_and_add_email"]) <= 25
    assert 15 <= len(by_function["add_new_apartment"]) <= 25
    assert 5 <= len(by_function["add_product"]) <= 12
    assert 1 <= len(by_function["create_and_add_message"]) <= 3 * 4
    for one in news:
        assert (one.kind, one.error) == ("ENV", None)
        assert one.id.startswith("env_expansion_")
        assert START + 5 < one.time <= START + 600  # it starts with the scenario's first event
    items = [one.arguments["product_id"] for one in by_function["add_item_to_product"]]
    assert set(items) <= {one.result for one in by_function["add_product"]}


def test_seeds_decide_what_happens_but_not_the_worlds():
    first = [
        (one.id, one.time, one.arguments)
        for one in added(seed=1)
        if one.function == "create_and_add_email"
    ]
    again = [
        (one.id, one.time, one.arguments)
        for one in added(seed=2)
        if one.function == "create_and_add_email"
    ]
    other = [
        (one.id, one.time, one.arguments)
        for one in added(noise=only(events_per_minute=10.0, seed=1))
        if one.function == "create_and_add_email"
    ]
    assert first == again != other


def test_messages_of_a_conversation_come_in_their_order():
    said = {}
    for one in added():
        if one.function == "create_and_add_message":
            said.setdefault(one.arguments["conversation_id"], []).append(one.arguments["content"])
    assert said
    for words in said.values():
        assert words == [f"Hello {number}" for number in range(len(words))]


def test_noise_is_spread_over_the_duration_and_follows_the_rate():
    many = added(lively(duration=6000), only(events_per_minute=2.0))
    times = sorted(one.time - START for one in many if one.function == "create_and_add_email")
    assert 30 <= len(times) <= 50
    assert 1500 < times[len(times) // 2] < 4500
    assert added(noise=only()) == []


def test_without_data_or_apps_for_it_nothing_is_added():
    assert added(lively(pool=[])) == []
    assert added(lively(pool=None)) == []
    assert added(two_turns()) == []
    assert {one.app for one in added(lively(apps=[mailbox()]))} == {"Emails"}


def test_a_world_without_end_gets_noise_too():
    world = World(lively(duration=None), noise=only(events_per_minute=10.0))
    world.advance(10_000)
    times = [one.time - START for one in world.log if one.noise]
    assert len(times) > 20
    assert max(times) < 10_000


def test_bad_data_is_named():
    pool = [app("Emails", "EmailClientV2", folders={"INBOX": {"emails": [{"sender": "x"}] * 20}})]
    with pytest.raises(
        TraceError, match=r"scenario: augmentation.apps.Emails: 'recipients' is missing"
    ):
        added(lively(pool=pool), only(events_per_minute=60.0))


def test_the_scenarios_own_events_are_no_noise():
    case = lively()
    case.events.append(env("own", "Emails", "create_and_add_email", "ask", 1, sender="a@b.c"))
    world = World(case, noise=only(events_per_minute=10.0))
    world.advance(500)
    assert [happening.noise for happening in world.log if happening.id in {"ask", "own"}] == [
        False,
        False,
    ]
