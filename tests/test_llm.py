"""Asking a language model: answers, failures, counts, keys; against a server with scripted answers."""

from __future__ import annotations

import email.utils
import logging
import subprocess
import sys
import threading
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_server import CUT_OFF, GARBAGE, HTML, NO_CHOICES, TRUNCATED, Hang, LlmServer, Raw, Reply

from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.llm import ChatModel, ConversationError, ToolCall
from pytest_a2perf.llm.secrets import redact

# litellm keeps clients and an event loop that nobody closes.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

HELLO = [{"role": "user", "content": "Hello"}]
NOW = (429, {"Retry-After": "0"})
TOOL = {"type": "function", "function": {"name": "ring", "parameters": {"type": "object"}}}


def model(server, name="openai/scripted", **more):
    return ChatModel(name, api_base=server.url, **more)


# -- answers --------------------------------------------------------------------------------------


def test_a_text(served):
    chat = model(served("Good day"))
    answer = chat.complete(HELLO)
    assert (answer.text, answer.tool_calls, answer.finish) == ("Good day", (), "stop")
    assert (answer.prompt_tokens, answer.completion_tokens) == (100, 7)
    assert (answer.cached_tokens, answer.reasoning_tokens) == (40, 3)
    assert answer.seconds > 0
    assert not answer.cached
    assert answer.message == {"role": "assistant", "content": "Good day"}


def test_calls_of_tools_and_how_they_return(served):
    reply = Reply("I ring.", [("ring", {"times": 2}), ("ring", '{"times": ')])
    server = served(reply, "done")
    chat = model(server)
    answer = chat.complete(HELLO, tools=[TOOL])
    assert answer.tool_calls == (
        ToolCall("call_1_0", "ring", '{"times": 2}'),
        ToolCall("call_1_1", "ring", '{"times": '),
    )
    assert (answer.text, answer.finish) == ("I ring.", "tool_calls")
    result = {"role": "tool", "tool_call_id": "call_1_0", "content": "rang"}
    assert chat.complete([*HELLO, answer.message, result], tools=[TOOL]).text == "done"
    assert server.asked[0]["tools"] == [TOOL]
    said = server.asked[1]["messages"][1]
    assert [each["id"] for each in said["tool_calls"]] == ["call_1_0", "call_1_1"]
    assert server.asked[1]["messages"][2] == result


def test_calls_without_id_get_one(served):
    nameless = {"type": "function", "function": {"name": "ring", "arguments": "{}"}}
    answer = model(served(Reply(more={"tool_calls": [nameless]}))).complete(HELLO)
    (wanted,) = answer.tool_calls
    assert wanted.id
    assert answer.message["tool_calls"][0]["id"] == wanted.id


def test_parameters_are_passed_on(served):
    server = served("x")
    own = {"temperature": 0.5, "seed": 3, "max_tokens": 20}
    model(server, **own, extra={"top_p": 0.9}).complete(HELLO, stop=["END"])
    assert server.asked[0]["model"] == "scripted"
    assert server.asked[0] | own | {"top_p": 0.9, "stop": ["END"]} == server.asked[0]
    model(server).complete(HELLO)
    assert server.asked[1].keys() == {"model", "messages"}


@pytest.mark.parametrize(
    ("text", "seen"),
    [("Yes END no STOP", "Yes "), ("Yes STOP no END", "Yes "), ("END", ""), ("Yes", "Yes")],
)
def test_an_answer_ends_before_the_stop_that_a_server_does_not_know(text, seen, served):
    answer = model(served(text)).complete(HELLO, stop=["STOP", "END"])
    assert (answer.text, answer.message["content"]) == (seen, seen)


@pytest.mark.parametrize("name", ["api_key", "extra_headers", "aws_secret_access_key", "azure_ad_token", "temperature", "model"])  # fmt: skip
def test_what_extra_does_not_take(name):
    with pytest.raises(AgentError, match=f"extra.{name}"):
        ChatModel("openai/x", extra={name: "x"})


# -- sums -----------------------------------------------------------------------------------------


def test_sums(served):
    chat = model(served("a", NOW, "b"))
    answers = [chat.complete(HELLO) for _ in range(2)]
    totals = chat.totals
    assert (totals.calls, totals.retries, totals.replayed, totals.uncounted) == (2, 1, 0, 0)
    assert (totals.prompt_tokens, totals.completion_tokens, totals.tokens) == (200, 14, 214)
    assert (totals.cached_tokens, totals.reasoning_tokens) == (80, 6)
    assert totals.seconds == pytest.approx(sum(answer.seconds for answer in answers))


