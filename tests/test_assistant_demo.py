"""The demo suite, the agent that knows its solutions, flawed copies of it, and scripted agents."""

from __future__ import annotations

import json
import runpy
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.domains.assistant.agents.oracle import OracleAgent
from pytest_a2perf.domains.assistant.agents.plan import FLAWS, Step, steps_of
from pytest_a2perf.domains.assistant.agents.scripted import Call, ScriptedAgent, read_script
from pytest_a2perf.domains.assistant.desk import OpenDesk
from pytest_a2perf.domains.assistant.judge.graph import GraphJudge
from pytest_a2perf.domains.assistant.trace.graph import EventGraph
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.trace.read import parse_trace
from pytest_a2perf.domains.assistant.trace.values import placeholders
from pytest_a2perf.domains.assistant.world.oracle import run_oracle
from pytest_a2perf.domains.assistant.world.world import World
from pytest_a2perf.errors import A2PerfError, AgentError

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "pytest_a2perf/domains/assistant/demo"
FILES = {path.stem: path for path in sorted(DEMO.glob("*/*.json"))}


@pytest.fixture
def trace(request):
    return read(request.param)


def read(name: str) -> Trace:
    return parse_trace(FILES[name].read_bytes(), name)


def play(trace, agent, files):
    """Let an agent play, judged; return its world."""
    judge = GraphJudge(trace, run_oracle(trace, files=files / "oracle").log)
    world = World(trace, judge_turn=judge.judge_turn, files=files / "agent")
    agent.play(OpenDesk(world, trace))
    return world


def accepted(world):
    return [verdict.success for verdict in world.verdicts] == [True] * world.turns


ALL = pytest.mark.parametrize("trace", FILES, indirect=True)


# The suite


def test_files_are_what_the_script_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    folder = tmp_path / "demo"
    runpy.run_path(str(ROOT / "scripts/make_assistant_demo.py"))["main"](folder)
    written = {path.relative_to(folder): path.read_bytes() for path in folder.glob("*/*.json")}
    script = DEMO.with_name("demo_script.json")
    assert (tmp_path / script.name).read_bytes() == script.read_bytes()
    assert written == {path.relative_to(DEMO): path.read_bytes() for path in FILES.values()}


def test_the_suite_covers_the_capabilities_and_the_apps():
    traces = [read(name) for name in FILES]
    tags = Counter(tag for trace in traces for tag in trace.metadata.definition.tags)
    assert tags.keys() == {"Execution", "Search", "Adaptability", "Time", "Ambiguity"}
    assert min(tags.values()) >= 2
    assert len(FILES) >= 12
    assert max(path.stat().st_size for path in FILES.values()) < 15_000
    assert {app.class_name for trace in traces for app in trace.apps} >= {
        "EmailClientV2", "MessagingAppV2", "ContactsApp", "CalendarApp", "ShoppingApp", "CabApp",
        "RentAFlat", "CityApp", "SandboxLocalFileSystem",
    }  # fmt: skip
    assert {EventGraph(trace).turns for trace in traces} == {1, 2, 3}
    events = [event for trace in traces for event in trace.events]
    assert {event.event_time_comparator for event in events} == {
        None, "LESS_THAN", "GREATER_THAN", "EQUAL",
    }  # fmt: skip
    stands_for = {
        event.event_type for event in events for one in event.action.args if placeholders(one.value)
    }
    assert stands_for == {"AGENT", "ENV"}


@ALL
def test_ids_tags_and_folders_agree(trace):
    path = FILES[trace.metadata.definition.scenario_id]
    assert [path.parent.name] == [tag.lower() for tag in trace.metadata.definition.tags]


# The oracle and its flaws


@ALL
def test_the_oracle_is_accepted(trace, tmp_path):
    world = play(trace, OracleAgent(), tmp_path)
    assert accepted(world), world.verdicts[-1].rationale
    assert world.why == "finished"


@pytest.mark.parametrize("flaw", FLAWS)
@ALL
def test_every_flaw_is_refused(trace, flaw, tmp_path):
    world = play(trace, OracleAgent(flaw), tmp_path)
    assert not accepted(world)
    assert world.why in {"rejected", "duration"}


@ALL
def test_the_oracle_acts_at_the_oracles_times(trace, tmp_path):
    wanted = run_oracle(trace, files=tmp_path / "wanted").log
    world = play(trace, OracleAgent(), tmp_path)
    assert {one.id: one.time for one in world.log} == {one.id: one.time for one in wanted}


def test_an_oracle_whose_call_is_refused_names_the_event(tmp_path):
    trace = read("search_flat_for_a_dog")
    wrong = trace.model_copy(deep=True)
    wrong.events[1].action.args[0].value = "flat-99"
    judge = GraphJudge(trace, run_oracle(trace, files=tmp_path).log)
    world = World(wrong, judge_turn=judge.judge_turn, files=tmp_path)
    with pytest.raises(AgentError, match=r"'agent-1' fails: .*flat-99"):
        OracleAgent().play(OpenDesk(world, wrong))


def test_an_unknown_flaw_is_refused():
    with pytest.raises(AgentError, match="wrong-recipient"):
        OracleAgent("wrong-recipent")


def works(steps):
    return {step.id: step for step in steps if step.own and not step.answer}


