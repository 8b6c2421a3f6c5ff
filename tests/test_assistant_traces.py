"""The format of scenarios and traces: reading, its rules, graphs, values, writing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from assistant_traces import (
    START,
    UI,
    agent,
    answer,
    app,
    call,
    contacts,
    env,
    event,
    mailbox,
    scenario,
    two_turns,
    user,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.trace.graph import EventGraph, execution_of
from pytest_a2perf.domains.assistant.trace.lite import ModelCall, lite_of, read_lite
from pytest_a2perf.domains.assistant.trace.models import Argument, CompletedEvent
from pytest_a2perf.domains.assistant.trace.outputs import (
    happenings,
    read_output,
    read_statistics,
    result_of,
)
from pytest_a2perf.domains.assistant.trace.read import parse_trace
from pytest_a2perf.domains.assistant.trace.values import decode, encode, placeholders, resolve
from pytest_a2perf.domains.assistant.trace.write import to_json, trace_of
from pytest_a2perf.domains.assistant.world.happening import Happening


def read(trace):
    return parse_trace(to_json(trace), "one.json")


def problems(trace):
    """Return what is wrong with a trace, or with a JSON text, a line each."""
    with pytest.raises(TraceError) as caught:
        parse_trace(trace if isinstance(trace, str) else to_json(trace), "one.json")
    return str(caught.value).splitlines()


def mails(*events):
    return scenario(events, [mailbox()])


def send(event_id, after, delay=None, **more):
    return agent(event_id, "Emails", "send_email", after, delay, **more)


def arrive(event_id, after, delay=None, **more):
    return env(event_id, "Emails", "create_and_add_email", after, delay, **more)


# --- JSON and schema ---


def test_a_scenario_is_read_and_what_is_unknown_is_kept():
    content = json.loads(to_json(two_turns()))
    content["metadata"]["definition"]["difficulty"] = "hard"
    content["events"][0]["note"] = {"x": 1}
    trace = parse_trace(json.dumps(content).encode(), "one.json")
    assert [one.event_id for one in trace.events] == [
        "ask", "send", "told", "reply", "thank", "thanks", "thanked"
    ]  # fmt: skip
    assert json.loads(to_json(trace)) == content


def test_json_that_is_none_names_the_line():
    text = json.dumps(json.loads(to_json(two_turns())), indent=1).replace('"apps": [', '"apps": ,')
    (line,) = problems(text)
    assert line.startswith("one.json: no JSON: expected value at line ")


def test_all_that_does_not_fit_is_named_by_its_path_in_words():
    content = json.loads(to_json(two_turns()))
    content["version"] = "2.0"
    content["events"][1]["dependencies"] = "ask"
    content["events"][1]["event_time_comparator"] = "LATER"
    content["events"][2]["action"]["args"][0]["value"] = ["a"]
    content["metadata"]["definition"].pop("scenario_id")
    content["metadata"]["definition"]["hints"] = [{"hint_type": "x", "content": ""}]
    content["apps"][2]["app_state"] = "gone"
    assert problems(json.dumps(content)) == [
        "one.json: metadata, definition, scenario_id: it is missing",
        "one.json: metadata, definition, hints[0], hint_type: should be 'TASK_HINT' or 'ENVIRONMENT_HINT', got 'x'",
        "one.json: metadata, definition, hints[0], associated_event_id: it is missing",
        "one.json: apps[2] ('Emails'), app_state: should be an object, got 'gone'",
        "one.json: events[1] ('send'), dependencies: should be a valid array, got 'ask'",
        "one.json: events[1] ('send'), event_time_comparator: should be 'LESS_THAN', 'GREATER_THAN' or 'EQUAL', got 'LATER'",
        "one.json: events[2] ('told'), action, args[0] ('content'), value: should be a valid string, got ['a']",
        "one.json: version is '2.0', but only 'are_simulation_v1' is known",
    ]


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"'])
def test_json_that_is_no_object(text):
    (line,) = problems(text)
    assert line.startswith("one.json: the file: should be an object, got ")


def test_keys_that_are_does_not_read_a_file_without_must_be_there():
    content = json.loads(to_json(two_turns()))
    del content["version"]
    for key in ("event_time", "dependencies"):
        del content["events"][0][key]
    assert problems(json.dumps(content)) == [
        'one.json: version: it is missing; add "version": "are_simulation_v1"',
        "one.json: event 'ask': event_time is missing; write null if it has none",
        "one.json: event 'ask': dependencies is missing; write [] if it has none",
    ]


def test_logs_must_be_logs():
    trace = two_turns()
    trace.world_logs = ['{"log_type": "task"}', "task", "[]", "{}", "3"]
    assert [line.split(":")[1] for line in problems(trace)] == [
        f" world_logs[{index}]" for index in (1, 2, 3, 4)
    ]


@settings(deadline=None)
@given(st.binary() | st.text() | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["metadata", "definition", "scenario_id", "apps", "events", "event_id", "version", "action", "args"]),
        inner, max_size=4,
    ),
).map(json.dumps))  # fmt: skip
def test_garbage_is_an_error_that_names_the_file(text):
    with pytest.raises(TraceError, match=r"^one\.json: "):
        parse_trace(text, "one.json")


# --- rules ---

OK = [user("u", "Hello.")]
RULES = {
    "unknown dependency": (
        [*OK, send("a", "v")],
        "event 'a': it depends on 'v', which does not exist; valid: a, u",
    ),
    "circle": (
        [*OK, send("a", ["u", "c"]), send("b", "a"), send("c", "b"), send("d", "c")],
        "events 'a', 'b', 'c': they wait for each other; remove one of their dependencies",
    ),
    "own dependency": ([*OK, send("a", ["u", "a"])], "events 'a': they wait for each other"),
    "same id": ([*OK, send("a", "u"), send("a", "u")], "event 'a': 2 events have this id"),
    "unknown kind": (
        [*OK, event("Event", "ENVV", "e", "u", 0, None, None)],
        "event 'e': unknown event_type 'ENVV'; did you mean 'ENV'?",
    ),
    "validation": (
        [*OK, event("Event", "VALIDATION", "e", "u", 0, None, None)],
        "event 'e': unknown event_type 'VALIDATION'",
    ),
    "condition of one's own": (
        [*OK, event("ConditionCheckEvent", "CONDITION", "e", "u", 0, None, call("Emails", "f", {}))],
        "event 'e': CONDITION events are only known as ARE's triggers of turns",
    ),
    "no action": (
        [*OK, event("Event", "ENV", "e", "u", 0, None, None)],
        "event 'e': it says not what happens; give it an action with app and function",
    ),
    "unknown app": (
        [*OK, agent("a", "Email", "send_email", "u")],
        "event 'a': no app 'Email' in 'apps'; did you mean 'Emails'?",
    ),
    "agent without reason": (
        [*OK, send("a", [])],
        "event 'a': the agent must have a reason to act; let it depend on an event",
    ),
    "env at the start": (
        [*OK, arrive("e", [])],
        "event 'e': an ENV event needs exactly one dependency, not 0; name the last one",
    ),
    "env after two": (
        [*OK, arrive("d", "u"), arrive("e", ["u", "d"])],
        "event 'e': an ENV event needs exactly one dependency, not 2; name the last one",
    ),
    "env after the agent": (
        [*OK, send("a", "u"), arrive("e", "a")],
        "event 'e': of what the agent does, an ENV event may depend on send_message_to_user only, not on 'a'",
    ),
    "agent after its message": (
        [*OK, answer("m", "Hi.", "u"), send("a", "m")],
        "event 'a': only ENV events or send_message_to_agent may follow send_message_to_user ('m')",
    ),
    "two conversations": (
        [*OK, user("v", "Me too.")],
        "event 'v': send_message_to_agent is not connected with 'u', but all messages between user and agent must be",
    ),
    "dependencies of two turns": (
        [*OK, answer("m", "Hi.", "u"), user("v", "And?", "m"), send("a", ["u", "v"])],
        "event 'a': it depends on events of different turns: 'u' (turn 0), 'v' (turn 1)",
    ),
    "message before the end of its turn": (
        [*OK, arrive("e", "u", 60), answer("m", "Hi.", "u", 5)],
        "event 'm': send_message_to_user ends its turn, but 'e' happens 55 s later",
    ),
    "event after the end of its turn": (
        [*OK, answer("m", "Hi.", "u", 5), send("a", "u", 30)],
        "event 'a': it happens 25 s after 'm', which ends its turn",
    ),
    "before what it depends on": (
        [*OK, arrive("e", "u", 60), arrive("f", "e", at=START + 30), arrive("g", "f", 5)],
        f"event 'g': it follows 'f', whose event_time {START + 30:g} is before what it depends on",
    ),
    "negative delay": ([*OK, arrive("e", "u", -1)], "event 'e': event_relative_time -1 is negative"),
    "negative time": ([*OK, arrive("e", "u", at=-1.0)], "event 'e': event_time -1 is negative"),
    "comparator of others": (
        [*OK, arrive("e", "u").model_copy(update={"event_time_comparator": "EQUAL"})],
        "event 'e': event_time_comparator is for events of the agent (AGENT) only",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_a_broken_rule_names_the_event(name):
    events, expected = RULES[name]
    (line,) = problems(mails(*events))
    assert line.startswith(f"one.json: {expected}")
    assert ";" in line, "it does not say what to do"


@pytest.mark.parametrize(
    ("value", "value_type", "reason"),
    [
        ("one", "int", "'one' is no int"),
        ("1.0", "int", "'1.0' is no int"),
        ("x", "float | None", "'x' is no float"),
        ("[1", "list[int]", "'[1' is no list"),
        ("", "str", "its type 'str' does not allow it to be empty"),
        (None, "str", "its type 'str' does not allow it to be empty"),
        ("x", None, "it has a value but no type; set 'value_type'"),
        ("x", "Email", "unknown type 'Email'; valid: int, str, float, bool, list, dict"),
    ],
)
def test_an_argument_of_the_wrong_type_names_event_and_function(value, value_type, reason):
    trace = mails(*OK, send("a", "u"))
    trace.events[1].action.args = [Argument(name="subject", value=value, value_type=value_type)]
    assert problems(trace) == [f"one.json: event 'a': argument 'subject' of send_email: {reason}"]


def test_all_problems_are_told_at_once():
    events = [
        events[-1]
        for name in ("agent without reason", "negative delay", "unknown app")
        for events in RULES[name][:1]
    ]
    assert len(problems(mails(*OK, *events))) == 3


@pytest.mark.parametrize(
    "events",
    [
        [],
        OK,
        [*OK, send("a", ["u", "u"])],
        [*OK, arrive("e", "u", at=START + 5), answer("m", "Hi.", ["e"])],
        [*OK, answer("m", "Hi.", "u"), answer("n", "Hi.", "u")],
        [*OK, arrive("e", "u", 60), answer("m", "Hi.", "e")],
        [*OK, answer("m", "Hi.", "u"), arrive("e", "m", 90), user("v", "Well?", "e")],
        [*OK, agent("a", "SystemApp", "get_current_time", "u", comparator="LESS_THAN")],
        [send("a", "u"), *OK],
    ],
    ids=range(9),
)
def test_what_are_accepts_is_accepted(events):
    trace = mails(*events)
    assert [one.event_id for one in read(trace).events] == [one.event_id for one in trace.events]


def test_a_relative_time_goes_before_an_absolute_one():
    trace = mails(*OK, arrive("e", "u", at=START + 500))
    trace.events[1].event_relative_time = 3
    assert EventGraph(read(trace)).times(START)["e"] == START + 3


def test_traces_without_apps_are_read_where_the_hub_has_them():
    trace = two_turns()
    trace.apps = []
    assert len(problems(trace)) == len(trace.events)
    trace.metadata.definition.hf_metadata = {"dataset": "owner/set", "split": "validation"}
    content = json.loads(json.dumps(trace.model_dump(warnings=False)))
    assert parse_trace(json.dumps(content), "one.json").apps == []


def test_the_scenario_in_the_documentation_is_one():
    text = (Path(__file__).parent.parent / "docs" / "assistant-scenarios.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert EventGraph(parse_trace(block, "docs")).order() == ["ask", "send"]


# --- graphs ---


@st.composite
def conversations(draw):
    """Scenarios of a few turns with any events in each, in any order in the file."""
    events, turn_of, last = [], {}, ()
    for turn in range(draw(st.integers(1, 4))):
        asked = user(f"u{turn}", "Go on.", last)
        members = [asked]
        for number in range(draw(st.integers(0, 5))):
            name = f"{turn}.{number}"
            if draw(st.booleans()):
                open_to = [one for one in members if one.event_type != "AGENT"]
                members.append(arrive(name, draw(st.sampled_from(open_to)).event_id))
            else:
                some = draw(st.lists(st.sampled_from(members), min_size=1, max_size=3))
                members.append(send(name, [one.event_id for one in some]))
        end = answer(f"m{turn}", "Done.", [members[-1].event_id])
        events += [*members, end]
        turn_of |= {one.event_id: turn for one in [*members, end]}
        last = (end.event_id,)
    return draw(st.permutations(events)), turn_of


@pytest.mark.slow
@settings(deadline=None)
@given(conversations())
def test_order_turns_ancestors_and_times_of_any_conversation(drawn):
    events, turn_of = drawn
    graph = EventGraph(read(mails(*events)))
    order = graph.order()
    place = {key: index for index, key in enumerate(order)}
    times = graph.times(START)
    assert sorted(order) == sorted(turn_of)
    assert list(graph.events) == [one.event_id for one in events]
    for one in events:
        key = one.event_id
        assert graph.turn_of(key) == turn_of[key]
        assert all(place[parent] < place[key] for parent in one.dependencies)
        assert all(times[parent] <= times[key] for parent in one.dependencies)
        assert all(key in graph.children(parent) for parent in one.dependencies)
        assert graph.ancestors(key) == frozenset(one.dependencies).union(
            *(graph.ancestors(parent) for parent in one.dependencies)
        )
    assert graph.turns == max(turn_of.values()) + 1


def test_times_are_those_of_the_last_dependency():
    trace = mails(
        *OK, arrive("e", "u", 10), arrive("f", "u", at=START + 100), send("a", ["e", "f"], 5)
    )
    assert EventGraph(trace).times(START) == {
        "u": START, "e": START + 10, "f": START + 100, "a": START + 105
    }  # fmt: skip


def test_placeholders_of_the_world_are_found_with_turns_and_conflicts():
    trace = two_turns()
    execution = execution_of(trace)
    (one,) = execution.placeholders
    assert (one.parent_tool_name, one.parent_turn_idx, one.parent_event_id) == (
        "Emails__send_email",
        0,
        "send",
    )
    assert (one.placeholder_turn_idx, one.placeholder_event_id) == (1, "reply")
    assert not execution.has_placeholder_conflicts
    trace.events.append(send("again", "ask"))
    assert execution_of(trace).has_placeholder_conflicts


# --- traces that ARE has written ---


def as_are_runs(trace, checks):
    """Return a trace with the agent's messages replaced by conditions, as ARE exports it."""
    graph = EventGraph(trace)
    done = trace.model_copy(deep=True)
    ends = [one.event_id for one in trace.events if one.action.function == "send_message_to_user"]
    for one in done.events:
        one.dependencies = [
            f"condition_turn_{graph.turn_of(parent) + 1}-CHECK_{checks}"
            if parent in ends
            else parent
            for parent in one.dependencies
        ]
    for turn in range(1, graph.turns):
        action = call(None, f"wrapped_condition__turn_idx_{turn}__scenario_id_x__y", {})
        after = f"condition_turn_{turn - 1}-CHECK_0" if turn > 1 else ()
        done.events.append(
            event(
                "ConditionCheckEvent",
                "CONDITION",
                f"condition_turn_{turn}-CHECK_0",
                after,
                0,
                None,
                action,
            )
        )
    return done


