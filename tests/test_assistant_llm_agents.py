"""Agents that ask a model, and functions of the user's, on a desk of real apps."""

from __future__ import annotations

import asyncio
import inspect
import json
from pathlib import Path

import pytest
from assistant_desk import SEND, START, SmallDesk
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_server import Raw, Reply, call

from pytest_a2perf.domains.assistant.agents.callables import CallableAgent
from pytest_a2perf.domains.assistant.agents.react import (
    Action,
    ActionError,
    ReactAgent,
    parse_action,
)
from pytest_a2perf.domains.assistant.agents.tool_calling import ToolCallingAgent
from pytest_a2perf.domains.assistant.agents.usage import Limits, report_usage
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.errors import AgentError, AgentFailure, InfraError
from pytest_a2perf.llm import Cassette, ChatModel, Totals

# litellm keeps clients and an event loop that nobody closes.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def played(desk, server, kind=ToolCallingAgent, *, limits=None, **more):
    agent = kind(ChatModel("openai/scripted", api_base=server.url, max_retries=0, **more), limits)
    agent.play(desk)
    return agent


def told(server, number=-1):
    """Return what the model was told last, in a request."""
    return server.asked[number]["messages"][-1]


SAY = call(SEND, content="Done.")

# -- native calls ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_task_is_done_with_tools(served):
    desk = SmallDesk("Note: milk")
    server = served(call("Notes__add", text="milk"), call("Notes__list_notes"), SAY)
    agent = played(desk, server)
    assert desk.over
    assert (desk.notes.notes, desk.said) == (["milk"], ["Done."])
    first = server.asked[0]
    assert [each["role"] for each in first["messages"]] == ["system", "user"]
    assert "Tuesday, 2023-11-14 22:13" in first["messages"][0]["content"]
    assert first["messages"][1]["content"] == "Message of the user:\nNote: milk"
    assert first["tools"] == [each.schema() for each in desk.tools.values()]
    assert told(server, 1) == {"role": "tool", "tool_call_id": "call_2_0", "content": "1"}
    assert told(server, 2)["content"] == "['milk']"
    assert agent.model.totals.calls == len(agent.model.answers) == 3
    assert agent.messages[5] == told(server, 2)
    assert agent.messages[6]["tool_calls"][0]["function"]["name"] == SEND


def test_the_time_of_each_answer_passes_in_the_world(served, tmp_path):
    desk = SmallDesk("x")
    cassette = Cassette(tmp_path / "x.jsonl", "record")
    agent = played(desk, served(call("Notes__list_notes"), SAY), cassette=cassette)
    assert sum(desk.thought) == pytest.approx(agent.model.totals.seconds)
    assert len(desk.thought) == 2
    again = SmallDesk("x")
    ToolCallingAgent(ChatModel("openai/scripted", cassette=Cassette(tmp_path / "x.jsonl", "replay"))).play(again)  # fmt: skip
    assert (again.thought, again.calls, again.now) == (desk.thought, desk.calls, desk.now)


def test_several_calls_at_once_and_what_goes_wrong_in_them(served):
    desk = SmallDesk("x")
    several = Reply(
        "Let me see.",
        [("Notes__add", {"text": "a"}), ("Notes__add", {"text": ""}), ("Notes__add", {"txt": "b"}),
         ("Notes__ad", {}), ("Notes__add", '{"text": '), ("Notes__add", "[1]"), ("Notes__add", '{"text": "two\nlines"}'),
         ("Notes__list_notes", "")],
    )  # fmt: skip
    server = served(several, SAY)
    played(desk, server)
    assert desk.notes.notes == ["a", "two\nlines"]
    messages = server.asked[1]["messages"]
    results = [each["content"] for each in messages if each["role"] == "tool"]
    assert results[0] == "1"
    assert results[1] == "Error: a note must say something"
    assert results[2].startswith("Error: Notes__add has no argument 'txt'")
    assert results[3] == "Error: there is no tool 'Notes__ad'; did you mean 'Notes__add'?"
    assert results[4].startswith("Error: the arguments of Notes__add are no JSON object: Expecting")
    assert results[5].startswith("Error: the arguments of Notes__add are no JSON object: an object")
    assert results[6:] == ["2", "['a', 'two\\nlines']"]
    said = next(each for each in messages if each["role"] == "assistant")
    arguments = [json.loads(each["function"]["arguments"]) for each in said["tool_calls"]]
    assert arguments[4:] == [
        {"not_json": '{"text": '},
        {"not_json": "[1]"},
        {"text": "two\nlines"},
        {},
    ]


