"""What can be done with sessions: counting, checking, cutting, anonymising, summing up."""

from __future__ import annotations

import json
import math
import re
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_sessions import TEXTS, TOOL, call, sessions, small_session

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.anonymise import anonymise, names_in
from pytest_a2perf.domains.serving.trajectories.check import check_sessions, problems_of
from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.domains.serving.trajectories.statistics import statistics_of, statistics_text
from pytest_a2perf.domains.serving.trajectories.tokens import (
    estimate_tokens,
    input_tokens,
    message_tokens,
    tools_tokens,
)
from pytest_a2perf.domains.serving.trajectories.truncate import truncate

KEY = b"a key of sixteen"


# Tokens


@given(st.text())
def test_a_token_is_four_bytes(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert estimate_tokens(text) == math.ceil(size / 4)


def test_a_message_counts_with_reasoning_calls_and_four_more() -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": "four"}, {"type": "image_url", "image_url": {}}],
        "reasoning_content": "12345678",
        "tool_calls": [call("x", {"ä": 1})],
    }
    calls = json.dumps(message["tool_calls"], separators=(",", ":"), ensure_ascii=False)
    assert message_tokens(message) == math.ceil((12 + len(calls.encode())) / 4) + 4
    assert message_tokens({"role": "tool", "content": None}) == 4


def test_an_input_counts_its_messages_and_the_declared_tools() -> None:
    session = small_session()
    turn = session.turns[1]
    messages = sum(message_tokens(session.messages[index]) for index in turn.messages)
    assert input_tokens(session, turn) == messages + tools_tokens([TOOL])
    assert tools_tokens([]) == 0


# Checking


def turned(*messages: Any, **of_turn: Any) -> Session:
    """A session of one turn that sends all messages."""
    return Session("s", messages, (Turn(tuple(range(len(messages))), **of_turn),))


USER = {"role": "user", "content": "go"}
CALLING = {"role": "assistant", "content": None, "tool_calls": [call("a")]}
RESULT = {"role": "tool", "tool_call_id": "a", "content": ""}


def wrong_call(**changed: Any) -> dict[str, Any]:
    made = call("a") | {key: value for key, value in changed.items() if key in {"id", "function"}}
    if "arguments" in changed:
        made["function"] = {"name": "bash", "arguments": changed["arguments"]}
    return {**CALLING, "tool_calls": [made]}


@pytest.mark.parametrize(
    ("session", "problem"),
    [
        (Session("s", (USER,), ()), "no turns"),
        (Session("s", (USER,), (Turn(()), Turn((0,)))), "turn 1: it sends no messages"),
        (Session("s", (USER,), (Turn((0, 1)),)), "turn 1: it sends message number 1 of 1"),
        (Session("s", (USER,), (Turn((-1,)),)), "number -1 of 1"),
        (Session("s", (USER, USER), (Turn((0,)),)), "1 of its 2 messages are sent by no turn"),
        (Session("s", ("text",), (Turn((0,)),)), "message number 0 (from 0) is no object"),
        (turned({"role": "robot", "content": "x"}), "message 1: unknown role 'robot'"),
        (turned({"content": "x"}), "unknown role None"),
        (turned(CALLING, RESULT), "the first message is of role 'assistant'"),
        (turned(USER, {"role": "assistant", "content": "x"}), "the last message is the assistant's"),
        (turned({"role": "user", "content": ""}), "message 1: the content is empty"),
        (turned({"role": "user"}), "message 1: the content is empty"),
        (turned({"role": "user", "content": 3}), "neither a text nor a list"),
        (turned(USER, {"role": "assistant", "content": ""}, USER), "message 2: the assistant says nothing"),
        (turned(USER, CALLING, USER), "message 2: its tool call 'a' has no result"),
        (turned(USER, {**CALLING, "tool_calls": [call("a"), call("b")]}, RESULT), "call 'b' has no"),
        (turned(USER, RESULT), "message 2: the result of call 'a', which waits for none"),
        (turned(USER, CALLING, RESULT, RESULT), "message 4: the result of call 'a'"),
        (turned(USER, CALLING, RESULT, USER, RESULT), "message 5: the result of call 'a'"),
        (turned(USER, {**CALLING, "tool_calls": [call("a"), call("a")]}, RESULT), "have the id 'a'"),
        (turned(USER, wrong_call(arguments="{"), RESULT), "arguments of the call of 'bash' are no JSON"),
        (turned(USER, wrong_call(arguments={}), RESULT), "arguments of the call of 'bash' are no JSON"),
        (turned(USER, wrong_call(function={}), RESULT), "a tool call names no function"),
        (turned(USER, wrong_call(id=""), RESULT), "the call of 'bash' has no id"),
        (turned({"role": "user", "content": "x", "tool_calls": [call("a")]}, RESULT), "makes tool calls"),
        (turned(USER, tool_delay=-1.0), "turn 1: tool_delay is -1.0"),
        (turned(USER, think_time=math.nan), "turn 1: think_time is nan"),
        (turned(USER, duration=math.inf), "turn 1: duration is inf"),
        (turned(USER, output_tokens=-1), "turn 1: output_tokens is -1"),
        (replace(turned(USER), tools=({"name": "bash"},)), "tool 1: it is not"),
        (replace(turned(USER), tools=(TOOL, TOOL)), "tool 'bash' is declared 2 times"),
    ],
)  # fmt: skip
def test_what_endpoints_refuse_is_found(session: Session, problem: str) -> None:
    assert any(problem in text for text in problems_of(session)), problems_of(session)