def three_turns():
    trace = two_turns()
    trace.events += [
        user("more", "One more.", "thanked"), answer("no", "No.", "more"),
    ]  # fmt: skip
    return trace


@pytest.mark.parametrize("checks", [0, 7])
@pytest.mark.parametrize("make", [two_turns, three_turns])
def test_traces_of_several_turns_get_their_dependencies_back(make, checks):
    trace = make()
    assert read(as_are_runs(trace, checks)).events == trace.events


def test_triggers_of_turns_stay_where_the_agents_events_are_hidden():
    trace = as_are_runs(two_turns(), 3)
    trace.events = [one for one in trace.events if one.event_type != "AGENT"]
    graph = EventGraph(read(trace))
    assert {key: graph.turn_of(key) for key in graph.events} == {
        "ask": 0, "condition_turn_1-CHECK_0": 0, "reply": 1, "thank": 1
    }  # fmt: skip
    assert graph.turns == 2


def test_noise_is_no_part_of_a_scenario():
    trace = two_turns()
    trace.events.append(arrive("env_expansion_email_1", "ask", 300))
    assert read(trace).events == two_turns().events


def completed(kind, event_id, function, time, *, app=UI, value=None, value_type=None, error=None):
    return CompletedEvent.model_validate({
        "class_name": "CompletedEvent", "event_type": kind, "event_id": event_id,
        "event_time": time, "event_relative_time": None, "dependencies": [],
        "action": {"action_id": "x", "app": app, "function": function, "operation_type": "READ",
                   "args": [{"name": "content", "value": "", "value_type": "str"}]},
        "metadata": {"return_value": value, "return_value_type": value_type, "exception": error,
                     "exception_stack_trace": None},
    })  # fmt: skip


