"""Cassettes: what was recorded is replayed, byte for byte; what was not is an error that says why."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_server import LlmServer, Reply, call

from pytest_a2perf.errors import AgentError
from pytest_a2perf.llm import Answer, Cassette, CassetteError, ChatModel, open_cassette
from pytest_a2perf.llm.tape import Request

# litellm keeps clients and an event loop that nobody closes.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def tool(name, description="does it"):
    return {"type": "function", "function": {"name": name, "description": description}}


def request(*texts, model="m", tools=(), **parameters):
    """Return a request: the system's, then the user's and the assistant's texts in turn."""
    roles = ["system", *["user", "assistant"] * len(texts)]
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return Request(model, messages, [tool(name) for name in tools], parameters)


def answer(text, **more):
    message = {"role": "assistant", "content": text}
    return Answer(text, message=message, **{"prompt_tokens": 10, "seconds": 1.5, **more})


def never():
    raise AssertionError("nobody should be asked")


def record(path, *requests, mode="record"):
    """Record each request with an answer that names its place."""
    cassette = Cassette(path, mode)
    for number, each in enumerate(requests):
        cassette.answer(each, lambda number=number: answer(f"answer {number}"))


def replay(path, *requests):
    cassette = Cassette(path, "replay")
    return [cassette.answer(each, never) for each in requests]


@pytest.fixture(params=["file", "folder"])
def path(request, tmp_path):
    return tmp_path / "some" / ("cassette.jsonl" if request.param == "file" else "cassettes")


# -- record and replay ----------------------------------------------------------------------------


def test_what_was_recorded_is_replayed(path):
    full = Answer.of_message(
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "ring", "arguments": '{"x'}}]},
        prompt_tokens=5, completion_tokens=4, cached_tokens=3, reasoning_tokens=2, seconds=0.25, cost=0.125, finish="tool_calls",
    )  # fmt: skip
    asked = request("You ring.", "Ring!", tools=["ring"], temperature=0.5, stop=["END"])
    first = Cassette(path, "record").answer(asked, lambda: full)
    assert first is full
    (again,) = replay(path, asked)
    assert again.cached
    assert {**again.to_json(), "text": again.text} == {**full.to_json(), "text": ""}
    assert again.tool_calls == full.tool_calls


def test_the_same_request_has_an_answer_each_time(path):
    same, other = request("s", "same"), request("s", "other")
    record(path, same, other, same, same)
    texts = [each.text for each in replay(path, same, same, other, same)]
    assert texts == ["answer 0", "answer 2", "answer 1", "answer 3"]


@pytest.mark.parametrize(
    "other",
    [
        request("s", "u", model="n"),
        request("s", "u", temperature=1),
        request("s", "u", tools=["a"]),
        request("s", "v"),
        request("s", "u", "a"),
        Request("m", [{"role": "system", "content": "s"}, {"role": "assistant", "content": "u"}], [], {}),
    ],
)  # fmt: skip
def test_another_request_is_another(other, path):
    record(path, request("s", "u"), other)
    assert [each.text for each in replay(path, other, request("s", "u"))] == [
        "answer 1",
        "answer 0",
    ]


def test_new_replays_what_is_there_and_records_the_rest(path):
    one, two = request("s", "1"), request("s", "2")
    record(path, one)
    cassette = Cassette(path, "new")
    assert cassette.answer(one, never).text == "answer 0"
    assert cassette.answer(two, lambda: answer("fresh")).text == "fresh"
    assert [each.text for each in replay(path, one, two)] == ["answer 0", "fresh"]


def test_record_asks_again(path):
    one, two = request("s", "1"), request("s", "2")
    record(path, one, two)
    record(path, two, one)
    assert [each.text for each in replay(path, one, two)] == ["answer 1", "answer 0"]


def test_what_is_recorded_stays(path):
    record(path, request("s", "1"))
    record(path, request("s", "2"))
    assert len(replay(path, request("s", "1"), request("s", "2"))) == 2


