"""Gaia2: figures by capability, the groups of runs, the command, the folder that is submitted."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_server import LlmServer, call

from pytest_a2perf.__main__ import main
from pytest_a2perf.domains.assistant.gaia2.are import are_lines, are_statistics
from pytest_a2perf.domains.assistant.gaia2.attempts import UNKNOWN, attempts_at
from pytest_a2perf.domains.assistant.gaia2.statistics import report_of
from pytest_a2perf.domains.assistant.gaia2.text import report_lines
from pytest_a2perf.domains.assistant.sources import find_cases
from pytest_a2perf.domains.assistant.trace.outputs import read_output, read_statistics
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Episode, Record

OUTCOMES = ("success", "failure", "error", "timeout", "infra", "not_run")
COUNTED = OUTCOMES[:4]


def record(case="a", seed=0, outcome="success", *, row="execution", attempt=1, **more):
    """Return the record of a trial; ``more`` is what it reports, and its context."""
    context = {"row": row, "scenario": case, "part": row, **more.pop("context", {})}
    made = Record(
        "s.toml::x",
        f"s.toml::x[{row}-{case}-{seed}]",
        seed,
        domain="assistant",
        outcome=outcome,
        case=f"{row}-{case}",
        context=context,
        duration=2.0,
        attempt=attempt,
        error=more.pop("error", None),
    )
    made.reported = {name: Quantity(value, "", "test") for name, value in more.items()}
    if outcome in ("success", "failure"):
        made.episodes = [Episode(0.0, 1, success=outcome == "success", task=row)]
    return made


def report(*records, planned=()):
    nodeids = [*(one.nodeid for one in records), *planned]
    return report_of("x", attempts_at(records, nodeids))


results = st.lists(
    st.tuples(
        st.sampled_from(["execution", "time", "mini_noise"]),
        st.sampled_from("abc"),
        st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda one: one[:2],
)


def records_of(drawn):
    return [
        record(case, seed, outcome, row=row)
        for row, case, outcomes in drawn
        for seed, outcome in enumerate(outcomes)
    ]


# -- figures --------------------------------------------------------------------------------------


@pytest.mark.slow
@given(results)
def test_every_attempt_is_counted_once_and_only_infra_is_nobodys(drawn):
    found = report(*records_of(drawn))
    outcomes = Counter(outcome for *_, each in drawn for outcome in each)
    overall = found.overall
    assert overall.cases == len(drawn)
    assert sum(overall.counts.values()) == outcomes.total()
    assert overall.judged == sum(outcomes[name] for name in COUNTED)
    assert overall.counts["infra"] == outcomes["infra"]
    assert sum(row.cases for row in found.rows) == overall.cases
    if overall.judged:
        assert overall.success.value == pytest.approx(outcomes["success"] / overall.judged)
    else:
        assert overall.success is None
        assert found.macro is None
    for rate in (overall.success, found.macro):
        if rate is not None:
            assert -1e-12 <= rate.low <= rate.value + 1e-12
            assert rate.value - 1e-12 <= rate.high <= 1 + 1e-12


@given(results)
def test_macro_is_the_mean_of_the_rows(drawn):
    found = report(*records_of(drawn))
    rates = [row.success.value for row in found.rows if row.success is not None]
    if rates:
        assert found.macro.value == pytest.approx(mean(rates))


@given(results)
def test_pass_at_k_is_the_share_of_draws_of_k_attempts(drawn):
    found = report(*records_of(drawn))
    assert len(found.overall.pass_at) == max(len(each) for *_, each in drawn)
    for at, every in zip(found.overall.pass_at, found.overall.pass_all, strict=True):
        some, whole = [], []
        for *_, outcomes in drawn:
            solved = [outcome == "success" for outcome in outcomes if outcome in COUNTED]
            draws = list(combinations(solved, at.k))
            if draws:
                some.append(mean(any(draw) for draw in draws))
                whole.append(mean(all(draw) for draw in draws))
        assert at.cases == every.cases == len(some)
        assert at.left_out == len(drawn) - len(some)
        if some:
            assert at.rate.value == pytest.approx(mean(some))
            assert every.rate.value == pytest.approx(mean(whole))
        else:
            assert at.rate is every.rate is None


def test_attempts_that_left_no_record_are_not_run_and_their_cases_count():
    planned = ["s.toml::x[execution-a-0]", "s.toml::x[execution-a-1]", "s.toml::x[other-0]"]
    found = report(record("a", 0), planned=planned)
    assert [row.name for row in found.rows] == ["execution", UNKNOWN]
    assert found.rows[0].counts["not_run"] == 1
    assert found.rows[1].success is None
    assert found.overall.cases == 2
    assert found.overall.success.value == 1
    assert "2 not run" in "\n".join(report_lines(found))


def test_trying_until_it_works_gains_nothing_unless_it_was_nobodys_fault():
    until = [record("a", 0, "failure"), record("a", 0, "success", attempt=2)]
    again = [record("b", 0, "infra"), record("b", 0, "success", attempt=2)]
    found = report(*until, *again)
    assert found.overall.counts["solved"] == found.overall.counts["failed"] == 1
    assert found.overall.judged == 2


def test_attempts_at_a_scenario_in_two_rows_are_not_independent():
    outcomes = ["success", "failure", "success", "success"]
    one = report(*(record(str(i), 0, outcome) for i, outcome in enumerate(outcomes)))
    rows = ("execution", "mini_noise")
    both = report(
        *(record(str(i), 0, outcome, row=row) for row in rows for i, outcome in enumerate(outcomes))
    )
    assert both.overall.success.error == pytest.approx(one.overall.success.error)
    assert both.macro.error == pytest.approx(one.overall.success.error)


def test_what_is_not_known_of_all_is_not_known():
    used = {"calls": 2, "prompt_tokens": 10, "completion_tokens": 5}
    priced = [record("a", 0, cost=0.5, **used), record("a", 1, cost=0.25, **used)]
    found = report(*priced).overall
    assert found.agent.cost.total == 0.75
    assert found.agent.tokens.total == 30
    assert found.dollars_per_solved() == 0.375
    assert found.judge.trials == found.experts.trials == 0
    for other in (
        record("b", 0, **used),
        record("b", 0, "error", error={"type": "TrialDied", "message": "killed"}),
    ):
        found = report(*priced, other)
        assert found.overall.agent.cost.total is None
        assert found.overall.agent.cost.known == 0.75
        assert found.overall.dollars_per_solved() is None
        text = "\n".join(report_lines(found))
        assert re.search(r"execution .* \? +\?", text)
        assert "cost of the agent: unknown of 1 of 3 trials; the others: 0.75 USD" in text
    uncounted = record("b", 0, cost=0.1, uncounted_calls=1, **used)
    assert report(*priced, uncounted).overall.agent.tokens.total is None
    assert report(*priced, uncounted).overall.agent.cost.total == pytest.approx(0.85)


def test_the_judges_cost_stands_apart():
    found = report(record(cost=0.5, calls=1, judge_cost=3.0, judge_calls=9)).overall
    assert found.dollars_per_solved() == 0.5
    assert found.judge.cost.total == 3.0


def test_joules_are_of_all_attempts_for_each_solved_one():
    records = [record("a", 0), record("b", 0, "failure"), record("c", 0, context={"cached": True})]
    for one in records[:2]:
        one.quantities = {"energy": Quantity(6.0, "J", "meter")}
    found = report(*records).overall
    assert found.energy.value == 12
    assert found.cached == 1
    assert found.duration.n == 2
    assert report(record("a", 0)).overall.energy is None


# -- ARE's definitions ------------------------------------------------------------------------------


def test_the_layout_of_are():
    outcomes = {
        "a": ["success", "success", "success"],
        "b": ["success", "failure", "failure"],
        "c": ["success", "success", "infra"],
        "d": ["error", "timeout", "not_run"],
    }
    records = [
        record(case, seed, outcome, context={"model": "openai/o"})
        for case, each in outcomes.items()
        for seed, outcome in enumerate(each)
    ]
    found = report(*records, record("e", 0, "failure", row="time"))
    statistics = are_statistics(found)
    execution = statistics["statistics"]["per_capability"]["execution"]
    # The rates of runs 1, 2 and 3 are 3/4, 2/4 and 1/2.
    assert execution["success_rate"] == 60
    assert execution["success_rate_std"] == pytest.approx(25 / 3**0.5)
    assert execution["success_rate_sem"] == pytest.approx(25 / 3)
    assert (execution["pass_at_k"], execution["pass_k"]) == (3, 1)  # two of two are not three
    assert execution["exception_runs"] == execution["no_validation_runs"] == 1
    overall = statistics["statistics"]["global"]
    assert overall["macro_success_rate"] == 30
    assert overall["micro_success_rate"] == pytest.approx(100 * 6 / 11)
    lines = list(are_lines(statistics, found.tries))
    assert lines[:3] == [
        "=== GAIA2 Validation Report ===", "Model: openai/o", "Provider: openai",
    ]  # fmt: skip
    start = lines.index("=== Execution ===")
    assert lines[start + 1 : start + 9] == [
        "  - Scenarios: 4 unique (12 total runs)",
        "    • Validated runs (counted in success rate): 10",
        "    • No validation runs (not counted): 1",
        "    • Exception runs (infrastructure, not counted): 1",
        "  - Success rate: 60.0% ± 8.3% (STD: 14.4%)",
        "  - Pass@3: 3 scenarios (75.0%)",
        "  - Pass^3: 1 scenarios (25.0%)",
        "  - Average run duration: 2.0s (STD: 0.0s)",
    ]
    assert lines.index("=== Time ===") < lines.index("=== Global Summary ===")


# -- runs -----------------------------------------------------------------------------------------

SCENARIO = """
    [[scenario]]
    name = "{name}"
    domain = "assistant"
    task = "a2perf/demo"
    phase = "{phase}"
    agent = "{agent}"
    seeds = {seeds}
    agent_options = {{{agent_options}}}
    options = {{{options}}}