def test_happenings_of_a_trace_are_in_order_with_turns_and_without_conditions():
    trace = two_turns()
    trace.completed_events = [
        completed("AGENT", "c", "send_message_to_user", START + 2),
        completed("USER", "a", "send_message_to_agent", START),
        completed("AGENT", "b", "send_message_to_user", START + 1, error="no"),
        completed("CONDITION", "condition_turn_1-CHECK_1", "wrapped", START + 3, app=None),
        completed("AGENT", "d", "list_emails", START + 4, app="Emails", value="[{'a': None}]", value_type="list"),
        completed("ENV", "env_expansion_x", "create", START + 5, app="Emails", value="Email(x)", value_type="Email"),
    ]  # fmt: skip
    found = happenings(read(trace))
    assert [(one.id, one.turn, one.failed, one.noise) for one in found] == [
        ("a", 0, False, False), ("b", 0, True, False), ("c", 0, False, False),
        ("d", 1, False, False), ("env_expansion_x", 1, False, True),
    ]  # fmt: skip
    assert [one.result for one in found[3:]] == [[{"a": None}], "Email(x)"]
    assert found[3].app_class == "EmailClientV2"
    assert found[0].arguments == {"content": ""}


def test_what_nobody_can_have_done_is_an_error():
    trace = two_turns()
    trace.completed_events = [completed("STOP", "s", "stop", START)]
    with pytest.raises(TraceError, match="completed event 's': unknown event_type 'STOP'"):
        happenings(trace)
    trace.completed_events = [completed("USER", "s", None, START)]
    with pytest.raises(TraceError, match="completed event 's': it says not what happened"):
        happenings(trace)