def test_flaws_are_what_their_names_say():
    steps = steps_of(read("execution_canal_walk"))
    before = works(steps)
    wrong = works(FLAWS["wrong-recipient"](steps, ()))
    assert wrong["agent-1"] == before["agent-1"]
    assert wrong["agent-2"].arguments["recipients"] == ["nobody@postbox.example"]
    assert works(FLAWS["missing-call"](steps, ())).keys() == {"agent-2"}
    assert not any(step.answer for step in FLAWS["silent"](steps, ()))
    extra = works(FLAWS["extra-write"](steps, ("Contacts__add_new_contact",)))["extra"]
    assert (extra.app, extra.function) == ("Contacts", "add_new_contact")
    assert all(step.after == () for step in FLAWS["early"](steps, ()) if step.own)
    answer = next(step for step in FLAWS["wrong-order"](steps, ()) if step.answer)
    assert answer.after == ("user-1",)


def test_an_order_is_wrong_where_one_call_waits_for_another():
    steps = steps_of(read("adaptability_lunch_moves"))
    swapped = works(FLAWS["wrong-order"](steps, ()))
    assert swapped["agent-5"].after == ("env-1",)  # put in
    assert swapped["agent-4"].after == ("agent-5",)  # taken out


def test_what_needs_the_result_of_a_missing_call_is_missing_too():
    steps = steps_of(read("execution_new_neighbour"))
    without_contact = [step for step in steps if step.id != "agent-1"]
    left = FLAWS["missing-call"](without_contact, ())
    assert not works(left)


@given(st.sampled_from(sorted(FILES)), st.sampled_from(sorted(FLAWS)))
def test_flawed_steps_still_wait_only_for_each_other(name, flaw):
    steps = steps_of(read(name))
    flawed = FLAWS[flaw](steps, ["Contacts__add_new_contact"])
    assert flawed != steps
    known = {step.id for step in flawed}
    if flaw != "silent":  # nothing follows an answer that is not given
        silenced = {step.id for step in steps} - known
        assert all(set(step.after) <= known | silenced for step in flawed)
    assert len(known) == len(flawed)


def test_a_step_needs_what_its_placeholders_stand_for():
    step = Step("b", "App", "act", {"x": "{{a}}", "y": "{{c.key}}", "z": "{{a}} and more"})
    assert step.needs == ("a", "c")


# Scripts

EGGS = {"user_id": "chat-mateo.quispe", "content": "The eggs are done."}


def script(*calls, sent=True):
    last = Call(tool="AgentUserInterface__send_message_to_user", arguments={"content": "Sent"})
    return ScriptedAgent([[*calls, last] if sent else list(calls)])


def eggs(**values):
    return Call(tool="Chats__send_message", arguments=EGGS, **values)


def test_a_script_lets_time_pass(tmp_path):
    trace = read("time_three_minutes")
    assert accepted(play(trace, script(eggs(wait=180)), tmp_path))
    assert not accepted(play(trace, script(eggs()), tmp_path))


def test_what_a_script_does_wrong_it_has_only_tried(tmp_path):
    tried = [
        Call(tool="Chats__send_message", arguments='{"user_id": '),
        Call(tool="Chats__send_message", arguments='["user_id"]'),
        Call(tool="Chats__send_message", arguments={"user": "x"}),
        Call(tool="Chats__shout"),
    ]
    world = play(read("time_three_minutes"), script(*tried, eggs(wait=180)), tmp_path)
    assert accepted(world)
    text = Call(tool="Chats__send_message", arguments=json.dumps(EGGS), wait=180)
    assert accepted(play(read("time_three_minutes"), script(text), tmp_path))


def test_a_script_without_an_end_waits_for_the_worlds(tmp_path):
    world = play(read("time_three_minutes"), script(eggs(wait=180), sent=False), tmp_path)
    assert world.why == "duration"


def test_a_script_uses_earlier_results(tmp_path):
    say = "AgentUserInterface__send_message_to_user"
    turns = [
        [
            Call(tool="Shopping__add_to_cart", arguments={"item_id": "tea-smoked", "quantity": 2}),
            Call(tool="Shopping__checkout", arguments={"discount_code": "LEAF10"}, name="order"),
            Call(tool=say, arguments={"content": "Ordered"}),
        ],
        [
            Call(tool="Shopping__cancel_order", arguments={"order_id": "{{order}}"}),
            Call(tool=say, arguments={"content": "Cancelled"}),
        ],
    ]
    assert accepted(play(read("execution_tea_order"), ScriptedAgent(turns), tmp_path))


def test_scripts_are_read_from_files(tmp_path):
    path = tmp_path / "script.json"
    path.write_text('{"a": [[{"tool": "App__act", "arguments": {"x": 1}, "wait": 2.5}], []]}')
    found = read_script(path)
    assert found == {"a": [[Call(tool="App__act", arguments={"x": 1}, wait=2.5)], []]}
    with pytest.raises(AgentError, match=r"'aa'.*'a'"):
        ScriptedAgent.of(found, "aa")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "the file: Invalid JSON"),
        ("[]", "the file: "),
        ('{"a": [[{"arguments": {}}]]}', r"a\.0\.0\.tool: Field required"),
        ('{"a": [[{"tool": "x", "waits": 1}]]}', r"a\.0\.0\.waits: Extra"),
        ('{"a": [[{"tool": "x", "wait": -1}]]}', r"a\.0\.0\.wait: "),
        ('{"a": [{"tool": "x"}]}', r"a\.0: "),
    ],
)
def test_wrong_scripts_are_refused_with_the_place(text, match, tmp_path):
    path = tmp_path / "script.json"
    path.write_text(text)
    with pytest.raises(A2PerfError, match=rf"script\.json: {match}"):
        read_script(path)


def test_a_script_that_is_not_there(tmp_path):
    with pytest.raises(A2PerfError, match="No such file"):
        read_script(tmp_path / "script.json")
