"""Scenarios that end as soon as their gates are decided."""

from __future__ import annotations

import json
import sys

import pytest

SUITE = """
    import random, pytest

    @pytest.mark.a2perf(seeds={{"min": {least}, "max": {most}}}, gates={gates})
    def test_agent(trial):
        trial.episode(random.Random(trial.seed).gauss({mean}, 10), 1)
"""


@pytest.fixture
def run(project, records):
    def run(*arguments, least=5, most=60, mean=100, gates="{'return.mean': '>= 50'}"):
        text = SUITE.format(least=least, most=most, mean=mean, gates=gates)
        project.makepyfile(test_it=text)
        return project.runpytest_subprocess("--a2perf", *arguments)

    return run


@pytest.mark.slow
def test_a_clear_case_ends_early_and_says_so(run, records, project):
    result = run("--a2perf-json", "run.json")
    assert result.ret == 0
    trials = len(records())
    assert 5 <= trials <= 10
    result.assert_outcomes(passed=trials + 1)
    result.stdout.fnmatch_lines([f"*test_agent was decided after {trials} of up to 60 seeds*"])
    gate = json.loads((project.path / "run.json").read_text())["scenarios"]["test_it.py::test_agent"]["gates"]["return.mean"]  # fmt: skip
    assert gate["verdict"] == "pass"
    assert "of up to 60 seeds" in gate["reason"]


@pytest.mark.slow
def test_a_clear_failure_ends_early_too(run, records):
    result = run(mean=0)
    assert result.ret == 1
    assert len(records()) <= 10


@pytest.mark.slow
def test_a_close_case_takes_all_its_seeds(run, records):
    result = run(mean=50, most=12)
    assert len(records()) == 12
    assert result.ret == 1


@pytest.mark.slow
def test_every_gate_has_to_be_decided(run, records):
    run(gates="{'return.mean': '>= 50', 'return.median': '>= 99.9'}", most=15)
    assert len(records()) == 15


@pytest.mark.slow
def test_workers_stop_as_well(run, records):
    result = run("-n", "2")
    assert result.ret == 0
    assert 5 <= len(records()) < 40  # those ahead of the decision run, too
    result.stdout.fnmatch_lines(["*was decided after * of up to 60 seeds*"])


@pytest.mark.slow
def test_verdicts_do_not_depend_on_the_workers(run, project, records):
    verdicts = []
    for workers in ("0", "2"):
        run("-n", workers, "--a2perf-json", f"{workers}.json", mean=60)
        scenario = json.loads((project.path / f"{workers}.json").read_text())["scenarios"]
        gate = scenario["test_it.py::test_agent"]["gates"]["return.mean"]
        verdicts.append((gate["verdict"], gate["n"], gate["low"], gate["high"], gate["reason"]))
    assert verdicts[0] == verdicts[1]


@pytest.mark.slow
def test_a_resumed_run_goes_on_from_what_it_has(run, records):
    run("--a2perf-shard=1/1", most=6)  # no early stopping: six trials
    result = run("--a2perf-resume", most=6)
    assert len(records()) == 6
    assert result.ret == 0


@pytest.mark.slow
def test_a_merge_keeps_the_decision(run, project, records):
    run()
    (folder,) = (project.path / ".a2perf" / "runs").iterdir()
    result = project.run(sys.executable, "-m", "pytest_a2perf", "merge", str(folder))
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*left no result*")


@pytest.mark.slow
def test_success_rates_use_exact_boundaries(project, records):
    project.makepyfile("""
        import pytest

        @pytest.mark.a2perf(seeds={"min": 3, "max": 40}, gates={"success.rate": ">= 0.5"})
        def test_agent(trial):
            assert trial.seed % 20 != 19
    """)
    result = project.runpytest_subprocess("--a2perf")
    assert result.ret == 0
    assert len(records()) < 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "message"),
    [("{'min': 9, 'max': 3}", "*expected min <= max*"), ("{'max': 0}", "*seeds*")],
)
def test_impossible_ranges_are_errors(project, seeds, message):
    project.makepyfile(f"""
        import pytest
        @pytest.mark.a2perf(seeds={seeds})
        def test_agent(trial): pass
    """)
    result = project.runpytest_subprocess("--a2perf")
    assert result.ret == 2
    result.stdout.fnmatch_lines([message])