def test_valid_sessions_have_no_problems() -> None:
    check_sessions([small_session(), small_session("two")], "mine")
    # A provider that counts calls per reply gives the same id again.
    assert problems_of(turned(USER, CALLING, RESULT, CALLING, RESULT)) == []


@given(sessions())
def test_whatever_is_built_well_is_found_well(session: Session) -> None:
    assert problems_of(session) == []


@given(sessions(), st.data())
def test_a_result_without_its_call_is_found_wherever_it_is(session: Session, data: Any) -> None:
    calls = [item for item in session.messages if item.get("tool_calls")]
    if calls:
        gone = data.draw(st.sampled_from(calls))
        without = {"role": "assistant", "content": "I call nothing."}
        messages = tuple(without if item is gone else item for item in session.messages)
        found = problems_of(replace(session, messages=messages))
        sent = any(
            session.messages[index] is gone for turn in session.turns for index in turn.messages
        )
        assert bool(found) == sent
        assert all("which waits for none" in text for text in found)


def test_what_the_history_repeats_is_said_once() -> None:
    messages = (USER, CALLING, USER, {"role": "assistant", "content": "ok"}, USER)
    session = Session("s", messages, (Turn((0,)), Turn((0, 1, 2)), Turn((0, 1, 2, 3, 4))))
    assert problems_of(session) == ["turn 2: message 2: its tool call 'a' has no result"]


def test_all_problems_are_counted_and_the_first_are_shown() -> None:
    broken = [replace(turned({"role": "user", "content": ""}), id=f"s{n}") for n in range(30)]
    with pytest.raises(TrajectoryError) as caught:
        check_sessions([small_session(), *broken], "the/file.jsonl")
    lines = str(caught.value).splitlines()
    assert lines[0] == "the/file.jsonl: 30 problems:"
    assert lines[1] == "  session 's0': turn 1: message 1: the content is empty"
    assert lines[-1] == "  and 10 more"
    assert len(lines) == 22


def test_one_problem_is_one_line() -> None:
    with pytest.raises(
        TrajectoryError, match=r"^mine: session 's': turn 1: message 1: the content"
    ):
        check_sessions(iter([turned({"role": "user", "content": ""})]), "mine")


def test_doubled_ids_and_no_sessions_at_all_are_refused() -> None:
    with pytest.raises(TrajectoryError, match="'one': another session has the same id"):
        check_sessions([small_session(), small_session(), small_session()], "mine")
    with pytest.raises(TrajectoryError, match="mine: there are no sessions"):
        check_sessions([], "mine")


# Cutting


def lengths_of(session: Session) -> list[int]:
    return [input_tokens(session, turn) + (turn.output_tokens or 0) for turn in session.turns]