def test_sums_of_threads(served):
    chat = model(served("a"))
    threads = [threading.Thread(target=chat.complete, args=(HELLO,)) for _ in range(8)]
    shown = warnings.filters[:]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (chat.totals.calls, chat.totals.prompt_tokens) == (8, 800)
    assert warnings.filters == shown


@pytest.mark.parametrize(
    ("name", "more", "cost"),
    [
        ("openai/gpt-4o-mini", {}, (60 * 0.15 + 40 * 0.075 + 7 * 0.6) * 1e-6),
        ("openai/scripted", {}, None),
        ("openai/scripted", {"prices": [2.0, 10.0]}, (100 * 2 + 7 * 10) * 1e-6),
    ],
)
def test_cost_is_known_or_none(name, more, cost, served):
    chat = model(served("a"), name, **more)
    assert chat.totals.cost == 0
    answer = chat.complete(HELLO)
    assert answer.cost == (None if cost is None else pytest.approx(cost))
    assert chat.totals.cost == answer.cost


def test_a_price_of_zero_is_an_unknown_one(served):
    assert model(served("a"), "openai/scripted", prices=[0, 0]).complete(HELLO).cost == 0
    import litellm

    litellm.register_model({"openai/unpriced": {"litellm_provider": "openai", "mode": "chat"}})
    assert model(served("a"), "openai/unpriced").complete(HELLO).cost is None


def test_what_a_server_does_not_count_costs_nobody_knows_what(served):
    chat = model(served(Reply("a", usage=None)), "openai/gpt-4o-mini", prices=[1, 1])
    assert chat.complete(HELLO).cost is None
    assert (chat.totals.uncounted, chat.totals.cost) == (1, None)


# -- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [NOW, (503, {"Retry-After": "0"}), (529, {"Retry-After": "0"}), (408, {"Retry-After": "0"}),
     GARBAGE, TRUNCATED, CUT_OFF, HTML, NO_CHOICES, Raw(), Raw(body=b"[1]")],
    ids=["429", "503", "529", "408", "garbage", "truncated", "cut off", "html", "no choices", "nothing", "list"],
)  # fmt: skip
def test_a_server_that_fails_once_is_asked_again(bad, served, monkeypatch):
    monkeypatch.setattr("pytest_a2perf.llm.chat._FIRST_PAUSE", 0.0)
    server = served(bad, "at last")
    chat = model(server)
    assert chat.complete(HELLO).text == "at last"
    assert len(server.asked) == 2
    assert (chat.totals.calls, chat.totals.retries) == (1, 1)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (NOW, "scripted 429"),
        ((500, {"Retry-After": "0"}), "scripted 500"),
        (GARBAGE, "model 'openai/scripted' at http"),
        (TRUNCATED, "Unterminated string"),
        (CUT_OFF, "Connection error"),
        (HTML, "It works!"),
        (NO_CHOICES, "answers without a message"),
    ],
    ids=["429", "500", "garbage", "truncated", "cut off", "html", "no choices"],
)
def test_a_server_that_keeps_failing_is_infrastructure(entry, said, served, monkeypatch):
    monkeypatch.setattr("pytest_a2perf.llm.chat._FIRST_PAUSE", 0.0)
    server = served(entry)
    chat = model(server, max_retries=2)
    with pytest.raises(InfraError, match=rf"{said}.*\(3 tries\)"):
        chat.complete(HELLO)
    assert len(server.asked) == 3
    assert (chat.totals.calls, chat.totals.retries) == (0, 2)


def test_a_server_that_hangs(served):
    server = served(Hang())
    with pytest.raises(InfraError, match=r"(?i)timed?[ -]?out|connection error"):
        model(server, timeout=0.5, max_retries=0).complete(HELLO)


def test_a_server_that_is_down(served):
    server = served("never")
    server.close()
    with pytest.raises(InfraError, match=r"does not answer: .*Connection error.* \(1 try\)"):
        model(server, max_retries=0).complete(HELLO)


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ((401, {}), InfraError),
        ((403, {}), InfraError),
        (Raw(429, b'{"error": {"message": "You exceeded your current quota"}}'), InfraError),
        ((400, {}), AgentError),
        ((404, {}), AgentError),
        ((422, {}), AgentError),
        ((413, {}), ConversationError),
        (Raw(400, b'{"error": {"message": "the maximum context length is 8 tokens", "code": "context_length_exceeded"}}'), ConversationError),
        (Raw(400, b'{"error": {"message": "no", "code": "content_policy_violation"}}'), ConversationError),
    ],
    ids=["401", "403", "quota", "400", "404", "422", "413", "too long", "policy"],
)  # fmt: skip
def test_what_no_further_try_would_help(entry, error, served):
    server = served(entry)
    with pytest.raises(error, match="model 'openai/scripted' at") as raised:
        model(server).complete(HELLO)
    assert type(raised.value) is error
    assert len(server.asked) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_nobody_waits_longer_than_the_patience(form, served):
    date = email.utils.formatdate(time.time() + 3600, usegmt=True)
    server = served((429, {"Retry-After": date if form == "date" else "3600"}))
    chat = model(server, patience=60)
    with pytest.raises(InfraError, match=r"\(1 try; the next would be in 3[4-6]\d\d s\)"):
        chat.complete(HELLO)
    assert (len(server.asked), chat.totals.retries) == (1, 0)