# --- values ---

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)


@settings(deadline=None)
@given(JSON)
def test_any_json_value_comes_back(value):
    back = decode(*encode(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "value_type", "expected"),
    [
        ("3", "int | str", 3),
        ("3", "str | int", "3"),
        ("3", "Optional[float]", 3.0),
        ("", "int | None", None),
        ("", "None | int", None),
        (None, "Optional[str]", None),
        (None, None, None),
        ("", "list[str | None] | None", None),
        ("Yes", "bool", True),
        ("nonsense", "bool", False),
        ('["a"]', "list[str]", ["a"]),
        ("['a', None]", "list", ["a", None]),
        ("{'a': (1, 2)}", "dict", {"a": (1, 2)}),
        ("{{e1}}", "int", "{{e1}}"),
        ("{{e1.id}}", None, "{{e1.id}}"),
    ],
)
def test_decoding(value, value_type, expected):
    assert decode(value, value_type) == expected


@settings(deadline=None)
@given(
    st.text(),
    st.sampled_from(["int", "float", "bool", "list", "dict", "str | None", "list[int]", "x", ""]),
)
def test_decoding_any_text_gives_a_value_or_says_why_not(text, value_type):
    try:
        decode(text, value_type)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - no other error may come out


def test_placeholders_and_what_they_stand_for():
    results = {"a": "id-1", "b": {"id": 7, "inner": {"x": [1]}}}
    assert placeholders("{{b.inner.x}}") == [("b", ("inner", "x"))]
    assert placeholders("see {{b}}") == placeholders(["{{b}}"]) == placeholders(3) == []
    assert resolve("{{a}}", results) == "id-1"
    assert resolve(" {{b.id}} ", results) == 7
    assert resolve("{{b.inner.x}}", results) == [1]
    for unknown in ("{{c}}", "{{b.none}}", "{{a.id}}", "x {{a}}", 5, None):
        assert resolve(unknown, results) == unknown


