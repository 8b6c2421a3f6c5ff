"""Formats of recorded sessions that hold requests, messages or blocks: what is read from each."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_traces import (
    CONVERSATION,
    READ_FILE,
    SAMPLES,
    agentperf_manifest,
    agentperf_row,
    agentperf_rows,
    calls,
    document,
    jsonl,
    mlperf_rows,
    mooncake_rows,
    openai_requests,
    result,
    says,
    session,
    sharegpt_row,
    system,
    user,
    weka_request,
    weka_trace,
    write,
)

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.blocks import Blocks, inputs_of
from pytest_a2perf.domains.serving.trajectories.form import head_of
from pytest_a2perf.domains.serving.trajectories.models import Turn
from pytest_a2perf.domains.serving.trajectories.read import FORMS, detect_form, read_trajectories
from pytest_a2perf.domains.serving.trajectories.store import data_of
from pytest_a2perf.domains.serving.trajectories.tokens import message_tokens

EACH = [(form, sample) for form, samples in SAMPLES.items() for sample in samples]
each_sample = pytest.mark.parametrize(
    ("form", "sample"), EACH, ids=[f"{form}-{sample.name}" for form, sample in EACH]
)


@pytest.fixture
def read(tmp_path):
    """Write rows as JSON lines, or bytes, and read them."""

    def read_rows(*rows, name="rows.jsonl", form=None):
        content = rows[0] if isinstance(rows[0], bytes) else jsonl(*rows)
        return read_trajectories(write(tmp_path, name, content), form=form)

    return read_rows


def fails(read, *rows, **named):
    with pytest.raises(TrajectoryError) as caught:
        read(*rows, **named)
    return str(caught.value)


def read_or_named(path, form=None):
    """Read a file, or see that the error names it."""
    try:
        found = read_trajectories(path, form=form)
    except TrajectoryError as error:
        said = str(error)
    else:
        assert found
        return found
    assert said.startswith(str(path))
    return []


def texts(found, turn):
    return [message["content"] for message in found.input_of(found.turns[turn])]


# All formats


@each_sample
def test_a_sample_is_of_its_own_format_and_no_other(tmp_path, form, sample):
    path = write(tmp_path, sample.name, sample.content)

    # Rows with messages and more are still rows with messages, so that openai is asked last.
    found = {name for name, each in FORMS.items() if each.detect(path, head_of(path))}
    assert found - {"openai"} == {form} - {"openai"}
    assert detect_form(path) is FORMS[form]


@each_sample
def test_a_sample_reads_the_same_packed_and_with_other_line_ends(tmp_path, form, sample):
    found = read_trajectories(write(tmp_path / "plain", sample.name, sample.content))

    assert len(found) == sample.sessions
    assert {each.source for each in found} == {form}
    for folder, content in {
        "packed": gzip.compress(sample.content),
        "windows": b"\xef\xbb\xbf" + sample.content.replace(b"\n", b"\r\n"),
    }.items():
        assert read_trajectories(write(tmp_path / folder, sample.name, content)) == found


@each_sample
def test_a_sample_cut_short_is_an_error_that_names_the_file(tmp_path, form, sample):
    path = write(tmp_path, sample.name, sample.content.rstrip()[:-2])

    with pytest.raises(TrajectoryError) as caught:
        read_trajectories(path, form=form)

    assert str(caught.value).startswith(str(path))


leaves = st.sampled_from(
    [None, True, 0, -1, 1.5, 10**30, float("inf"), "", "x", "\ud800", [], {}, [1], [[]], {"a": 1}]
)


def mutate(value, data):
    """Put something else anywhere in a value, take it away, or double it."""
    if isinstance(value, dict | list) and value and data.draw(st.integers(0, 9)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = data.draw(st.sampled_from(keys))
        changed = value.copy()
        match data.draw(st.integers(0, 5)):
            case 0:
                del changed[key]
            case 1 if isinstance(changed, list):
                changed.insert(key, changed[key])
            case _:
                changed[key] = mutate(changed[key], data)
        return changed
    return data.draw(leaves)


@pytest.mark.parametrize("form", SAMPLES)
@settings(deadline=None, max_examples=70, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_readers_read_anything_or_say_what_is_wrong(tmp_path_factory, form, data):
    sample = data.draw(st.sampled_from(SAMPLES[form]))
    lines = sample.name.endswith(".jsonl")
    rows = [json.loads(row) for row in (sample.content.splitlines() if lines else [sample.content])]
    for _ in range(data.draw(st.integers(1, 3))):
        rows = mutate(rows, data) or [{}]
        rows = rows if isinstance(rows, list) else [rows]
    content = jsonl(*rows) if lines else document(rows[0])
    path = write(tmp_path_factory.mktemp("mutated"), sample.name, content)

    detect_form(path)
    for each in read_or_named(path, form):
        json.dumps(data_of(each), ensure_ascii=False, allow_nan=False).encode()
        assert all(each.input_of(turn) for turn in each.turns)


@settings(deadline=None, max_examples=50)
@given(data=st.data(), content=st.binary(max_size=60))
def test_bytes_in_the_middle_are_read_or_an_error(tmp_path_factory, data, content):
    form, sample = data.draw(st.sampled_from(EACH))
    at = data.draw(st.integers(0, len(sample.content)))
    path = write(
        tmp_path_factory.mktemp("bytes"),
        sample.name,
        sample.content[:at] + content + sample.content[at:],
    )

    read_or_named(path)
    read_or_named(path, form)


# Files and folders


def test_a_folder_is_read_in_the_order_of_names_without_what_is_none(tmp_path):
    own = {"b.jsonl": "b", "a.jsonl": "a", "more/c.jsonl": "c", ".hidden.jsonl": "no"}
    for name, session_id in own.items():
        write(tmp_path, name, jsonl(data_of(session(id=session_id))))
    write(tmp_path, "README.md", b"# Sessions\n")
    write(tmp_path, "empty.jsonl", b"")

    assert [each.id for each in read_trajectories(tmp_path)] == ["a", "b", "c"]


def test_ids_are_made_unique_and_parents_follow(tmp_path):
    rows = [session(id="x"), session(id="x"), session(id="child", parent="x")]
    for name in ("1.jsonl", "2.jsonl"):
        write(tmp_path, name, jsonl(*map(data_of, rows)))

    found = read_trajectories(tmp_path)

    assert [each.id for each in found] == ["x", "x-2", "child", "x-3", "x-4", "child-2"]
    assert [each.parent for each in found] == ["", "", "x", "", "", "x-3"]


def test_an_id_with_a_number_may_be_another_sessions(read):
    rows = [data_of(session(id=name)) for name in ("x", "x-2", "x", "x", "x-2")]

    assert [each.id for each in read(*rows)] == ["x", "x-2", "x-3", "x-4", "x-2-2"]


def test_a_folder_that_links_to_itself_is_read_once(tmp_path):
    write(tmp_path, "a.jsonl", jsonl(data_of(session())))
    (tmp_path / "again").symlink_to(tmp_path)

    assert len(read_trajectories(tmp_path)) == 1


def test_what_cannot_be_read_is_an_error(tmp_path):
    known = "own, recorded, agentperf_local, mlperf"
    packed = gzip.compress(SAMPLES["own"][0].content)
    for name, content, said in (
        ("empty.jsonl", b"", f"no sessions in a format that is known: {known}"),
        ("notes.txt", b"hello", f"no sessions in a format that is known: {known}"),
        ("torn.jsonl.gz", packed[:-9], "cannot be read"),
        ("spoilt.jsonl.gz", packed[:40] + b"\0" * 9 + packed[49:], "cannot be read"),
    ):
        path = write(tmp_path, name, content)
        with pytest.raises(TrajectoryError, match=said) as caught:
            read_trajectories(path)
        assert str(caught.value).startswith(str(path))
    with pytest.raises(TrajectoryError, match="cannot be read"):
        read_trajectories(tmp_path / "missing.jsonl")
    with pytest.raises(TrajectoryError, match=f"is called 'html': {known}"):
        read_trajectories(tmp_path, form="html")


def test_a_named_format_needs_no_detection(read):
    rows = [{"messages": [user(), says()], "score": 1}]

    assert read(*rows, form="openai") == read(*rows)
    assert "'schema' is missing" in fails(read, *rows, form="own")


# own


def test_own_sessions_are_read_as_they_are(read):
    assert read(data_of(session()), data_of(session(id="two", parent="one"))) == [
        session(),
        session(id="two", parent="one"),
    ]


def test_own_sessions_are_checked(read):
    rows = [data_of(session()), data_of(session()) | {"messages": [{"role": "bot"}] * 5}]

    assert "rows.jsonl:2: its role is 'bot'" in fails(read, *rows)
    rows = [data_of(session()) | {"turns": [{"messages": []}]}]
    assert "rows.jsonl:1: a turn has no messages" in fails(read, *rows)


# agentperf_local


def test_agentperf_turns_have_lengths_and_delays(read):
    (found,) = read(*agentperf_rows())

    assert (found.id, found.tools) == ("task", (READ_FILE,))
    assert found.turns == (
        Turn((0, 1, 2), 24, 0.1165, 0.0, 1458, 1.25, ("read_file",)),
        Turn((0, 1, 3, 4, 5), 73),
    )
    assert texts(found, 1) == ["be brief", "fix it", None, "x = 1", "turn 2 of 2"]


def test_agentperf_conversations_of_a_task_are_sessions(read):
    rows = [agentperf_row(0, [user()], conversation_id=name) for name in ("a", "b", "a")]

    assert [(each.id, len(each.turns)) for each in read(*rows)] == [("task/a", 2), ("task/b", 1)]


def test_agentperf_sets_are_read_by_their_manifest(tmp_path):
    manifest = write(tmp_path, "set/manifest-arm64.json", document(agentperf_manifest()))
    write(tmp_path, "set/manifest-x86_64.json", document(agentperf_manifest()))
    write(tmp_path, "set/workspaces/notes.jsonl", jsonl({"messages": CONVERSATION}))
    write(tmp_path, "set/traces/task.jsonl", jsonl(*agentperf_rows()))
    write(tmp_path, "set/traces/unused.jsonl", jsonl(*agentperf_rows()))

    assert [each.id for each in read_trajectories(tmp_path)] == ["task"]
    assert read_trajectories(tmp_path / "set") == read_trajectories(manifest)


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        ("../task.jsonl", "outside the manifest's folder"),
        ("/etc/passwd", "outside the manifest's folder"),
        ("traces/other.jsonl", "is no file"),
        (None, "'trace' is missing"),
    ],
    ids=str,
)
def test_agentperf_traces_stay_in_their_folder(tmp_path, trace, said):
    write(tmp_path, "task.jsonl", jsonl(*agentperf_rows()))
    path = write(tmp_path, "set/manifest.json", document(agentperf_manifest(trace)))

    with pytest.raises(TrajectoryError, match=said) as caught:
        read_trajectories(path)

    assert str(caught.value).startswith(f"{path}, tasks 1: ")


def test_agentperf_names_of_tools_are_what_utf_8_can_write(read):
    called = [{"tool_name": "a\ud800"}]

    (found,) = read(agentperf_row(0, [user()], recorded_tool_calls_after=called))

    assert found.turns[0].calls == ("a\ufffd",)


def test_agentperf_rows_that_are_wrong_are_named(read):
    rows = agentperf_rows()
    rows[1]["messages"] = []

    assert "rows.jsonl:2: a turn has no messages" in fails(read, *rows)


# mlperf


def test_mlperf_turns_are_what_stands_before_replies(read):
    found, other = read(*mlperf_rows(), *mlperf_rows("c2"))

    assert (found.id, other.id, found.tools) == ("c1", "c2", (READ_FILE,))
    assert found.turns == (
        Turn((0, 1), tool_delay=1.2, calls=("read_file",)),
        Turn((0, 1, 2, 3), think_time=7.5),
        Turn((0, 1, 2, 3, 4, 5)),
    )
    assert found.messages == (
        system(), user(), calls() | {"content": None}, result(), says(), user("thanks"),
    )  # fmt: skip


def test_mlperf_rows_have_an_order(read):
    rows = mlperf_rows()

    assert "rows.jsonl:3: 'turn' is not after" in fails(read, *rows[:2], rows[1])
    assert "rows.jsonl:6: rows of conversation 'c1' do not stand together" in fails(
        read, *rows[:3], *mlperf_rows("c2")[:2], *rows[3:]
    )


# sharegpt


def test_sharegpt_roles_become_messages(read):
    tools = json.dumps([{"name": "ls"}])
    (found,) = read(sharegpt_row(tools=tools))

    assert found.tools == ({"type": "function", "function": {"name": "ls"}},)
    assert found.messages == (
        system(),
        user("list the files"),
        calls("ls", "call_1", '{"path": "."}'),
        result("a.py", "call_1"),
        says("a.py"),
        user("thanks"),
    )
    assert found.turns == (
        Turn((0, 1), calls=("ls",)),
        Turn((0, 1, 2, 3)),
        Turn((0, 1, 2, 3, 4, 5)),
    )


def test_sharegpt_results_without_a_call_are_said_by_the_user(read):
    said = [("human", "go"), ("gpt", "<tool_call>ls"), ("tool", "a.py"), ("gpt", "done")]
    (found,) = read({"conversations": [{"from": role, "value": text} for role, text in said]})

    assert [message["role"] for message in found.messages] == ["user", "assistant", "user"]
    assert found.id == "rows-1"


def test_sharegpt_conversations_with_nothing_in_them_are_left_out(read):
    rows = [sharegpt_row(), {"id": "none", "conversations": []}, sharegpt_row(id="s2")]

    assert [each.id for each in read(document(rows), name="rows.json")] == ["s1", "s2"]


def test_sharegpt_rows_that_are_wrong_are_named(read):
    odd = {"conversations": [{"from": "alien", "value": "hi"}]}

    assert "rows.jsonl:2, conversations 1: 'from' is 'alien', not one of human" in fails(
        read, sharegpt_row(), odd
    )


# openai


def test_a_conversation_a_row(read):
    (found,) = read({"id": 7, "messages": CONVERSATION, "tools": [READ_FILE], "model": "m"})

    assert (found.id, found.model, found.tools) == ("7", "m", (READ_FILE,))
    assert found.turns == (
        Turn((0, 1), calls=("read_file",)),
        Turn((0, 1, 2, 3)),
        Turn((0, 1, 2, 3, 4, 5)),
    )
    assert found.messages == tuple(CONVERSATION[:-1])


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        ({"messages": [user()]}, 1),
        ({"messages": [*CONVERSATION, user("unanswered")]}, 3),
        ({"messages": [*CONVERSATION, user("asked")], "max_tokens": 5}, 1),
        ({"messages": CONVERSATION, "temperature": 0.5}, 3),
        ({"messages": CONVERSATION, "conversation_id": "c"}, 3),
        ({"messages": json.dumps(CONVERSATION)}, 3),
        ({"conversations": CONVERSATION}, 3),
        ({"custom_id": "a", "body": {"messages": [*CONVERSATION, user("asked")]}}, 1),
        ({"payload": {"messages": [user()]}}, 1),
    ],
    ids=str,
)
def test_rows_are_conversations_or_requests(read, row, turns):
    (found,) = read(row)

    assert len(found.turns) == turns


def test_requests_that_go_on_are_a_session(read):
    first, second = read(*openai_requests())

    assert first.turns == (
        Turn((0, 1, 2), 12, prompt_tokens=50, calls=("read_file",)),
        Turn((0, 1, 3, 4, 5)),
    )
    assert (second.turns, second.tools) == ((Turn((0, 1)),), (READ_FILE,))
    assert (first.id, second.id) == ("rows-1", "rows-2")


def test_growing_rows_are_a_session_and_their_last_reply_is_not_sent(read):
    rows = [{"messages": CONVERSATION[:end]} for end in (3, 5, 7)]

    (found,) = read(*rows)

    assert [turn.messages for turn in found.turns] == [(0, 1), (0, 1, 2, 3), (0, 1, 2, 3, 4, 5)]
    assert [turn.calls for turn in found.turns] == [("read_file",), (), ()]


def test_conversations_that_begin_alike_are_different_sessions(read):
    rows = [{"messages": [user(), says("no")]}, {"messages": [user(), says("yes"), user(), says()]}]

    assert [len(each.turns) for each in read(*rows)] == [1, 2]


def test_rows_of_named_sessions_may_be_mixed(read):
    def row(name, messages, **more):
        return {"session_id": name, "messages": messages, **more}

    found, other = read(
        row("a", CONVERSATION[:2], output_length=50, timestamp=0),
        row("b", [user("b")], output_length=9, timestamp="2026-01-01T00:00:00Z"),
        row("a", CONVERSATION[:4], output_length=30, timestamp=2000),
        row("b", [user("b"), says(), user("c")], timestamp="2026-01-01T00:00:02.5+00:00"),
        row("a", CONVERSATION[:6], output_length=20, timestamp=9000, delay=4500),
    )

    assert (found.id, other.id) == ("a", "b")
    assert found.turns == (
        Turn((0, 1), 50, tool_delay=2.0, calls=("read_file",)),
        Turn((0, 1, 2, 3), 30, think_time=4.5),
        Turn((0, 1, 2, 3, 4, 5), 20),
    )
    assert other.turns == (Turn((0,), 9, think_time=2.5), Turn((0, 1, 2)))


def test_sessions_of_payloads(read):
    payloads = [{"messages": CONVERSATION[:end], "model": "m"} for end in (2, 4)]
    data = {"data": [{"session_id": "s", "payloads": payloads}, {"payloads": payloads[:1]}]}

    found, other = read(document(data), name="inputs.json")

    assert (found.id, found.model) == ("s", "m")
    assert [turn.messages for turn in found.turns] == [(0, 1), (0, 1, 2, 3)]
    assert (other.id, len(other.turns)) == ("inputs-2", 1)


def test_a_length_that_is_forced_is_the_length(read):
    row = {"messages": [user()], "max_tokens": 40}

    assert read(row | {"ignore_eos": True})[0].turns[0].output_tokens == 40
    assert read(row)[0].turns[0].output_tokens is None


def test_a_batch_line_has_its_reply_in_a_body(read):
    body = {"choices": [{"message": says()}], "usage": {"input_tokens": 9, "output_tokens": 3}}
    row = {"custom_id": "b7", "body": {"messages": [user()]}, "response": {"body": body}}

    (found,) = read(row)

    assert found.id == "b7"
    assert found.turns == (Turn((0,), 3, prompt_tokens=9),)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": []}, ":2: there are no messages"),
        ({"messages": [user()], "message_mode": "delta"}, ":2: 'message_mode' is 'delta'"),
        ({"messages": [user(), {"role": "bot"}]}, ":2: message 2: its role is 'bot'"),
        ({"messages": "[{"}, ":2, messages: not JSON"),
        ({"body": {"messages": 7}}, ":2, body: 'messages' is 7: expected a list"),
        ({"messages": [user()], "tools": 7}, ":2: 'tools' is 7: expected a list"),
        ({"messages": [user()], "tools": [{"x": 1e999}]}, ":2, tools 1: a number is not finite"),
    ],
    ids=str,
)
def test_openai_rows_that_are_wrong_are_named(read, row, said):
    assert f"rows.jsonl{said}" in fails(read, {"messages": [user(), says()]}, row)


# Blocks


ids = st.lists(st.integers(0, 3), max_size=6)


@settings(deadline=None)
@given(
    chains=st.lists(st.tuples(ids, st.integers(0, 500)), min_size=1, max_size=6),
    size=st.sampled_from([16, 64, 512]),
)
def test_inputs_of_blocks_are_as_long_as_recorded_and_share_what_was_shared(chains, size):
    requests = [Blocks(tuple(map(str, names)), tokens, size) for names, tokens in chains]
    inputs = list(inputs_of(requests))

    for request, messages in zip(requests, inputs, strict=True):
        assert sum(map(message_tokens, messages)) == max(request.tokens, 5)
        assert [message["role"] for message in messages] == [
            "assistant" if number % 2 else "user" for number in range(len(messages))
        ]
        assert len(messages) % 2 == 1
    for one, other in pairwise(range(len(requests))):
        shared = requests[one].shared(requests[other])
        mine, others = ("".join(m["content"] for m in inputs[n]) for n in (one, other))
        least = min(requests[one].tokens, requests[other].tokens)
        if shared >= 80 and least - shared >= 40:
            same = next(
                (n for n, pair in enumerate(zip(mine, others, strict=False)) if pair[0] != pair[1]),
                min(len(mine), len(others)),
            )
            assert same >= 4 * (shared - 80)


def test_blocks_of_one_name_have_one_text_and_those_of_others_have_others():
    a, b = Blocks(("1", "2"), 1024, 512), Blocks(("1", "3"), 1024, 512)

    assert a.text(0, 512) == b.text(0, 512)
    assert a.text(512, 1024) != b.text(512, 1024)
    assert a.text(500, 530) == a.text(0, 1024)[2000:2120]
    assert Blocks(("1",), 512, 512, "other").text(0, 512) != a.text(0, 512)
    assert len(Blocks(("1",), 700, 512).text(0, 700)) == 2800


def test_texts_of_blocks_never_change():
    assert Blocks(("7",), 64, 64).text(0, 4) == "bot fot bet kex "


def test_mooncake_requests_that_go_on_are_sessions(read):
    found, *others = read(*mooncake_rows())

    assert [(each.id, len(each.turns)) for each in (found, *others)] == [
        ("rows-1", 3), ("rows-2", 1), ("rows-3", 1), ("rows-4", 1),
    ]  # fmt: skip
    assert [(turn.output_tokens, turn.prompt_tokens, turn.think_time) for turn in found.turns] == [
        (52, 1100, 2.0), (26, 1700, 7.0), (30, 2100, 0.0),
    ]  # fmt: skip
    assert [sum(map(message_tokens, found.input_of(turn))) for turn in found.turns] == [
        1100, 1700, 2100,
    ]  # fmt: skip
    assert found.turns[1].messages[0] == found.turns[2].messages[0] == 0
    beginnings = {texts(each, 0)[0][:2000] for each in (found, others[0], others[2])}
    assert len(beginnings) == 1  # the system prompt, block 0
    assert texts(others[1], 0)[0][:2000] not in beginnings


def test_mooncake_rows_may_name_their_session_and_need_no_blocks(read):
    rows = [
        {"session_id": "a", "input_length": 100, "output_length": 5},
        {"session_id": "b", "input_length": 100, "output_length": 5},
        {"session_id": "a", "input_length": 90, "output_length": 6, "delay": 1500},
    ]

    found, other = read(*rows)

    assert (found.id, other.id) == ("a", "b")
    assert [turn.pause for turn in found.turns] == [1.5, 0.0]
    assert len({*texts(found, 0), *texts(found, 1), *texts(other, 0)}) == 3


def test_weka_traces_have_pauses_of_people_and_tools_and_sub_agents(read):
    found, helper = read(weka_trace())

    assert (found.id, helper.id, helper.parent) == ("w1", "w1/helper", "w1")
    assert (found.model, helper.model) == ("big", "small")
    assert [
        (turn.output_tokens, turn.prompt_tokens, turn.duration, turn.tool_delay, turn.think_time)
        for turn in (*found.turns, *helper.turns)
    ] == [
        (15, 256, 1.5, 2.5, 0.0),
        (20, 400, 2.0, 0.0, 10.0),
        (5, 300, 1.0, 0.0, 0.0),
        (9, 128, None, 0.0, 0.0),
    ]
    assert [sum(map(message_tokens, found.input_of(turn))) for turn in found.turns] == [
        256, 400, 300,
    ]  # fmt: skip
    first, second, third = ("".join(texts(found, number)) for number in range(3))
    assert second.startswith(first[:700])
    assert third.startswith(first[:700])
    assert found.turns[0].messages[0] == found.turns[1].messages[0] == found.turns[2].messages[0]


def test_weka_blocks_mean_the_same_in_two_traces_only_if_global(read):
    def beginnings(scope):
        found = read(weka_trace(hash_id_scope=scope), weka_trace(id="w2", hash_id_scope=scope))
        return len({texts(each, 0)[0] for each in found if not each.parent})

    assert (beginnings("local"), beginnings("global")) == (2, 1)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"timestamp": 0, "input_length": 10**12, "output_length": 5}, "at most 10000000 tokens"),
        ({"timestamp": 0, "input_length": None, "output_length": 5}, "'input_length' is None"),
        ({"input_length": 600, "output_length": 5, "hash_ids": [{}, 1]}, "'hash_ids' are not all"),
        ({"input_length": 5, "output_length": "x"}, "'output_length' is \"x\": expected a number"),
        (weka_trace(requests=[weka_request(0.0, -1, 1, [])]), "'in' is -1"),
        (weka_trace(requests=[7]), "requests 1: expected an object"),
    ],
    ids=str,
)
def test_traces_that_are_wrong_are_named(read, row, said):
    form = "weka" if "requests" in row else "mooncake"

    assert said in fails(read, row, form=form)
