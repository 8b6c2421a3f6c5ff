"""The agent that asks a language model, against a server with scripted answers."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_server import LlmServer

from pytest_a2perf.domains.web.llm import Move, ReplyError, parse_reply
from pytest_a2perf.llm.provider import load_litellm

FIELDS = ("username", "password", "city")
# litellm keeps clients and an event loop that nobody closes.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


# -- replies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "move"),
    [
        ("type 3 city", Move(3, "city")),
        ("click 7", Move(7, None)),
        ("I fill in the name.\n**Type [3] 'city'**", Move(3, "city")),
        ("CLICK #7.", Move(7, None)),
        ("type(3, city)", Move(3, "city")),
        ("First click 1, later:\nclick 2", Move(2, None)),
        ("<think>click 1 or type 3 city</think>\nclick 2", Move(2, None)),
        ('```json\n{"action": "type", "element": 3, "field": "city"}\n```', Move(3, "city")),
        ('{"element": "7", "action": "click", "field": null}', Move(7, None)),
        ('{"broken": click} {"action": "click", "element": 7}', Move(7, None)),
        ("click 4 because of the city", Move(4, None)),
    ],
)
def test_replies_with_an_action(reply, move):
    assert parse_reply(reply, 10, FIELDS) == move


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("", "no action"),
        ("I cannot do that.", "no action"),
        ('{"action": "fly", "element": 3}', "no action"),
        ('{"action": "click", "element": "seven"}', "no action"),
        ("click 10", "no element 10; the page has 0 to 9"),
        ('{"action": "click", "element": -1}', "no element -1"),
        ("type 3", "name the field"),
        ("type 3 town", "no field 'town'; valid: city, password, username"),
        ("type 3 user", "did you mean 'username'"),
    ],
)
def test_replies_without_one(reply, said):
    with pytest.raises(ReplyError, match=said):
        parse_reply(reply, 10, FIELDS)


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), lambda x: st.dictionaries(st.sampled_from(["action", "element", "field"]), x)).map(json.dumps))  # fmt: skip
def test_any_reply_is_an_action_of_the_page_or_is_told_what_is_wrong(reply):
    try:
        move = parse_reply(reply, 3, FIELDS)
    except ReplyError:
        return
    assert 0 <= move.element < 3
    assert move.field in (None, *FIELDS)


@given(st.integers(0, 9), st.sampled_from([None, *FIELDS]), st.text())
def test_an_action_on_the_last_line_counts(element, field, before):
    line = f"click {element}" if field is None else f"type {element} {field}"
    assert parse_reply(f"{before}\n{line}", 10, FIELDS) == Move(element, field)


# -- the agent ------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """Import litellm once: it takes seconds, and pytester forgets what a test imports."""
    load_litellm()


BUSY = (429, {"Retry-After": "0.01"})

SITE = """
    [[scenario]]
    name = "login"
    domain = "web"
    task = "a2perf/WebNavigation-v0"
    agent = "web-llm"
    seeds = 1
    options.env.designs = [{{ number_of_pages = 1, action = ["username", "rememberme", "next_login"], action_page = [0, 0, 0] }}]
    options.env.step_limit = 6
    agent_options = {{ model = "openai/scripted", api_base = "{url}", {more} }}
"""


@pytest.fixture
def run(write, project, records):
    """Run a scenario against a server; return its only record."""

    def run(server, more="max_retries = 0", model="openai/scripted"):
        write(SITE.format(url=server.url, more=more).replace("openai/scripted", model))
        project.runpytest("--a2perf")
        (record,) = records()
        return record

    return run


def solve(messages):
    """Read the page as a model would, and do the first thing that is missing."""
    page = messages[1]["content"].partition("The page:")[2]
    for pattern, action in (
        (r'\[(\d+)\] textbox .* = ""', "type {} username"),
        (r'\[(\d+)\] checkbox ".*" is off', "click {}"),
        (r'\[(\d+)\] button "', "click {}"),
    ):
        found = re.search(pattern, page)
        if found:
            return action.format(found[1])
    raise AssertionError(page)


def reported(record):
    own = ("potential", "wasted")  # of the domain
    return {name: got.value for name, got in record.reported.items() if name not in own}


def test_a_model_that_reads_solves_a_site(served, run):
    server = served(solve)
    record = run(server)
    (episode,) = record.episodes
    assert (record.outcome, episode.success, episode.length) == ("success", True, 3)
    assert record.context["llm"] == "openai/scripted"
    assert reported(record) == {
        "calls": 3,
        "prompt_tokens": 300,
        "completion_tokens": 21,
        "bad_replies": 0,
        "lost_steps": 0,
    }
    last = server.asked[-1]["messages"][1]["content"]
    assert re.search(r"You did so far:\ntype \d+ username\nclick \d+\n\nThe page:", last)
    assert re.search(r"^username: \S+$", last, re.MULTILINE)
    assert record.samples["latency"].count == 3


def test_what_a_model_costs_is_reported_where_its_prices_are_known(served, run):
    record = run(served(solve), model="openai/gpt-4o-mini")
    cost = record.reported["cost"]
    assert cost.value == pytest.approx((180 * 0.15 + 120 * 0.075 + 21 * 0.6) * 1e-6)
    assert (cost.unit, cost.source, cost.quality) == ("USD", "litellm", "modelled")


def test_bad_replies_are_told_and_a_step_is_lost_in_the_end(served, run):
    server = served("Hm.", "click 999", "type 1 town", "Well.", solve)
    record = run(server)
    assert record.outcome == "success"
    (episode,) = record.episodes
    assert episode.length == 4
    assert episode.total == pytest.approx(1 + 1 - 4 * 0.05 - 0.5)
    assert reported(record) | {"bad_replies": 4, "lost_steps": 1} == reported(record)
    told = [messages[-1]["content"] for messages in (each["messages"] for each in server.asked)]
    assert told[1] == "There is no action in your answer."
    assert told[2].startswith("There is no element 999; the page has 0 to")
    assert "nothing, as your answer held no action" in told[3]
    assert server.asked[2]["messages"][2] == {"role": "assistant", "content": "Hm."}


def test_a_busy_endpoint_delays_a_trial_and_does_not_fail_it(served, run):
    record = run(served(BUSY, solve), more="max_retries = 2")
    assert record.outcome == "success"
    assert reported(record)["calls"] == 3


def test_an_endpoint_that_is_down_is_infrastructure(run):
    server = LlmServer("never")
    server.close()
    record = run(server)
    assert record.outcome == "infra"
    assert "model 'openai/scripted' at http://127.0.0.1" in record.error["message"]
    assert reported(record)["calls"] == 0


def test_an_endpoint_that_goes_down_leaves_what_was_counted(served, run):
    server = served("Hm.", (500, {}))
    record = run(server)
    assert record.outcome == "infra"
    assert reported(record) | {"calls": 1, "prompt_tokens": 100} == reported(record)


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        ("a2perf/WebNavigation-Difficulty-01-v0", "", "needs agent_options.model"),
        ("CartPole-v1", 'model = "x"', "needs one environment of a2perf/WebNavigation"),
        ("CartPole-v1", 'api_key = "x"', "has no option 'api_key'"),
    ],
)
def test_what_the_agent_cannot_do(task, options, said, project, write, records):
    write(f"""
        [[scenario]]
        name = "x"
        task = "{task}"
        agent = "web-llm"
        seeds = 1
        agent_options = {{ {options} }}
    """)
    project.runpytest("--a2perf")
    (record,) = records()
    assert record.outcome == "error"
    assert said in record.error["message"]