def test_a_text_is_a_message_to_the_user(served):
    desk = SmallDesk("first", "second")
    server = served("Which one?", "Thanks.")
    played(desk, server)
    assert desk.said == ["Which one?", "Thanks."]
    assert [each["role"] for each in server.asked[1]["messages"]] == ["system", "user", "assistant", "user"]  # fmt: skip
    assert told(server)["content"] == "Message of the user:\nsecond"


def test_nothing_is_done_after_the_message_to_the_user(served):
    desk = SmallDesk("first")
    server = served(Reply(calls=[(SEND, {"content": "Done."}), ("Notes__add", {"text": "late"})]))
    played(desk, server)
    assert (desk.said, desk.notes.notes) == (["Done."], [])
    desk = SmallDesk("first", "second")
    server = served(
        Reply(calls=[(SEND, {"content": "Done."}), ("Notes__add", {"text": "late"})]), SAY
    )
    played(desk, server)
    assert [each["content"][:9] for each in server.asked[1]["messages"][3:]] == ["None", "Not done:", "Message o"]  # fmt: skip


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_an_empty_answer_is_asked_for_again(finish, served):
    desk = SmallDesk("x")
    server = served(Reply("", finish=finish), SAY)
    played(desk, server)
    content = told(server)["content"]
    assert "Your answer was empty" in content
    assert ("greatest length" in content) == (finish == "length")
    assert desk.said == ["Done."]


def test_news_and_images_reach_the_model(served):
    class Desk(SmallDesk):
        def wait(self):
            super().wait()
            if self._news:
                file = {"name": "a.png", "mime": "image/png", "base64_data": "AAAA"}
                new = self._news[0]
                self._news[0] = type(new)(
                    new.kind, new.text, new.time, (file, {"mime": "text/plain"})
                )
                self.notify("a mail")

    desk = Desk("look")
    server = served(SAY)
    played(desk, server)
    parts = told(server, 0)["content"]
    assert parts[0]["text"] == "News of the apps:\n[2023-11-14 22:13:21] a mail"
    assert parts[1]["text"] == "Message of the user:\nlook"
    assert parts[2:] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]


def test_waiting_is_a_call_like_any_other(served):
    desk = SmallDesk("x")
    played(desk, served(call("SystemApp__wait_for_notification", timeout=60), SAY))
    assert desk.said == ["Done."]
    assert desk.now >= START + 61


def test_the_world_may_end_at_any_time(served):
    desk = SmallDesk("x", duration=100)
    played(desk, served(call("SystemApp__wait_for_notification", timeout=60)))
    assert desk.over
    assert desk.said == []


def test_names_that_providers_do_not_take(served):
    desk = SmallDesk("x", notes="My notes! " + "x" * 60)
    server = served(lambda _: call(server.asked[0]["tools"][-2]["function"]["name"], text="a"), SAY)
    played(desk, server)
    assert desk.notes.notes == ["a"]
    names = [each["function"]["name"] for each in server.asked[0]["tools"]]
    assert len(set(names)) == len(names) == len(desk.tools)
    assert max(map(len, names)) == 64
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
        for name in names
    )


# -- limits ---------------------------------------------------------------------------------------

LOOP = call("Notes__list_notes")


@pytest.mark.parametrize(
    ("limits", "more", "said", "calls"),
    [
        (Limits(max_steps=3), {}, r"used up its 3 steps \(max_steps\)", 3),
        (Limits(max_total_tokens=200), {}, r"used 214 tokens \(max_total_tokens = 200\)", 2),
        (Limits(max_cost=0.002), {"prices": [10, 10]}, r"cost 0.00214 dollars \(max_cost = 0.002\)", 2),
    ],
)  # fmt: skip
def test_limits_of_a_trial(limits, more, said, calls, served):
    server = served(LOOP)
    with pytest.raises(AgentFailure, match=said):
        played(SmallDesk("x"), server, limits=limits, **more)
    assert len(server.asked) == calls


