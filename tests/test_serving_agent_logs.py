"""Logs of agents become sessions: what was sent, how long things were, and what lay between."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import serving_agent_logs as logs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.check import problems_of
from pytest_a2perf.domains.serving.trajectories.models import Session
from pytest_a2perf.domains.serving.trajectories.read import FORMS, detect_form, read_trajectories

SAMPLES: dict[str, tuple[str, str, Any]] = {  # file, form, content: lines where it is a tuple
    "swe_agent": ("astropy-1.traj", "swe_agent", logs.swe_agent()),
    "swe_agent-1.0": ("astropy-1.traj", "swe_agent", logs.swe_agent("1.0")),
    "swe_agent-0.7": ("astropy-1.traj", "swe_agent", logs.swe_agent("0.7")),
    "mini_swe_agent": ("astropy-1.traj.json", "mini_swe_agent", logs.mini_swe_agent()),
    "mini_swe_agent-1": ("run.json", "mini_swe_agent", logs.mini_swe_agent("1")),
    "mini_swe_agent-responses": ("r.json", "mini_swe_agent", logs.mini_swe_agent_responses()),
    "openhands-0": ("trajectory.json", "openhands", logs.openhands_0()),
    "openhands-0-lines": ("events.jsonl", "openhands", tuple(logs.openhands_0())),
    "openhands-0-old": ("old.json", "openhands", logs.openhands_0_old()),
    "openhands-1": ("trajectory.json", "openhands", logs.openhands_1()),
    "openhands-output": (
        "output.jsonl",
        "openhands",
        ({"instance_id": "astropy-1", "history": logs.openhands_0()},),
    ),
    "claude_code": ("5e55.jsonl", "claude_code", tuple(logs.claude_code().lines)),
    "opencode": ("export.json", "opencode", logs.opencode()),
    "atif": ("trajectory.json", "atif", logs.atif()),
    "atif-1.4": ("trajectory.json", "atif", logs.atif("1.4")),
    "otel": ("spans.jsonl", "otel", tuple(logs.otel_spans())),
    "otel-otlp": ("traces.jsonl", "otel", (logs.otlp(logs.otel_spans(), text=False),)),
    "otel-otlp-text": ("traces.json", "otel", logs.otlp(logs.otel_spans(), text=True)),
}
WHOLE = ("mini_swe_agent", "openhands-0", "openhands-0-lines", "openhands-1", "openhands-output",
         "claude_code", "opencode", "atif", "atif-1.4", "otel", "otel-otlp", "otel-otlp-text")  # fmt: skip


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(logs.lines(*content) if isinstance(content, tuple) else json.dumps(content))
    return path


def read_one(path: Path) -> Session:
    (session,) = read_trajectories(path)
    return session


def without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if value is not None}


def plain(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages with parsed arguments: how they are written as JSON is the log's own business."""
    messages = copy.deepcopy([without_nulls(message) for message in messages])
    for message in messages:
        for made in message.get("tool_calls", ()):
            made["function"]["arguments"] = json.loads(made["function"]["arguments"])
    return messages


@pytest.mark.parametrize("name", SAMPLES)
def test_each_log_is_known_for_what_it_is_and_for_nothing_else(tmp_path: Path, name: str) -> None:
    file, form, content = SAMPLES[name]
    path = write(tmp_path, file, content)
    head = path.read_bytes()[:65536]
    known = [other.name for other in FORMS.values() if other.detect(path, head)]
    assert set(known) - {"openai"} == {form}  # which takes any messages, and is asked last
    assert detect_form(path) is FORMS[form]
    (session,) = read_trajectories(path)
    assert session.source == form
    assert problems_of(session) == []


@pytest.mark.parametrize(
    "first",
    [
        {"type": "summary", "summary": "A bug", "leafUuid": "u1"},
        {"type": "permission-mode", "permissionMode": "default", "sessionId": "5e55"},
        {"type": "queue-operation", "operation": "enqueue", "sessionId": "5e55"},
        {"type": "file-history-snapshot", "messageId": "m", "snapshot": {}},
    ],
    ids=lambda first: first["type"],
)
def test_claude_code_logs_begin_with_anything(tmp_path: Path, first: dict[str, str]) -> None:
    path = write(tmp_path, "a.jsonl", (first, *logs.claude_code().lines[1:]))
    assert detect_form(path) is FORMS["claude_code"]
    assert len(read_one(path).turns) == 4


