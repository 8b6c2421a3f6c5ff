"""The proxy of language models: keys stay outside, budgets hold, calls are logged."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import os
import subprocess
import time

import posttrain_boxes as boxes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_server import CUT_OFF, LlmServer, Raw, Reply
from pydantic import ValidationError

from pytest_a2perf.domains.posttrain.agents.usage import spent_by
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.sockets import connect, listen
from pytest_a2perf.domains.posttrain.proxy import LlmOptions, LlmProxy, ledger, requests, server
from pytest_a2perf.domains.posttrain.proxy.ledger import Ledger
from pytest_a2perf.domains.posttrain.proxy.requests import Denied, asked_of
from pytest_a2perf.domains.posttrain.proxy.streams import Redactor, UsageFilter
from pytest_a2perf.domains.posttrain.proxy.usage import Tokens, tokens_of
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Limits, Mount
from pytest_a2perf.errors import InfraError

KEY = "sk-0123456789-secret"
PRICES = {"input": 1.0, "output": 10.0, "cached": 0.1}
HELLO = {"model": "gpt-x", "messages": [{"role": "user", "content": "hello"}]}


class Asking:
    """A proxy before a scripted server, and what an agent gets from it."""

    def __init__(self, tmp_path, server, **changes):
        self.files = RunFiles(tmp_path)
        upstream = {"url": server.url, "models": ["gpt-x"], "key_env": "THE_KEY", "prices": PRICES}
        upstream |= changes.pop("upstream", {})
        self.options = LlmOptions.model_validate({"upstreams": [upstream], **changes})
        self.proxy = LlmProxy(
            self.options,
            self.files.calls,
            tmp_path / "llm",
            environ={**os.environ, "THE_KEY": KEY},
        )

    def __enter__(self):
        self.proxy.start()
        return self

    def __exit__(self, *_):
        self.proxy.stop()
        assert self.proxy.broken.startswith("exit status ")
        for path in self.files.root.rglob("*"):
            assert not path.is_file() or KEY not in path.read_text()

    def connect(self):
        connection = http.client.HTTPConnection("llm")
        connection.sock = connect(self.proxy.socket.parent, 60, self.proxy.socket.name)
        return connection

    def raw(self, body, path="/v1/chat/completions", headers=None, method="POST"):
        connection = self.connect()
        try:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ask(self, body, *arguments, **more):
        status, text = self.raw(body, *arguments, **more)
        return status, json.loads(text)

    def lines(self, count):
        """Wait for as many lines of the log."""
        for _ in range(3000):
            found = self.files.calls.read_text().splitlines() if self.files.calls.exists() else []
            if len(found) >= count:
                break
            time.sleep(0.02)
        return [json.loads(line) for line in found]


def test_a_call_is_passed_on_with_the_key_and_logged(tmp_path):
    with LlmServer("hi there") as server, Asking(tmp_path, server) as asking:
        status, answer = asking.ask(HELLO, headers={"Authorization": "Bearer mine", "X-More": "1"})
        assert status == 200
        assert answer["choices"][0]["message"]["content"] == "hi there"
        assert server.keys == [f"Bearer {KEY}"]
        assert server.asked == [HELLO]
        (line,) = asking.lines(1)
        assert line["seconds"] >= 0
        assert line["clock"] >= 0
        del line["seconds"], line["clock"]
        assert line == {
            "kind": "llm", "model": "gpt-x", "input_tokens": 100, "cached_tokens": 40,
            "output_tokens": 7, "estimated": False, "dollars": pytest.approx(134e-6),
            "status": 200, "interface": "chat", "dropped": [],
        }  # fmt: skip
        spent = spent_by(asking.files)
        assert (spent.source, spent.calls, spent.model) == ("proxy", 1, "gpt-x")
        assert spent.tokens == {"input": 100, "cached": 40, "output": 7}


def test_streams_pass_through_and_are_counted_though_the_client_did_not_ask(tmp_path):
    with LlmServer("one two three") as server, Asking(tmp_path, server) as asking:
        status, text = asking.raw({**HELLO, "stream": True})
        assert status == 200
        events = [json.loads(line[6:]) for line in text.split(b"\n\n") if line[6:7] == b"{"]
        said = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
        assert said == "one two three"
        assert b"usage" not in text
        assert text.endswith(b"data: [DONE]\n\n")
        assert server.asked[0]["stream_options"] == {"include_usage": True}
        wanted = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}
        assert b"usage" in asking.raw(wanted)[1]
        lines = asking.lines(2)
        assert [(line["input_tokens"], line["output_tokens"]) for line in lines] == [(100, 7)] * 2


def test_anthropics_interface(tmp_path):
    usage = {"input_tokens": 10, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 5}
    message = {
        "id": "m", "type": "message", "role": "assistant", "model": "gpt-x",
        "content": [{"type": "text", "text": "hi"}], "usage": {**usage, "output_tokens": 3},
    }  # fmt: skip
    answer = Raw(body=json.dumps(message).encode())
    with LlmServer(answer) as server, Asking(tmp_path, server) as asking:
        assert asking.ask(HELLO, "/v1/messages?beta=true")[1] == message
        assert server.keys == [None]  # it goes by x-api-key
        assert asking.ask(HELLO, "/v1/messages/count_tokens")[0] == 200
        (line,) = asking.lines(1)
        assert (line["input_tokens"], line["cached_tokens"], line["output_tokens"]) == (45, 30, 3)
        assert line["dollars"] == pytest.approx((15 + 3 + 30) / 1e6)


UNOFFERED = [
    ({**HELLO, "model": "gpt-y"}, "/v1/chat/completions", 403),
    ({"messages": []}, "/v1/chat/completions", 403),
    (b"no json", "/v1/chat/completions", 400),
    (b"[]", "/v1/chat/completions", 400),
    (b"[" * 100_000, "/v1/chat/completions", 400),
    (HELLO, "/v1/embeddings", 404),
    (HELLO, "/v1/files", 404),
    (HELLO, "/", 404),
    ({**HELLO, "stream": True, "stream_options": 1}, "/v1/chat/completions", 400),
    (b" " * (33 << 20), "/v1/chat/completions", 413),
]


@pytest.mark.slow
def test_what_is_offered_and_what_is_not(tmp_path):
    with LlmServer("no") as server, Asking(tmp_path, server) as asking:
        for body, path, status in UNOFFERED:
            found, answer = asking.ask(body, path)
            assert found == status
            assert answer["error"]["message"]
        status, answer = asking.ask(b"", "/v1/models", method="GET")
        assert (status, [model["id"] for model in answer["data"]]) == (200, ["gpt-x"])
        assert server.asked == []


def test_upstream_reads_what_was_checked(tmp_path):
    """Of two fields of a name, servers may take the first."""
    twice = b'{"model": "dear", "model": "gpt-x", "messages": [{"role": "user", "content": ""}]}'
    with LlmServer("hi") as server, Asking(tmp_path, server) as asking:
        assert asking.ask(twice, "/v1/../v2/chat/completions")[0] == 200
        assert server.asked[0]["model"] == "gpt-x"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("budget", "calls"), [({"tokens": 200}, 2), ({"dollars": 0.0003}, 3)], ids=["tokens", "dollars"]
)
def test_a_budget_that_is_used_up_ends_the_calls(tmp_path, budget, calls):
    with LlmServer("hi") as server:
        with Asking(tmp_path, server, **budget) as asking:
            statuses = [asking.raw(HELLO)[0] for _ in range(5)]
            assert statuses == [200] * calls + [402] * (5 - calls)
            assert asking.ask(HELLO)[1]["error"]["type"] == "budget_exhausted"
        with Asking(tmp_path, server, **budget) as again:  # nor does a new proxy forget
            assert again.raw(HELLO)[0] == 402
        assert len(server.asked) == calls


def test_where_prices_come_from(tmp_path):
    upstream = {"url": "http://h/v1", "models": ["gpt-4o-mini", "no-such-model"]}
    options = LlmOptions.model_validate({"upstreams": [upstream], "dollars": 1.0})
    ledger = Ledger(options, tmp_path / "calls.jsonl", "llm")
    ledger.check("gpt-4o-mini")
    ledger.enter("gpt-4o-mini", Tokens(1000, 1000))
    assert 0 < ledger.dollars < 0.1
    with pytest.raises(Denied, match="costs"):
        ledger.check("no-such-model")
    ledger.enter("no-such-model", Tokens(1000, 1000))
    assert json.loads((tmp_path / "calls.jsonl").read_text().splitlines()[1])["dollars"] is None


def test_who_hangs_up_early_is_charged_all_the_same(tmp_path):
    with LlmServer("word " * 5000) as server, Asking(tmp_path, server) as asking:
        connection = asking.connect()
        connection.request("POST", "/chat/completions", json.dumps({**HELLO, "stream": True}))
        assert connection.getresponse().read(20)
        connection.close()
        (line,) = asking.lines(1)
        assert (line["input_tokens"], line["output_tokens"], line["estimated"]) == (100, 7, False)


def test_what_servers_do_not_count_is_estimated(tmp_path):
    with LlmServer(Reply("x" * 400, usage=None)) as server, Asking(tmp_path, server) as asking:
        assert asking.raw(HELLO)[0] == 200
        (line,) = asking.lines(1)
        assert line["estimated"]
        assert line["input_tokens"] > 10
        assert line["output_tokens"] > 100


def test_failures_of_upstream_are_told_without_keys(tmp_path):
    echo = json.dumps({"error": {"message": f"bad request by {KEY}"}}).encode()
    script = [(429, {"Retry-After": "7"}), (401, {}), Raw(400, echo), CUT_OFF]
    with LlmServer(*script) as server, Asking(tmp_path, server, stall=60.0) as asking:
        assert asking.raw(HELLO)[0] == 429
        status, answer = asking.ask(HELLO)
        assert (status, answer["error"]["message"]) == (502, "upstream refuses the key of the proxy")  # fmt: skip
        status, answer = asking.ask(HELLO)
        assert (status, answer["error"]["message"]) == (400, "bad request by [key]")
        with pytest.raises((http.client.HTTPException, OSError)):
            asking.raw(HELLO)
        lines = asking.lines(4)
        assert [line["status"] for line in lines] == [429, 401, 400, 200]
        assert [line["dollars"] for line in lines[:3]] == [0, 0, 0]
        server.close()
        assert asking.raw(HELLO)[0] == 502


def test_the_key_of_nobody_is_an_error_before_anything_starts(tmp_path):
    upstream = {"url": "http://h/v1", "models": ["m"], "key_env": "NO_SUCH_KEY"}
    with pytest.raises(InfraError, match="NO_SUCH_KEY"):
        LlmProxy(LlmOptions.model_validate({"upstreams": [upstream]}), tmp_path / "log", tmp_path)


@pytest.mark.parametrize(
    ("upstreams", "message"),
    [
        ([], "at least 1"),
        ([{"url": "host/v1", "models": ["m"]}], "expected a URL"),
        ([{"url": "https://me:pw@host/v1", "models": ["m"]}], "neither query nor user"),
        ([{"url": "https://host/v1", "models": []}], "at least 1"),
        ([{"url": "https://host/v1", "models": ["m"], "key": "sk"}], "Extra inputs"),
        ([{"url": "http://a/v1", "models": ["m"]}, {"url": "http://b/v1", "models": ["m"]}], "more than one"),
    ],
    ids=["none", "no-url", "password", "no-model", "key", "twice"],
)  # fmt: skip
def test_options_that_are_wrong(upstreams, message):
    with pytest.raises(ValidationError, match=message):
        LlmOptions.model_validate({"upstreams": upstreams})


# -- an agent that asks too much --------------------------------------------------------------------


def talked(tmp_path, talk):
    """Let a coroutine talk to a server of this process; it is given what opens connections, and it."""

    async def main():
        options = LlmOptions.model_validate({"upstreams": [{"url": "http://h", "models": ["m"]}]})
        serving = server.Server(options, {}, Ledger(options, tmp_path / "calls.jsonl", "llm"))
        await serving.start(listen(tmp_path, "s"))
        streams = []

        async def connected():
            streams.append(await asyncio.open_unix_connection(sock=connect(tmp_path, 60, "s")))
            return streams[-1]

        try:
            await talk(connected, serving)
        finally:
            for _, writer in streams:
                writer.close()
            await serving.close()

    # Not asyncio.run, which lets go of the loop that a plugin has set.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), 60))


async def until(holds):
    while not holds():  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.01)


def begun(stated, given):
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {stated}\r\n\r\n"
    return head.encode() + b"x" * given


async def answered(stream, data=b""):
    reader, writer = stream
    writer.write(data)
    return (await reader.readline())[9:12]


@pytest.mark.slow
def test_half_a_request_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "_READING", 0.2)

    async def talk(connected, serving):
        assert await answered(await connected(), begun(100, 50)) == b"408"

    talked(tmp_path, talk)


def test_requests_together_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "_MOST_HELD", 1000)
    monkeypatch.setattr(server, "_MOST_ASKED", 950)

    async def talk(connected, serving):
        assert await answered(await connected(), begun(960, 960)) == b"413"
        half = await connected()
        half[1].write(begun(900, 600))
        await until(lambda: serving._held == 600)
        assert await answered(await connected(), begun(900, 900)) == b"503"
        half[1].close()
        await until(lambda: serving._held == 0)
        for _ in range(3):
            assert await answered(await connected(), begun(900, 900)) == b"400"  # it is no JSON

    talked(tmp_path, talk)


def test_connections_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "_CONNECTIONS", 2)
    get = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"

    async def talk(connected, serving):
        first, second = await connected(), await connected()
        await until(lambda: len(serving._runner.server.connections) == 2)
        assert await (await connected())[0].read() == b""
        first[1].close()
        await until(lambda: len(serving._runner.server.connections) == 1)
        assert await answered(second, get) == await answered(await connected(), get) == b"200"

    talked(tmp_path, talk)


def test_the_log_of_calls_that_no_budget_ends_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "_FREE", 3)
    options = LlmOptions.model_validate({"upstreams": [{"url": "http://h", "models": ["m"]}]})
    path = tmp_path / "calls.jsonl"
    for _ in range(2):  # what an earlier process wrote counts
        entering = Ledger(options, path, "llm")
        for _ in range(3):
            entering.enter("m", Tokens())
    entering.enter("m", Tokens(1, 2))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["output_tokens"] for line in lines] == [0, 0, 0, 0, 2]
    assert ["note" in line for line in lines] == [False] * 3 + [True, False]


@pytest.mark.slow
def test_nonsense_does_not_fill_the_disk(tmp_path):
    with LlmServer("hi") as server, Asking(tmp_path, server) as asking:
        for _ in range(150):
            connection = asking.connect()
            connection.sock.sendall(begun(100, 50))
            time.sleep(0.01)
            connection.close()
        assert asking.ask(HELLO)[0] == 200
        assert (tmp_path / "llm-proxy.log").stat().st_size < 100_000


# -- a model is no way to the network ---------------------------------------------------------------

OPTIONS = LlmOptions.model_validate({"upstreams": [{"url": "http://h/v1", "models": ["gpt-*"]}]})


def passed(path="/v1/chat/completions", options=OPTIONS, **more):
    asked = asked_of("POST", path, json.dumps({**HELLO, **more}).encode(), options)
    return json.loads(asked.body), asked.dropped


def test_tools_of_providers_are_taken_out():
    own = {"type": "function", "name": "bash"}
    body, dropped = passed("/v1/responses", tools=[own, {"type": "web_search_preview"}])
    assert (body["tools"], dropped) == ([own], ("web_search_preview",))
    body, dropped = passed("/v1/messages", tools=[{"type": "web_fetch_20250910", "name": "f"}])
    assert ("tools" in body, dropped) == (False, ("web_fetch_20250910",))
    body, dropped = passed(models=["dear"], background=True, web_search_options={"a": 1})
    assert set(body) == set(HELLO)
    assert dropped == ("models", "background", "web_search_options")


def test_what_is_logged_of_a_request_is_short():
    tools = [{"type": "web_search" + "x" * 10_000} for _ in range(100)]
    _, dropped = passed(tools=tools)
    assert dropped == (("web_search" + "x" * 50),) * 20
    with pytest.raises(Denied, match="is not allowed here") as denied:
        passed(model="gpt-" + "x" * 197)
    assert len(str(denied.value)) < 200
    assert passed(model="gpt-" + "x" * 196)[0]["model"] == "gpt-" + "x" * 196


def test_requests_of_any_shape_are_passed_on_or_denied(monkeypatch):
    for depth in range(100, 1000, 50):
        nested = b"[" * depth + b"]" * depth
        for body in (
            b'{"model": "gpt-x", "messages": %s}' % nested,
            b'{"model": %s}' % nested,
            b'{"model": "gpt-x", "tools": [{"type": %s}]}' % nested,
        ):
            with contextlib.suppress(Denied):
                asked_of("POST", "/v1/responses", body, OPTIONS)
    monkeypatch.setattr(requests, "_PARTS", 100)
    with pytest.raises(Denied, match="100 commas and brackets"):
        passed(messages=[[]] * 100)


def test_tools_of_providers_stay_where_they_are_allowed():
    options = OPTIONS.model_copy(update={"server_tools": True})
    body, dropped = passed("/v1/responses", options, tools=[{"type": "web_search"}])
    assert (len(body["tools"]), dropped) == (1, ())


LINK = "https://answers.example/x.png"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": LINK}},
        {"type": "input_image", "image_url": LINK},
        {"type": "input_file", "file_url": LINK},
        {"type": "document", "source": {"type": "url", "url": LINK}},
        {"type": "tool_result", "content": [{"type": "image", "source": {"url": LINK}}]},
    ],
    ids=range(5),
)
def test_files_by_url_are_refused(part):
    with pytest.raises(Denied, match="URL"):
        passed(messages=[{"role": "user", "content": [part]}])


def test_data_urls_and_arguments_of_tools_are_not_fetched():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    call = {"type": "tool_use", "id": "1", "name": "open", "input": {"url": LINK}}
    messages = [{"role": "user", "content": [image]}, {"role": "assistant", "content": [call]}]
    assert passed(messages=messages)[0]["messages"] == messages


# -- streams ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.sampled_from([KEY.encode(), b"sk-", b"sk-0123", b"a", b'\n\n"'])), st.data())
def test_no_cut_of_a_stream_lets_a_key_through(parts, data):
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    redactor = Redactor([KEY])
    edges = [0, *cuts, len(whole)]
    out = [redactor.feed(whole[a:b]) for a, b in itertools.pairwise(edges)]
    assert b"".join(out) + redactor.end() == whole.replace(KEY.encode(), b"[key]")


@settings(deadline=None)
@given(st.data())
def test_only_the_event_with_the_usage_is_left_out(data):
    events = [b'data: {"choices": [{"index": 0}]}', b": comment", b"data: [DONE]", b"data: {"]
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 1}}'
    drawn = data.draw(st.lists(st.sampled_from([*events, usage])))
    end = data.draw(st.sampled_from([b"\n\n", b"\r\n\r\n"]))
    whole = b"".join(event + end for event in drawn)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    found, edges = UsageFilter(), [0, *cuts, len(whole)]
    out = [found.feed(whole[a:b]) for a, b in itertools.pairwise(edges)]
    kept = b"".join(event + b"\n\n" for event in drawn if event != usage)
    assert b"".join(out) + found.end() == kept


def test_what_a_model_says_is_no_usage():
    said = json.dumps({"usage": {"cached_tokens": 99}})
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}  # fmt: skip
    message = {"role": "assistant", "content": said}
    heard = json.dumps({"choices": [{"message": message}], "usage": usage}).encode()
    assert tokens_of("chat", b"{}", heard, "application/json") == Tokens(10, 2, cached=4)


@settings(deadline=None)
@given(st.sampled_from(["chat", "completions", "responses", "messages"]), st.binary(), st.binary())
def test_any_answer_can_be_counted(interface, asked, heard):
    tokens = tokens_of(interface, asked, heard, "text/event-stream")
    assert tokens.input >= 0
    assert tokens.output >= 0


# -- from a box -------------------------------------------------------------------------------------

AGENT = """
import json, os, pathlib, urllib.request
body = {"model": "gpt-x", "messages": [{"role": "user", "content": "hello"}]}
request = urllib.request.Request(
    os.environ["LLM_URL"] + "/v1/chat/completions", json.dumps(body).encode()
)
print(json.load(urllib.request.urlopen(request, timeout=60))["choices"][0]["message"]["content"])
print(sorted(os.environ.values()))
for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
    try:
        print(path.read_bytes())
    except OSError:
        pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", boxes.ISOLATED)
