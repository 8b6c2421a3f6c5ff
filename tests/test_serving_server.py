"""The reference server: what it says, when, and what its log tells of that."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.domains.serving.server.cache import PrefixCache
from pytest_a2perf.domains.serving.server.course import course_of
from pytest_a2perf.domains.serving.server.launch import reference_server
from pytest_a2perf.domains.serving.server.loop import Loop
from pytest_a2perf.domains.serving.server.options import ServerOptions
from pytest_a2perf.domains.serving.server.request import BadRequestError, read_request
from pytest_a2perf.domains.serving.server.service import Service
from pytest_a2perf.domains.serving.server.truth import Expected, expected_capacity, gap_at
from pytest_a2perf.domains.serving.system.engine import EngineMetrics
from pytest_a2perf.domains.serving.trajectories.tokens import message_tokens, tools_tokens
from pytest_a2perf.errors import A2PerfError, InfraError

LIMIT = 60.0  # seconds that any wait takes at most
QUICK = {"ttft": 0.01, "itl": 0.001, "tokens": 6}
HELLO = [{"role": "user", "content": "Hello, who is there?"}]
TOOLS = [{"type": "function", "function": {"name": "run", "parameters": {}}}]
PATHS = {
    "chat": ("/v1/chat/completions", {"messages": HELLO}),
    "completions": ("/v1/completions", {"prompt": "Once upon a time"}),
    "responses": ("/v1/responses", {"input": "Hello"}),
}


def send(server, path, body=None, headers=None, method=None):
    """Return status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    with contextlib.closing(connection):
        data = None if body is None else json.dumps(body)
        connection.request(method or ("POST" if data else "GET"), path, data, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read().decode()


def chat(server, messages=HELLO, **members):
    """Return the events of a streamed chat reply."""
    members = {"stream": True, "stream_options": {"include_usage": True}} | members
    status, text = send(server, "/v1/chat/completions", {"messages": messages, **members})
    assert status == 200, text
    return events_of(text)


def chats_at_once(server, count):
    """Have streamed chats reach the server together, however late this process sends them."""
    body = json.dumps({"messages": HELLO, "stream": True})
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(
                contextlib.closing(
                    http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
                )
            )
            for _ in range(count)
        ]
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for connection in connections:
                connection.request("POST", "/v1/chat/completions", body)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        for connection in connections:
            assert connection.getresponse().read().endswith(b"data: [DONE]\n\n")


def events_of(text):
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def joined(events, member="content"):
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    return "".join(delta.get(member) or "" for delta in deltas)


def metrics_of(server):
    text = send(server, "/metrics")[1]
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name.partition("{")[0]: float(value) for name, value in pairs}


@pytest.fixture(scope="module")
def quick():
    with reference_server(**QUICK, cache=100_000, model="tiny", max_model_len=1000) as server:
        yield server