@pytest.mark.parametrize("name", WHOLE)
def test_the_story_is_told_by_every_log(tmp_path: Path, name: str) -> None:
    file, form, content = SAMPLES[name]
    session = read_one(write(tmp_path, file, content))

    said = logs.SAID
    if form not in ("claude_code", "opencode"):  # which do not record it
        said = [{"role": "system", "content": logs.SYSTEM}, *said]
    replies = [place for place, message in enumerate(said) if message["role"] == "assistant"]
    for place, turn in zip(replies, session.turns, strict=True):
        assert plain(session.input_of(turn)) == plain(said[:place])

    assert [turn.calls for turn in session.turns] == [("bash",), (), ("bash", "edit"), ()]
    delays = [2.5, 0, 3, 0] if form == "atif" else [1.5, 0, 2, 0]
    assert [turn.tool_delay for turn in session.turns] == pytest.approx(delays, abs=1e-5)
    assert [turn.think_time for turn in session.turns] == pytest.approx([0, 10, 0, 0], abs=1e-5)
    durations = [turn.duration for turn in session.turns]
    expected = [2, None, 2, None] if form == "atif" else [2, 1, 2, 1]
    if name == "mini_swe_agent":  # where the first messages have no times in the wild, but here
        expected[0] = 2
    assert durations == pytest.approx(expected, abs=1e-5)

    lengths = [lengths for _, _, lengths in logs.STORY if lengths]
    if form == "openhands" and not name.endswith("1"):  # 0.x knows none of plain messages
        lengths = [lengths[0], (None, None), lengths[2], (None, None)]
    assert [(turn.prompt_tokens, turn.output_tokens) for turn in session.turns] == lengths
    assert session.model == logs.MODEL
    if form in ("openhands", "atif", "otel"):
        assert list(session.tools) == [logs.BASH, logs.EDIT]


@pytest.mark.parametrize(
    ("name", "session_id", "parent"),
    [
        ("swe_agent", "astropy-1", ""),
        ("mini_swe_agent", "astropy-1", ""),
        ("openhands-output", "astropy-1", ""),
        ("claude_code", "5e55", ""),
        ("opencode", "ses_1", "ses_0"),
        ("atif", "run-1", ""),
        ("otel", "talk-1", ""),
    ],
)
def test_sessions_keep_their_names(tmp_path: Path, name: str, session_id: str, parent: str) -> None:
    file, _, content = SAMPLES[name]
    session = read_one(write(tmp_path, file, content))
    assert (session.id, session.parent) == (session_id, parent)


# --- SWE-agent -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "1.0", "0.7"])
def test_swe_agent_sends_what_the_step_says(tmp_path: Path, version: str) -> None:
    session = read_one(write(tmp_path, "a.traj", logs.swe_agent(version)))
    first, second = session.turns
    demo = {"role": "assistant", "content": "A demonstration."}
    start = [{"role": "system", "content": logs.SYSTEM}, demo, logs.ASK]
    seen = "a.py" if version == "0.7" else "Old environment output: (1 line omitted)"
    assert session.input_of(first) == start
    assert plain(session.input_of(second)) == plain(
        [*start, logs.REPLY_1, logs.result("call_1", seen)]
    )
    assert (first.tool_delay, second.tool_delay) == (1.5, 0.25)
    assert (first.calls, second.calls) == (("bash",), ())
    assert first.output_tokens is None
    assert session.model == logs.MODEL


def test_swe_agent_keeps_to_its_main_agent(tmp_path: Path) -> None:
    run = logs.swe_agent("0.7")
    other = {"role": "assistant", "content": "I am a subroutine.", "agent": "other"}
    run["history"].insert(4, other)
    session = read_one(write(tmp_path, "a.traj", run))
    assert len(session.turns) == 2
    assert other["content"] not in [message["content"] for message in session.messages]


def test_swe_agent_demonstrations_have_a_history_only(tmp_path: Path) -> None:
    history = logs.swe_agent()["history"]
    session = read_one(write(tmp_path, "a.traj", {"history": history}))
    assert [len(turn.messages) for turn in session.turns] == [3, 5]
    assert session.turns[0].calls == ("bash",)


# --- mini-swe-agent ------------------------------------------------------------------------


