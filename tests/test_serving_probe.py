"""Asking an endpoint before any load: what can be wrong with it, and what it tells."""

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_a2perf.domains.serving.client.connection import Limits
from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.replay.probe import probe
from pytest_a2perf.domains.serving.server.launch import reference_server
from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.errors import AgentError, InfraError

QUICK = {"ttft": 0.01, "itl": 0.0005}
LONG = Limits(connect=60.0, stall=60.0, longest=120.0)
SHORT = Limits(connect=60.0, stall=0.5, longest=120.0)  # for who never answers
TOOL = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}
SESSION = Session(
    "first",
    (
        {"role": "system", "content": "You write code. " * 40},
        {"role": "user", "content": "Go on."},
    ),
    (Turn((0, 1)),),
    tools=(TOOL,),
)


def endpoint(url, model="reference", **more):
    return Endpoint(url, model, **more)


@contextlib.contextmanager
def canned(replies):
    """A server with an answer for each path: a status, a body, and its type."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body, kind = replies.get(self.path, (404, b'{"detail": "Not Found"}', "json"))
            self.send_response(status)
            self.send_header("Content-Type", f"application/{kind}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *values):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def models(*entries):
    return 200, json.dumps({"object": "list", "data": list(entries)}).encode(), "json"


@pytest.mark.parametrize("api", ["chat", "completions", "responses"])
def test_an_endpoint_that_is_fit_tells_what_it_is(api):
    with reference_server(**QUICK, cache=100_000, max_model_len=5000) as server:
        got = probe(endpoint(server.url, api=api), SESSION)
    assert got.model == "reference"
    assert got.models == ("reference",)
    assert got.context == 5000
    assert got.cached
    assert got.forced is None
    assert got.notes == ()
    assert got.answer.output_tokens == 16


def test_the_only_model_need_not_be_named():
    with reference_server(**QUICK) as server:
        assert probe(endpoint(server.url, model="")).model == "reference"


def test_several_models_have_to_be_chosen_from():
    listed = {"/v1/models": models({"id": "small"}, {"id": "large"})}
    with canned(listed) as url, pytest.raises(AgentError, match="one of small, large"):
        probe(endpoint(url, model=""))


@pytest.mark.parametrize("output", ["exact", "fixed"])
def test_forced_lengths_need_a_server_that_honours_them(output):
    with reference_server(**QUICK, tokens=5) as server:
        got = probe(endpoint(server.url), output=output)
    assert got.forced
    assert got.answer.output_tokens == 64


def test_a_server_that_passes_over_ignore_eos_is_told_which_policy_works():
    with reference_server(**QUICK, tokens=5, ignore_eos="unheeded") as server:
        words = (
            r"asked for 64 tokens it gave 5 \(finish 'stop'\); take output = 'recorded' or 'free'"
        )
        with pytest.raises(AgentError, match=words):
            probe(endpoint(server.url), output="exact")
        assert probe(endpoint(server.url), output="recorded").forced is None


def test_a_server_that_refuses_ignore_eos_is_told_which_policy_works():
    with (
        reference_server(**QUICK, ignore_eos="refused") as server,
        pytest.raises(AgentError, match=r"HTTP 400: .*output = 'recorded' or 'free' may work"),
    ):
        probe(endpoint(server.url), output="fixed")


def test_an_endpoint_declared_without_ignore_eos_is_not_even_asked():
    with pytest.raises(AgentError, match="declared without ignore_eos"):
        probe(endpoint("http://127.0.0.1:1/v1", ignore_eos=False), output="exact")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"fail_rate": 1.0}, InfraError, "HTTP 500: the engine failed"),
        ({"fail_rate": 1.0, "status": 429}, InfraError, "HTTP 429"),
        ({"fail_rate": 1.0, "status": 403}, AgentError, "key_env has to name the environment"),
        ({"fail_rate": 1.0, "status": 422}, AgentError, "HTTP 422"),
        ({"hang": 1.0}, InfraError, "nothing came for 0.5 s; the server takes requests"),
        ({"cut": 1.0}, InfraError, "closed"),
        ({"malformed": 1.0}, AgentError, "is it an endpoint of OpenAI's interface 'chat'"),
        ({"error_in_stream": 1.0}, InfraError, "reference_url: "),
        ({"no_usage": 1.0}, AgentError, "does not report usage"),
        ({"refuse_streaming": 1.0}, AgentError, "HTTP 400: streaming is not supported"),
        ({"tokens_per_chunk": 100, "ttft": 0.0}, None, ""),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else None,
)
def test_an_endpoint_that_cannot_be_measured_says_why(options, kind, words):
    with reference_server(**{**QUICK, **options}) as server:
        if kind is None:
            assert probe(endpoint(server.url), limits=LONG).answer.chunks > 1
            return
        limits = SHORT if "hang" in options else LONG
        with pytest.raises(kind, match=words.replace("reference_url", server.url)):
            probe(endpoint(server.url), limits=limits)


def test_a_prompt_that_is_too_long_is_told_by_its_session():
    with reference_server(**QUICK, max_model_len=100) as server:
        words = r"\(the first turn of session 'first'\): HTTP 400"
        with pytest.raises(AgentError, match=words):
            probe(endpoint(server.url), SESSION)


def test_an_endpoint_that_is_down():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(InfraError, match=r"no connection .*; is the server running"):
            probe(endpoint(url))


def test_a_server_that_takes_connections_and_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(InfraError, match="nothing came"):
            probe(endpoint(url), limits=SHORT, listing=0.3)


def test_a_key_that_is_missing_or_wrong(monkeypatch):
    monkeypatch.setenv("REFERENCE_KEY", "right-and-long-enough")
    with reference_server(**QUICK, key_env="REFERENCE_KEY") as server:
        assert probe(endpoint(server.url, key_env="REFERENCE_KEY")).models == ("reference",)
        with pytest.raises(AgentError, match=r"HTTP 401: .*key_env has to name"):
            probe(endpoint(server.url))
        with pytest.raises(AgentError, match="no such variable"):
            probe(endpoint(server.url, key_env="NO_SUCH_KEY"))


def test_a_model_that_the_server_does_not_know():
    replies = {
        "/v1/models": models({"id": "small"}),
        "/v1/chat/completions": (404, b'{"error": {"message": "no model huge"}}', "json"),
    }
    with canned(replies) as url:
        words = "HTTP 404: no model huge; either .* the model 'huge' is unknown: it serves small"
        with pytest.raises(AgentError, match=words):
            probe(endpoint(url, model="huge"))


def test_a_path_that_the_server_does_not_know():
    with canned({}) as url, pytest.raises(AgentError, match="usually ends in /v1"):
        probe(endpoint(url.removesuffix("/v1")))


def test_a_server_that_does_not_stream():
    whole = {
        "object": "chat.completion",
        "choices": [{"message": {"content": "one two"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 32},
    }
    replies = {"/v1/chat/completions": (200, json.dumps(whole).encode(), "json")}
    with canned(replies) as url, pytest.raises(AgentError, match="32 tokens in one piece"):
        probe(endpoint(url))


@pytest.mark.parametrize(
    "listing",
    [
        (200, b"<html>", "json"),
        (200, b"[]", "json"),
        (200, b'{"data": 7}', "json"),
        (200, b'{"data": [{"name": "x"}]}', "json"),
        (500, b"", "json"),
    ],
    ids=lambda listing: repr(listing[1]),
)
def test_a_list_of_models_is_not_needed(listing):
    chunk = {
        "choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
    }
    stream = b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode()
    replies = {
        "/v1/models": listing,
        "/v1/chat/completions": (200, stream, "octet-stream"),
    }
    with canned(replies) as url:
        got = probe(endpoint(url))
    assert (got.models, got.context) == ((), None)
    assert "does not report how much of a prompt its cache held" in got.notes[0]