# --- writing ---

HAPPENING = st.builds(
    Happening,
    id=st.uuids().map(str),
    kind=st.sampled_from(["AGENT", "USER", "ENV"]),
    time=st.floats(START, START + 100),
    app=st.just("Emails"),
    app_class=st.just("EmailClientV2"),
    function=st.sampled_from(["send_email", "list_emails"]),
    write=st.booleans(),
    arguments=st.dictionaries(TEXT, JSON, max_size=2),
    result=JSON,
    error=st.none() | TEXT,
)  # fmt: skip


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(HAPPENING, max_size=3), st.sampled_from([True, False, None]))
def test_what_is_written_is_read_again(log, decision):
    log.sort(key=lambda one: one.time)
    trace = trace_of(
        two_turns(), log, decision=decision, rationale="why", agent="me", model="m", run_number=3
    )
    back = read(trace)
    assert back.events == two_turns().events
    assert result_of(back).success is decision
    assert happenings(back) == log


def test_a_trace_says_who_ran_it_and_what_ended_it():
    trace = read(trace_of(
        two_turns(), [], decision=None, rationale="", agent="default", model="", run_number=2,
        error=TimeoutError("too slow"),
    ))  # fmt: skip
    definition = trace.metadata.definition
    assert (definition.exception_type, definition.exception_message) == ("TimeoutError", "too slow")
    assert trace.metadata.simulation.agent_id == "default"
    assert trace.metadata.execution == execution_of(two_turns())
    result = result_of(trace, "a.json")
    assert (result.metadata.status, result.metadata.run_number, result.trace_id) == (
        "exception",
        2,
        "a.json",
    )