def test_mini_swe_agent_over_the_responses_interface(tmp_path: Path) -> None:
    session = read_one(write(tmp_path, "r.traj.json", logs.mini_swe_agent_responses()))
    first, second = session.turns
    assert plain(session.input_of(second)[1:]) == plain(logs.SAID[:3])
    assert (first.prompt_tokens, first.output_tokens, first.calls) == (100, 20, ("bash",))
    assert (first.duration, second.duration) == (None, 1.0)  # the task has no time
    assert first.tool_delay == 1.5


def test_mini_swe_agent_1_has_no_times(tmp_path: Path) -> None:
    session = read_one(write(tmp_path, "r.traj.json", logs.mini_swe_agent("1")))
    assert [(turn.pause, turn.duration) for turn in session.turns] == [(0, None)] * 4


# --- OpenHands -----------------------------------------------------------------------------


def test_openhands_from_a_folder_of_events(tmp_path: Path) -> None:
    folder = tmp_path / "talk-7"
    (folder / "events").mkdir(parents=True)
    for number, event in enumerate(logs.openhands_1()[:-1]):
        (folder / "events" / f"event-{number:05d}-x.json").write_text(json.dumps(event))
    stats = logs.openhands_1()[-1]["value"]
    (folder / "base_state.json").write_text(json.dumps({"stats": stats}))
    for path in (folder, folder / "events", tmp_path):
        session = read_one(path)
        assert (session.id, len(session.turns)) == ("talk-7", 4)
        assert session.turns[3].output_tokens == 5