@given(sessions(), st.integers(0, 300))
def test_a_session_is_cut_at_the_first_turn_that_does_not_fit(session: Session, most: int) -> None:
    lengths = [
        sum(message_tokens(item) for item in session.input_of(turn))
        + tools_tokens(session.tools)
        + (turn.output_tokens or 0)
        for turn in session.turns
    ]
    fitting = next((n for n, length in enumerate(lengths) if length > most), len(lengths))
    cut = truncate(session, most, estimate_tokens)
    assert (cut is None) == (fitting == 0)
    if cut is not None:
        assert len(cut.turns) == fitting
        assert problems_of(cut) == []
        for turn, whole in zip(cut.turns, session.turns, strict=False):
            assert cut.input_of(turn) == session.input_of(whole)
            assert replace(turn, messages=()) == replace(whole, messages=())


def test_what_fits_stays_the_same_object_and_the_reply_counts() -> None:
    session = small_session()
    longest = max(lengths_of(session))
    assert truncate(session, longest, estimate_tokens) is session
    cut = truncate(session, longest - 1, estimate_tokens)
    assert cut is not None
    assert len(cut.turns) == 2
    assert len(cut.messages) < len(session.messages)


def test_any_tokenizer_can_count() -> None:
    session = turned({"role": "user", "content": "one two three"})
    assert truncate(session, 7, lambda text: len(text.split())) is session
    assert truncate(session, 6, lambda text: len(text.split())) is None


# Statistics


def test_statistics_of_a_small_workload() -> None:
    figures = statistics_of([small_session(), small_session("two")])
    assert figures["sessions"] == 2
    assert figures["requests"] == 6
    assert figures["counted"] == {"recorded": 0, "estimated": 6}
    assert figures["tools"] == {"bash": 6}
    assert figures["sources"] == {"test": 2}
    assert figures["distributions"]["turns"]["mean"] == 3
    assert figures["distributions"]["output_tokens"]["median"] == 20
    delays = figures["distributions"]["tool_delay"]
    assert (delays["count"], delays["min"], delays["max"]) == (4, 0.5, 1.0)  # none after the last
    assert figures["distributions"]["think_time"] == {
        "count": 0, **dict.fromkeys(("min", "p5", "p25", "median", "mean", "p75", "p95", "max")),
    }  # fmt: skip
    json.dumps(figures, allow_nan=False)


def test_nothing_waits_after_the_last_reply() -> None:
    figures = statistics_of([turned(USER, tool_delay=3.0, think_time=2.0)])["distributions"]
    assert (figures["tool_delay"]["count"], figures["think_time"]["count"]) == (0, 0)


def test_recorded_lengths_come_before_estimated_ones() -> None:
    figures = statistics_of([turned(USER, prompt_tokens=777), turned(USER)])
    assert figures["counted"] == {"recorded": 1, "estimated": 1}
    assert figures["distributions"]["input_tokens"]["max"] == 777


def test_a_cache_holds_what_the_turn_before_has_sent_up_to_the_first_difference() -> None:
    session = small_session()
    shares = statistics_of([session])["distributions"]["cached_share"]
    first, second, third = session.turns
    # The counter is replaced, so that only what stands before it is shared.
    shared = sum(message_tokens(item) for item in session.messages[:2]) + tools_tokens([TOOL])
    history = sum(message_tokens(item) for item in session.input_of(third)[:4]) + tools_tokens(
        [TOOL]
    )
    lengths = [input_tokens(session, turn) for turn in (first, second, third)]
    assert shares["min"] == 0
    assert shares["median"] == pytest.approx(shared / lengths[1], abs=1e-6)
    assert shares["max"] == pytest.approx(history / lengths[2], abs=1e-6)
    assert statistics_of([session])["cached_share"] == pytest.approx(
        (shared + history) / sum(lengths)
    )


@settings(max_examples=40)
@given(st.lists(sessions(), max_size=3))
def test_any_workload_has_statistics(found: list[Session]) -> None:
    figures = statistics_of(iter(found))
    assert figures["requests"] == sum(len(session.turns) for session in found)
    for distribution in figures["distributions"].values():
        ordered = [
            distribution[name] for name in ("min", "p5", "p25", "median", "p75", "p95", "max")
        ]
        assert ordered == sorted(ordered, key=lambda value: value or 0)
    json.dumps(figures, allow_nan=False)
    widths = {len(line) for line in statistics_text(figures).splitlines()[-7:]}
    assert len(widths) == 1


# Anonymising