def test_writing_does_not_change_the_scenario():
    source = scenario(OK, [app("Emails", "EmailClientV2"), contacts()])
    source.apps[0].class_name = None
    before = to_json(source)
    trace = trace_of(source, [], decision=True, rationale="", agent="a", model="m", error=OSError())
    assert trace.apps[0].class_name == UI
    assert to_json(source) == before


def test_halves_of_characters_do_not_break_a_trace():
    log = [
        Happening(
            "x", "AGENT", START, "Emails", "EmailClientV2", "f", True, {"a": "\ud83d!"}, "\udc00"
        )
    ]
    back = happenings(
        read(trace_of(two_turns(), log, decision=True, rationale="\ud83d", agent="a", model="m"))
    )
    assert (back[0].arguments, back[0].result) == ({"a": "?!"}, "?")


def test_lite_traces_have_tokens_and_unknown_ones_are_not_zero():
    trace = trace_of(
        two_turns(), [], decision=False, rationale="no mail", agent="default", model="m"
    )
    history = [{"role": "system", "content": "Help.", "attachments": None, "timestamp": START}]
    calls = [ModelCall(10, 5, 2, 0.5), ModelCall(completion_tokens=3)]
    lite = lite_of(trace, seconds=1.5, histories={"main": history}, calls={"main": calls})
    text = to_json(lite)
    assert json.loads(text) == {
        "scenario_id": "two-turns", "model_id": "m", "main_agent_type": "default",
        "validation_decision": "Invalid", "validation_rationale": "no mail", "run_duration": 1.5,
        "per_agent_interaction_histories": {"agent_main": history},
        "per_agent_llm_usage_stats": {"agent_main": {
            "total_llm_calls": 2, "prompt_tokens": [10, None], "completion_tokens": [5, 3],
            "total_tokens": [15, None], "reasoning_tokens": [2, None],
            "completion_duration": [0.5, None],
        }},
    }  # fmt: skip
    assert read_lite(text, "lite.json") == lite
    with pytest.raises(TraceError, match=r"lite\.json: scenario_id: it is missing"):
        read_lite("{}", "lite.json")