"""
OPTIONS = 'limit = 1, subset = "execution", agent_to_agent = {model = "openai/x"}'


def scenario(name="suite", *, phase="gaia2", seeds=1, options=OPTIONS, agent_options="", **more):
    agent = more.get("agent", "assistant-oracle")
    return SCENARIO.format(
        name=name, phase=phase, agent=agent, seeds=seeds, agent_options=agent_options, options=options
    )  # fmt: skip


@pytest.fixture
def run_folder(project):
    """Return the folder of the project's newest run."""

    def run_folder():
        # Names tell seconds, and two runs may begin in one.
        runs = (project.path / ".a2perf" / "runs").iterdir()
        return max(runs, key=lambda run: (run / "plan.json").stat().st_mtime_ns)

    return run_folder


@pytest.fixture
def gaia2(project, monkeypatch, capsysbinary):
    """Run the command in the project; return its status, output and errors."""
    monkeypatch.chdir(project.path)

    def gaia2(*arguments):
        capsysbinary.readouterr()
        status = main(["gaia2", *map(str, arguments)])
        out, err = capsysbinary.readouterr()
        return status, out.decode(), err.decode()

    return gaia2


@pytest.fixture(scope="module", autouse=True)
def imported():
    """Import what pytester would forget after each test."""
    import pyarrow.parquet

    from pytest_a2perf.domains.assistant import play
    from pytest_a2perf.domains.assistant.gaia2 import report
    from pytest_a2perf.llm.provider import load_litellm

    load_litellm()
    del play, report, pyarrow


