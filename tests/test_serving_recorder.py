"""The recorder: nothing changes on the way, and sessions come out of what passed."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_sessions import TOOL, call
from serving_upstream import LIMIT, SSE, Answered, Asked, Upstream, recorded, sse

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.recorder.calls import Call, call_of, interface_of
from pytest_a2perf.domains.serving.recorder.form import FORM
from pytest_a2perf.domains.serving.recorder.journal import Entry, Journal, read_journal
from pytest_a2perf.domains.serving.recorder.replies import Reply, reply_of
from pytest_a2perf.domains.serving.recorder.run import record
from pytest_a2perf.domains.serving.recorder.sessions import sessions_of
from pytest_a2perf.domains.serving.trajectories.check import problems_of
from pytest_a2perf.domains.serving.trajectories.store import read_sessions

KEY = "sk-this-must-not-be-kept-anywhere"
USAGE = {"prompt_tokens": 100, "completion_tokens": 7}


def chat_reply(**message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": None} | message
    return {"id": "x", "choices": [{"index": 0, "message": said}], "usage": USAGE}


def always(reply: Any) -> Any:
    return lambda _: Answered([json.dumps(reply).encode()])


def calling(asked: Asked) -> Answered:
    """Calls a tool whose id tells how often this user has asked; streams on request."""
    body = json.loads(asked.body)
    number = sum(message["role"] == "assistant" for message in body["messages"])
    who = body.get("user", "")
    made = call(f"call-{who}-{number}", {"n": number})
    if not body.get("stream"):
        return Answered([json.dumps(chat_reply(tool_calls=[made])).encode()])
    start, rest = made["function"]["arguments"][:2], made["function"]["arguments"][2:]
    first = {
        "index": 0,
        "id": made["id"],
        "type": "function",
        "function": {"name": "bash", "arguments": start},
    }
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Let me "},
        {"reasoning_content": "see."},
        {"tool_calls": [first]},
        {"tool_calls": [{"index": 0, "function": {"arguments": rest}}]},
    ]
    events = [{"id": "x", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append(
        {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    )
    return Answered(sse(*events, {"id": "x", "choices": [], "usage": USAGE}), headers=SSE)


def ask(history: list[Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": history, "tools": [TOOL], **more}


def answer_calls(history: list[Any], reply: dict[str, Any]) -> None:
    history.append(reply)
    ids = [made["id"] for made in reply["tool_calls"]]
    history += [{"role": "tool", "tool_call_id": key, "content": "done"} for key in ids]


# Passing on


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_requests_and_responses_pass_unchanged(method: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 50
    answered = Answered([content, b"more"], 418, {"X-One": "1", "Content-Type": "odd/kind"})
    with Upstream(lambda _: answered) as upstream, recorded(upstream.url, tmp_path / "j") as proxy:
        path = "/models/a%2Fb%20c?q=%C3%A4&empty=&q=2"
        response = proxy.open(method, path, content, Authorization=f"Bearer {KEY}", X_Two="2")
        assert (response.status, response.read()) == (418, content + b"more")
        assert response.headers["X-One"] == "1"
        assert response.headers["Content-Type"] == "odd/kind"
    (asked,) = upstream.asked
    assert (asked.method, asked.path, asked.body) == (method, f"/v1{path}", content)
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["X-Two"] == "2"
    assert asked.headers["Content-Length"] == str(len(content))
    assert asked.headers["Host"] in upstream.url
    assert set(asked.headers) == {
        "Host",
        "Authorization",
        "X-Two",
        "Content-Length",
        "Accept-Encoding",
    }
    assert proxy.entries == []


def test_a_head_request_and_a_redirect_pass_as_they_are(tmp_path: Path) -> None:
    answered = Answered(status=307, headers={"Location": "http://elsewhere/"})
    with Upstream(lambda _: answered) as upstream, recorded(upstream.url, tmp_path / "j") as proxy:
        response = proxy.open("HEAD", "/models")
        assert (response.status, response.headers["Location"]) == (307, "http://elsewhere/")
        assert response.headers["Content-Length"] == "7"
        assert proxy.raw("GET", "/models") == (307, b"")
    assert len(upstream.asked) == 2


def test_streams_pass_piece_by_piece(tmp_path: Path) -> None:
    released = threading.Event()
    first, *rest = sse({"choices": [{"delta": {"content": "a"}}]}, {"choices": [], "usage": USAGE})

    def chunks() -> Iterator[bytes]:
        yield first
        assert released.wait(LIMIT)
        yield from rest

    with (
        Upstream(lambda _: Answered(chunks(), headers=SSE)) as upstream,
        recorded(upstream.url, tmp_path / "j") as proxy,
    ):
        body = json.dumps(ask([{"role": "user", "content": "x"}], stream=True)).encode()
        response = proxy.open("POST", "/chat/completions", body)
        assert response.read1() == first  # while upstream holds the rest back
        released.set()
        assert response.read() == b"".join(rest)
    (entry,) = proxy.entries
    assert (entry.reply.output_tokens, entry.reply.message["content"]) == (7, "a")


def test_uploads_pass_piece_by_piece(tmp_path: Path) -> None:
    asked = threading.Event()
    released = threading.Event()
    body = json.dumps(ask([{"role": "user", "content": "x" * 1000}])).encode()

    def parts() -> Iterator[bytes]:
        yield body[:500]
        asked.set()
        assert released.wait(LIMIT)
        yield body[500:]

    with (
        Upstream(always(chat_reply(content="ok"))) as upstream,
        recorded(upstream.url, tmp_path / "j") as proxy,
    ):
        done: list[Any] = []
        thread = threading.Thread(
            target=lambda: done.append(proxy.raw("POST", "/chat/completions", parts()))
        )
        thread.start()
        assert asked.wait(LIMIT)
        released.set()
        thread.join(LIMIT)
        assert done[0][0] == 200
    assert upstream.asked[0].body == body
    assert upstream.asked[0].headers["Transfer-Encoding"] == "chunked"
    assert len(proxy.entries) == 1


def test_web_sockets_are_refused(tmp_path: Path) -> None:
    with Upstream(always({})) as upstream, recorded(upstream.url, tmp_path / "j") as proxy:
        status, body = proxy.raw("GET", "/responses", Upgrade="websocket", Connection="Upgrade")
    assert (status, upstream.asked) == (501, [])
    assert b"web sockets" in body


# What goes wrong


def test_upstream_is_down(tmp_path: Path) -> None:
    with Upstream(always({})) as upstream:
        url = upstream.url
    with recorded(url, tmp_path / "j") as proxy:
        body = ask([{"role": "user", "content": "x"}])
        answer = proxy.post("/chat/completions", body, Authorization=KEY)
        status, _ = proxy.raw("GET", "/models")
    assert "upstream" in answer["error"]["message"]
    assert status == 502
    (entry,) = proxy.entries
    assert (entry.failure, entry.status) == ("connect", 0)
    assert sessions_of([entry], "s") == []


def test_errors_of_upstream_pass_and_are_in_no_session(tmp_path: Path) -> None:
    answers = iter(
        [Answered([b'{"error": "busy"}'], 429), *map(always(chat_reply(content="ok")), [0])]
    )
    with (
        Upstream(lambda _: next(answers)) as upstream,
        recorded(upstream.url, tmp_path / "j") as proxy,
    ):
        body = ask([{"role": "user", "content": "x"}])
        assert proxy.post("/chat/completions", body) == {"error": "busy"}
        assert "choices" in proxy.post("/chat/completions", body)
    assert [entry.failure for entry in proxy.entries] == ["status", ""]
    assert proxy.proxy.failed == 1
    (session,) = sessions_of(proxy.entries, "s")
    assert len(session.turns) == 1


def test_a_reply_that_is_cut_is_cut_for_the_agent_too(tmp_path: Path) -> None:
    chunks = sse({"choices": [{"delta": {"content": "half"}}]}, done=False)
    with (
        Upstream(lambda _: Answered(chunks, headers=SSE, cut=True)) as upstream,
        recorded(upstream.url, tmp_path / "j") as proxy,
    ):
        body = json.dumps(ask([{"role": "user", "content": "x"}])).encode()
        response = proxy.open("POST", "/chat/completions", body)
        with pytest.raises((HTTPException, OSError)):
            response.read()
    (entry,) = proxy.entries
    assert (entry.failure, entry.reply.message["content"]) == ("cut", "half")


def test_an_upstream_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    over = threading.Event()

    def silent(_: Asked) -> Answered:
        over.wait(LIMIT)
        return Answered()

    with Upstream(silent) as upstream, recorded(upstream.url, tmp_path / "j", stall=0.2) as proxy:
        body = json.dumps(ask([{"role": "user", "content": "x"}])).encode()
        status, _ = proxy.raw("POST", "/chat/completions", body)
        over.set()
    assert status == 504
    assert [entry.failure for entry in proxy.entries] == ["stalled"]


def test_an_agent_that_hangs_up_ends_the_request_though_upstream_is_silent(tmp_path: Path) -> None:
    seen = threading.Event()
    event = sse({"choices": [{"delta": {"content": "word"}}]}, done=False)[0]

    def chunks() -> Iterator[bytes]:
        yield event
        assert seen.wait(LIMIT)
        while not upstream.gone.wait(0.01):
            yield event

    with (
        Upstream(lambda _: Answered(chunks(), headers=SSE)) as upstream,
        recorded(upstream.url, tmp_path / "j", stall=10 * LIMIT) as proxy,
    ):
        body = json.dumps(ask([{"role": "user", "content": "x"}])).encode()
        response = proxy.open("POST", "/chat/completions", body)
        assert response.read1().startswith(b"data:")
        proxy.close()
        deadline = time.monotonic() + LIMIT / 2
        while not (entries := proxy.entries):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        seen.set()
        assert upstream.gone.wait(LIMIT)
    assert [entry.failure for entry in entries] == ["cancelled"]
    assert entries[0].reply.message["content"] == "word"


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"{}", b'{"messages": [{"role": 7}]}'])
def test_what_cannot_be_read_passes_all_the_same(body: bytes, tmp_path: Path) -> None:
    with Upstream(always({"any": 1})) as upstream, recorded(upstream.url, tmp_path / "j") as proxy:
        assert proxy.raw("POST", "/chat/completions", body) == (200, b'{"any": 1}')
    assert upstream.asked[0].body == body
    assert (proxy.entries, proxy.proxy.unread) == ([], 1)


# Recording


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_becomes_a_session(stream: bool, tmp_path: Path) -> None:
    history: list[Any] = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    with Upstream(calling) as upstream, recorded(upstream.url, tmp_path / "j") as proxy:
        for number in range(3):
            body = ask(history, stream=stream)
            proxy.post("/chat/completions", body, Authorization=f"Bearer {KEY}", Api_Key=KEY)
            reply = {
                "role": "assistant",
                "content": None,
                "tool_calls": [call(f"call--{number}", {"n": number})],
            }
            answer_calls(history, reply)
    (session,) = sessions_of(proxy.entries, "mine")
    assert problems_of(session) == []
    assert (session.id, session.model, session.source) == ("mine-0001", "m", "recorded")
    assert list(session.tools) == [TOOL]
    assert [len(turn.messages) for turn in session.turns] == [2, 4, 6]
    assert {(turn.output_tokens, turn.prompt_tokens, turn.calls) for turn in session.turns} == {
        (7, 100, ("bash",))
    }
    assert all(turn.duration for turn in session.turns)
    assert [turn.tool_delay > 0 for turn in session.turns] == [True, True, False]
    if stream:
        assert proxy.entries[0].reply.message["reasoning_content"] == "Let me see."
    text = (tmp_path / "j").read_text()
    assert KEY not in text
    assert "127.0.0.1" not in text


def test_agents_that_begin_alike_at_the_same_time_stay_apart(tmp_path: Path) -> None:
    with Upstream(calling) as upstream, recorded(upstream.url, tmp_path / "j") as proxy:

        def work(who: str) -> None:
            history: list[Any] = [{"role": "user", "content": "the same task"}]
            for _ in range(4):
                reply = proxy.post("/chat/completions", ask(history, user=who))
                answer_calls(history, reply["choices"][0]["message"])

        threads = [threading.Thread(target=work, args=(str(number),)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
    sessions = sessions_of(proxy.entries, "s")
    assert len(sessions) == 6
    for session in sessions:
        assert [len(turn.messages) for turn in session.turns] == [1, 3, 5, 7]
        calls = [item["tool_calls"][0]["id"] for item in session.messages if "tool_calls" in item]
        assert len({name.split("-")[1] for name in calls}) == 1


def test_completions(tmp_path: Path) -> None:
    answers = iter(
        [
            Answered([json.dumps({"choices": [{"text": " b"}], "usage": USAGE}).encode()]),
            Answered(
                sse({"choices": [{"text": " d"}]}, {"choices": [], "usage": USAGE}), headers=SSE
            ),
        ]
    )
    with (
        Upstream(lambda _: next(answers)) as upstream,
        recorded(upstream.url, tmp_path / "j") as proxy,
    ):
        proxy.post("/completions", {"model": "m", "prompt": "a"})
        proxy.post("/completions", {"model": "m", "prompt": ["a b c"], "stream": True})
    assert [entry.reply.message["content"] for entry in proxy.entries] == [" b", " d"]
    assert len(sessions_of(proxy.entries, "s")) == 2


RESPONSE = {
    "id": "resp_1",
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look."}],
        },
        {"type": "function_call", "call_id": "c1", "name": "bash", "arguments": "{}"},
    ],
    "usage": {"input_tokens": 50, "output_tokens": 9},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("stored", [False, True])
def test_responses(stream: bool, stored: bool, tmp_path: Path) -> None:
    content = [json.dumps(RESPONSE).encode()]
    if stream:
        content = sse(
            {"type": "response.created"},
            {"type": "response.completed", "response": RESPONSE},
            done=False,
        )
    answered = Answered(content, headers=SSE if stream else {})
    result = {"type": "function_call_output", "call_id": "c1", "output": "done"}
    body = {"model": "m", "instructions": "Be good.", "input": "Go.", "prompt_cache_key": "k"}
    tool = {"type": "function", "name": "bash", "parameters": {"type": "object"}}
    with Upstream(lambda _: answered) as upstream, recorded(upstream.url, tmp_path / "j") as proxy:
        proxy.post("/responses", body | {"tools": [tool, {"type": "web_search"}]})
        if stored:
            more = {"previous_response_id": "resp_1", "input": [result]}
        else:
            more = {"input": [{"role": "user", "content": "Go."}, *RESPONSE["output"], result]}
        proxy.post("/responses", body | more)
    (session,) = sessions_of(proxy.entries, "s")
    assert problems_of(session) == []
    assert list(session.tools) == [TOOL]
    sent = session.input_of(session.turns[1])
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool"]
    assert sent[2]["reasoning_content"] == "Hm."
    assert sent[2]["content"] == "I look."
    assert (session.turns[0].output_tokens, session.turns[0].prompt_tokens) == (9, 50)
    assert session.turns[0].tool_delay > 0


def test_messages_of_anthropic(tmp_path: Path) -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7}
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    using = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}}
    events = sse(
        {"type": "message_start", "message": {"id": "m1", "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": thinking},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}},
        {"type": "content_block_start", "index": 1, "content_block": using},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"command":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ' "ls"}'}},
        {"type": "message_delta", "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
        done=False,
    )  # fmt: skip
    user = {
        "role": "user",
        "content": [{"type": "text", "text": "Go.", "cache_control": {"type": "ephemeral"}}],
    }
    replied = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm."}, using | {"input": {"command": "ls"}}],
    }
    result = {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "content": [{"type": "text", "text": "a.py"}],
            }
        ],
    }
    body = {
        "model": "claude",
        "system": [{"type": "text", "text": "Be good."}],
        "tools": [{"name": "bash", "input_schema": {"type": "object"}}],
        "metadata": {"user_id": "user_1_account__session_3c9a7f52-1b2d-4e8f-9a60-7d1e5c4b8a93"},
    }
    with (
        Upstream(lambda _: Answered(events, headers=SSE)) as upstream,
        recorded(upstream.url, tmp_path / "j") as proxy,
    ):
        proxy.post("/messages?beta=true", body | {"messages": [user]})
        proxy.post("/messages?beta=true", body | {"system": "Name this.", "messages": [user]})
        proxy.post(
            "/messages?beta=true",
            body | {"messages": [{"role": "user", "content": "Go."}, replied, result]},
        )
        proxy.post("/messages/count_tokens", body)
    assert "3c9a7f52" not in (tmp_path / "j").read_text()
    main, other = sessions_of(proxy.entries, "s")
    assert (len(main.turns), len(other.turns)) == (2, 1)
    assert (main.parent, other.parent) == ("", main.id)  # the agent's own way to name its session
    assert problems_of(main) == []
    sent = main.input_of(main.turns[1])
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool"]
    assert sent[2]["reasoning_content"] == "Hm."
    assert json.loads(sent[2]["tool_calls"][0]["function"]["arguments"]) == {"command": "ls"}
    assert sent[3]["content"] == "a.py"
    assert (main.turns[0].prompt_tokens, main.turns[0].output_tokens, main.turns[0].calls) == (
        100,
        20,
        ("bash",),
    )
    assert main.tools[0]["function"]["parameters"] == {"type": "object"}


def test_packed_and_strange_replies_cost_no_recording() -> None:
    whole = json.dumps(chat_reply(content="ok")).encode()
    assert reply_of("chat", gzip.compress(whole), ("application/json", "gzip")).output_tokens == 7
    for content in (
        b"",
        b"\xff",
        b"[]",
        b'{"choices": [3]}',
        b'{"choices": {}, "usage": 3}',
        gzip.compress(whole)[:9],
    ):
        assert reply_of("chat", content, ("", "gzip")).output_tokens is None
        assert reply_of("chat", content).message == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "messages",
                        "role",
                        "content",
                        "tool_calls",
                        "type",
                        "text",
                        "input",
                        "system",
                        "prompt",
                        "tools",
                        "metadata",
                        "function",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_any_body_is_read_or_refused(body: Any) -> None:
    for interface in ("chat", "completions", "responses", "messages"):
        try:
            found = call_of(interface, json.dumps(body).encode(), {})
        except TrajectoryError:
            continue
        assert found.messages


@pytest.mark.slow
@given(
    st.lists(
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "type",
                            "choices",
                            "delta",
                            "index",
                            "message",
                            "usage",
                            "content_block",
                            "item",
                            "error",
                            "tool_calls",
                            "output",
                        ]
                    ),
                    inner,
                )
            ),
            max_leaves=10,
        )
    )
)
def test_any_stream_has_some_reply(events: list[Any]) -> None:
    content = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)
    for interface in ("chat", "completions", "responses", "messages"):
        assert isinstance(reply_of(interface, content, ("text/event-stream", "")), Reply)


def test_only_calls_of_models_are_recorded() -> None:
    assert interface_of("POST", "/v1/chat/completions?x=1") == "chat"
    assert interface_of("POST", "/completions/") == "completions"
    assert interface_of("GET", "/v1/chat/completions") is None
    assert interface_of("POST", "/v1/embeddings") is None


# Sessions out of requests


def entry(
    messages: list[Any], begun: float, ended: float, reply: Any = None, **of_call: Any
) -> Entry:
    return Entry(Call("chat", "m", messages, **of_call), Reply(reply or {}), begun, ended, 200)


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 5), st.booleans())
def test_interleaved_agents_are_told_apart(seed: int, agents: int, counting: bool) -> None:
    rng = random.Random(seed)
    histories: list[list[Any]] = [[user("the same")] for _ in range(agents)]
    free = [0.0] * agents
    entries = []
    wanted: list[list[int]] = [[] for _ in range(agents)]
    for number in range(rng.randrange(agents, 25)):
        agent = rng.randrange(agents)
        begun = free[agent] + rng.random()
        ended = begun + rng.random()
        free[agent] = ended + rng.random() / 10
        reply = said(f"reply {agent} {number}")
        counter = [user(f"turn {len(wanted[agent])}")] if counting else []
        sent = [*histories[agent], *counter]
        entries.append(entry(sent, begun, ended, reply))
        wanted[agent].append(len(sent))
        histories[agent] += [reply, user("go on")]
    rng.shuffle(entries)
    found = sorted(
        [len(turn.messages) for turn in session.turns] for session in sessions_of(entries, "s")
    )
    assert found == sorted(filter(None, wanted))


def test_a_second_run_of_the_same_task_is_a_session_of_its_own() -> None:
    first = [
        entry([user("task")], 0, 1, said("a")),
        entry([user("task"), said("a"), user("ok")], 2, 3, said("end")),
    ]
    second = [
        entry([user("task")], 4, 5, said("a")),
        entry([user("task"), said("a"), user("ok")], 6, 7, said("end")),
    ]
    assert [len(session.turns) for session in sessions_of(first + second, "s")] == [2, 2]


def test_gaps_are_tools_or_a_person() -> None:
    result = {"role": "tool", "tool_call_id": "c", "content": "x"}
    calling_ = {"role": "assistant", "content": "", "tool_calls": [call("c")]}
    one = [user("task")]
    two = [*one, calling_, result]
    three = [*two, said("done"), user("thanks")]
    (session,) = sessions_of(
        [
            entry(one, 0, 1, calling_),
            entry(two, 1.5, 4, said("done")),
            entry(three, 10, 11, said("bye")),
        ],
        "s",
    )
    assert [(turn.tool_delay, turn.think_time, turn.duration) for turn in session.turns] == [
        (0.5, 0, 1),
        (0, 6, 2.5),
        (0, 0, 1),
    ]


def test_a_history_whose_old_results_are_cut_goes_on() -> None:
    calling_ = {"role": "assistant", "content": "", "tool_calls": [call("c")]}
    result = {"role": "tool", "tool_call_id": "c", "content": "long"}
    one = [user("task"), calling_, result]
    two = [user("task"), calling_, result | {"content": "[cut]"}, said("a"), user("go on")]
    assert len(sessions_of([entry(one, 0, 1, said("a")), entry(two, 2, 3)], "s")) == 1


def test_a_header_decides_whatever_the_messages_are() -> None:
    mine = {"key": "mine", "kind": "header"}
    entries = [
        entry([user("a")], 0, 1, said("x"), **mine),
        entry([user("b")], 2, 9, said("y"), **mine),
        entry([user("c")], 3, 4, said("z"), **mine),  # while the second is under way
        entry([user("b")], 10, 11, said("y"), key="yours", kind="header"),
    ]
    found = [
        (session.id, len(session.turns), session.parent) for session in sessions_of(entries, "s")
    ]
    assert found == [("mine", 2, ""), ("mine-0002", 1, "mine"), ("yours", 1, "")]


def test_a_key_of_the_cache_parts_sessions_but_names_no_parent() -> None:
    entries = [
        entry([user("a")], 0, 1, said("x"), key=key, kind="cache") for key in ("k1", "k2", "k2")
    ]
    sessions = sessions_of(entries, "s")
    assert [session.parent for session in sessions] == ["", "", ""]


# The journal and the command


def test_a_journal_outlives_its_process(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.journal"
    journal = Journal(path)
    kept = [
        entry([user("a"), said("b"), user("b")], 0, 1, said("x"), tools=[TOOL]),
        entry([user("ä")], 2, 3),
    ]
    for one in kept:
        journal.add(one)
    journal.close()
    assert list(read_journal(path)) == kept
    content = path.read_bytes()
    path.write_bytes(content[:-20])  # killed while it wrote
    assert list(read_journal(path)) == kept[:1]
    assert FORM.detect(path, content)
    assert [session.id for session in FORM.read(path)] == ["out-0001"]
    path.write_bytes(content.replace(b'{"call"', b'{"call', 1))
    with pytest.raises(TrajectoryError, match=r"out\.jsonl\.journal:\d+: not JSON"):
        list(read_journal(path))


COMMAND = """
import argparse, sys
from pytest_a2perf.domains.serving.commands import add_commands, run_command
parser = argparse.ArgumentParser()
add_commands(parser.add_subparsers(dest="command"))
sys.exit(run_command(parser.parse_args()))
"""


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start a recording, and return its process and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "record", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split(" ")[0]


def talk(url: str) -> None:
    from serving_upstream import Recorded

    client = Recorded(Path())
    client.url = url
    client.post("/chat/completions", ask([user("task")]))
    client.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recording_ends_cleanly(number: int, tmp_path: Path) -> None:
    out = tmp_path / "folder" / "mine.jsonl"
    with Upstream(always(chat_reply(content="ok"))) as upstream:
        process, url = start("--upstream", upstream.url, "--out", str(out))
        try:
            talk(url)
            process.send_signal(number)
            output, errors = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, errors) == (0, "")
    assert output.splitlines() == [f"{out}: 1 sessions, 1 turns"]
    (session,) = read_sessions(out)
    assert (session.id, session.turns[0].output_tokens) == ("mine-0001", 7)
    assert os.listdir(out.parent) == ["mine.jsonl"]


def test_a_recording_that_is_killed_can_be_converted(tmp_path: Path) -> None:
    out = tmp_path / "mine.jsonl"
    with Upstream(always(chat_reply(content="ok"))) as upstream:
        process, url = start("--upstream", upstream.url, "--out", str(out))
        try:
            talk(url)
            deadline = time.monotonic() + LIMIT
            while b'"call"' not in (tmp_path / "mine.jsonl.journal").read_bytes():
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            process.kill()
            process.communicate(timeout=LIMIT)
        assert os.listdir(tmp_path) == ["mine.jsonl.journal"]
        assert [len(session.turns) for session in FORM.read(tmp_path / "mine.jsonl.journal")] == [1]
        with pytest.raises(TrajectoryError, match="trajectories convert"):
            record(upstream.url, out)


def test_a_recording_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    process, _ = start("--upstream", "http://127.0.0.1:9/v1", "--out", str(tmp_path / "x.jsonl"))
    try:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output) == (1, "")
    assert errors == "record: no request to a model was recorded, so there is no file\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("url", ["", "host:80", "ftp://host", "http://", "http://host/?q=1"])
def test_upstream_must_be_a_url(url: str, tmp_path: Path) -> None:
    with pytest.raises(TrajectoryError, match="upstream: expected a URL"):
        record(url, tmp_path / "x.jsonl")


def test_files_are_never_written_over(tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    out.write_text("precious")
    with pytest.raises(TrajectoryError, match=r"x\.jsonl: exists"):
        record("http://127.0.0.1:9", out)
    assert out.read_text() == "precious"