def test_openhands_orders_events_by_number(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    for event in logs.openhands_0():
        (tmp_path / "events" / f"{event['id']}.json").write_text(json.dumps(event))
    assert len(logs.openhands_0()) > 10  # so that names would be in another order
    session = read_one(tmp_path / "events")
    assert plain(list(session.input_of(session.turns[3])[1:])) == plain(logs.SAID[:8])


def test_openhands_before_tool_calls(tmp_path: Path) -> None:
    session = read_one(write(tmp_path, "old.json", logs.openhands_0_old()))
    _, reply, result = session.input_of(session.turns[1])
    assert reply["content"] == "Let me look."
    assert reply["tool_calls"][0]["function"]["arguments"] == '{"command": "ls"}'
    assert result == logs.result(reply["tool_calls"][0]["id"], "a.py")
    assert session.turns[0].tool_delay == pytest.approx(1.5)


def test_openhands_pairs_of_old_evaluations(tmp_path: Path) -> None:
    events = logs.openhands_0_old()
    line = {"instance_id": "a", "history": [[events[0], {}], events[1:3], [events[3], {}]]}
    assert len(read_one(write(tmp_path, "output.jsonl", (line,))).turns) == 2


@pytest.mark.parametrize("generation", [0, 1])
def test_openhands_forgets_what_was_condensed(tmp_path: Path, generation: int) -> None:
    events = logs.openhands_1() if generation else logs.openhands_0()
    asked = next(place for place, event in enumerate(events) if "Then fix it." in str(event))
    gone = [event["id"] for event in events[2:asked]]
    told = {"summary": "It is in a.py.", "summary_offset": 2}
    if generation:
        event = {"kind": "Condensation", "forgotten_event_ids": gone, **told}
    else:
        told |= {"forgotten_events_start_id": gone[0], "forgotten_events_end_id": gone[-1]}
        event = {"action": "condensation", "args": told}
    events.insert(asked, event | {"id": "999", "source": "agent", "timestamp": logs.iso(5.0)})
    session = read_one(write(tmp_path, "t.json", events))
    assert len(session.input_of(session.turns[1])) == 4
    summary = {"role": "user", "content": "It is in a.py."}
    system = {"role": "system", "content": logs.SYSTEM}
    assert session.input_of(session.turns[2]) == [system, logs.ASK, summary, logs.ASK_2]


def test_openhands_replies_without_any_id(tmp_path: Path) -> None:
    events = apart(logs.openhands_0())
    for event in events:
        del event["id"]
        event.get("tool_call_metadata", {}).get("model_response", {}).pop("id", None)
    session = read_one(write(tmp_path, "t.json", events))
    assert len(session.turns) == 5  # one for each of two calls, which nothing holds together


def test_openhands_durations_from_metrics(tmp_path: Path) -> None:
    metrics = {
        "response_latencies": [{"response_id": "chatcmpl-2.0", "latency": 1.25}],
        "token_usages": [],
    }
    line = {"instance_id": "a", "history": logs.openhands_0(), "metrics": metrics}
    session = read_one(write(tmp_path, "output.jsonl", (line,)))
    assert session.turns[0].duration == 1.25


# --- Claude Code ---------------------------------------------------------------------------


def test_claude_code_follows_the_way_back_and_not_the_file(tmp_path: Path) -> None:
    log = logs.claude_code()
    first = log.lines[1]["uuid"]
    log.user("Something else.", 40.0, parentUuid=first)
    log.assistant({"type": "text", "text": "Sure."}, 41.0, "msg_5", (50, 2))
    session = read_one(write(tmp_path, "a.jsonl", tuple(log.lines)))
    said = session.input_of(session.turns[4])
    assert [message["content"] for message in said] == ["Fix the bug.", "Something else."]
    assert session.turns[3].think_time == pytest.approx(20.5)


def test_claude_code_starts_anew_after_a_compaction(tmp_path: Path) -> None:
    log = logs.claude_code()
    log.line("system", 30.0, subtype="compact_boundary", parentUuid=None, logicalParentUuid="u14")
    log.user("This session is continued: ...", 30.0, isCompactSummary=True)
    log.assistant({"type": "text", "text": "On with it."}, 31.0, "msg_5", (50, 3))
    session = read_one(write(tmp_path, "a.jsonl", tuple(log.lines)))
    last = session.turns[4]
    assert [item["content"] for item in session.input_of(last)] == [
        "This session is continued: ..."
    ]
    assert (session.turns[3].think_time, session.turns[3].tool_delay) == (0, pytest.approx(10.5))


def test_claude_code_sub_agents_are_sessions_of_their_own(tmp_path: Path) -> None:
    log = logs.claude_code()
    beside = logs.ClaudeCode(isSidechain=True)
    beside.user("Search.", 5.0, uuid="s0")
    beside.assistant({"type": "text", "text": "Found."}, 6.0, "msg_s", (40, 4), uuid="s1")
    apart = logs.ClaudeCode(isSidechain=True, agentId="ab12")
    apart.user("Test.", 5.0)
    apart.assistant({"type": "text", "text": "Passed."}, 6.0, "msg_t", (30, 3))
    write(tmp_path, "5e55.jsonl", (*log.lines[:8], *beside.lines, *log.lines[8:]))
    write(tmp_path, "agent-ab12.jsonl", tuple(apart.lines))
    sessions = {session.id: session for session in read_trajectories(tmp_path)}
    assert {name: session.parent for name, session in sessions.items()} == {
        "5e55": "",
        "5e55:s0": "5e55",
        "5e55:ab12": "5e55",
    }
    assert len(sessions["5e55"].turns) == 4
    assert [item["content"] for item in sessions["5e55:ab12"].messages] == ["Test."]


def test_claude_code_sends_no_call_without_its_result(tmp_path: Path) -> None:
    log = logs.ClaudeCode()
    log.user("Go.", 0.0)
    log.assistant({"type": "text", "text": "Yes."}, 1.0, "msg_1", (9, 1))
    log.assistant(
        {"type": "tool_use", "id": "c", "name": "bash", "input": {}}, 1.5, "msg_1", (9, 5)
    )
    log.user("[Request interrupted by user]", 2.0)
    log.assistant({"type": "text", "text": "Well."}, 3.0, "msg_2", (12, 2))
    session = read_one(write(tmp_path, "a.jsonl", tuple(log.lines)))
    assert session.input_of(session.turns[1])[1] == {"role": "assistant", "content": "Yes."}


def test_claude_code_images(tmp_path: Path) -> None:
    log = logs.ClaudeCode()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
    log.user([{"type": "text", "text": "See."}, image], 0.0)
    log.assistant({"type": "tool_use", "id": "c", "name": "shot", "input": {}}, 1.0, "m1", (9, 5))
    log.result("c", [image], 2.0)
    log.assistant({"type": "text", "text": "Seen."}, 3.0, "m2", (9, 5))
    session = read_one(write(tmp_path, "a.jsonl", tuple(log.lines)))
    asked, _, result = session.input_of(session.turns[1])
    assert asked["content"][1]["image_url"]["url"] == "data:image/png;base64,AA"
    assert result["content"] == "[image]"


# --- OpenCode ------------------------------------------------------------------------------


def test_opencode_storage_is_read_as_a_whole(tmp_path: Path) -> None:
    exported = read_one(write(tmp_path, "export.json", logs.opencode()))
    folder = logs.write_opencode_storage(tmp_path / "share" / "storage")
    assert read_trajectories(folder) == [exported]
    assert read_trajectories(tmp_path / "share") == [exported]


def test_opencode_steps_of_one_message_are_turns(tmp_path: Path) -> None:
    export = logs.opencode()
    first, second = export["messages"][1:3]
    first["parts"] += second["parts"]
    del export["messages"][2]
    session = read_one(write(tmp_path, "export.json", export))
    assert len(session.turns) == 4
    assert plain(session.input_of(session.turns[1])) == plain(logs.SAID[:3])
    assert session.turns[0].tool_delay == pytest.approx(1.5)
    assert [turn.output_tokens for turn in session.turns] == [20, 8, 40, 5]


def test_opencode_results_that_were_cleared(tmp_path: Path) -> None:
    export = logs.opencode()
    state = export["messages"][1]["parts"][3]["state"]
    state["time"]["compacted"] = int((logs.START + 10) * 1000)
    session = read_one(write(tmp_path, "export.json", export))
    seen = [session.input_of(turn)[2]["content"] for turn in session.turns[1:]]
    assert seen == ["a.py", *["[Old tool result content cleared]"] * 2]


def test_opencode_starts_anew_after_a_compaction(tmp_path: Path) -> None:
    export = logs.opencode()
    export["messages"][3]["parts"] = [{"type": "compaction", "auto": True}]
    export["messages"][4]["info"]["summary"] = True
    export["messages"][4]["parts"] = [{"type": "text", "text": "We found it."}]
    session = read_one(write(tmp_path, "export.json", export))
    assert [message["content"] for message in session.input_of(session.turns[3])] == [
        "What did we do so far?",
        "We found it.",
    ]


def test_opencode_system_prompts_of_old_versions(tmp_path: Path) -> None:
    export = logs.opencode()
    for message in export["messages"]:
        if message["info"]["role"] == "assistant":
            message["info"]["system"] = [logs.SYSTEM, "Be kind."]
    session = read_one(write(tmp_path, "export.json", export))
    system = {"role": "system", "content": f"{logs.SYSTEM}\nBe kind."}
    assert [session.input_of(turn)[0] for turn in session.turns] == [system] * 4


def test_opencode_tools_that_failed_or_never_ended(tmp_path: Path) -> None:
    export = logs.opencode()
    parts = export["messages"][4]["parts"]
    parts[1]["state"] = {"status": "error", "input": {}, "error": "No such file", "time": {}}
    parts[2]["state"] = {"status": "running", "input": {}, "time": {}}
    session = read_one(write(tmp_path, "export.json", export))
    results = [message["content"] for message in session.input_of(session.turns[3])[-2:]]
    assert results == ["No such file", "[Tool execution was interrupted]"]


# --- ATIF ----------------------------------------------------------------------------------


def test_atif_sub_agents_are_sessions_of_their_own(tmp_path: Path) -> None:
    document = logs.atif()
    child = logs.atif() | {"trajectory_id": "child"}
    del child["steps"][3:]
    document |= {"trajectory_id": "top", "subagent_trajectories": [child]}
    top, sub = read_trajectories(write(tmp_path, "trajectory.json", document))
    assert (top.id, top.parent, len(top.turns)) == ("top", "", 4)
    assert (sub.id, sub.parent, len(sub.turns)) == ("child", "top", 1)


def test_atif_steps_that_asked_no_model_are_no_turns(tmp_path: Path) -> None:
    document = logs.atif()
    document["steps"][2]["is_copied_context"] = True
    document["steps"][3] |= {"llm_call_count": 0}
    document["steps"][5] |= {"llm_call_count": 2}
    session = read_one(write(tmp_path, "trajectory.json", document))
    assert [len(turn.messages) for turn in session.turns] == [6, 9]
    assert session.turns[0].output_tokens is None


def test_atif_content_in_parts(tmp_path: Path) -> None:
    document = logs.atif("1.6")
    source = {"media_type": "image/png", "path": "images/1.png"}
    document["steps"][1]["message"] = [
        {"type": "text", "text": "Fix"},
        {"type": "image", "source": source},
    ]
    session = read_one(write(tmp_path, "trajectory.json", document))
    assert session.messages[1]["content"] == "Fix\n[image]"


def test_atif_of_another_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "trajectory.json", logs.atif("9.0") | {"schema_version": "ATIF-v2.0"})
    with pytest.raises(TrajectoryError, match=r"trajectory\.json:1: its version is 'ATIF-v2.0'"):
        read_trajectories(path)