def test_limits_that_cannot_be_held_are_no_limits(served):
    with pytest.raises(AgentError, match="max_cost: the price of the model is unknown"):
        played(SmallDesk("x"), served(LOOP), limits=Limits(max_cost=1))
    with pytest.raises(AgentError, match="max_total_tokens: the server does not count"):
        played(SmallDesk("x"), served(Reply(calls=LOOP.calls, usage=None)), limits=Limits(max_total_tokens=1))  # fmt: skip


def test_a_conversation_that_gets_too_long_is_the_agents_failure(served):
    too_long = Raw(400, b'{"error": {"message": "too long", "code": "context_length_exceeded"}}')
    with pytest.raises(AgentFailure, match="refuses the conversation"):
        played(SmallDesk("x"), served(LOOP, too_long))


@pytest.mark.parametrize("kind", [ToolCallingAgent, ReactAgent])
def test_an_outage_is_not_the_agents_failure(kind, served):
    with pytest.raises(InfraError, match="scripted 500"):
        played(SmallDesk("x"), served((500, {})), kind)


# -- usage ----------------------------------------------------------------------------------------


def test_usage_is_reported(served):
    agent = played(SmallDesk("x"), served(LOOP, SAY), prices=[1, 2])
    reported = {}
    report_usage(lambda name, value, unit: reported.update({name: (value, unit)}), "judge_", agent.model.totals)  # fmt: skip
    assert reported.pop("judge_cost") == (pytest.approx(228e-6), "USD")
    assert reported.pop("judge_seconds") == (agent.model.totals.seconds, "s")
    assert reported == {
        "judge_calls": (2, ""), "judge_prompt_tokens": (200, ""), "judge_completion_tokens": (14, ""),
        "judge_cached_tokens": (80, ""), "judge_reasoning_tokens": (6, ""), "judge_retries": (0, ""),
    }  # fmt: skip


def test_what_is_unknown_is_not_reported():
    reported = {}
    totals = Totals(calls=3, replayed=2, uncounted=1, cost=None)
    report_usage(lambda name, value, _: reported.update({name: value}), "", totals)
    assert "cost" not in reported
    assert (reported["replayed_calls"], reported["uncounted_calls"]) == (2, 1)
    report_usage(reported.clear, "", None)
    assert reported


# -- ReAct ----------------------------------------------------------------------------------------


def action(tool, /, thought="I must.", **arguments):
    text = json.dumps({"action": tool, "action_input": arguments})
    return f"Thought: {thought}\n\nAction:\n{text}<end_action>\nObservation: invented"


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (action("a", x=1), Action("a", {"x": 1})),
        ('Action: {"action": "a", "action_input": {}}', Action("a", {})),
        ('Action:\n```json\n{"action": "a"}\n```\n', Action("a", {})),
        ('Action: {"action": "a", "action_input": ""}', Action("a", {})),
        ('Action: {"action": "a", "action_input": {"on": True, "off": False, "no": None}}', Action("a", {"on": True, "off": False, "no": None})),
        ('Action: {"action": "a", "action_input": {"x": "True {or} \\"False\\" Action: None"}}', Action("a", {"x": 'True {or} "False" Action: None'})),
        ('Action: {"action": "a", "action_input": {"x": "two\nlines"}}', Action("a", {"x": "two\nlines"})),
        ('Thought: the Action: comes.\nAction: {"action": "a"} That is all }', Action("a", {})),
        ('**Action:** {"action": "a"}', Action("a", {})),
    ],
)  # fmt: skip
def test_replies_with_an_action(reply, wanted):
    assert parse_action(reply) == wanted


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("Thought: hm", "no action in your answer"),
        ("Action: none", "no JSON object"),
        ('Action: {"action": "a", ', "not valid JSON"),
        ("Action: " + "[" * 9 + '{"action": "a"', "not valid JSON"),
        ("Action: " + '{"a":' * 100_000, "not valid JSON"),
        ('Action: {"action": "a"}\n{"action": "b"}', "more than one action"),
        ('Action: {"action": "a"}\nAction: {"tool": "b"}', "more than one action"),
        ('Action: {"tool": "a"}', "needs the key 'action'"),
        ('Action: {"action": 3}', "needs the key 'action'"),
        ('Action: {"action": "a", "action_input": "x"}', "should be a JSON object"),
    ],
)
def test_replies_without_one(reply, said):
    with pytest.raises(ActionError, match=said):
        parse_action(reply)


