"""The same records and verdicts under pytest-xdist."""

from __future__ import annotations

import json

import pytest

SUITE = """
    [[scenario]]
    name = "good"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 8
    [scenario.gates]
    "return.mean" = ">= 100"
    "latency.p95" = "<= 1 s"

    [[scenario]]
    name = "bad"
    task = "CartPole-v1"
    agent = "agents:wrong"
    seeds = 4
    [scenario.gates]
    "return.mean" = ">= 100"
"""


@pytest.mark.slow
@pytest.mark.parametrize("dist", ["load", "worksteal", "loadscope", "loadfile"])
def test_gates_are_judged_by_the_controller(project, write, records, dist):
    write(SUITE)
    result = project.runpytest_subprocess("--a2perf", "-n", "2", "--dist", dist, "-v")
    result.assert_outcomes(passed=14, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED scenarios/suite.toml::bad::return.mean*"])
    assert len(records()) == 12


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers(project, write):
    write(SUITE)
    runs = []
    for workers in ("0", "2"):
        path = project.path / f"{workers}.json"
        project.runpytest_subprocess("--a2perf", "-n", workers, "--a2perf-json", str(path))
        data = json.loads(path.read_text())
        trials = {
            trial["nodeid"]: (trial["seed"], trial["outcome"], trial["episodes"]["total"])
            for trial in data["trials"]
        }
        gates = {
            name: [scenario["gates"]["return.mean"][key] for key in ("value", "low", "high")]
            for name, scenario in data["scenarios"].items()
        }
        runs.append((trials, gates))
    assert runs[0] == runs[1]


@pytest.mark.slow
def test_python_tests_and_their_gates(project):
    project.makepyfile("""
        import pytest
        @pytest.mark.a2perf(seeds=6, gates={"return.mean": "<= 3", "return.max": "<= 3"})
        def test_x(trial):
            trial.episode(trial.seed, 1)
    """)
    result = project.runpytest_subprocess("--a2perf", "-n", "2")
    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(["*return.max of test_python_tests*::test_x*"])


@pytest.mark.slow
def test_junit_has_trials_and_gates(project, write):
    write(SUITE)
    for workers in ("0", "2"):
        project.runpytest_subprocess("--a2perf", "-n", workers, "--junitxml", "junit.xml")
        import xml.etree.ElementTree as ET

        suite = ET.parse(project.path / "junit.xml").getroot().find("testsuite")
        assert (suite.get("tests"), suite.get("failures")) == ("15", "1")
        cases = {(c.get("classname"), c.get("name")): c for c in suite.findall("testcase")}
        failed = cases["scenarios.suite.toml.bad", "return.mean"]
        assert "below the limit" in failed.find("failure").text
        trial = cases["scenarios.suite.toml", "good[0]"]
        properties = {p.get("name"): p.get("value") for p in trial.iter("property")}
        assert properties["a2perf.seed"] == "0"
        assert float(properties["a2perf.return.mean"]) > 0
        assert float(properties["a2perf.time.wall"]) > 0


@pytest.mark.slow
def test_an_internal_error_in_a_worker_is_not_a_success(project, write):
    write(SUITE)
    project.makeconftest("""
        import os
        def pytest_runtest_teardown(item):
            if "PYTEST_XDIST_WORKER" in os.environ and item.name == "good[3]":
                os._exit(0)
    """)
    result = project.runpytest_subprocess("--a2perf", "-n", "1", "--max-worker-restart", "0", "-k", "good")  # fmt: skip
    assert result.ret != 0