# --- OpenTelemetry -------------------------------------------------------------------------


def test_otel_without_content_says_how_to_record_it(tmp_path: Path) -> None:
    spans = logs.otel_spans()
    del spans[1]["attributes"]["gen_ai.input.messages"]
    with pytest.raises(
        TrajectoryError, match=r"spans\.jsonl:2: .*CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"
    ):
        read_trajectories(write(tmp_path, "spans.jsonl", tuple(spans)))


def test_otel_failed_calls_may_lack_content(tmp_path: Path) -> None:
    spans = logs.otel_spans()
    del spans[1]["attributes"]["gen_ai.input.messages"]
    spans[1]["attributes"]["error.type"] = "timeout"
    session = read_one(write(tmp_path, "spans.jsonl", tuple(spans)))
    assert len(session.turns) == 3


def test_otel_as_the_sdk_writes_spans(tmp_path: Path) -> None:
    spans = []
    for span in logs.otel_spans():
        attributes = {
            key: json.dumps(value) if isinstance(value, list) else value
            for key, value in span["attributes"].items()
        }
        times = [
            span[key] / 1e9 - logs.START for key in ("start_time_unix_nano", "end_time_unix_nano")
        ]
        spans.append(
            {
                "name": span["name"],
                "context": {"trace_id": f"0x{span['trace_id']}", "span_id": f"0x{span['span_id']}"},
                "parent_id": span["parent_span_id"] and f"0x{span['parent_span_id']}",
                "start_time": logs.iso(times[0]),
                "end_time": logs.iso(times[1]),
                "attributes": attributes,
                "events": [],
            }
        )
    flat = read_one(write(tmp_path, "flat.jsonl", tuple(logs.otel_spans())))
    printed = read_one(write(tmp_path, "printed.jsonl", tuple(spans)))
    assert printed.messages == flat.messages
    assert [turn.calls for turn in printed.turns] == [turn.calls for turn in flat.turns]
    assert [turn.pause for turn in printed.turns] == pytest.approx([1.5, 10, 2, 0], abs=1e-5)


