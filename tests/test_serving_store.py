"""The internal form: sessions built from turns, written, read; and formats found and read."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_traces import (
    CONVERSATION,
    READ_FILE,
    calls,
    jsonl,
    result,
    says,
    session,
    system,
    user,
    write,
)

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder, as_message, clean
from pytest_a2perf.domains.serving.trajectories.form import Record, beginning_of, records_of
from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.domains.serving.trajectories.store import (
    SessionFile,
    data_of,
    read_sessions,
    session_of,
    write_sessions,
)

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=3)
pauses = st.floats(0, 1e6)
counts = st.none() | st.integers(0, 2**40)


@st.composite
def sessions(draw):
    messages = draw(st.lists(objects, min_size=1, max_size=6))
    places = st.lists(st.integers(0, len(messages) - 1), max_size=9).map(tuple)
    turn = st.builds(
        Turn, places, counts, pauses, pauses, counts, st.none() | pauses, st.lists(texts).map(tuple)
    )
    return Session(
        id=draw(texts),
        messages=tuple(messages),
        turns=tuple(draw(st.lists(turn, min_size=1, max_size=4))),
        tools=tuple(draw(st.lists(objects, max_size=2))),
        model=draw(texts),
        source=draw(texts),
        parent=draw(texts),
    )


@settings(deadline=None, max_examples=25)
@given(written=st.lists(sessions(), max_size=3))
def test_what_was_written_is_read_in_order_and_by_number(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("store") / "sessions.jsonl"

    assert write_sessions(path, written) == len(written)

    file = SessionFile(path)
    assert list(read_sessions(path)) == written
    assert [file[number] for number in range(len(file))] == list(file) == written


def test_runs_of_messages_are_pairs_and_defaults_are_left_out(tmp_path):
    turns = (Turn((0,)), Turn((0, 1, 2, 3)), Turn((3, 0, 1)))
    messages = tuple(user(str(number)) for number in range(4))
    path = tmp_path / "one.jsonl"

    write_sessions(path, [Session("s", messages, turns)])

    data = json.loads(path.read_bytes())
    assert data == {
        "schema": 1,
        "id": "s",
        "messages": list(messages),
        "turns": [{"messages": [0]}, {"messages": [[0, 3]]}, {"messages": [3, [0, 1]]}],
    }


def test_a_session_of_many_turns_stays_as_small_as_its_last(tmp_path):
    builder = SessionBuilder("s", source="test")
    messages = []
    for number in range(200):
        messages += [user(f"{number} " * 100), says(f"done {number}")]
        builder.turn(messages[:-1])
    path = tmp_path / "one.jsonl"

    write_sessions(path, [builder.session()])

    assert path.stat().st_size < 1.2 * len(json.dumps(messages))


def test_a_file_of_sessions_has_no_line_that_it_does_not_have(tmp_path):
    path = tmp_path / "two.jsonl"
    write_sessions(path, [session(), session(id="two")])
    file = SessionFile(path)

    for number in (-1, 2):
        with pytest.raises(IndexError):
            file[number]


def test_a_last_line_without_an_end_counts(tmp_path):
    path = write(tmp_path, "one.jsonl", jsonl(data_of(session()), data_of(session())).rstrip())

    assert len(SessionFile(path)) == 2
    assert SessionFile(path)[1] == session()


def spoil(**changes):
    return data_of(session()) | changes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "no session"),
        (b"7", "no session"),
        (jsonl(spoil(schema=2)), "schema 2 is not known: this version reads 1"),
        (jsonl({"schema": 1, "id": "x"}), "'messages' is missing"),
        (jsonl(spoil(messages=[7])), "7 is no object"),
        (jsonl(spoil(id=7)), "7 is no text"),
        (jsonl(spoil(turns=[])), "a session has no turns"),
        (jsonl(spoil(turns=[{"messages": [[0, 10**12]]}])), "a turn names messages"),
        (jsonl(spoil(turns=[{"messages": [-1]}])), "a turn names messages -1, but there are 5"),
        (jsonl(spoil(turns=[{"messages": ["a"]}])), "no session"),
        (jsonl(spoil(turns=[{"messages": [0], "output_tokens": -1}])), "-1 is no whole number"),
        (jsonl(spoil(turns=[{"messages": [0], "tool_delay": -1}])), "-1 is no time"),
        (jsonl(spoil(turns=[{"messages": [0], "duration": "1"}])), "'1' is no time"),
        (jsonl(spoil(turns=[{"messages": [0], "tool_delay": 10**400}])), ""),
    ],
    ids=str,
)
def test_a_broken_line_is_named(tmp_path, line, said):
    path = write(tmp_path, "broken.jsonl", jsonl(data_of(session())) + line)

    for read in (lambda: list(read_sessions(path)), lambda: SessionFile(path)[1]):
        with pytest.raises(TrajectoryError) as caught:
            read()
        assert str(caught.value).startswith(f"{path}:2: ")
        assert said in str(caught.value)


def test_without_orjson_the_same_is_read(tmp_path):
    path = tmp_path / "one.jsonl"
    write_sessions(path, [session()])
    code = (
        "import sys; sys.modules['orjson'] = None\n"
        "from pytest_a2perf.domains.serving.trajectories.store import SessionFile, data_of\n"
        "import json; print(json.dumps(data_of(SessionFile(sys.argv[1])[0])))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )

    assert session_of(json.loads(done.stdout)) == session()


def test_reading_the_store_imports_nothing_heavy():
    code = (
        "import sys\n"
        "import pytest_a2perf.domains.serving.trajectories.store\n"
        "print([n for n in ('numpy', 'pydantic', 'scipy', 'pytest', 'asyncio') if n in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


# Building


def test_a_message_is_kept_once_wherever_it_stands():
    builder = SessionBuilder("s", source="test")
    builder.turn([system(), user(), user("1 of 2")])
    builder.turn([system(), user(), calls(), result(), user("2 of 2")])
    builder.turn([user("1 of 2"), dict(reversed(user().items()))])

    built = builder.session()

    assert [turn.messages for turn in built.turns] == [(0, 1, 2), (0, 1, 3, 4, 5), (2, 1)]
    assert built.input_of(built.turns[1])[2:] == [calls(), result(), user("2 of 2")]


def test_pauses_go_to_the_turn_before():
    builder = SessionBuilder("s", source="test")
    builder.pause(9, person=True)
    builder.turn([user()])
    builder.pause(1.5, person=False)
    builder.pause(-1, person=False)
    builder.pause(0.25, person=False)
    builder.pause(3, person=True)
    builder.turn([user(), says()])

    first, second = builder.session().turns

    assert (first.tool_delay, first.think_time, first.pause) == (1.75, 3, 4.75)
    assert second.pause == 0


def test_a_conversation_has_a_turn_for_each_reply():
    builder = SessionBuilder("s", source="test")
    used = says() | {"usage": {"completion_tokens": 5, "prompt_tokens": 40}}

    builder.conversation([*CONVERSATION[:4], used, says("and more"), user("unanswered")])

    built = builder.session()
    assert [turn.messages for turn in built.turns] == [(0, 1), (0, 1, 2, 3)]
    assert [turn.calls for turn in built.turns] == [("read_file",), ()]
    assert [turn.output_tokens for turn in built.turns] == [None, 5]
    assert built.turns[1].prompt_tokens == 40


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({**user(), "name": None, "tool_calls": None, "usage": {}}, user()),
        ({"role": "assistant"}, says("")),
        ({**says(), "reasoning": "hm"}, {**says(), "reasoning_content": "hm"}),
        ({**says(), "tool_calls": []}, says()),
        (calls(arguments={"a": 1}), calls(arguments='{"a": 1}')),
        (
            {"role": "assistant", "function_call": {"name": "ls", "arguments": "{}"}},
            calls("ls", "call_ls"),
        ),
        ({"role": "function", "name": "ls", "content": "a"}, result("a", "call_ls")),
        (
            {"role": "user", "content": [{"type": "text", "text": "a", "image_url": None}]},
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
        ),
        (user("a\ud83d\ude00\ud800b"), user("a\U0001f600\ufffdb")),
    ],
    ids=str,
)
def test_messages_are_sent_as_endpoints_take_them(raw, message):
    assert as_message(raw) == message
    assert as_message(message) == message


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (7, "expected an object"),
        ({"role": "bot"}, "its role is 'bot', not one of system"),
        ({"role": ["user"]}, "its role is"),
        ({"role": "user", "content": 7}, "its content"),
        ({"role": "user", "content": ["a"]}, "a part of its content"),
        ({"role": "user", "content": "a", "name": 7}, "its name is no text"),
        ({"role": "assistant", "tool_calls": {}}, "its tool calls"),
        ({"role": "assistant", "tool_calls": [{"function": {}}]}, "no function with a name"),
        ({"role": "user", "content": "a", "x": float("inf")}, "not finite"),
    ],
    ids=str,
)
def test_what_is_no_message_is_named(raw, said):
    with pytest.raises(TrajectoryError, match="message 2: .*" + said):
        SessionBuilder("s", source="test").turn([user(), raw])


def test_a_session_needs_turns_and_turns_need_messages():
    builder = SessionBuilder("s", source="test")

    with pytest.raises(TrajectoryError, match="a turn has no messages"):
        builder.turn([])
    with pytest.raises(TrajectoryError, match="session 's' has no turns"):
        builder.session()


@settings(deadline=None)
@given(values=st.lists(values | st.text() | st.integers() | st.floats(), max_size=5))
def test_what_is_clean_is_what_any_json_library_reads(values):
    try:
        cleaned = clean(values)
    except TrajectoryError:
        return
    assert json.loads(json.dumps(cleaned, ensure_ascii=False, allow_nan=False).encode()) == cleaned
    assert clean(cleaned) == cleaned


# Reading JSON


@settings(deadline=None)
@given(value=values, cut=st.integers(0, 200), indent=st.sampled_from([None, 1]))
def test_the_beginning_of_a_value_is_part_of_it(value, cut, indent):
    text = json.dumps(value, indent=indent).encode()

    assert beginning_of(b"\xef\xbb\xbf \n" + text) == value
    assert within(beginning_of(text[:cut]), value)


def within(part, whole):
    """Return whether something is a beginning of a value."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(within, part, whole))
    return part is None or part == whole or isinstance(whole, int | float)