def test_the_groups_and_the_folder_that_is_submitted(project, write, records, run_folder):
    write(scenario(seeds=2))
    result = project.runpytest("--a2perf", "-v")
    by_group = defaultdict(set)
    for one in records():
        by_group[one.context["group"]].add(one.case)
        assert one.case.startswith(f"{one.context['group']}-{one.context['scenario']}")
    assert {group: len(cases) for group, cases in by_group.items()} == {
        "standard": 5, "agent2agent": 1, "noise": 1,
    }  # fmt: skip
    (folder,) = (run_folder() / "gaia2").iterdir()
    result.stdout.fnmatch_lines(["*suite (gaia2)", "*execution_noise *", f"*submission: {folder}"])
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    assert names == {
        "execution", "search", "adaptability", "time", "ambiguity",
        "execution_a2a", "execution_noise",
    }  # fmt: skip
    for name in names:
        cases = find_cases(str(folder), root=project.path, config=name)
        assert [case.run_number for case in cases] == [1, 2]
        assert {case.split for case in cases} == {"validation"}
        assert all(case.trace().completed_events for case in cases)
    lines = read_output((folder / "output.jsonl").read_text("utf-8"), "output.jsonl")
    assert len(lines) == len(records()) == 14
    assert all((run_folder() / line.trace_id).is_file() for line in lines)
    solved = sum(record.outcome == "success" for record in records())
    assert sum(line.success for line in lines) == solved
    statistics = read_statistics((folder / "benchmark_stats.json").read_text("utf-8"), "stats")
    assert statistics.metadata["report_version"] == "3.0"
    assert statistics.statistics.overall["total_runs"] == 14
    assert statistics.statistics.overall["success_runs"] == solved
    assert "execution_agent2agent" in statistics.statistics.per_capability


