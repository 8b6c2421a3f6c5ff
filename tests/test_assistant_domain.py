"""Scenarios of the domain ``assistant``, from the file to verdict, record and traces."""

import json
from collections import Counter

import pytest

from pytest_a2perf.domains.assistant.trace.read import parse_trace
from pytest_a2perf.scenarios.suites import suites_folder

DEMO = """
    [[scenario]]
    name = "{name}"
    domain = "assistant"
    task = "a2perf/demo"
    agent = "{agent}"
    {more}
"""

PAGES = """
    calls = []


    def silent(message, tools):
        calls.append(message)


    def polite(message, tools):
        tools["AgentUserInterface__send_message_to_user"](content="I have done it all.")


    async def waits(message, tools):
        return "Done: " + await tools["SystemApp__get_current_time"]()["current_datetime"]


    def breaks(message, tools):
        return 1 // 0


    class Other:
        pass
"""


def demo(name="demo", agent="assistant-oracle", more=""):
    return DEMO.format(name=name, agent=agent, more=more)


def outcomes(records):
    return Counter(record.outcome for record in records())


def test_the_oracle_solves_every_case_and_leaves_its_traces(project, write, records):
    write(demo(more='gates = {"success.rate" = ">= 100 %"}'))
    result = project.runpytest("--a2perf")
    assert result.ret == 0
    found = records()
    assert len(found) >= 12
    assert set(outcomes(records)) == {"success"}
    assert {record.context["capability"] for record in found} == {
        "adaptability", "ambiguity", "execution", "search", "time",
    }  # fmt: skip
    assert all(record.reported["simulated_time"].unit == "s" for record in found)
    traces = list(project.path.glob(".a2perf/runs/*/trials/*/trace.json"))
    assert len(traces) == len(found)
    for path in traces:
        trace = parse_trace(path.read_bytes(), path.name)
        assert trace.metadata.annotation.validation_decision == "Valid"
        assert trace.completed_events


@pytest.mark.slow
def test_recorded_traces_are_judged_again(project, write, records):
    write(demo("good") + demo("bad", more='agent_options = {flaw = "missing-call"}'))
    project.runpytest("--a2perf")
    first = {(r.scenario.partition("::")[2], r.case): r.outcome for r in records()}
    (run,) = (project.path / ".a2perf" / "runs").iterdir()
    run.rename(project.path / "recorded")
    write(
        "".join(
            f"""
            [[scenario]]
            name = "{name}"
            domain = "assistant"
            phase = "judge"
            task = "recorded/trials/*_{name}_*/trace.json"
            gates = {{"reported.agrees.mean" = ">= 1"}}
            """
            for name in ("good", "bad")
        )
    )
    result = project.runpytest("--a2perf")
    again = {
        (r.scenario.partition("::")[2], r.case.removesuffix("-run1")): r.outcome for r in records()
    }
    assert again == first
    result.stdout.fnmatch_lines(["*PASS * reported.agrees.mean >= 1*"])


@pytest.mark.parametrize("flaw", ["missing-call", "extra-write", "silent"])
def test_flawed_agents_fail_and_are_told_why(project, write, records, flaw):
    write(demo(more=f'agent_options = {{flaw = "{flaw}"}}\ngates = {{"success.rate" = "<= 0"}}'))
    result = project.runpytest("--a2perf")
    assert result.ret == 0
    assert set(outcomes(records)) == {"failure"}
    assert all("turn" in record.error["message"] for record in records())


def test_everything_failing_is_not_exit_code_0(project, write):
    write(demo(more='agent_options = {flaw = "silent"}\noptions = {limit = 1}'))
    assert project.runpytest("--a2perf").ret == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ('config = "time"', {"time"}),
        ('tags = ["Search"]', {"search"}),
        ("limit = 1", {"adaptability", "ambiguity", "execution", "search", "time"}),
    ],
)
def test_options_select_cases(project, write, records, options, expected):
    write(demo(more=f"options = {{{options}}}"))
    project.runpytest("--a2perf")
    assert {record.context["capability"] for record in records()} == expected
    if "limit" in options:
        assert len(records()) == 5


def test_capabilities_are_markers(project, write, records):
    write(demo(more="seeds = 2"))
    project.runpytest("--a2perf", "-m", "ambiguity or time", "-k", "0")
    assert {record.context["capability"] for record in records()} == {"ambiguity", "time"}
    assert {record.seed for record in records()} == {0}


# -- agents of the user's --------------------------------------------------------------------------


def test_functions_are_agents(project, write, records):
    project.makepyfile(pages=PAGES)
    write(
        "".join(
            demo(name, f"pages:{name}", 'options = {config = "ambiguity", limit = 1}')
            for name in ("silent", "polite", "breaks", "Other")
        )
    )
    project.runpytest("--a2perf")
    found = {r.scenario.partition("::")[2]: r for r in records()}
    assert found["silent"].outcome == "failure"
    assert "the world was over (duration)" in found["silent"].error["message"]
    assert found["polite"].outcome == "infra"  # what it says would have to be compared by a model
    assert "needs a judge model" in found["polite"].error["message"]
    assert found["breaks"].outcome == found["Other"].outcome == "error"
    assert "ZeroDivisionError" in found["breaks"].error["message"]
    assert "a function of message and tools" in found["Other"].error["message"]