def test_otel_agents_inside_of_agents(tmp_path: Path) -> None:
    spans = logs.otel_spans()
    inner = copy.deepcopy(spans[0]) | {"span_id": "e" * 16, "parent_span_id": "f" * 16}
    spans[3]["parent_span_id"] = "e" * 16
    sessions = read_trajectories(write(tmp_path, "spans.jsonl", (*spans, inner)))
    assert [(item.id, item.parent, len(item.turns)) for item in sessions] == [
        ("talk-1", "", 3),
        (f"talk-1:{'e' * 16}", "talk-1", 1),
    ]


@pytest.mark.parametrize("way", ["logs", "events", "content"])
def test_otel_messages_as_events(tmp_path: Path, way: str) -> None:
    bodies = [
        ("gen_ai.system.message", {"content": logs.SYSTEM}),
        ("gen_ai.user.message", {"content": logs.ASK["content"]}),
        ("gen_ai.assistant.message", {key: logs.REPLY_1[key] for key in ("content", "tool_calls")}),
        ("gen_ai.tool.message", {"id": "call_1", "content": "a.py"}),
        ("gen_ai.choice", {"index": 0, "message": logs.REPLY_2, "finish_reason": "stop"}),
    ]
    span = logs.otel_spans()[1]
    for key in ("input.messages", "output.messages", "system_instructions"):
        del span["attributes"][f"gen_ai.{key}"]
    lines: list[dict[str, Any]] = [span]
    if way == "logs":
        lines = [logs.otlp([span], text=False)]
        records = [
            {
                "traceId": span["trace_id"],
                "spanId": span["span_id"],
                "eventName": name,
                "attributes": [],
                "body": logs.otlp_value(body),
            }
            for name, body in bodies
        ]
        lines.append({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
    elif way == "events":
        span["events"] = [
            {"name": name, "attributes": {"gen_ai.event.content": json.dumps(body)}}
            for name, body in bodies
        ]
    else:  # as attributes of one event, in the newer form
        said = [logs.otel_message(item) for item in logs.SAID[:3]]
        span["events"] = [
            {
                "name": "gen_ai.client.inference.operation.details",
                "attributes": {
                    "gen_ai.system_instructions": [{"type": "text", "content": logs.SYSTEM}],
                    "gen_ai.input.messages": said,
                },
            }
        ]
    session = read_one(write(tmp_path, "spans.jsonl", tuple(lines)))
    reply = dict(logs.REPLY_1)
    if way != "content":  # which knew no reasoning
        del reply["reasoning_content"]
    system = {"role": "system", "content": logs.SYSTEM}
    sent = session.input_of(session.turns[0])
    assert plain(sent) == plain([system, logs.ASK, reply, logs.RESULT_1])


# --- Times, and what is broken -------------------------------------------------------------


def test_times_that_run_backwards_make_no_pauses(tmp_path: Path) -> None:
    log = logs.claude_code()
    for number, line in enumerate(log.lines):
        line["timestamp"] = logs.iso(-float(number))
    session = read_one(write(tmp_path, "a.jsonl", tuple(log.lines)))
    assert [(turn.pause, turn.duration) for turn in session.turns] == [(0, None)] * 4


def test_tools_and_then_a_person_share_the_pause(tmp_path: Path) -> None:
    log = logs.ClaudeCode()
    log.user("Go.", 0.0)
    log.assistant({"type": "tool_use", "id": "c", "name": "bash", "input": {}}, 1.0, "m1", (9, 5))
    log.result("c", "done", 3.0)
    log.user("Stop, do this.", 10.0)
    log.assistant({"type": "text", "text": "Well."}, 11.0, "m2", (12, 2))
    first = read_one(write(tmp_path, "a.jsonl", tuple(log.lines))).turns[0]
    assert (first.tool_delay, first.think_time) == (pytest.approx(2), pytest.approx(7))


@pytest.mark.parametrize(
    ("name", "path", "value", "where"),
    [
        ("swe_agent", ["trajectory", 0, "query", 1, "role"], None, ":1, trajectory 1, query 2: 'role'"),
        ("mini_swe_agent", ["messages", 2, "tool_calls"], "x", ":1, messages 3: 'tool_calls'"),
        ("openhands-0-lines", [3, "timestamp"], "noon", ":4: 'timestamp'"),
        ("claude_code", [4, "message", "content"], [5], ":5, message, content 1: expected an object"),
        ("opencode", ["messages", 1, "info", "role"], "tool", ":1, messages 2, info: its role"),
        ("atif", ["steps", 2, "source"], "robot", ":1, steps 3: its source is 'robot'"),
        ("otel", [1, "attributes", "gen_ai.usage.input_tokens"], -1, ":2, attributes: 'gen_ai.usage"),
        ("otel", [1, "attributes", "gen_ai.input.messages"], "[1", ":2, attributes, gen_ai.input"),
    ],
)  # fmt: skip
def test_errors_name_file_and_place(
    tmp_path: Path, name: str, path: list[Any], value: Any, where: str
) -> None:
    file, _, content = SAMPLES[name]
    broken = apart(content)
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    target = write(tmp_path, file, tuple(broken) if isinstance(content, tuple) else broken)
    with pytest.raises(TrajectoryError) as raised:
        read_trajectories(target)
    assert str(raised.value).startswith(f"{target}{where}")


def apart(content: Any) -> Any:
    """Return a copy in which nothing stands in two places."""
    return json.loads(json.dumps(content))


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to all that stands in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in inner:
        found.append((*way, key))
        if isinstance(item, dict | list | tuple):
            found += places(item, (*way, key))
    return found


WRONG = st.one_of(
    st.just(...),  # take it away
    st.sampled_from(
        [None, True, -1, 1e300, 10**40, "", "x", "[", "{}", [], {}, [None], [{}], {"": 1}]
    ),
)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("name", SAMPLES)
def test_broken_logs_are_read_or_refused_with_their_place(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    file, form, content = SAMPLES[name]
    broken = apart(content)
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(places(broken) or [()])) or [None]
        value = data.draw(WRONG)
        place = broken
        for key in way:
            place = place[key]
        if last is None:
            continue
        if value is ...:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    target = write(tmp_path, file, tuple(broken) if isinstance(content, tuple) else broken)
    sessions: list[Session] = []
    message = str(target)
    try:
        sessions = read_trajectories(target, form=form)
    except TrajectoryError as error:
        message = str(error)
    assert message.startswith(str(target))
    for session in sessions:
        assert session.turns
        for turn in session.turns:
            assert session.input_of(turn)
            assert min(turn.tool_delay, turn.think_time) >= 0