def test_the_columns_are_those_of_metas_package(project, write, run_folder):
    import pyarrow.parquet as pq

    write(scenario())
    project.runpytest("--a2perf", "-m", "noise or agent2agent")
    (folder,) = (run_folder() / "gaia2").iterdir()
    rows = {
        path.parent.name: pq.read_table(path).to_pylist()[0] for path in folder.glob("*/*.parquet")
    }
    assert set(rows) == {"execution_a2a", "execution_noise"}
    noise, experts = rows["execution_noise"], rows["execution_a2a"]
    assert list(noise) == [
        "scenario_id", "run_number", "task_id", "score", "status", "data", "run_type", "config",
        "phase_name", "a2a_app_prop", "has_app_noise", "has_env_noise", "run_config",
        "has_exception", "exception_type", "exception_message", "rationale",
    ]  # fmt: skip
    assert (noise["phase_name"], noise["config"], noise["run_number"]) == ("noise", "execution", 1)
    assert noise["has_app_noise"] is noise["has_env_noise"] is True
    assert (experts["a2a_app_prop"], experts["has_app_noise"]) == (1.0, False)
    assert json.loads(experts["data"])["version"] == "are_simulation_v1"
    card = (folder / "README.md").read_text("utf-8")
    assert "- config_name: execution_noise" in card
    assert "path: execution_noise/validation-*" in card


@pytest.mark.slow
def test_a_submission_is_judged_again(project, write, records, run_folder):
    write(scenario(options=OPTIONS, agent_options='flaw = "missing-call"', seeds=2))
    project.runpytest("--a2perf", "-m", "standard")
    (folder,) = (run_folder() / "gaia2").iterdir()
    folder.rename(project.path / "submitted")
    before = {one.context["scenario"]: one.outcome for one in records()}
    run_folder().rename(project.path / "first")
    again = scenario(phase="judge", options="").replace("a2perf/demo", "submitted")
    write(again)
    result = project.runpytest("--a2perf")
    assert len(records()) == 10
    assert {one.context["scenario"]: one.outcome for one in records()} == before
    result.stdout.fnmatch_lines(["*(judge)*", "*5 cases, 2 attempts at each*"])