def test_the_solution_is_shown_to_the_oracle_only(project, write, records):
    project.makepyfile(
        spy="""
        class Spy:
            def play(self, desk):
                assert not hasattr(desk, "scenario")
                assert not hasattr(desk, "log")
                desk.wait()
                while not desk.over:
                    desk.call("AgentUserInterface__send_message_to_user", {"content": "?"})
                    desk.wait()
        """
    )
    write(demo(agent="spy:Spy", more="options = {limit = 1, judge = {hard_only = true}}"))
    project.runpytest("--a2perf")
    assert not set(outcomes(records)) & {"error", "infra"}


# -- noise, time, cache ----------------------------------------------------------------------------


def test_noise_comes_from_the_seed(project, write, records):
    project.makepyfile(
        retries="""
        from pytest_a2perf.domains.assistant.errors import ToolError

        def retries(message, tools):
            failed = 0
            for _ in range(50):
                try:
                    tools["Calendar__get_all_tags"]()
                except ToolError:
                    failed += 1
            return str(failed)
        """
    )
    options = 'seeds = 3\noptions = {ids = ["adaptability_lunch_moves"], noise = {failures = 0.3}}'
    write(demo("one", "retries:retries", options) + demo("two", "retries:retries", options))
    project.runpytest("--a2perf")
    said = {}
    for path in project.path.glob(".a2perf/runs/*/trials/*/trace.json"):
        trace = json.loads(path.read_text())
        key = path.parent.name.replace("_one_", "_").replace("_two_", "_")
        texts = [
            event["action"]["args"][0]["value"]
            for event in trace["completed_events"]
            if event["action"]["function"] == "send_message_to_user"
        ]
        said.setdefault(key, []).append(texts[0])
    assert len(said) == 3
    assert all(one == two for one, two in said.values())
    assert len({one for one, _ in said.values()}) > 1
    assert all(0 < int(one) < 50 for one, _ in said.values())


@pytest.mark.slow
def test_a_result_is_taken_from_the_cache(project, write, records):
    write(
        demo("good")
        + demo("bad", more='agent_options = {flaw = "silent"}\noptions = {cache = true}')
    )
    cached = demo("good", more="options = {cache = true}")
    write(cached + demo("bad", more='agent_options = {flaw = "silent"}\noptions = {cache = true}'))
    project.runpytest("--a2perf")
    fresh = {record.nodeid: record for record in records()}
    assert not any(record.context.get("cached") for record in fresh.values())
    (run,) = (project.path / ".a2perf" / "runs").iterdir()
    run.rename(project.path / "first")
    project.runpytest("--a2perf")
    again = {record.nodeid: record for record in records()}
    assert all(record.context["cached"] for record in again.values())
    assert not any(record.quantities for record in again.values())
    for nodeid, record in fresh.items():
        assert again[nodeid].outcome == record.outcome
        assert again[nodeid].episodes == record.episodes
        assert again[nodeid].context["rationale"] == record.context["rationale"]
    assert len(list(project.path.glob(".a2perf/runs/*/trials/*/trace.json"))) == len(fresh)


@pytest.mark.parametrize("change", ["seeds = [7]", 'agent_options = {flaw = "early"}'])
def test_the_cache_knows_what_matters(project, write, records, change):
    options = 'options = {cache = true, config = "time"}'
    write(demo(more=options))
    project.runpytest("--a2perf")
    (run,) = (project.path / ".a2perf" / "runs").iterdir()
    run.rename(project.path / "first")
    write(demo(more=f"{options}\n{change}"))
    project.runpytest("--a2perf")
    assert not any(record.context.get("cached") for record in records())


# -- what is wrong is said -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("episodes = 2", "*key 'episodes': a trial is one conversation*"),
        ('options = {judge = {kind = "in-context"}}', "*judge.model*asks a model*"),
        ("options = {judge = {votes = 2}}", "*judge.votes*must be odd*"),
        ("options = {agent_to_agent = true}", "*agent_to_agent.model*missing*"),
        ('options = {config = "executions"}', "*no config 'executions'*execution*"),
        ('options = {ids = ["time_no_anser"]}', "*no scenario 'time_no_anser'*time_no_answer*"),
        ("options = {generation_time = -1}", "*generation_time*"),
        ("seeds = {max = 5}", "*cannot stop early*"),
        ('options = {verbosity = "loud"}', "*verbosity*expected*'low'*"),
    ],
)
def test_wrong_scenarios_say_what_to_do(project, write, more, message):
    write(demo(more=more))
    result = project.runpytest("--a2perf")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_scenario_without_an_agent_is_an_error(project, write):
    write('[[scenario]]\nname = "x"\ndomain = "assistant"\ntask = "a2perf/demo"\n')
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines(["*key 'agent': missing: which agent is to be tested*"])


def test_a_broken_file_is_an_error_not_a_smaller_denominator(project, write):
    folder = project.mkdir("mine")
    (folder / "broken.json").write_text('{"version": "are_simulation_v1"')
    write(demo().replace("a2perf/demo", "mine"))
    result = project.runpytest("--a2perf")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*suite.toml:3: scenario 'demo', key 'task': *broken.json*"])


@pytest.mark.slow
def test_the_suite_passes(project, write):
    write((suites_folder() / "assistant.toml").read_text("utf-8"), schema=False)
    result = project.runpytest("--a2perf")
    assert result.ret == 0, result.stdout.str()