def test_an_agent_without_network_asks_its_model_and_never_sees_the_key(
    tmp_path, name, monkeypatch
):
    monkeypatch.setenv("THE_KEY", KEY)
    with LlmServer("from outside") as server, Asking(tmp_path, server) as asking:
        box = Box(
            command=boxes.python(AGENT),
            mounts=[boxes.workspace(tmp_path), Mount(asking.proxy.socket.parent, "/run/llm")],
            env={"LLM_URL": "http://127.0.0.1:5001"},
            folder="/workspace",
            limits=Limits(wall=120.0),
            forward={5001: f"/run/llm/{asking.proxy.socket.name}"},
        )
        ended = boxes.run_box(boxes.sandbox(name), box)
    assert ended.status == 0, ended.output
    assert ended.output.startswith("from outside\n")
    assert KEY not in ended.output
    assert server.keys == [f"Bearer {KEY}"]


def test_the_proxy_ends_with_the_harness(tmp_path):
    with LlmServer("hi") as server, Asking(tmp_path, server) as asking:
        pid = asking.proxy._process.pid
        shown = subprocess.run(["ps", "eww", "-p", str(pid)], capture_output=True, check=False)
        assert KEY.encode() not in shown.stdout
    assert not os.path.exists(f"/proc/{pid}")