@pytest.mark.slow
def test_the_apps_agents_have_the_agents_own_model(project, write, records, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def answer(messages):
        if "in charge of the app" in str(messages[0]["content"]):
            return call("final_answer", answer="There is nothing.")
        if messages[-1]["role"] == "tool":
            return call("AgentUserInterface__send_message_to_user", content="Done.")
        return call("EmailsExpert__expert_agent", task="Is there any mail?")

    with LlmServer(answer) as server:
        options = 'ids = ["execution_invoices"], subset = "execution", judge = {hard_only = true}'
        model = f'model = "openai/own", api_base = "{server.url}", max_steps = 9, max_retries = 0'
        write(scenario(agent="assistant-llm", agent_options=model, options=options))
        project.runpytest("--a2perf")
    found = {one.context["group"]: one for one in records()}
    assert {one.outcome for one in found.values()} == {"failure"}
    assert {each["model"] for each in server.asked} == {"own"}
    assert found["agent2agent"].reported["experts_calls"].value == 1
    assert "experts_calls" not in found["standard"].reported
    assert found["agent2agent"].context["model"] == "openai/own"


def test_noise_is_only_in_its_group(project, write, records):
    write(scenario(options=f"{OPTIONS}, noise = {{failures = 1.0}}"))
    project.runpytest("--a2perf")
    outcomes = defaultdict(set)
    for one in records():
        outcomes[one.context["group"]].add(one.outcome)
    assert outcomes["standard"] == outcomes["agent2agent"] == {"success"}
    assert "success" not in outcomes["noise"]


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ('subset = "execution"', ["*agent_to_agent.model*missing*in the group agent2agent*"]),
        ('agent_to_agent = {model = "x"}', ["*no config 'mini'*", "*options.subset is 'mini'*"]),
        (f'{OPTIONS}, traces = "lite"', ["*options.traces*phase 'gaia2' submits traces*"]),
        (f'{OPTIONS}, judge = {{kind = "none"}}', ["*judge.kind*phase 'gaia2' needs a judge*"]),
        (f'{OPTIONS}, backend = "are"', ["*backend*phase 'gaia2' needs backend = 'native'*"]),
    ],
)
def test_a_suite_that_cannot_be_run_says_what_to_do(project, write, options, lines):
    write(scenario(options=options))
    result = project.runpytest("--a2perf")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(lines)


@pytest.mark.slow
def test_shards_are_submitted_after_their_merge(project, write, run_folder):
    write(scenario())
    for shard in ("1/2", "2/2"):
        project.runpytest("--a2perf", "--a2perf-shard", shard)
        assert not (run_folder() / "gaia2").exists()
    result = project.run(sys.executable, "-m", "pytest_a2perf", "merge", ".a2perf/runs")
    assert result.ret in (0, 1)
    (folder,) = (run_folder() / "gaia2").iterdir()
    lines = read_output((folder / "output.jsonl").read_text("utf-8"), "output.jsonl")
    assert len(lines) == 7
    assert "no trace" not in (folder / "README.md").read_text("utf-8")
    cases = find_cases(str(folder), root=project.path)
    assert len(cases) == 5


# -- the command ----------------------------------------------------------------------------------


def test_runs_are_summed_up(project, write, gaia2, run_folder):
    write(
        scenario("good", phase="inference", options="limit = 1", seeds=2)
        + scenario("bad", phase="inference", options="limit = 1", agent_options='flaw = "silent"')
    )
    project.runpytest("--a2perf")
    run = run_folder().name
    status, out, _ = gaia2(run, "--json", "out/report.json")
    assert status == 0
    assert out.count("pass^k") == 2
    assert re.search(r"good \(inference\)\n.*5 cases, 2 attempts at each", out)
    assert re.search(r"execution +1 +2 +0 +100\.0 %", out)
    data = json.loads((project.path / "out/report.json").read_text())
    bad, good = sorted(data["reports"], key=lambda one: one["scenario"])
    assert good["overall"]["counts"]["solved"] == 10
    assert bad["macro"]["value"] == 0
    assert len(good["rows"][0]["pass_all"]) == 2
    status, out, _ = gaia2(run, "--scenario", "good", "--layout", "are")
    assert out.startswith("=== GAIA2 Validation Report ===\nModel: assistant-oracle\n")
    assert out.count("Pass^2: 1 scenarios (100.0%)") == 5


