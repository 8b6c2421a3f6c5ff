"""The client: what a reply's bytes amount to, however they are cut, and whatever goes wrong."""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_servers import (
    CLOSE,
    GOOD,
    HANG,
    RESET,
    USAGE,
    ScriptedServer,
    chunk,
    chunked,
    delta,
    event,
    events_of,
    head,
    whole,
)

from pytest_a2perf.domains.serving.client import connection
from pytest_a2perf.domains.serving.client.body import BodyMaker
from pytest_a2perf.domains.serving.client.connection import Limits
from pytest_a2perf.domains.serving.client.connector import connector
from pytest_a2perf.domains.serving.client.counter import token_counter
from pytest_a2perf.domains.serving.client.decode import SLICE, Decoder
from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.client.framing import Framing, FramingError
from pytest_a2perf.domains.serving.client.reply import Reply
from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.errors import AgentError

PATIENT = Limits(connect=60.0, stall=60.0, longest=120.0)
SHORT = Limits(connect=60.0, stall=0.4, longest=60.0)
TOOL = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"a": 1}'}}
MESSAGES = (
    {"role": "system", "content": "Be good."},
    {"role": "user", "content": [{"type": "text", "text": "Häl\n"}, {"type": "text", "text": "p"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"},
    {"role": "tool", "tool_call_id": "c1", "content": 'a "file"'},
    {"role": "user", "content": "again"},
)
SESSION = Session("s", MESSAGES, (Turn((0, 1)), Turn((0, 1, 2, 3)), Turn((1, 4))), tools=(TOOL,))


def ask(endpoint, *bodies, limits=PATIENT, pause=0.0, **more):
    """Return the answers to requests over one client."""

    async def run():
        client = connector(endpoint, limits, **more)()
        await client.open()
        try:
            answers = []
            for body in bodies or (b"{}",):
                answers.append(await asyncio.wait_for(client.request(body), 300))
                await asyncio.sleep(pause)
            return answers
        finally:
            client.close()

    return run_alone(run())


def run_alone(work):
    """Run a coroutine, without taking away the loop that another test's plugin has set."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


def answer_to(*script, api="chat", **more):
    with ScriptedServer(*script) as server:
        return ask(Endpoint(server.url, "m", api=api), **more)[0]


def read(raw, cuts=(), api="chat", count=None):
    """What is read of a whole reply that comes in pieces, a second after the other."""
    framing, reply = Framing(), Reply(sent=1.0)
    decoder = Decoder(api, reply, count, lambda text: text)
    edges = [0, *sorted(cuts), len(raw)]
    for time, (begin, end) in enumerate(pairwise(edges), 2):
        if begin < end and (piece := framing.feed(raw[begin:end])):
            reply.times.append(float(time))
            reply.pieces.append(piece)
    assert framing.close()
    reply.status, reply.headers, reply.ended = framing.status, framing.headers, 99.0
    while not decoder.step():
        pass
    return decoder.answer


CRLF = [part.replace(b"\n", b"\r\n") for part in events_of("one", " two", " three")]
BARE = [part.replace(b"\n", b"\r") for part in events_of("one", " two", " three")]
FOLDED = [
    b": a comment\n\nevent: x\nid: 1\ndata: {\ndata:" + p[7:] for p in events_of("a", "b", "c")[:-1]
]
REPLIES = {
    "chunked": GOOD,
    "crlf": chunked(CRLF),
    "cr": chunked(BARE),
    "folded": chunked([*FOLDED, b"data:[DONE]\n\n"]),
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,
    "length": whole(b"".join(events_of("a", "b", "c")), kind="text/event-stream"),
    "close": head() + b"".join(events_of("a", "b", "c")),
    "one-chunk": head(Transfer_Encoding="chunked") + chunk(b"".join(CRLF)) + b"0\r\nX: y\r\n\r\n",
    "extension": head(Transfer_Encoding="Chunked")
    + b"".join(b"%X;a=b\r\n%s\r\n" % (len(part), part) for part in CRLF)
    + b"000\r\n\r\n",
    "no-done": chunked(events_of("a", "b", "c", done=False)),
    "unfinished-line": head() + b"".join(events_of("a", "b", "c")).rstrip(b"\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(REPLIES))
def test_a_reply_is_the_same_however_it_is_cut(name):
    raw = REPLIES[name]

    @given(st.lists(st.integers(0, len(raw)), max_size=40))
    @settings(max_examples=60, deadline=None)
    def check(cuts):
        answer = read(raw, cuts)
        assert (answer.failure, answer.error, answer.status) == ("", "", 200)
        assert (answer.chunks, answer.finish, answer.counted) == (3, "stop", "server")
        assert (answer.prompt_tokens, answer.cached_tokens) == (100, 40)
        assert (answer.output_tokens, answer.reasoning_tokens) == (3, 1)
        assert (answer.accepted_tokens, answer.rejected_tokens) == (5, 2)
        assert 2 <= answer.first <= answer.last <= len(cuts) + 2
        assert sum(answer.gaps) == answer.last - answer.first

    check()
    check_each = range(1, len(raw))
    assert read(raw, check_each).output_tokens == 3


def test_an_event_happens_when_the_read_comes_that_completes_it():
    parts = events_of("a", "b", "c")
    raw = head(content_length=len(b"".join(parts))) + b"".join(parts)
    first = raw.index(b'"a"')
    end = raw.index(b"\n\n", first) + 2
    second = raw.index(b'"b"')
    # Time 2 ends within the first token, 3 with it, 4 within the second, 5 is the rest.
    answer = read(raw, (first, end, second))
    assert (answer.first, answer.last, answer.gaps) == (3.0, 5.0, [2.0])


def test_several_tokens_of_one_read_make_no_gap():
    answer = read(GOOD)
    assert (answer.first, answer.last, answer.gaps, answer.chunks) == (2.0, 2.0, [], 3)


def test_long_replies_are_read_in_slices():
    reply = Reply(sent=1.0, status=200, headers={"content-type": "text/event-stream"})
    decoder = Decoder("chat", reply, None, str)
    parts = events_of(*["x"] * 200, usage=None)
    reply.pieces, reply.times = list(parts), [float(at) for at in range(len(parts))]
    steps = 1
    while not decoder.step():
        steps += 1
    assert steps == -(-len(parts) // SLICE)
    assert reply.pieces == []
    assert decoder.answer.ended == 0  # it still goes on
    reply.ended = 5.0
    assert decoder.step()
    assert (decoder.answer.chunks, decoder.answer.counted, decoder.answer.ended) == (
        200,
        "chunks",
        5.0,
    )


NASTY = st.sampled_from(
    ['"', "\\", "}", '"}}]}', "content", "é", "\n", "\x7f", "", "stop", "null", "a"]
)


@given(
    st.lists(st.lists(NASTY, max_size=4).map("".join), max_size=30),
    st.booleans(),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_what_is_not_parsed_counts_as_if_it_were(texts, ascii_only, data):
    """Events that differ in their text only are not parsed, unless a tokenizer wants the text."""
    parts = [json.dumps(delta(content=text), ensure_ascii=ascii_only).encode() for text in texts]
    broken = data.draw(st.sampled_from([None, *range(len(parts))]))
    if broken is not None:
        at = data.draw(st.integers(0, len(parts[broken]) - 1))
        parts[broken] = (
            parts[broken][:at] + data.draw(st.binary(max_size=2)) + parts[broken][at + 1 :]
        )
    events = [event(part) for part in parts] + events_of(done=True)
    raw, cuts = head() + b"".join(events), []
    for part in [head(), *events]:
        cuts.append((cuts[-1] if cuts else 0) + len(part))
    quick, parsed = read(raw, cuts), read(raw, cuts, count=len)
    names = ("chunks", "first", "last", "gaps", "finish", "failure", "prompt_tokens")
    if not parsed.failure:
        assert [getattr(quick, name) for name in names] == [getattr(parsed, name) for name in names]
        assert quick.output_tokens == parsed.output_tokens == 3
    assert broken is not None or parsed.chunks == sum(map(bool, texts))


def test_text_that_could_be_more_than_text_is_parsed():
    plain, other = event(delta(content="a")), event(delta("stop", content="a"))
    sly = plain.replace(b'"a"', b'"a", "x": "b"')
    longer = plain[:-2].replace(b'"a"', b'"a') + b"\n\n"
    answer = read(head() + plain * 2 + sly + other, range(len(head()), 4096, len(plain)))
    assert (answer.chunks, answer.finish, answer.failure) == (4, "stop", "")
    assert read(head() + plain * 2 + longer, [len(head() + plain), len(head() + plain * 2)]).failure


VISIBLE = {
    "content": {"content": "x"},
    "reasoning": {"reasoning_content": "x"},
    "reasoning-other": {"reasoning": "x", "content": None},
    "call-name": {"tool_calls": [{"index": 0, "function": {"name": "ls"}}]},
    "call-arguments": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
    "refusal": {"refusal": "x"},
}
HIDDEN = {
    "role": {"role": "assistant"},
    "empty": {"content": ""},
    "null": {"content": None, "reasoning_content": None, "tool_calls": None},
    "empty-call": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": None}}]},
}


@pytest.mark.parametrize("name", [*VISIBLE, *HIDDEN])
def test_what_counts_as_visible(name):
    members = {**VISIBLE, **HIDDEN}[name]
    answer = read(chunked([event(delta(**members)), event(delta("stop")), event(b"[DONE]")]))
    assert answer.chunks == (name in VISIBLE)
    assert (answer.first > 0) == (name in VISIBLE)
    assert answer.failure == ""


def test_usage_within_the_finish_chunk():
    last = delta("length") | {"usage": USAGE}
    answer = read(chunked([event(delta(role="assistant")), event(delta(content="a")), event(last)]))
    assert (answer.output_tokens, answer.counted, answer.finish) == (3, "server", "length")


def test_a_tokenizer_counts_where_the_server_does_not(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"one": 0, "two": 1, "?": 2}, unk_token="?")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    count = token_counter(str(tmp_path / "tokenizer.json"))
    answer = read(chunked(events_of("one", " t", "wo", usage=None)), count=count)
    assert (answer.output_tokens, answer.counted, answer.chunks) == (2, "tokenizer", 3)
    assert read(GOOD, count=count).counted == "server"
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(AgentError, match=r"bad\.json"):
        token_counter(str(tmp_path / "bad.json"))


def response_events(last="response.completed", **members):
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 40},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
    }
    events = [
        {"type": "response.created", "response": {"status": "in_progress"}},
        {"type": "response.reasoning_text.delta", "delta": "hm"},
        {"type": "response.output_text.delta", "delta": "one"},
        {"type": "response.output_text.done", "text": "one"},
        {"type": "response.output_item.added", "item": {"type": "function_call", "name": "ls"}},
        {"type": "response.function_call_arguments.delta", "delta": "{"},
        {"type": last, "response": {"status": last[9:], "usage": usage, **members}},
    ]
    return chunked([b"event: " + one["type"].encode() + b"\n" + event(one) for one in events])


def test_events_of_the_responses_interface():
    answer = read(response_events(), range(0, 3000, 7), api="responses")
    assert (answer.failure, answer.finish, answer.chunks) == ("", "completed", 4)
    assert (answer.prompt_tokens, answer.cached_tokens) == (100, 40)
    assert (answer.output_tokens, answer.reasoning_tokens, answer.counted) == (3, 1, "server")
    cut = response_events("response.incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert read(cut, api="responses").finish == "length"
    failed = read(response_events("response.failed", error={"message": "no room"}), api="responses")
    assert (failed.failure, failed.error) == ("refused", "no room")


def test_events_of_the_completions_interface():
    events = [event({"choices": [{"text": text, "finish_reason": None}]}) for text in "ab"]
    last = event({"choices": [{"text": "", "finish_reason": "stop"}], "usage": USAGE})
    answer = read(chunked([*events, last, event(b"[DONE]")]), api="completions")
    assert (answer.chunks, answer.finish, answer.output_tokens) == (2, "stop", 3)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_reply_that_is_no_stream(api):
    chat = {"choices": [{"message": {"content": "all"}, "finish_reason": "stop"}], "usage": USAGE}
    usage = {"input_tokens": 100, "output_tokens": 3}
    response = {"object": "response", "status": "completed", "output": [{}], "usage": usage}
    answer = read(whole(chat if api == "chat" else response), api=api)
    assert (answer.failure, answer.chunks, answer.output_tokens) == ("", 1, 3)
    assert answer.first == answer.last == 2.0


ERROR = {"error": {"message": "out of\nmemory", "code": 500}}
FAILURES = {
    "refused": (chunked([*events_of("a", done=False)[:2], event(ERROR)]), "out of memory"),
    "refused-then-done": (chunked([event(ERROR), event(b"[DONE]")]), "out of memory"),
    "refused-json": (whole(ERROR), "out of memory"),
    "malformed": (chunked([*events_of("a")[:2], event(b'{"choices": [')]), "cannot be read"),
    "malformed-shape": (chunked([event(b'["choices"]'), event(b"[DONE]")]), "cannot be read"),
    "malformed-choices": (chunked([event({"choices": "abc"})]), "cannot be read"),
    "malformed-html": (whole(b"<html>", kind="text/html"), "<html>"),
    "malformed-http": (b"SSH-2.0-OpenSSH\r\n\r\n", "not a reply of HTTP"),
    "malformed-chunk": (head(transfer_encoding="chunked") + b"hello\r\n", "size of a chunk"),
    "malformed-length": (head(content_length="many"), "content-length"),
    "malformed-head": ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000], "longer than"),
    "cut": (chunked(events_of("a", done=False)[:2]), "without [DONE]"),
    "cut-empty": (whole(b"", kind="text/event-stream"), "without [DONE]"),
    "cut-closed": (
        [head(transfer_encoding="chunked") + chunk(events_of("a")[1]), CLOSE],
        "in the middle",
    ),
    "cut-at-once": ([CLOSE], "before the reply"),
    "cut-reset": ([RESET], "before the reply"),
    "stalled": ([HANG], "nothing came for 0.4 s"),
    "stalled-in-head": ([b"HTTP/1.1 200", HANG], "nothing came for 0.4 s"),
    "stalled-in-stream": ([GOOD[:-120], HANG], "nothing came for 0.4 s"),
    "status-500": (whole(ERROR, 500), "HTTP 500: out of memory"),
    "status-detail": (whole({"detail": "no such model"}, 404), "HTTP 404: no such model"),
    "status-text": (
        whole(b"<h1>Bad\nGateway</h1>", 502, "text/html"),
        "HTTP 502: <h1>Bad Gateway</h1>",
    ),
    "status-empty": (whole(b"", 503), "HTTP 503: no message"),
    "status-redirect": (
        whole(b"", 307, Location="http://else/"),
        "HTTP 307: redirects to http://else/",
    ),
    "status-stream": (chunked([event(ERROR)]).replace(b"200", b"429", 1), "HTTP 429"),
}


@pytest.mark.parametrize("name", list(FAILURES))
def test_what_goes_wrong_is_a_failure_with_words(name):
    script, words = FAILURES[name]
    answer = answer_to(script, limits=SHORT if name.startswith("stalled") else PATIENT)
    assert answer.failure == name.partition("-")[0]
    assert words in answer.error
    assert "\n" not in answer.error
    assert answer.ended >= answer.sent > 0


@pytest.mark.slow
def test_a_reply_that_never_ends_is_given_up():
    endless = [head(transfer_encoding="chunked"), *[0.05, chunk(events_of("a")[1])] * 200]
    answer = answer_to(endless, limits=Limits(stall=60.0, longest=3.0))
    assert (answer.failure, answer.status) == ("cancelled", 200)
    assert "longer than 3 s" in answer.error
    assert answer.chunks >= 1


@pytest.mark.slow
def test_what_was_said_before_the_end_of_the_stream_was_missed_counts():
    raw = GOOD[: -len(b"0\r\n\r\n")]
    for last in (CLOSE, HANG):
        answer = answer_to([raw, last], limits=Limits(stall=3.0))
        assert (answer.failure, answer.output_tokens) == ("", 3)


def test_nobody_listens():
    with socket.socket() as taken:  # bound, so that nobody else listens there either
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = ask(Endpoint(f"http://127.0.0.1:{port}/v1", "m"))[0]
    assert (answer.failure, answer.sent, answer.status) == ("connect", 0.0, 0)
    assert f"127.0.0.1:{port}" in answer.error


def test_names_that_lead_nowhere():
    for host in ("a..b", "x" * 70 + ".invalid"):
        assert ask(Endpoint(f"http://{host}/v1", "m"))[0].failure == "connect"


def test_a_connection_is_kept():
    with ScriptedServer(GOOD) as server:
        answers = ask(Endpoint(server.url, "m"), b"1", b"2", b"3")
    assert [one.failure for one in answers] == [""] * 3
    assert [one.connection for one in server.requests] == [1, 1, 1]
    assert [one.body for one in server.requests] == [b"1", b"2", b"3"]
    assert [one.connecting for one in answers] == [0, 0, 0]  # it was made ahead


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(chunked(events_of("a"), Connection="close"), id="said"),
        pytest.param([GOOD, CLOSE], id="unsaid"),
        pytest.param(GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"), id="old"),
        pytest.param(GOOD + b"more", id="more"),
        pytest.param([head() + b"".join(events_of("a")), CLOSE], id="length"),
    ],
)
def test_a_closed_connection_is_made_again(first, monkeypatch):
    monkeypatch.setattr(connection, "_RACE", 60.0)
    with ScriptedServer(first, GOOD) as server:
        answers = ask(Endpoint(server.url, "m"), b"1", b"2", pause=0.1)
    assert [one.failure for one in answers] == ["", ""]
    assert [one.connection for one in server.requests] == [1, 2]
    assert answers[1].connecting > 0


def test_a_request_that_crossed_the_servers_close_is_sent_again_once(monkeypatch):
    monkeypatch.setattr(connection, "_RACE", 60.0)
    with ScriptedServer(GOOD, [CLOSE], GOOD) as server:
        answers = ask(Endpoint(server.url, "m"), b"1", b"2")
    assert [one.failure for one in answers] == ["", ""]
    assert [one.body for one in server.requests] == [b"1", b"2", b"2"]
    with ScriptedServer(GOOD, [CLOSE]) as server:
        answers = ask(Endpoint(server.url, "m"), b"1", b"2")
    assert [one.failure for one in answers] == ["", "cut"]
    assert len(server.requests) == 3


def test_a_failure_is_not_asked_again_once_a_byte_came():
    with ScriptedServer(GOOD, [b"HTTP", CLOSE]) as server:
        answers = ask(Endpoint(server.url, "m"), b"1", b"2")
    assert [one.failure for one in answers] == ["", "cut"]
    assert len(server.requests) == 2


def test_a_large_body_arrives_whole():
    body = json.dumps({"text": "x" * 3_000_000}).encode()
    with ScriptedServer(GOOD) as server:
        answers = ask(Endpoint(server.url, "m"), body, b"2")
    assert [one.failure for one in answers] == ["", ""]
    assert server.requests[0].body == body


def test_a_refusal_before_the_body_was_read():
    with ScriptedServer(GOOD) as server:

        def refuse(one, number):
            one.recv(100)
            one.sendall(whole(ERROR, 413))

        server._serve = refuse
        answer = ask(Endpoint(server.url, "m"), b"x" * 3_000_000)[0]
    assert (answer.failure, answer.status) == ("status", 413)


def test_requests_that_are_cancelled_leave_nothing_behind():
    async def run(server):
        client = connector(Endpoint(server.url, "m"), PATIENT)()
        asking = asyncio.create_task(client.request(b"{}"))
        while not server.requests:  # noqa: ASYNC110 - it is another thread that fills it
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert asking.cancelled()
        answer = await client.request(b"{}")
        client.close()
        return answer

    with ScriptedServer([HANG], GOOD) as server:
        assert run_alone(run(server)).failure == ""


def test_heads_carry_the_key_and_answers_do_not(monkeypatch):
    monkeypatch.setenv("SERVING_ACCESS", "xyzzy-12345")
    error = {"error": {"message": "the key xyzzy-12345 is wrong"}}
    with ScriptedServer(whole(error, 401), chunked([event(error)])) as server:
        endpoint = Endpoint(
            server.url + "/?version=2", "m", key_env="SERVING_ACCESS", headers={"X-Team": "a"}
        )
        answers = ask(endpoint, b"1", b"2")
    request = server.requests[0]
    assert request.head.startswith("POST /v1/chat/completions?version=2 HTTP/1.1\r\n")
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["authorization"] == "Bearer xyzzy-12345"
    assert request.headers["x-team"] == "a"
    assert answers[0].error == "HTTP 401: the key $SERVING_ACCESS is wrong"
    assert answers[1].error == "the key $SERVING_ACCESS is wrong"


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        pytest.param(Endpoint("localhost:8000/v1", "m"), "write it like", id="scheme"),
        pytest.param(Endpoint("ftp://host/v1", "m"), "write it like", id="ftp"),
        pytest.param(Endpoint("http:///v1", "m"), "write it like", id="host"),
        pytest.param(Endpoint("http://host:x/v1", "m"), "write it like", id="port"),
        pytest.param(
            Endpoint("http://h/v1", "m", headers={"A": "b\r\nC: d"}), "one line", id="lines"
        ),
        pytest.param(
            Endpoint("http://h/v1", "m", key_env="NO_SUCH_KEY"), "no such variable", id="key"
        ),
    ],
)
def test_endpoints_that_make_no_sense(endpoint, words):
    with pytest.raises(AgentError, match=words):
        ask(endpoint)


@pytest.mark.slow
def test_https(tmp_path, monkeypatch):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    made = subprocess.run([*command.split(), *more], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no openssl")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    with ScriptedServer(GOOD, tls=context) as server:
        refused = ask(Endpoint(server.url, "m"))[0]
        assert refused.failure == "connect"
        assert "certificate verify failed" in refused.error
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        answers = ask(Endpoint(server.url, "m"), b"x" * 500_000, b"2")
    assert [one.failure for one in answers] == ["", ""]
    assert len({one.connection for one in server.requests}) == 1
    assert len(server.requests[0].body) == 500_000


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=5))
@settings(max_examples=200, deadline=None)
def test_framing_never_breaks_otherwise_than_by_its_error(data, cuts):
    for begin in (b"", head(transfer_encoding="chunked"), head(content_length=10)):
        raw, framing = begin + data, Framing()
        edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
        try:
            out = [framing.feed(raw[a:b]) for a, b in pairwise(edges)]
        except FramingError:
            continue
        assert len(b"".join(out)) <= len(data)


def bodies(api="chat", nonce="", **endpoint):
    maker = BodyMaker(Endpoint("", "m", api=api, **endpoint), SESSION, nonce)
    return [json.loads(maker.body(turn, 7, force=True)) for turn in SESSION.turns]


def test_bodies_of_the_chat_interface():
    first, second, third = bodies(sampling={"temperature": 0.5})
    assert first == {
        "messages": list(MESSAGES[:2]),
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [TOOL],
        "temperature": 0.5,
        "max_tokens": 7,
        "min_tokens": 7,
        "ignore_eos": True,
    }
    without = {name: value for name, value in MESSAGES[2].items() if name != "reasoning_content"}
    assert second["messages"] == [*MESSAGES[:2], without, MESSAGES[3]]
    assert third["messages"] == [MESSAGES[1], MESSAGES[4]]


def test_what_sampling_and_the_endpoint_change():
    body = bodies(sampling={"reasoning_content": True, "max_completion_tokens": True})[1]
    assert body["messages"][2] == MESSAGES[2]
    assert (body["max_completion_tokens"], "max_tokens" in body) == (7, False)
    body = bodies(sampling={"stream": False, "model": "other"}, ignore_eos=False)[0]
    assert (body["stream"], body["model"]) == (False, "other")
    assert not {"stream_options", "ignore_eos", "min_tokens"} & body.keys()
    free = BodyMaker(Endpoint("", "m"), SESSION).body(SESSION.turns[0], -1)
    assert "max_tokens" not in json.loads(free)


def test_a_nonce_begins_the_first_message_of_each_turn():
    first, second, third = bodies(nonce="123")
    assert first["messages"][0] == {"role": "system", "content": "123\nBe good."}
    assert second["messages"][0] == first["messages"][0]
    assert second["messages"][1] == MESSAGES[1]
    assert third["messages"][0]["content"] == [
        {"type": "text", "text": "123\nHäl\n"},
        {"type": "text", "text": "p"},
    ]
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}
    session = Session("p", (picture,), (Turn((0,)),))
    body = json.loads(BodyMaker(Endpoint("", "m"), session, "9").body(session.turns[0], 1))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "9"}, *picture["content"]]


def test_bodies_of_the_completions_interface():
    _, second, _ = bodies("completions", nonce="123")
    tools = json.dumps([TOOL], separators=(",", ":"))
    assert second["prompt"] == (
        f"tools: {tools}\n\nsystem: 123\nBe good.\n\nuser: Häl\np\n\n"
        'assistant: \ncall ls: {"a": 1}\n\ntool: a "file"\n\nassistant:'
    )
    assert (second["max_tokens"], "messages" in second, "tools" in second) == (7, False, False)


def test_bodies_of_the_responses_interface():
    _, second, _ = bodies("responses", nonce="123")
    texts = [{"type": "input_text", "text": text} for text in ("Häl\n", "p")]
    assert second["input"] == [
        {"role": "system", "content": "123\nBe good."},
        {"role": "user", "content": texts},
        {"type": "function_call", "call_id": "c1", "name": "ls", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": 'a "file"'},
    ]
    assert second["tools"] == [
        {"type": "function", "strict": False, "name": "ls", "parameters": {"type": "object"}}
    ]
    assert (second["max_output_tokens"], second["store"]) == (7, False)


TEXT = st.text(st.characters(codec=None), max_size=20)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": TEXT | st.none()},
    optional={"name": TEXT, "reasoning_content": TEXT},
)


@given(
    st.lists(MESSAGE, min_size=1, max_size=6),
    TEXT,
    st.sampled_from(["chat", "completions", "responses"]),
)
@settings(max_examples=100, deadline=None)
def test_any_message_makes_a_body_that_can_be_read(messages, nonce, api):
    session = Session("s", tuple(messages), (Turn(tuple(range(len(messages)))),))
    maker = BodyMaker(Endpoint("", "m", api=api), session, nonce)
    body = maker.body(session.turns[0], 3)
    assert maker.body(session.turns[0], 3) == body
    data = json.loads(body)
    assert data["model"] == "m"
    if api == "chat":
        assert [one["role"] for one in data["messages"]] == [one["role"] for one in messages]


def test_without_orjson_bodies_are_the_same():
    code = (
        "import sys; sys.modules['orjson'] = None\n"
        "from test_serving_client import bodies, read, GOOD\n"
        "from pytest_a2perf.domains.serving.client import codec\n"
        "import json; assert codec.loads is json.loads\n"
        "print(json.dumps(bodies(nonce='1'))); assert read(GOOD).output_tokens == 3"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == bodies(nonce="1")


@pytest.mark.slow
def test_litellm_reaches_the_same_answer():
    with ScriptedServer(GOOD, whole(ERROR, 500), [HANG]) as server:
        endpoint = Endpoint(server.url, "openai/m", api="litellm")
        maker = BodyMaker(endpoint, SESSION, "123")
        body = maker.body(SESSION.turns[0], 7, force=True)
        good, status = ask(endpoint, body, body, limits=Limits(stall=120.0))
        stalled = ask(endpoint, body, limits=Limits(stall=0.5))[0]
    assert (good.failure, good.error, good.chunks, good.finish) == ("", "", 3, "stop")
    assert (good.output_tokens, good.cached_tokens, good.counted) == (3, 40, "server")
    assert 0 < good.sent <= good.first <= good.last <= good.ended
    sent = server.requests[0].data
    assert sent["messages"][0]["content"] == "123\nBe good."
    assert (sent["max_tokens"], sent["ignore_eos"], sent["stream"]) == (7, True, True)
    assert (status.failure, status.status) == ("status", 500)
    assert stalled.failure == "stalled"
