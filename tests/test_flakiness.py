"""Scenarios without one outcome are named, with how often they flip."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings

from pytest_a2perf.reports.export import estimate_all, run_summary
from pytest_a2perf.reports.flakiness import flaky_lines, flaky_scenarios
from pytest_a2perf.runs.record import Record
from pytest_a2perf.strategies import record_lists


def trials(*outcomes, scenario="s", attempt=1):
    return [
        Record(scenario, f"{scenario}[{seed}]", seed, outcome=outcome, attempt=attempt)
        for seed, outcome in enumerate(outcomes)
    ]


def test_seeds_that_differ_from_most():
    (flaky,) = flaky_scenarios({"s": trials(*["success"] * 7, "failure", "timeout", "failure")})
    assert flaky.outcomes == {"success": 7, "failure": 2, "timeout": 1}
    assert flaky.seeds == (7, 8, 9)
    data = flaky.to_json()
    assert data["over_attempts"] is None
    assert data["over_seeds"]["rate"] == 0.3
    # statsmodels.stats.proportion.proportion_confint(3, 10, method="wilson")
    assert data["over_seeds"]["low"] == pytest.approx(0.10779, abs=1e-5)
    assert data["over_seeds"]["high"] == pytest.approx(0.60322, abs=1e-5)
    assert list(flaky_lines([flaky])) == [
        "  s",
        "    seeds that differ from most: 3 of 10, 30 % [10.78, 60.32]",
        "      7 success, 2 failure, 1 timeout; seeds 7, 8, 9",
    ]


@pytest.mark.parametrize(
    "records",
    [
        [],
        trials("success", "success"),
        trials("failure", "failure"),
        trials("success", "infra", "not_run"),
        trials("infra", scenario="s") + trials("success", attempt=2),
    ],
)
def test_steady_scenarios_are_not_listed(records):
    assert flaky_scenarios({"s": records}) == []


def test_a_seed_counts_with_its_first_attempt_and_reruns_on_their_own():
    records = trials("failure", "success", "success", "failure")
    records += [
        Record("s", "s[0]", 0, outcome="failure", attempt=2),
        Record("s", "s[0]", 0, outcome="success", attempt=3),
        Record("s", "s[3]", 3, outcome="failure", attempt=2),
    ]
    (flaky,) = flaky_scenarios({"s": list(reversed(records))})
    assert flaky.seeds == (0, 3)  # as often as the others: on a tie, success is the majority
    assert (flaky.over_attempts.flipped, flaky.over_attempts.of) == (1, 3)


def test_one_seed_that_flips_is_flaky():
    records = trials("error") + trials("success", attempt=2)
    (flaky,) = flaky_scenarios({"s": records})
    assert flaky.over_seeds.rate == 0
    assert list(flaky_lines([flaky])) == [
        "  s",
        "    reruns that flipped: 1 of 1, 100 % [20.65, 100]",
    ]


def test_the_worst_come_first_and_long_lists_are_cut():
    records = {
        f"s{number}": trials(*["failure"] * number, *["success"] * 40, scenario=f"s{number}")
        for number in range(1, 31)
    }
    found = flaky_scenarios(records)
    assert [flaky.scenario for flaky in found[:2]] == ["s30", "s29"]
    lines = list(flaky_lines(found))
    assert lines[2].endswith("seeds 0, 1, 2, 3, 4, 5, 6, 7, ...")
    assert lines[-1] == "  and 10 more, see run.json"


@pytest.mark.slow
@settings(deadline=None)
@given(record_lists())
def test_any_records(records):
    by_scenario = {}
    for record in records:
        by_scenario.setdefault(record.scenario, []).append(record)
    found = flaky_scenarios(by_scenario)
    assert run_summary(by_scenario, {}, estimate_all(by_scenario))["flaky"] == [
        flaky.to_json() for flaky in found
    ]
    for flaky in found:
        assert len(flaky.seeds) <= flaky.over_seeds.of / 2 or len(flaky.outcomes) > 2
        for flips in (flaky.over_seeds, flaky.over_attempts):
            if flips is not None:
                low, high = flips.interval
                assert 0 <= low <= flips.rate <= high <= 1


FLAKY = """
    import pytest
    tries = {}

    @pytest.mark.flaky(reruns=2)
    @pytest.mark.a2perf(seeds=3)
    def test_it(trial):
        tries[trial.seed] = tries.get(trial.seed, 0) + 1
        if trial.seed < 2:
            assert tries[trial.seed] == 2 + trial.seed
"""


@pytest.mark.slow
@pytest.mark.usefixtures("all_plugins")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_reruns_hide_nothing(project, run_json, records, workers):
    pytest.importorskip("pytest_rerunfailures")
    project.makepyfile(FLAKY)
    result = project.runpytest_subprocess("--a2perf", "-n", workers)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["flaky", "  test_reruns_hide_nothing.py::test_it", "*reruns that flipped: 2 of 3*"]
    )
    (flaky,) = run_json()["flaky"]
    assert flaky["outcomes"] == {"failure": 2, "success": 1}
    assert flaky["seeds"] == [2]
    assert len(records()) == 6


@pytest.mark.slow
@pytest.mark.usefixtures("all_plugins")
def test_a_gate_waits_for_the_last_attempt(project, run_json):
    """Else it would be judged after the first one, where the trial comes last."""
    pytest.importorskip("pytest_rerunfailures")
    project.makepyfile("""
        import pytest, time

        @pytest.mark.flaky(reruns=2)
        @pytest.mark.a2perf(seeds=1, isolate=False, gates={"reported.tries.max": ">= 3"})
        def test_it(trial, request):
            time.sleep(0.3)  # the gate's request overtakes
            tries = request.node.execution_count
            trial.report("tries", tries)
            assert tries == 3
    """)
    project.runpytest_subprocess("--a2perf", "-n", "2").assert_outcomes(passed=2)
    (scenario,) = run_json()["scenarios"].values()
    assert scenario["gates"]["reported.tries.max"]["value"] == 3


@pytest.mark.slow
@pytest.mark.usefixtures("all_plugins")
def test_a_merge_judges_reruns_as_the_run_did(project):
    pytest.importorskip("pytest_rerunfailures")
    project.makepyfile(FLAKY)
    for index in (1, 2):
        project.runpytest_subprocess("--a2perf", "--a2perf-shard", f"{index}/2")
    runs = str(project.path / ".a2perf" / "runs")
    command = [sys.executable, "-m", "pytest_a2perf", "merge", runs]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    assert "reruns that flipped: 2 of 3" in done.stdout