VALUES = st.none() | st.booleans() | st.text() | st.lists(st.text() | st.integers(), max_size=2)


@settings(max_examples=50)
@given(st.text(min_size=1), st.dictionaries(st.text(), VALUES, max_size=3))
def test_what_is_written_arrives_as_it_is_written(tool, arguments):
    assert parse_action(action(tool)) == Action(tool, {})
    text = json.dumps({"action": tool, "action_input": arguments}, ensure_ascii=False)
    assert parse_action(f"Thought: x\nAction:\n{text}\n") == Action(tool, arguments)


@given(st.text(st.sampled_from('Action:{}"[]\\ntrue, TF\n')))
def test_any_reply_is_an_action_or_is_told_what_is_wrong(reply):
    try:
        assert parse_action(f"Action: {reply}").tool
    except ActionError:
        return


def test_a_task_is_done_in_text(served):
    desk = SmallDesk("Note: milk")
    server = served(action("Notes__add", text='"milk" True'), action("Notes__list_notes"), action(SEND, content="Done."))  # fmt: skip
    played(desk, server, ReactAgent)
    assert (desk.notes.notes, desk.said) == (['"milk" True'], ["Done."])
    first = server.asked[0]
    assert "tools" not in first
    assert first["stop"] == ["<end_action>", "\nObservation:"]
    system = first["messages"][0]["content"]
    for name, each in desk.tools.items():
        assert f"- {name}: {each.description}" in system
    assert '    pinned (optional): {"type": "boolean"' in system
    assert told(server, 1)["content"] == "Observation of step 1:\n1"
    assert told(server, 2)["content"] == "Observation of step 2:\n['\"milk\" True']"
    replies = [
        each["content"] for each in server.asked[2]["messages"] if each["role"] == "assistant"
    ]
    assert all(reply.endswith("}") for reply in replies)


def test_what_is_wrong_is_told_and_costs_a_step(served):
    desk = SmallDesk("x")
    server = served("Thought: hm", action("Notes__ad"), action("Notes__add", txt="a"), action(SEND, content="Done."))  # fmt: skip
    played(desk, server, ReactAgent)
    assert "Error in step 1: there is no action" in told(server, 1)["content"]
    assert (
        "Error in step 2: there is no tool 'Notes__ad'; did you mean" in told(server, 2)["content"]
    )
    assert "has no argument 'txt'" in told(server, 3)["content"]
    assert "The tool is:\n- Notes__add: Write a note." in told(server, 3)["content"]


def test_replies_of_no_form_are_asked_for_again(served):
    desk = SmallDesk("x")
    server = served(*["Hm."] * 10, action("Notes__list_notes"), action(SEND, content="Done."))
    played(desk, server, ReactAgent, limits=Limits(max_steps=2))
    assert desk.said == ["Done."]
    assert all(each["messages"] == server.asked[0]["messages"] for each in server.asked[:11])
    assert server.asked[11]["messages"][1]["content"].count("Error in step 1") == 10
    server = served(*["Hm."] * 11, action(SEND, content="Done."))
    played(SmallDesk("x"), server, ReactAgent)
    assert [each["content"] for each in server.asked[11]["messages"] if each["role"] == "assistant"] == ["Hm."]  # fmt: skip


def test_without_steps_the_user_is_told_in_each_turn(served):
    desk = SmallDesk("first", "second")
    server = served(action("Notes__list_notes"))
    played(desk, server, ReactAgent, limits=Limits(max_steps=3))
    assert desk.said == ["Max iterations (3) reached. Stopping."] * 2
    assert len(server.asked) == 3


# -- functions ------------------------------------------------------------------------------------


def test_a_function_is_called_once_a_turn():
    heard = []

    def agent(message, tools):
        heard.append(message)
        return f"{tools['Notes__add'](text=message)} notes"

    desk = SmallDesk("first", "!second", "third")
    CallableAgent(agent).play(desk)
    assert heard == ["first", "[2023-11-14 22:13:22] second", "third"]
    assert desk.said == ["1 notes", "2 notes", "3 notes"]
    assert desk.thought == []