@pytest.mark.parametrize("after", ["soon", "-3"])
def test_a_retry_after_that_says_nothing(after, served, monkeypatch):
    monkeypatch.setattr("pytest_a2perf.llm.chat._FIRST_PAUSE", 0.0)
    assert model(served((429, {"Retry-After": after}), "a")).complete(HELLO).text == "a"


def test_pauses_grow_and_end():
    chat = ChatModel("openai/x")
    for tries in range(40):
        full = min(60.0, 0.5 * 2**tries)
        assert full / 2 <= chat._pause(tries) <= full


# -- keys -----------------------------------------------------------------------------------------

KEY = "planted-Q7f0c2-secret"


def test_the_key_is_the_environments_and_is_shown_nowhere(served, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    for name in ("LiteLLM", "openai", "httpx", "httpcore"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    told = Raw(401, f'{{"error": {{"message": "wrong key {KEY}"}}}}'.encode())
    server = served("fine", told)
    chat = model(server)
    chat.complete(HELLO)
    with pytest.raises(InfraError, match=r"wrong key \$OPENAI_API_KEY") as raised:
        chat.complete(HELLO)
    assert server.keys == [f"Bearer {KEY}"] * 2
    assert raised.value.__suppress_context__
    assert KEY not in repr(vars(chat)) + repr(vars(chat._provider))
    assert caplog.records
    assert KEY not in caplog.text


def test_another_variable_may_hold_the_key(served, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    server = served("fine")
    model(server, api_key_env="JUDGE_KEY").complete(HELLO)
    assert server.keys == [f"Bearer {KEY}"]
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(AgentError, match="'JUDGE_KEY', but the environment has no such variable"):
        model(server, api_key_env="JUDGE_KEY").complete(HELLO)


def test_a_server_of_ones_own_needs_no_key(served):
    server = served("fine")
    model(server).complete(HELLO)
    assert server.keys == ["Bearer none"]


def test_passwords_in_addresses_are_not_shown():
    chat = ChatModel("openai/x", api_base="http://me:hunter2@127.0.0.1:9/v1?key=abc", max_retries=0)
    with pytest.raises(InfraError) as raised:
        chat.complete(HELLO)
    assert "at http://127.0.0.1:9/v1 does not answer" in str(raised.value)
    assert "hunter2" not in str(raised.value)


@given(st.text(min_size=6).filter(lambda key: not key.isdigit() and "\0" not in key and "$" not in key and "K" not in key), st.text())  # fmt: skip
def test_no_key_survives(key, around):
    with pytest.MonkeyPatch.context() as patch:
        try:
            patch.setenv("K_API_KEY", key)
        except (UnicodeEncodeError, ValueError):
            return
        assert key not in redact(f"{around}{key}{around}")


def test_importing_costs_nothing():
    code = "import sys, pytest_a2perf.llm; sys.exit('litellm' in sys.modules or 'openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- the server -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def streaming():
    import openai

    with LlmServer("") as server, openai.OpenAI(base_url=server.url, api_key="x") as client:
        yield server, client.chat.completions


CALLS = st.lists(
    st.tuples(st.sampled_from("ab"), st.dictionaries(st.text(), st.text())), max_size=3
)


@settings(max_examples=20, deadline=None)
@given(text=st.text(), calls=CALLS)
def test_the_server_streams_what_it_would_say(text, calls, streaming):
    server, completions = streaming
    server.script[:] = [Reply(text, calls)]
    whole = completions.create(model="m", messages=HELLO)
    chunks = list(completions.create(model="m", messages=HELLO, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    said: dict[int, str] = {}
    for delta in deltas:
        for part in delta.tool_calls or ():
            said[part.index] = said.get(part.index, "") + part.function.arguments
    wanted = whole.choices[0].message.tool_calls or []
    assert [said[index] for index in sorted(said)] == [each.function.arguments for each in wanted]
    assert chunks[-1].usage == whole.usage