class TestChat:
    def test_stream_has_its_tokens_its_usage_and_its_end(self, quick):
        status, text = send(
            quick,
            "/v1/chat/completions",
            {
                "messages": HELLO,
                "model": "mine",
                "stream": True,
                "stream_options": {"include_usage": True},
            },
        )
        assert status == 200
        assert text.endswith("data: [DONE]\n\n")
        events = events_of(text)
        assert joined(events) == " tok" * 6
        assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert {event["model"] for event in events} == {"mine"}
        assert events[-2]["choices"][0]["finish_reason"] == "stop"
        assert events[-1]["choices"] == []
        usage = events[-1]["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (9, 6)
        assert usage["total_tokens"] == 15

    def test_usage_comes_only_if_it_is_wanted(self, quick):
        assert all("usage" not in event for event in chat(quick, stream_options=None))

    def test_without_a_stream(self, quick):
        status, text = send(quick, "/v1/chat/completions", {"messages": HELLO})
        reply = json.loads(text)
        assert status == 200
        assert reply["object"] == "chat.completion"
        assert reply["choices"][0]["message"]["content"] == " tok" * 6
        assert reply["usage"]["completion_tokens"] == 6

    @pytest.mark.parametrize(
        ("asked", "length", "finish"),
        [
            ({}, 6, "stop"),
            ({"max_tokens": 20}, 6, "stop"),
            ({"max_tokens": 3}, 3, "length"),
            ({"max_completion_tokens": 1}, 1, "length"),
            ({"max_tokens": 20, "ignore_eos": True}, 20, "length"),
            ({"max_tokens": 20, "min_tokens": 9}, 9, "stop"),
        ],
        ids=["free", "wide", "short", "one", "forced", "at_least"],
    )
    def test_lengths_are_as_asked_for(self, quick, asked, length, finish):
        events = chat(quick, **asked)
        assert events[-1]["usage"]["completion_tokens"] == length
        assert joined(events) == " tok" * length
        assert events[-2]["choices"][0]["finish_reason"] == finish

    def test_prefix_is_cached_from_turn_to_turn(self, quick):
        first = [{"role": "user", "content": "a long story of some kind. " * 40}]
        longer = [*first, {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]
        before = metrics_of(quick)
        told = [chat(quick, m)[-1]["usage"] for m in (first, longer)]
        after = metrics_of(quick)
        assert [usage["prompt_tokens"] for usage in told] == [274, 284]
        cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in told]
        assert cached == [0, 256]
        name = "vllm:prefix_cache_hits_total"
        assert after[name] - before[name] == 256

    def test_a_prompt_that_is_too_long_is_refused(self, quick):
        body = {"messages": [{"role": "user", "content": "word" * 1000}]}
        status, text = send(quick, "/v1/chat/completions", body)
        assert status == 400
        assert "maximum context length is 1000" in text


class TestOtherPlaces:
    @pytest.mark.parametrize("api", ["chat", "completions", "responses"])
    @pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
    def test_openai_s_client_reads_every_interface(self, quick, api, stream):
        openai = pytest.importorskip("openai")
        client = openai.OpenAI(base_url=quick.url, api_key="none", max_retries=0, timeout=LIMIT)
        members = {"model": "tiny", "stream": stream, **PATHS[api][1]}
        with contextlib.closing(client):
            if api == "responses":
                reply = client.responses.create(**members)
                if stream:
                    events = list(reply)
                    texts = [e.delta for e in events if e.type == "response.output_text.delta"]
                    assert "".join(texts) == " tok" * 6
                    numbers = [event.sequence_number for event in events]
                    assert numbers == list(range(len(events)))
                    reply = events[-1].response
                assert reply.output_text == " tok" * 6
                assert reply.usage.output_tokens == 6
                return
            kind = client.chat.completions if api == "chat" else client.completions
            if stream:
                members["stream_options"] = {"include_usage": True}
            reply = kind.create(**members)
            if stream:
                chunks = list(reply)
                assert chunks[-1].usage.completion_tokens == 6
                pieces = [chunk.choices[0] for chunk in chunks if chunk.choices]
                texts = [p.delta.content if api == "chat" else p.text for p in pieces]
                assert "".join(text or "" for text in texts) == " tok" * 6
            else:
                choice = reply.choices[0]
                text = choice.message.content if api == "chat" else choice.text
                assert text == " tok" * 6

    def test_models_health_and_what_is_not_there(self, quick):
        model = json.loads(send(quick, "/v1/models")[1])["data"][0]
        assert (model["id"], model["max_model_len"]) == ("tiny", 1000)
        assert send(quick, "/health")[0] == 200
        assert send(quick, "/v1/nothing")[0] == 404
        assert send(quick, "/v1/chat/completions")[0] == 405

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"[]", b"{}", b'{"messages": []}', b'{"messages": [1]}', b"[" * 100_000]
        + [b'{"messages": [{}], "max_tokens": %s}' % n for n in (b"-1", b"0", b"Infinity")],
        ids=["empty", "cut", "list", "nothing", "none", "numbers", "deep", "minus", "zero", "inf"],
    )
    def test_bodies_that_make_no_sense_are_refused(self, quick, body):
        connection = http.client.HTTPConnection("127.0.0.1", quick.port, timeout=LIMIT)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/chat/completions", body)
            reply = connection.getresponse()
            assert reply.status == 400
            assert json.loads(reply.read())["error"]["code"] == 400

    @pytest.mark.parametrize(
        "data",
        [
            b"\r\n\r\n",
            b"nonsense\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: -4\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"x" * 70_000,
        ],
        ids=["nothing", "nonsense", "negative", "chunked", "endless"],
    )
    def test_what_is_no_http_ends_the_connection_alone(self, quick, data):
        sock = socket.create_connection(("127.0.0.1", quick.port), timeout=LIMIT)
        with sock, contextlib.suppress(ConnectionError):
            sock.sendall(data)
            while sock.recv(4096):
                pass
        assert send(quick, "/health")[0] == 200

    def test_requests_in_a_row_on_one_connection_are_answered_in_order(self, quick):
        def request(count):
            body = json.dumps({"messages": HELLO, "stream": True, "max_tokens": count}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            return head.encode() + body

        health = b"GET /health HTTP/1.1\r\n\r\n"
        last = b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"
        sent = health * 300 + request(2) + request(3) + last
        with socket.create_connection(("127.0.0.1", quick.port), timeout=LIMIT) as sock:
            sock.sendall(sent)
            got = b""
            while data := sock.recv(65536):
                got += data
        assert got.count(b"HTTP/1.1 200 OK") == 303
        two, three = got.split(b"[DONE]")[:2]
        assert (two.count(b" tok"), three.count(b" tok")) == (2, 3)


class TestTimes:
    def test_tokens_come_when_they_should_and_the_log_says_so(self):
        options = {"ttft": 0.05, "itl": 0.004, "tokens": 11, "prefill_rate": 1000.0}
        with reference_server(**options) as server:
            before = time.monotonic()
            chat(server, [{"role": "user", "content": "word" * 46}])
            after = time.monotonic()
            (line,) = server.requests()
        assert before < line["arrived"] <= line["received"] < line["first"]
        assert line["first"] < line["last"] <= line["ended"] < after
        # Never early, and late only as the machine is; 50 tokens take 50 ms.
        assert 0.1 <= line["first"] - line["received"] < LIMIT
        assert 0.14 <= line["last"] - line["received"] < LIMIT
        assert (line["tokens"], line["prompt_tokens"], line["status"]) == (11, 50, 200)

    def test_more_requests_than_the_capacity_slow_each_other_down(self):
        with reference_server(**QUICK | {"itl": 0.005, "tokens": 21}, capacity=2) as server:
            chats_at_once(server, 6)
            lines = server.requests()
        assert max(line["in_service"] for line in lines) == 6
        # All six at three times the interval, less what ends stagger. A first token that is late
        # makes none after it late: from the receipt on, all are where they should be.
        assert max(line["last"] - line["received"] for line in lines) > 0.01 + 20 * 0.005 * 2

    def test_requests_beyond_the_slots_are_queued_in_order(self):
        with reference_server(**QUICK, slots=2) as server:
            chats_at_once(server, 6)
            lines = server.requests()
            counted = metrics_of(server)
        steps = [(line["admitted"], 1) for line in lines] + [(line["ended"], -1) for line in lines]
        running = most = 0
        for _, step in sorted(steps):
            running += step
            most = max(most, running)
        assert most <= 2
        lines.sort(key=lambda line: line["received"])
        assert [line["admitted"] for line in lines] == sorted(line["admitted"] for line in lines)
        assert counted["vllm:request_queue_time_seconds_count"] == 6
        assert counted["vllm:request_queue_time_seconds_sum"] > 0.02
        assert counted["vllm:num_requests_running"] == 0

    def test_jitter_varies_waits_evenly_and_by_the_seed(self):
        def gaps(seed):
            options = ServerOptions(itl=0.01, jitter=0.5, seed=seed)
            service = Service(options, Loop(), log=lambda _: None)
            return [service.next_chunk(5.0) - 5.0 for _ in range(4000)]

        some = gaps(1)
        assert some == gaps(1) != gaps(2)
        assert 0.005 <= min(some) < 0.0051
        assert 0.0149 < max(some) <= 0.015
        assert sum(some) / len(some) == pytest.approx(0.01, rel=0.02)

    def test_a_client_that_goes_away_frees_its_slot(self):
        with reference_server(**QUICK | {"ttft": 60.0}, slots=1) as server:
            body = json.dumps({"messages": HELLO, "stream": True}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) as sock:
                    sock.sendall(head.encode() + body)
                    until(lambda: metrics_of(server)["vllm:num_requests_running"] == 1)
                until(lambda: metrics_of(server)["vllm:num_requests_running"] == 0)
            assert [line["lost"] for line in server.requests()] == [True, True]

    def test_a_reader_that_is_slow_gets_everything_in_the_end(self):
        with reference_server(ttft=0.0, itl=0.0, tokens=40_000) as server:
            body = json.dumps({"messages": HELLO, "stream": True}).encode()
            head = (
                "POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
                sock.settimeout(LIMIT)
                sock.connect(("127.0.0.1", server.port))
                sock.sendall(head.encode() + body)
                until(lambda: metrics_of(server)["vllm:generation_tokens_total"] == 40_000)
                got = bytearray()
                while data := sock.recv(1 << 20):
                    got += data
            assert got.count(b'"content":" tok"') == 40_000
            assert got.endswith(b"0\r\n\r\n")
            assert server.requests()[0]["blocked"] > 0

    def test_headers_and_the_role_can_come_before_the_first_token(self):
        with reference_server(**QUICK | {"ttft": 30.0}, early_role=True) as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
            with contextlib.closing(connection):
                body = json.dumps({"messages": HELLO, "stream": True})
                connection.request("POST", "/v1/chat/completions", body)
                reply = connection.getresponse()
                assert b'"role":"assistant"' in reply.readline()


def until(holds, longest=LIMIT):
    """Wait until something holds."""
    limit = time.monotonic() + longest
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


class TestReplies:
    def test_speculation_sends_several_tokens_a_chunk_and_counts_them(self):
        with reference_server(**QUICK | {"tokens": 10}, tokens_per_chunk=3) as server:
            events = chat(server)
            counted = metrics_of(server)
        deltas = [e["choices"][0]["delta"].get("content") for e in events if e["choices"]]
        assert [len(delta) // 4 for delta in deltas if delta] == [1, 3, 3, 3]
        details = events[-1]["usage"]["completion_tokens_details"]
        assert details["accepted_prediction_tokens"] == 6
        assert details["rejected_prediction_tokens"] == 3
        assert counted["vllm:spec_decode_num_draft_tokens_total"] == 9
        assert counted["vllm:spec_decode_num_accepted_tokens_total"] == 6
        assert counted["vllm:generation_tokens_total"] == 10

    def test_metrics_are_those_that_are_read_of_engines(self):
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(reference_server(**QUICK, cache=10_000, cache_block=1))
            address = server.url.replace("/v1", "/metrics")
            engine = stack.enter_context(EngineMetrics([address], interval=0.05))
            begin = time.monotonic()
            for _ in range(2):
                engine.over(begin, time.monotonic())  # reads now: on both sides of what counts
                chat(server)
            engine.over(begin, time.monotonic())
            told = engine.over(begin, time.monotonic())
        assert told["prompt_tokens"] == pytest.approx(18)
        assert told["output_tokens"] == pytest.approx(12)
        assert told["cache_hit_rate"] == pytest.approx(8 / 18)
        assert told["kv_usage_max"] > 0

    def test_reasoning_and_calls_of_tools(self):
        with reference_server(**QUICK, reasoning=0.5, tool_calls=1.0) as server:
            events = chat(server, tools=TOOLS)
            plain = chat(server)
            _, text = send(server, "/v1/chat/completions", {"messages": HELLO, "tools": TOOLS})
            _, responses = send(
                server, "/v1/responses", {"input": "x", "tools": [TOOLS[0]["function"]]}
            )
        assert joined(events, "reasoning_content") == " tok" * 3
        calls = [
            call
            for event in events
            if event["choices"]
            for call in event["choices"][0]["delta"].get("tool_calls", [])
        ]
        assert calls[0]["function"]["name"] == "run"
        arguments = "".join(call["function"]["arguments"] for call in calls)
        assert json.loads(arguments) == {"text": " tok" * 3}
        assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"
        details = events[-1]["usage"]["completion_tokens_details"]
        assert details["reasoning_tokens"] == 3
        assert joined(plain) == " tok" * 3
        message = json.loads(text)["choices"][0]["message"]
        assert json.loads(message["tool_calls"][0]["function"]["arguments"])
        kinds = [item["type"] for item in json.loads(responses)["output"]]
        assert kinds == ["reasoning", "function_call"]

    def test_key_is_asked_for_where_there_is_one(self, monkeypatch):
        monkeypatch.setenv("SOME_KEY", "secret")
        with reference_server(**QUICK, key_env="SOME_KEY") as server:
            body = {"messages": HELLO}
            assert send(server, "/v1/chat/completions", body)[0] == 401
            right = {"Authorization": "Bearer secret"}
            assert send(server, "/v1/chat/completions", body, right)[0] == 200
            assert send(server, "/health")[0] == 200
            assert "secret" not in server.log_path.read_text()

    def test_ignore_eos_may_be_unknown(self):
        forced = {"ignore_eos": True, "max_tokens": 9}
        with reference_server(**QUICK, ignore_eos="unheeded") as server:
            assert chat(server, **forced)[-1]["usage"]["completion_tokens"] == 6
        with reference_server(**QUICK, ignore_eos="refused") as server:
            body = {"messages": HELLO, **forced}
            assert send(server, "/v1/chat/completions", body)[0] == 400


class TestFaults:
    def test_every_request_fails(self):
        with reference_server(**QUICK, fail_rate=1.0, status=429) as server:
            status, text = send(server, "/v1/chat/completions", {"messages": HELLO})
            (line,) = server.requests()
        assert (status, json.loads(text)["error"]["code"]) == (429, 429)
        assert (line["status"], line["fault"], line["tokens"]) == (429, "fail", 0)

    def test_streams_are_refused(self):
        with reference_server(**QUICK, refuse_streaming=1.0) as server:
            body = {"messages": HELLO}
            assert send(server, "/v1/chat/completions", body | {"stream": True})[0] == 400
            assert send(server, "/v1/chat/completions", body)[0] == 200

    def test_usage_is_kept_back(self):
        with reference_server(**QUICK, no_usage=1.0) as server:
            assert all("usage" not in event for event in chat(server))

    @pytest.mark.parametrize("api", ["chat", "completions", "responses"])
    def test_an_error_comes_in_the_stream(self, api):
        path, body = PATHS[api]
        with reference_server(**QUICK, error_in_stream=1.0, fault_after=2) as server:
            status, text = send(server, path, body | {"stream": True})
            whole, _ = send(server, path, body)
        assert (status, whole) == (200, 500)
        last = events_of(text)[-1]
        message = last["message"] if api == "responses" else last["error"]["message"]
        assert message == "the engine died"

    def test_an_event_is_malformed(self):
        with reference_server(**QUICK, malformed=1.0, fault_after=2) as server:
            body = {"messages": HELLO, "stream": True}
            _, text = send(server, "/v1/chat/completions", body)
        assert text.count(" tok") == 2
        with pytest.raises(json.JSONDecodeError):
            events_of(text)

    def test_the_connection_is_cut(self):
        with reference_server(**QUICK, cut=1.0, fault_after=2) as server:
            body = {"messages": HELLO, "stream": True}
            with pytest.raises(http.client.IncompleteRead):
                send(server, "/v1/chat/completions", body)
            assert server.requests()[0]["tokens"] == 2

    def test_the_stream_falls_silent(self):
        with reference_server(**QUICK, hang=1.0, fault_after=3) as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
            with contextlib.closing(connection):
                body = json.dumps({"messages": HELLO, "stream": True})
                connection.request("POST", "/v1/chat/completions", body)
                reply = connection.getresponse()
                got, rest = b"", []
                while got.count(b" tok") < 3:
                    got += reply.readline()
                connection.sock.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    rest.extend(iter(reply.readline, b""))
            assert (got + b"".join(rest)).count(b" tok") == 3
            until(server.requests)
            assert server.requests()[0]["lost"]

    def test_shares_are_those_of_the_seed(self):
        options = ServerOptions(fail_rate=0.2, hang=0.1, cut=0.1, seed=3)
        ask = read_request("chat", json.dumps({"messages": HELLO}).encode())
        faults = [course_of(ask, options, number).fault for number in range(2000)]
        assert faults == [course_of(ask, options, number).fault for number in range(2000)]
        assert 340 < faults.count("fail") < 460
        assert 150 < faults.count("hang") < 250
        assert 150 < faults.count("cut") < 250
        assert faults.count("malformed") == 0


class TestProcess:
    def test_two_servers_at_once(self):
        with reference_server(**QUICK) as one, reference_server(**QUICK | {"tokens": 3}) as two:
            assert one.port != two.port
            assert joined(chat(one)) == " tok" * 6
            assert joined(chat(two)) == " tok" * 3
            assert [line["tokens"] for line in one.requests()] == [6]

    def test_it_ends_with_its_block_and_keeps_a_log_that_was_asked_for(self, tmp_path):
        with reference_server(**QUICK, log=str(tmp_path / "log.jsonl")) as server:
            chat(server)
        assert not alive(server.pid)
        assert len(server.requests()) == 1

    def test_it_dies_with_its_parent(self):
        program = (
            "import time\n"
            "from pytest_a2perf.domains.serving.server.launch import reference_server\n"
            "with reference_server() as server:\n"
            "    print(server.pid, flush=True)\n"
            "    time.sleep(60)\n"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            assert alive(pid)
            parent.kill()
        until(lambda: not alive(pid))

    def test_it_ends_at_a_signal_in_the_middle_of_a_stream(self):
        with reference_server(**QUICK | {"itl": 60.0}) as server, ThreadPoolExecutor(1) as pool:
            running = pool.submit(chat, server)
            until(lambda: metrics_of(server)["vllm:num_requests_running"])
            os.kill(server.pid, signal.SIGTERM)
            until(lambda: not alive(server.pid))
            assert running.exception(LIMIT)

    def test_a_port_that_is_taken_is_an_error_at_once(self, capfd):
        with (
            reference_server(**QUICK) as server,
            pytest.raises(InfraError, match="did not start"),
            reference_server(port=server.port),
        ):
            pass
        assert "Address already in use" in capfd.readouterr().err

    def test_it_imports_nothing_heavy(self):
        program = (
            "import sys, pytest_a2perf.domains.serving.server.__main__\n"
            "print([m for m in ('numpy', 'pydantic', 'pytest', 'asyncio') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        assert done.stdout.strip() == b"[]"


def alive(pid):
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"ttft": -1.0}, "ttft must be a number, 0 or more"),
            ({"itl": float("nan")}, "itl must be a number, 0 or more"),
            ({"tokens": 0}, "tokens must be 1 or more"),
            ({"hang": 1.5}, "hang must lie between 0 and 1"),
            ({"hang": 0.7, "cut": 0.7}, "exceed 1 together"),
            ({"status": 200}, "status must be an HTTP error"),
            ({"ignore_eos": "maybe"}, "honoured, unheeded, refused"),
        ],
        ids=["negative", "nan", "none", "share", "shares", "status", "ignore_eos"],
    )
    def test_values_that_make_no_sense(self, options, says):
        with pytest.raises(A2PerfError, match=says), reference_server(**options):
            pass

    @settings(max_examples=25)
    @given(
        st.builds(
            ServerOptions,
            ttft=st.floats(0, 100),
            tokens=st.integers(1, 10**6),
            cut=st.floats(0, 1),
            early_role=st.booleans(),
            model=st.text(st.characters(categories=["L", "N"]), min_size=1),
        )
    )
    def test_command_line_brings_the_same_options(self, options):
        assert ServerOptions.from_command_line(options.to_command_line()) == options

    def test_every_option_has_a_flag_and_help(self, capsys):
        with pytest.raises(SystemExit):
            ServerOptions.from_command_line(["--help"])
        told = capsys.readouterr().out
        for one in fields(ServerOptions):
            assert f"--{one.name.replace('_', '-')}" in told


class TestCache:
    def test_blocks_of_a_known_sequence(self):
        cache = PrefixCache(capacity=8, block=2)  # four blocks
        assert cache.take(b"aaaabbbbccccdddd") == 0  # [ab cd]
        assert cache.take(b"aaaabbbbccccdddd") == 2  # the last token is always computed
        assert cache.take(b"aaaabbbbccccddddeeee") == 4  # half a block is not kept
        assert cache.take(b"aaaabbbbxxxxyyyyzzzz") == 2  # [ab xy]; the rest of cd stays
        assert cache.usage == 0.75
        assert cache.take(b"11112222333344445555") == 0  # takes the last room and cd's
        assert cache.take(b"aaaabbbbccccddddeeee") == 2
        assert (cache.queries, cache.hits) == (28, 10)

    def test_a_prompt_beyond_the_capacity_keeps_its_beginning(self):
        cache = PrefixCache(capacity=4, block=1)
        assert cache.take(b"aaaabbbbccccddddeeeeffff") == 0
        assert cache.take(b"aaaabbbbccccddddeeeeffff") == 4

    @given(
        st.lists(st.binary(max_size=40).map(lambda d: bytes(b % 2 for b in d))), st.integers(1, 4)
    )
    def test_with_room_enough_it_finds_the_longest_common_beginning(self, prompts, block):
        prompts = [prompt[: len(prompt) // 4 * 4] for prompt in prompts]
        cache = PrefixCache(capacity=10**6, block=block)
        for number, prompt in enumerate(prompts):
            best = 0
            for other in prompts[:number]:
                same = [a == b for a, b in zip(prompt, other, strict=False)] + [False]
                common = same.index(False) // 4
                best = max(best, common // block * block)
            most = max(0, len(prompt) // 4 - 1) // block * block
            assert cache.take(prompt) == min(best, most)

    @settings(max_examples=50)
    @given(st.lists(st.binary(max_size=60)), st.integers(0, 12), st.integers(1, 4))
    def test_it_never_holds_more_than_it_may(self, prompts, capacity, block):
        cache = PrefixCache(capacity, block)
        for prompt in prompts:
            assert 0 <= cache.take(prompt) <= min(capacity, len(prompt) // 4)
            assert 0 <= cache.usage <= 1


TEXTS = st.text(max_size=30)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": TEXTS, "content": TEXTS | st.none() | st.lists(st.builds(dict, text=TEXTS))},
        optional={"reasoning_content": TEXTS, "tool_calls": st.lists(st.builds(dict, id=TEXTS))},
    ),
    min_size=1,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)
MEMBERS = ["messages", "prompt", "input", "tools", "max_tokens", "min_tokens", "stream_options"]


class TestRequests:
    @given(MESSAGES, st.lists(st.builds(dict, name=TEXTS), max_size=2))
    def test_prompts_are_as_long_as_the_rule_says(self, messages, tools):
        body = json.dumps({"messages": messages, "tools": tools}).encode()
        expected = tools_tokens(tools) + sum(map(message_tokens, messages))
        assert read_request("chat", body).prompt_tokens == expected

    @pytest.mark.slow
    @given(
        st.sampled_from(["chat", "completions", "responses"]),
        st.binary()
        | st.dictionaries(st.sampled_from(MEMBERS), JSON).map(lambda d: json.dumps(d).encode()),
    )
    def test_any_body_is_read_or_refused(self, kind, body):
        with contextlib.suppress(BadRequestError):
            ask = read_request(kind, body)
            assert 1 <= course_of(ask, ServerOptions(), 0).length <= 131_072

    def test_items_of_the_responses_interface(self):
        items = [
            {"role": "user", "content": [{"type": "input_text", "text": "abcd"}]},
            {"type": "function_call", "call_id": "1", "name": "run", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "done"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "abcd"}]},
        ]
        body = json.dumps({"input": items, "instructions": "abcd"}).encode()
        call = message_tokens({"role": "assistant", "tool_calls": [items[1]]})
        assert read_request("responses", body).prompt_tokens == 4 * 5 + call


class TestTruth:
    def test_agents_that_never_pause(self):
        options = ServerOptions(ttft=0.1, itl=0.01, tokens=101, capacity=8)
        assert expected_capacity(options, speed=60.0) == Expected(13, 13)
        assert gap_at(options, 13) <= 1 / 60 < gap_at(options, 14)
        assert expected_capacity(options, speed=101.0) == Expected(0, 0)
        assert expected_capacity(options, speed=60.0, ttft=0.05) == Expected(0, 0)
        linear = ServerOptions(itl=0.005, itl_per_stream=0.001, tokens_per_chunk=2)
        assert expected_capacity(linear, speed=99.0).surely == 15

    def test_agents_that_pause_half_of_the_time(self):
        options = ServerOptions(ttft=0.0, itl=0.01, tokens=101, capacity=10)
        expected = expected_capacity(options, speed=99.0, pause=1.0)
        assert (expected.surely, expected.about) == (10, 20)

    def test_slots(self):
        options = ServerOptions(ttft=0.2, itl=0.01, tokens=81, slots=4)
        assert expected_capacity(options, speed=50.0, ttft=1.3) == Expected(8, 8)
        assert expected_capacity(options, speed=50.0, ttft=1.7) == Expected(8, 10)
        assert expected_capacity(options, speed=50.0).surely == float("inf")

    def test_no_limit_is_ever_reached(self):
        assert expected_capacity(ServerOptions(), speed=50.0).surely == float("inf")

    @given(st.floats(1, 500), st.floats(0.1, 50), st.floats(0, 0.01))
    def test_the_largest_number_is_just_fast_enough(self, speed, capacity, each):
        options = ServerOptions(itl=0.004, capacity=capacity, itl_per_stream=each)
        most = expected_capacity(options, speed=speed).surely
        assert gap_at(options, most + 1) > 1 / speed
        assert most == 0 or gap_at(options, most) <= 1 / speed