# --- ARE's lists and statistics ---


def test_results_of_are_are_read_in_order():
    rows = [
        {"task_id": "a", "trace_id": "hf/a.json", "score": 1.0, "metadata": {"scenario_id": "a", "run_number": 1, "status": "success", "has_exception": False}},
        {"task_id": "a", "trace_id": None, "score": 0.0, "metadata": {"scenario_id": "a", "run_number": 2, "status": "failed", "has_exception": True, "exception_type": "ScenarioTimeoutError", "rationale": "x"}},
        {"task_id": "b", "trace_id": None, "score": None, "metadata": {"scenario_id": "b", "status": "no_validation"}},
    ]  # fmt: skip
    results = read_output("\n".join(map(json.dumps, rows)) + "\n", "output.jsonl")
    assert [result.success for result in results] == [True, False, None]
    assert results[1].metadata.exception_type == "ScenarioTimeoutError"
    with pytest.raises(TraceError, match=r"output\.jsonl:2: metadata: it is missing"):
        read_output(json.dumps(rows[0]) + '\n{"task_id": "b"}', "output.jsonl")


def test_statistics_of_are_are_read():
    content = {
        "metadata": {"model": "m", "report_version": "3.0"},
        "statistics": {
            "per_capability": {"execution": {"capability": "execution", "success_rate": 50.0}},
            "global": {"macro_success_rate": 50.0, "avg_run_duration": None},
        },
        "run_configurations": [{"phase_name": "standard"}],
    }
    statistics = read_statistics(json.dumps(content), "stats.json").statistics
    assert statistics.per_capability["execution"]["success_rate"] == 50.0
    assert statistics.overall["macro_success_rate"] == 50.0
    with pytest.raises(TraceError, match=r"stats\.json: statistics: it is missing"):
        read_statistics("{}", "stats.json")