SECRETS = {
    "user": "margarethe",
    "folder": "hydroplant",
    "file": "turbine_control.py",
    "mail": "margarethe.k@powerworks.example-corp.com",
    "host": "build07.powerworks.internal",
    "ip": "10.20.145.7",
    "ipv6": "fd12:3456:789a:1::17",
    "uuid": "3c9a7f52-1b2d-4e8f-9a60-7d1e5c4b8a93",
    "openai": "sk-proj-Zx81mQpL02vNcR7tYw5K",
    "github": "ghp_a8Kq2LmZ0pXv7RtY3nWc5BdE9",
    "aws": "AKIAQ7RT2MZP4XW9LK3V",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI5OTEyIn0.dBjftJeZ4CVPmB92K27u",
    "password": "tr0mbone-forty",
    "random": "9fQ2mX7kLp0vRt3Yw8Zc5N1b",
    "commit": "4be82c0d19f7a3356e80b1c2d94f7a6e5b3c8d10",
}
LEAKING = f"""$ cd /home/{SECRETS["user"]}/{SECRETS["folder"]} && git log
commit {SECRETS["commit"]}
Author: Margarethe <{SECRETS["mail"]}>
remote: ssh://git@{SECRETS["host"]}:2222/{SECRETS["folder"]}/core.git from {SECRETS["ip"]}
  File "src/{SECRETS["folder"]}/{SECRETS["file"]}", line 12, in main
OPENAI_API_KEY={SECRETS["openai"]}
token: {SECRETS["github"]} aws {SECRETS["aws"]}
Authorization: Bearer {SECRETS["jwt"]}
"password": "{SECRETS["password"]}"
see https://{SECRETS["host"]}/api?session={SECRETS["random"]} or [{SECRETS["ipv6"]}]:443
C:\\Users\\{SECRETS["user"]}\\Desktop\\{SECRETS["file"]} run {SECRETS["uuid"]}
{SECRETS["user"]}_token = none, {SECRETS["user"]}_token = {SECRETS["random"]}
{SECRETS["user"]}_settings by {SECRETS["user"].upper()}; {SECRETS["random"]}
"""
MODES = ("kept", "filler")


def leaking_session() -> Session:
    arguments = {"command": LEAKING, "files": {f"/home/{SECRETS['user']}/x.py": [LEAKING]}}
    keys = ("call_Vq8x7LmN2pRt", "call_1")
    return Session(
        f"-home-{SECRETS['user']}-{SECRETS['uuid']}",
        (
            {"role": "system", "content": LEAKING, "cwd": LEAKING},
            {"role": "user", "name": SECRETS["user"], "content": [{"type": "text", "text": LEAKING}, {"type": "image_url", "image_url": {"url": f"https://{SECRETS['host']}/x"}}]},
            {"role": "assistant", "content": LEAKING, "reasoning_content": LEAKING, "tool_calls": [call(key, arguments) for key in keys]},
            {"role": "tool", "tool_call_id": keys[0], "name": "bash", "content": json.dumps({"output": LEAKING})},
            {"role": "tool", "tool_call_id": keys[1], "content": LEAKING.replace("\n", "\\n")},
            {"role": "user", "content": f"{SECRETS['user']} says: carry on"},
        ),
        (Turn((0, 1), calls=("bash", "bash")), Turn((0, 1, 2, 3, 4)), Turn((0, 1, 2, 3, 4, 5))),
        tools=({"type": "function", "function": {"name": "bash", "description": LEAKING, "parameters": {"type": "object", "properties": {"command": {"type": "string", "description": LEAKING}}, "required": ["command"]}}},),
        parent=f"run of {SECRETS['user']}",
    )  # fmt: skip


@pytest.mark.parametrize("content", MODES)
def test_no_secret_survives(content: Any) -> None:
    session = leaking_session()
    changed = anonymise(session, key=KEY, content=content)
    text = repr(changed).lower()
    for name, secret in SECRETS.items():
        assert secret.lower() not in text, name
    assert problems_of(changed) == []


@pytest.mark.parametrize("content", MODES)
def test_structure_stays(content: Any) -> None:
    session = leaking_session()
    changed = anonymise(session, key=KEY, content=content)
    assert changed.turns == session.turns
    for new, old in zip(changed.messages, session.messages, strict=True):
        assert new["role"] == old["role"]
        for new_call, old_call in zip(
            new.get("tool_calls", ()), old.get("tool_calls", ()), strict=True
        ):
            assert new_call["function"]["name"] == "bash"
            new_given, old_given = (
                json.loads(item["function"]["arguments"]) for item in (new_call, old_call)
            )
            assert list(new_given) == list(old_given)
    function = changed.tools[0]["function"]
    assert function["parameters"]["required"] == ["command"]
    assert function["parameters"]["properties"]["command"]["type"] == "string"
    assert changed.messages[3]["name"] == "bash"