def test_tools_are_functions_that_explain_themselves():
    def agent(message, tools):
        add = tools["Notes__add"]
        assert set(tools) == set(desk.tools)
        assert add.__name__ == "Notes__add"
        assert str(inspect.signature(add)) == "(*, text: str, pinned: bool = False)"
        assert inspect.get_annotations(add) == {"text": str, "pinned": bool}
        assert add.__doc__.startswith("Write a note.\n\nArgs:\n    text: what it says.")
        assert add.schema == desk.tools["Notes__add"].schema()
        assert add(text="a", pinned=True) == 1
        assert tools["Notes__list_notes"]() == ["a"]
        with pytest.raises(ToolError, match="a note must say something"):
            add(text="")

    desk = SmallDesk("x")
    CallableAgent(agent).play(desk)
    assert desk.said == []
    assert desk.notes.notes == ["a"]


class Counter:
    """An agent with a memory."""

    def __init__(self):
        self.turns = 0

    def __call__(self, message, tools):
        self.turns += 1
        return f"turn {self.turns}"


def test_a_class_is_made_for_each_trial():
    for agent, second in ((Counter, "turn 1"), (Counter(), "turn 3")):
        said = []
        for _ in range(2):
            desk = SmallDesk("a", "b")
            CallableAgent(agent).play(desk)
            said += desk.said
        assert said[2] == second


class Streams:
    """An async agent that asks a model by itself, in a stream, and calls tools at the same time."""

    url = ""

    async def __call__(self, message, tools):
        import openai

        async with openai.AsyncOpenAI(base_url=self.url, api_key="x") as client:
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": message}], stream=True
            )
            words = [
                chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices
            ]
        texts = "".join(words).split()
        await asyncio.gather(*(tools["Notes__add"](text=text) for text in texts))
        return f"noted {len(texts)}"


def test_an_async_function_has_async_tools(served, monkeypatch):
    monkeypatch.setattr(Streams, "url", served("milk and eggs").url)
    desk = SmallDesk("What?", "And?")
    CallableAgent(Streams).play(desk)
    assert desk.notes.notes == ["milk", "and", "eggs"] * 2
    assert desk.said == ["noted 3"] * 2


def test_after_the_answer_tools_refuse_until_the_next_turn():
    def agent(message, tools):
        assert tools[SEND](content="mine") is None
        with pytest.raises(ToolError, match="your message to the user has ended your turn: return"):
            tools["Notes__add"](text="late")
        return "not sent"

    desk = SmallDesk("a", "b")
    CallableAgent(agent).play(desk)
    assert desk.said == ["mine", "mine"]


@pytest.mark.parametrize("is_async", [False, True])
def test_the_end_of_the_world_ends_the_function(is_async):
    left = []

    def agent(message, tools):
        try:
            while True:
                tools["SystemApp__wait_for_notification"](timeout=50)
        except Exception:
            left.append("caught")
        finally:
            left.append("left")

    async def async_agent(message, tools):
        try:
            while True:
                await tools["SystemApp__wait_for_notification"](timeout=50)
        except Exception:
            left.append("caught")
        finally:
            left.append("left")

    desk = SmallDesk("x", duration=170)
    CallableAgent(async_agent if is_async else agent).play(desk)
    assert desk.over
    assert left == ["left"]


def boom(message, tools):
    raise ValueError("boom")


async def async_boom(message, tools):
    await tools["Notes__add"](text="")


def number(message, tools):
    return 3


class Broken:
    def __init__(self):
        raise OSError("no disk")


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (boom, "the agent boom raised ValueError: boom"),
        (async_boom, "the agent async_boom raised ToolError: a note must say something"),
        (number, "returned a int: return the text for the user, or None"),
        (Broken, "the agent Broken raised OSError: no disk"),
        (Path("x"), "raised TypeError"),
    ],
)
def test_what_is_wrong_with_a_function(agent, said):
    with pytest.raises(AgentError, match=said):
        CallableAgent(agent).play(SmallDesk("x"))


def test_errors_of_ours_pass_through():
    def agent(message, tools):
        raise InfraError("the endpoint is down")

    with pytest.raises(InfraError, match="the endpoint is down"):
        CallableAgent(agent).play(SmallDesk("x"))


def test_the_time_of_a_function_may_pass_in_the_world():
    def agent(message, tools):
        for _ in range(3):
            tools["Notes__list_notes"]()
        return "done"

    desk = SmallDesk("x")
    CallableAgent(agent, timed=True).play(desk)
    assert len(desk.thought) == 4
    assert desk.now > START + 1