def test_scenarios_are_submitted_together(project, write, gaia2, run_folder):
    each = [
        scenario(name, phase="inference", options=options)
        for name, options in {
            "time": 'config = "time", limit = 1',
            "noise": 'config = "search", limit = 1, noise = {failures = 0, renames = false}',
        }.items()
    ]
    write("".join(each))
    project.runpytest("--a2perf")
    run = run_folder().name
    status, _, err = gaia2(run, "--submission", "sub")
    assert status == 1
    assert "several scenarios" in err
    assert "--join" in err
    status, out, _ = gaia2(run, "--submission", "sub", "--join")
    assert status == 0
    assert re.search(r"all \(micro\) +2 +2", out)
    names = {path.name for path in (project.path / "sub").iterdir() if path.is_dir()}
    assert names == {"time", "search_noise"}
    status, _, err = gaia2(run, run_folder(), "--join", "--scenario", "time")
    assert status == 0


def test_the_same_attempt_is_not_submitted_twice(project, write, gaia2, run_folder):
    options = 'config = "time", limit = 1'
    write(
        scenario("one", phase="inference", options=options)
        + scenario("two", phase="inference", options=options)
    )
    project.runpytest("--a2perf")
    status, _, err = gaia2(run_folder().name, "--join", "--submission", "sub")
    assert status == 1
    assert "are the same attempt of time" in err


def test_a_run_of_something_else_is_an_error(project, write, gaia2, run_folder):
    write('[[scenario]]\nname = "x"\ntask = "CartPole-v1"\nagent = "agents:Right"')
    project.runpytest("--a2perf")
    assert gaia2(run_folder().name)[0] == 1
    status, _, err = gaia2("nowhere")
    assert status == 1
    assert "no run 'nowhere'" in err


def test_capabilities_are_gated_each(project, write):
    each = [
        scenario(name, phase="inference", options=f'config = "{name}", limit = 1')
        + f'gates = {{"success.rate" = ">= {limit} %"}}\n'
        for name, limit in (("time", 50), ("search", 50))
    ]
    write("\n".join(each).replace("agent_options = {}", "", 1))
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines(["*::search", "*PASS *", "*::time", "*PASS *"])


# -- the protocol ---------------------------------------------------------------------------------

DOMAIN = """
    from pytest_a2perf.errors import A2PerfError
    from pytest_a2perf.scenarios.models import Strict


    class Sums:
        name = "sums"
        phases = frozenset({"inference"})
        options = Strict

        def check(self, scenario):
            return ()

        def prepare(self):
            pass

        def run(self, trial):
            trial.episode(1.0, 1)

        def summarise(self, scenario_id, records, run, sources):
            yield f"{len(records)} records of {scenario_id} in {run.name}"
            if "bad" in scenario_id:
                raise A2PerfError("the disk is full")


    def pytest_a2perf_domains():
        return [Sums()]
"""


def summed(*names):
    return "".join(
        f'[[scenario]]\nname = "{name}"\ndomain = "sums"\ntask = "t"\nseeds = 3\n' for name in names
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_domain_sums_up_each_scenario_once(project, write, run_folder, workers):
    project.makeconftest(DOMAIN)
    write(summed("one", "two"))
    result = project.runpytest("--a2perf", f"-n{workers}")
    assert result.ret == 0
    for name in ("one", "two"):
        line = f"3 records of scenarios/suite.toml::{name} in {run_folder().name}"
        assert result.stdout.str().count(line) == 1


def test_a_summary_that_fails_fails_the_run_and_costs_nothing(project, write, records, run_json):
    project.makeconftest(DOMAIN)
    write(summed("bad", "good"))
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["3 records of *::good*", "*suite.toml::bad: the summary failed: the disk is full"]
    )
    assert len(records()) == 6
    assert run_json()["state"] == "complete"
