"""Shards and their merge: the same records and verdicts as one run."""

from __future__ import annotations

import json
import shutil
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.runs.store import read_records
from pytest_a2perf.scheduling.shards import Shard, assign, parse_shard

SUITE = """
    [[scenario]]
    name = "good"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 7
    [scenario.gates]
    "return.mean" = ">= 100"

    [[scenario]]
    name = "bad"
    task = "CartPole-v1"
    agent = "agents:wrong"
    seeds = 4
    [scenario.gates]
    "return.mean" = ">= 100"
    "length.mean" = "<= 50"

    [[scenario]]
    name = "ungated"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 2
"""


@pytest.fixture
def sharded(project, write):
    """Run the suite as three shards; return their folders."""
    write(SUITE)
    for index in (1, 2, 3):
        arguments = ["--a2perf", "--a2perf-shard", f"{index}/3", "--a2perf-dir", f"part{index}"]
        result = project.runpytest_subprocess(*arguments)
        assert result.ret == 0
        result.stdout.fnmatch_lines([f"*shard {index}/3: gates are judged by *merge*"])
    return [f"part{index}" for index in (1, 2, 3)]


def merge(project, *arguments):
    return project.run(sys.executable, "-m", "pytest_a2perf", "merge", *arguments)


def results(path):
    data = json.loads(path.read_text())
    trials = {t["nodeid"]: (t["seed"], t["outcome"], t["episodes"]) for t in data["trials"]}
    gates = {
        (name, metric): (gate["verdict"], gate["value"], gate["low"], gate["high"])
        for name, scenario in data["scenarios"].items()
        for metric, gate in scenario["gates"].items()
    }
    return trials, gates


@pytest.mark.slow
def test_merged_shards_equal_one_run(project, sharded):
    assert sum(len(list(read_records(run))) for run in project.path.glob("part*/runs/*")) == 13
    result = merge(
        project, *sharded, "--a2perf-json", "merged.json", "--junitxml", "merged.xml", "-v"
    )
    assert result.ret == 1
    result.assert_outcomes(passed=15, failed=1)
    result.stdout.fnmatch_lines(["FAILED scenarios/suite.toml::bad::return.mean*"])
    whole = project.runpytest_subprocess("--a2perf", "--a2perf-json", "whole.json")
    whole.assert_outcomes(passed=15, failed=1)
    assert results(project.path / "merged.json") == results(project.path / "whole.json")
    suite = ET.parse(project.path / "merged.xml").getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("16", "1")


@pytest.mark.slow
def test_shards_that_start_later_cut_alike(project, write):
    write(SUITE.replace('agent = "agents:wrong"', 'agent = "agents:wrong"\n    episodes = 50'))
    for index in (1, 2, 3):
        project.runpytest_subprocess(
            "--a2perf", "--a2perf-shard", f"{index}/3", "--a2perf-dir", "a"
        )
    assert not (project.path / "a" / "durations.json").exists()
    merge(project, "a", "--a2perf-dir", "a").assert_outcomes(passed=15, failed=1)
    assert len(json.loads((project.path / "a" / "durations.json").read_text())) == 3


@pytest.mark.slow
def test_merging_again_changes_nothing(project, sharded):
    merge(project, *sharded, sharded[0], "--a2perf-dir", "once", "--a2perf-json", "once.json")
    again = merge(project, "once", *sharded, "--a2perf-json", "again.json")
    again.assert_outcomes(passed=15, failed=1)
    assert results(project.path / "once.json") == results(project.path / "again.json")


@pytest.mark.slow
def test_a_missing_shard_fails_the_merge_and_is_named(project, sharded):
    result = merge(project, sharded[0], sharded[2])
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*items left no result: scenarios/suite.toml::*", "*shard 2/3 is missing*"]
    )
    result.stdout.fnmatch_lines(["*trials have no result, so this is not a pass*"])


@pytest.mark.slow
def test_a_shard_that_was_cut_off_is_incomplete(project, sharded):
    (folder,) = project.path.glob("part2/runs/*")
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    (folder / "records.jsonl").write_text("".join(lines[:-1]) + lines[-1][:20])
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, "state": "running"}))
    result = merge(project, *sharded)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*1 items left no result*", "*shard 2/3 was cut off: part2*"])


@pytest.mark.slow
def test_a_shard_that_was_killed_before_it_had_a_plan_is_missing(project, sharded):
    (plan,) = project.path.glob("part2/runs/*/plan.json")
    plan.unlink()
    result = merge(project, ".")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*shard 2/3 is missing*"])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_there_may_be_more_shards_than_trials(project, write, workers):
    write(SUITE.partition('[[scenario]]\n    name = "bad"')[0].replace("seeds = 7", "seeds = 2"))
    for index in (1, 2, 3):
        arguments = ["--a2perf-shard", f"{index}/3", "--a2perf-dir", "part", *workers]
        assert project.runpytest_subprocess("--a2perf", *arguments).ret == 0
    merge(project, "part").assert_outcomes(passed=3)