def test_each_attempt_has_answers_of_its_own(path):
    asked = request("s", "1")
    for attempt in (0, 3):
        cassette = Cassette(path, "new", attempt=attempt)
        cassette.answer(asked, lambda attempt=attempt: answer(f"attempt {attempt}"))
    for attempt in (3, 0):
        text = Cassette(path, "replay", attempt=attempt).answer(asked, never).text
        assert text == f"attempt {attempt}"
    with pytest.raises(CassetteError, match="asked in attempt 1, and recorded in 0, 3"):
        Cassette(path, "replay", attempt=1).answer(asked, never)


def test_a_conversation_is_one_file_that_people_can_read(tmp_path):
    record(tmp_path / "x", request("Be kind.", "Grüße"), request("Be kind.", "Grüße", "Hallo", "Was?"))  # fmt: skip
    (file,) = (tmp_path / "x").iterdir()
    text = file.read_text(encoding="utf-8")
    for once in ("Be kind.", "Grüße", "Hallo", "Was?"):
        assert text.count(once) == 1
    kinds = [next(iter(json.loads(line))) for line in text.splitlines()]
    assert kinds == ["tools", "message", "message", "call", "message", "message", "call"]


def test_off_is_no_cassette(tmp_path):
    assert open_cassette(tmp_path / "x", "off") is None
    assert isinstance(open_cassette(tmp_path / "x", "new"), Cassette)


def test_many_may_record_at_once(tmp_path):
    threads = [
        threading.Thread(target=record, args=(tmp_path / "x", *[request("s", "u", str(n)) for n in range(20)]), kwargs={"mode": "new"})
        for _ in range(4)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = [request("s", "u", str(number)) for number in range(20)]
    assert [each.text for each in replay(tmp_path / "x", *wanted)] == [f"answer {n}" for n in range(20)]  # fmt: skip


@given(st.lists(st.tuples(st.text(st.characters()), st.text(st.characters()), st.booleans()), max_size=6))  # fmt: skip
def test_any_text_survives(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("any") / "x.jsonl"
    cassette = Cassette(path, "record")
    requests = [request("s", asked, tools=["a"] * tools) for asked, _, tools in texts]
    for each, (_, said, _) in zip(requests, texts, strict=True):
        cassette.answer(each, lambda said=said: answer(said))
    if texts:
        assert [each.text for each in replay(path, *requests)] == [said for _, said, _ in texts]


# -- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (request("s", "u", model="n"), "model 'n', recorded was 'm'"),
        (request("s", "u", seed=2), "seed = 2, recorded was None"),
        (request("s", "u", tools=["a", "b"]), "other tools (new: a, b)"),
        (request("s", "Please do it now"), "message 2 (user) has 'Please do it now', recorded was 'u'"),
        (request("s"), "the recorded conversation goes on after 1 messages"),
        (request("s", "u", "a", "more"), "message 3 (assistant) is new: 'a'"),
        (request("s", "u", "", "x" * 200 + "HERE" + "y" * 200), "has 'xxx"),
    ],
)  # fmt: skip
def test_what_is_not_recorded_is_named(asked, said, path):
    record(path, request("s", "u"))
    if said == "has 'xxx":
        record(path, request("s", "u", "", "x" * 200 + "THERE" + "y" * 200), mode="new")
    with pytest.raises(CassetteError, match=str(path)) as raised:
        replay(path, asked)
    assert f"has no answer to this request: {said}" in str(raised.value) or (
        f"message 4 (user) has '{'x' * 40}HERE" in str(raised.value)
        and f"recorded was '{'x' * 40}THERE" in str(raised.value)
    )


def test_tools_that_have_changed_are_named(path):
    record(path, request("s", "u", tools=["a", "b", "c"]))
    tools = [tool("b"), tool("c", "does more"), tool("d")]
    with pytest.raises(CassetteError, match=r"other tools \(new: d; gone: a; changed: c\)"):
        replay(path, Request("m", request("s", "u").messages, tools, {}))
    with pytest.raises(CassetteError, match=r"other tools \(in another order\)"):
        replay(path, request("s", "u", tools=["b", "a", "c"]))


def test_one_time_too_many(path):
    record(path, request("s", "u"))
    with pytest.raises(CassetteError, match=r"asked for the 2\. time, and recorded 1 times"):
        replay(path, request("s", "u"), request("s", "u"))