def test_a_long_first_line_is_told_by_what_stands_before_its_cut():
    row = {"id": "s", "messages": [user('a "quote", {and} so on' * 1000)], "last": 1}

    assert beginning_of(json.dumps(row).encode()[:300]) == {
        "id": "s",
        "messages": [{"role": "user"}],
    }


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", []),
        (b"\n \r\n", []),
        (b'{"a": 1}\n\n{"a": 2}\n', [(1, 1), (2, 3)]),
        (b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n', [(1, 1), (2, 2)]),
        (b'{\n "a": 1\n}\n', [(1, 1)]),
        (b'[{"a": 1},\n {"a": 2}]', [(1, 0), (2, 0)]),
        (gzip.compress(b'{"a": 1}\n', mtime=0), [(1, 1)]),
    ],
    ids=str,
)
def test_objects_stand_in_lines_lists_and_documents(tmp_path, content, found):
    path = write(tmp_path, "rows", content)

    records = list(records_of(path))

    assert [record.data["a"] for record in records] == [value for value, _ in found]
    for number, (record, (_, line)) in enumerate(zip(records, found, strict=True), 1):
        assert record.where == (f"{path}:{line}" if line else f"{path}, item {number}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1}\n{"a": ', ":2: not JSON"),
        (b'{"a": 1}\n\xff\n', ":2: not UTF-8"),
        (b'{"a": 1}\n[]\n', ":2: expected an object, not []"),
        (b"7\n", ":1: expected an object, not 7"),
        (b"[7]", "item 1: expected an object, not 7"),
        (b'[{"a": 1}]\n{"a": 2}\n', ":1: expected an object, not ["),
        (b'{"a": 1' + b"0" * 5000 + b"}", ":1: not usable JSON"),
        (b"[" * 100_000, ":1: nested too deeply"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_json_is_named_with_its_line(tmp_path, content, said):
    path = write(tmp_path, "rows.jsonl", content)

    with pytest.raises(TrajectoryError) as caught:
        list(records_of(path))

    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_members_of_a_record_are_what_was_asked_for():
    record = Record(
        {
            "text": "a", "id": 7, "null": None, "list": [1], "count": 3.0, "time": 1500,
            "object": {"a": 1}, "objects": [{"a": 1}], "tools": '[{"name": "f"}]',
            "day": "2026-01-01T00:00:00.123456789Z", "ms": 1_767_225_600_000, "ns": "1767225600000000000",
        },
        "file:1",
    )  # fmt: skip

    assert (record.text("text"), record.text("id"), record.text("null", "b")) == ("a", "7", "b")
    assert (record.items("list"), record.items("null")) == ([1], [])
    assert (record.count("count"), record.count("null"), record.seconds("time", 0.001)) == (
        3,
        None,
        1.5,
    )
    assert record.record("object").where == "file:1, object"
    assert record.records("objects")[0].where == "file:1, objects 1"
    assert record.tools() == [{"type": "function", "function": {"name": "f"}}]
    assert [record.moment(key) for key in ("day", "ms", "ns", "null")] == [
        pytest.approx(1_767_225_600.123456), 1_767_225_600, 1_767_225_600, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "value", "said"),
    [
        (Record.text, None, "'a' is missing: expected a text"),
        (Record.text, [1], "'a' is [1]: expected a text"),
        (Record.text, True, "'a' is true: expected a text"),
        (Record.items, "b", "'a' is \"b\": expected a list"),
        (Record.records, [1], "a 1: expected an object, not 1"),
        (Record.record, [], "'a' is []: expected an object"),
        (Record.count, -1, "'a' is -1: expected a whole number of at least 0"),
        (Record.count, 1.5, "'a' is 1.5: expected a whole number of at least 0"),
        (Record.count, True, "'a' is true: expected a number"),
        (Record.number, 2**63, "expected a number of reasonable size"),
        (Record.number, float("nan"), "expected a number of reasonable size"),
        (Record.seconds, -0.5, "'a' is -0.5: expected a time of at least 0"),
        (Record.moment, "noon", "'a' is \"noon\": expected a time of day"),
        (Record.tools, "{", "file:1, a: not JSON"),
        (Record.tools, [1], "a 1: expected an object, not 1"),
        (Record.text, ["x" * 100], "..."),
    ],
)
def test_members_that_are_something_else_are_named(ask, value, said):
    with pytest.raises(TrajectoryError) as caught:
        ask(Record({"a": value}, "file:1"), "a")

    assert str(caught.value).startswith("file:1")
    assert said in str(caught.value)


def test_a_tool_that_is_no_object_is_named():
    builder = SessionBuilder("s", source="test", tools=[READ_FILE, 7])
    builder.turn([user()])

    with pytest.raises(TrajectoryError, match="a tool's declaration is no object"):
        builder.session()