@pytest.mark.slow
def test_a_repeated_shard_replaces_the_first_attempt(project, sharded):
    shutil.copytree(project.path / "part1", project.path / "old")
    project.runpytest_subprocess("--a2perf", "--a2perf-shard", "1/3", "--a2perf-dir", "part1")
    result = merge(project, "old", *sharded)
    result.assert_outcomes(passed=15, failed=1)


@pytest.mark.slow
def test_runs_of_other_scenarios_do_not_merge(project, sharded, write):
    write(SUITE.replace("seeds = 7", "seeds = 8"))
    project.runpytest_subprocess("--a2perf", "--a2perf-shard", "1/3", "--a2perf-dir", "other")
    result = merge(project, "other", *sharded)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["merge: other/* are not parts of one run: trial *good*"])


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_folder_without_runs_is_an_error(project, make):
    make(project.path / "empty")
    result = merge(project, "empty")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["merge: empty: no run here*"])


@pytest.mark.slow
def test_shards_work_under_xdist_and_keep_groups_together(project, write):
    write(SUITE.replace("seeds = 7", 'seeds = 7\n    group = "one"'))
    for index in (1, 2):
        arguments = ["--a2perf-shard", f"{index}/2", "-n", "2", "--a2perf-dir", f"part{index}"]
        assert project.runpytest_subprocess("--a2perf", *arguments).ret == 0
    shards = [
        {record.nodeid for run in project.path.glob(f"part{index}/runs/*") for record in read_records(run)}
        for index in (1, 2)
    ]  # fmt: skip
    assert not shards[0] & shards[1]
    assert sorted(len([n for n in shard if "::good" in n]) for shard in shards) == [0, 7]


@pytest.mark.slow
def test_ordinary_tests_are_shared_out_too(project):
    project.makepyfile(
        "import pytest\n@pytest.mark.parametrize('i', range(10))\ndef test_a(i): pass"
    )
    for index in (1, 2):
        result = project.runpytest_subprocess("--a2perf", "--a2perf-shard", f"{index}/2")
        result.assert_outcomes(passed=5, deselected=5)


@pytest.mark.slow
@pytest.mark.parametrize("shard", ["5/4", "0/4", "1", "x/y", "-1/2", "1/0"])
def test_a_shard_that_does_not_exist_is_a_usage_error(project, shard):
    result = project.runpytest_subprocess("--a2perf", f"--a2perf-shard={shard}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--a2perf-shard*"])


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, Shard(4, 4)),
        ({"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_STEP": "2"}, Shard(3, 4)),
        ({"JOB_COMPLETION_INDEX": "0", "A2PERF_SHARDS": "8"}, Shard(1, 8)),
        ({"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "5"}, Shard(2, 5)),
        ({"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "2"}, Shard(1, 2)),
        ({"BUILDKITE_PARALLEL_JOB": "1", "BUILDKITE_PARALLEL_JOB_COUNT": "2"}, Shard(2, 2)),
    ],
)  # fmt: skip
def test_auto_reads_the_array_job(environ, expected):
    assert parse_shard("auto", environ) == expected


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "no array job is running here"),
        ({"JOB_COMPLETION_INDEX": "0"}, "A2PERF_SHARDS is None"),
        ({"JOB_COMPLETION_INDEX": "8", "A2PERF_SHARDS": "8"}, "no shard 9 of 8"),
        ({"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "9", "SLURM_ARRAY_TASK_COUNT": "3"}, "have gaps"),
    ],
)  # fmt: skip
def test_auto_says_what_is_missing(environ, message):
    with pytest.raises(A2PerfError, match=message):
        parse_shard("auto", environ)


@given(
    seconds=st.lists(st.floats(0.001, 1e4), min_size=1, max_size=60), count=st.integers(1, 9)
)  # fmt: skip
def test_shards_are_balanced_within_the_bound_of_the_rule(seconds, count):
    shards = assign([(f"t{i}", s) for i, s in enumerate(seconds)], count)
    assert set(shards) == {f"t{i}" for i in range(len(seconds))}
    loads = [0.0] * count
    for name, shard in shards.items():
        loads[shard - 1] += seconds[int(name[1:])]
    # Graham 1966: list scheduling never exceeds the mean by more than one job.
    assert max(loads) <= sum(seconds) / count + max(seconds) + 1e-6