def test_what_tells_nothing_stays() -> None:
    text = 'def f(x):\n    return x + 1  # no path, no name, at 12:30, version 3.11\n"ok" 127.0.0.1'
    session = turned({"role": "user", "content": text})
    assert anonymise(session, key=KEY).messages[0]["content"] == text


def test_the_same_thing_gets_the_same_name_everywhere() -> None:
    one = turned(
        {"role": "user", "content": "open /home/margarethe/src/turbine.py, says margarethe"}
    )
    two = turned({"role": "user", "content": "turbine.py is margarethe's"})
    names = names_in([one, two])
    assert names == {"margarethe"}
    first, second = (
        anonymise(item, key=KEY, names=names).messages[0]["content"] for item in (one, two)
    )
    user, file = re.fullmatch(r"open /home/(\w+)/src/(\w+\.py), says \1", first).groups()
    assert second == f"{file} is {user}'s"
    other = anonymise(one, key=KEY[::-1]).messages[0]["content"]
    assert other != first


@pytest.mark.parametrize("content", MODES)
@settings(max_examples=60)
@given(session=sessions(TEXTS | st.sampled_from(LEAKING.splitlines())))
def test_lengths_validity_and_shared_beginnings_stay(content: Any, session: Session) -> None:
    changed = anonymise(session, key=KEY, content=content)
    assert problems_of(changed) == []
    assert [message_tokens(item) for item in changed.messages] == [
        message_tokens(item) for item in session.messages
    ]
    assert [turn.messages for turn in changed.turns] == [turn.messages for turn in session.turns]
    assert anonymise(session, key=KEY, content=content) == changed
    # Sessions that begin alike still do.
    other = replace(session, id="another", messages=(*session.messages, USER))
    assert anonymise(other, key=KEY, content=content).messages[:-1] == changed.messages


@given(st.text(string.ascii_letters + string.digits + " /\\.:@-_=\"'\n", max_size=200))
def test_any_text_keeps_its_length_and_its_marks(text: str) -> None:
    for content in MODES:
        session = turned({"role": "user", "content": text or "x"})
        changed = anonymise(session, key=KEY, content=content).messages[0]["content"]
        assert re.sub(r"[A-Za-z0-9]", "", changed) == re.sub(r"[A-Za-z0-9]", "", text)
        assert len(changed) == len(text or "x")


def test_filler_leaves_no_word() -> None:
    text = 'Please repair Überlauf of 42 turbines; JSON {"a": true}'
    changed = anonymise(
        turned({"role": "user", "content": text}), key=KEY, content="filler"
    ).messages[0]["content"]
    assert not set(re.findall(r"\w+", text.lower())) & set(re.findall(r"\w+", changed.lower()))
    assert len(changed.encode()) == len(text.encode())
    assert [word.isupper() for word in changed.split()] == [word.isupper() for word in text.split()]


def test_ids_of_calls_still_belong_together_and_short_ones_stay() -> None:
    changed = anonymise(leaking_session(), key=KEY)
    made = [item["id"] for item in changed.messages[2]["tool_calls"]]
    assert made == [changed.messages[3]["tool_call_id"], changed.messages[4]["tool_call_id"]]
    assert made[0] != "call_Vq8x7LmN2pRt"
    assert made[1] == "call_1"


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        anonymise(small_session(), key=b"short")


@pytest.mark.parametrize(
    "piece",
    [
        "-",
        "a/",
        "a.",
        "a@",
        ":a",
        "\\n",
        "C:\\",
        "token=",
        "-----BEGIN PRIVATE KEY-----\n",
        "1.",
        "_a-",
    ],
)
def test_no_text_makes_it_slow(piece: str) -> None:
    # What takes a time that grows with the square of the length would take minutes.
    session = turned({"role": "user", "content": piece * 100_000})
    assert len(anonymise(session, key=KEY).messages[0]["content"]) == 100_000 * len(piece)