def test_the_nearest_is_the_longest_common_beginning(path):
    record(path, request("s", "u", "a", "b", "c", "d"), request("s", "u", "x"), request("z"))
    with pytest.raises(CassetteError, match=r"message 5 \(user\) has 'C', recorded was 'c'"):
        replay(path, Request("m", [*request("s", "u", "a", "b").messages, {"role": "user", "content": "C"}], [], {}))  # fmt: skip


@pytest.mark.parametrize(
    "line",
    ["not json", "[]", "3", '{"call": "x"}', '{"message": "x"}', '{"call": "x", "model": "m", "parameters": {}, "tools": "", "messages": [], "attempt": 0, "occurrence": 0, "answer": {}}'],
)  # fmt: skip
def test_a_line_that_cannot_be_read(line, tmp_path):
    path = tmp_path / "x.jsonl"
    record(path, request("s", "u"))
    lines = path.read_text().count("\n")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(CassetteError, match=rf"x\.jsonl, line {lines + 1}: .*record it anew"):
        replay(path, request("s", "u"))


def test_what_a_killed_writer_has_left_is_no_harm(tmp_path):
    path = tmp_path / "x.jsonl"
    record(path, request("s", "1"))
    path.write_bytes(path.read_bytes() + b'{"call": "abc", "answ')
    assert replay(path, request("s", "1"))
    record(path, request("s", "2"), mode="new")
    assert len(replay(path, request("s", "1"), request("s", "2"))) == 2


def test_there_is_nothing_to_replay(tmp_path):
    with pytest.raises(CassetteError, match="does not exist; record it first"):
        Cassette(tmp_path / "x", "replay")
    (tmp_path / "x").mkdir()
    with pytest.raises(CassetteError, match="nothing is recorded"):
        replay(tmp_path / "x", request("s"))


def test_an_unknown_mode(tmp_path):
    with pytest.raises(AgentError, match="no cassette mode 'reply'; did you mean 'replay'"):
        open_cassette(tmp_path, "reply")


# -- with a model ---------------------------------------------------------------------------------

HELLO = [{"role": "user", "content": "Hello"}]
RING = [tool("ring")]


def test_a_model_on_a_cassette(path, monkeypatch):
    key = "planted-Q7f0c2-secret"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with LlmServer(call("ring", times=2), Reply(f"your key is {key} END here")) as server:
        chat = ChatModel("openai/gpt-4o-mini", api_base=server.url, cassette=Cassette(path, "record"))  # fmt: skip
        live = [chat.complete(HELLO, tools=RING), chat.complete(HELLO, stop=["END"])]
        assert server.keys == [f"Bearer {key}"] * 2
        files = [path] if path.suffix else list(path.iterdir())
        texts = "".join(file.read_text() for file in files)
        assert key not in texts
        assert server.url not in texts
        assert "your key is $OPENAI_API_KEY END here" in texts
    monkeypatch.delenv("OPENAI_API_KEY")
    again = ChatModel("openai/gpt-4o-mini", api_base="http://elsewhere", cassette=Cassette(path, "replay"))  # fmt: skip
    replayed = [again.complete(HELLO, tools=RING), again.complete(HELLO, stop=["END"])]
    assert [each.tool_calls for each in replayed] == [each.tool_calls for each in live]
    assert replayed[1].text == "your key is $OPENAI_API_KEY "
    assert [each.seconds for each in replayed] == [each.seconds for each in live]
    assert [each.cached for each in replayed] == [True, True]
    assert (again.totals.calls, again.totals.replayed, again.totals.cost) == (
        2,
        2,
        chat.totals.cost,
    )
    assert again.totals.tokens == chat.totals.tokens


def test_replaying_needs_no_litellm(tmp_path):
    path = tmp_path / "x.jsonl"
    asked = Request("m", HELLO, [], {})
    record(path, asked)
    code = f"""if True:
        import sys
        from pathlib import Path
        from pytest_a2perf.llm import Cassette, ChatModel
        model = ChatModel("m", cassette=Cassette(Path({str(path)!r}), "replay"))
        print(model.complete({HELLO!r}).text)
        sys.exit("litellm" in sys.modules)
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout.strip(), ran.returncode) == ("answer 0", 0)
