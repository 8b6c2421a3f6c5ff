"""Baselines and regression gates, as a user meets them."""

from __future__ import annotations

import json

import pytest

SUITE = """
    import os, random, pytest

    FACTOR = float(os.environ.get("FACTOR", "1"))
    NOISE = float(os.environ.get("NOISE", "0"))

    @pytest.mark.a2perf(seeds=int(os.environ.get("SEEDS", "8")), gates={gates})
    def test_agent(trial):
        noise = random.Random(os.environ.get("RUN", "a") + str(trial.seed)).gauss(0, NOISE)
        trial.episode(FACTOR * (100 + 10 * trial.seed) * (1 + noise), 1)
        trial.report("cost", 2.0 * (1 + trial.seed) / FACTOR, "J")
"""
RETURN = "{'return.mean': {'regression': '5 %'}}"
COST = "{'reported.cost.mean': {'regression': '5 %', 'better': 'lower'}}"
ID = "test_baselines_"


@pytest.fixture
def run(project, monkeypatch):
    """Run the suite with a factor on the agent's return."""

    def run(*arguments, gates=RETURN, **environment):
        project.makepyfile(test_it=SUITE.replace("{gates}", gates))
        for name in ("FACTOR", "NOISE", "SEEDS", "RUN"):
            monkeypatch.delenv(name, raising=False)
            if name in environment:
                monkeypatch.setenv(name, str(environment[name]))
        return project.runpytest_subprocess("--a2perf", "-rA", *arguments)

    return run


def gate_lines(result):
    return [line.strip() for line in result.outlines if line.strip().startswith(("PASS ", "FAIL ", "NEW ", "SKIP ", "UNDECIDED "))]  # fmt: skip


@pytest.mark.slow
def test_without_a_baseline_a_gate_is_new_or_fails_where_one_is_required(run):
    result = run()
    result.assert_outcomes(passed=8, skipped=1)
    result.stdout.fnmatch_lines(["*NEW *return.mean at most 5 % worse*", "*name one with --a2perf-compare*"])  # fmt: skip
    result = run("--a2perf-require-baseline")
    result.assert_outcomes(passed=8, failed=1)
    assert result.ret == 1


@pytest.mark.slow
def test_an_equal_run_passes_a_worse_one_fails_and_a_better_one_passes(run):
    run("--a2perf-save", "main").stdout.fnmatch_lines(["*baseline 'main' saved in *main.json"])
    run().assert_outcomes(passed=9)
    worse = run(FACTOR=0.9)
    worse.assert_outcomes(passed=8, failed=1)
    worse.stdout.fnmatch_lines(["*10 % worse [[]10 %, 10 %] than 'main' over 8 paired seeds (p 0.0039)*"])  # fmt: skip
    run(FACTOR=1.2).assert_outcomes(passed=9)
    run(FACTOR=0.97).assert_outcomes(passed=9)


@pytest.mark.slow
def test_noise_is_no_regression_and_too_few_seeds_are_undecided(run):
    run("--a2perf-save", "main", NOISE=0.02, RUN="a")
    run(NOISE=0.02, RUN="b").assert_outcomes(passed=9)
    result = run(FACTOR=0.9, SEEDS=3)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*UNDECIDED return.mean*", "*about 5 seeds would*"])
    run("--a2perf-undecided=warn", FACTOR=0.9, SEEDS=3).stdout.fnmatch_lines(
        ["*3 passed, 1 undecided*"]
    )


@pytest.mark.slow
def test_the_baseline_is_small_and_can_be_read_in_a_diff(run, project):
    run("--a2perf-save", "main")
    text = (project.path / "baselines" / "main.json").read_text()
    data = json.loads(text)["scenarios"]["test_it.py::test_agent"]
    assert data["metrics"]["return.mean"] == {str(seed): 100.0 + 10 * seed for seed in range(8)}
    assert {"digest", "commit", "started", "machine"} <= data.keys()
    assert len(text.splitlines()) < 60
    assert max(map(len, text.splitlines())) < 300


@pytest.mark.slow
def test_update_says_what_is_new_updated_and_unused(run, project):
    result = run("--a2perf-update-baseline")
    result.stdout.fnmatch_lines(["*baseline 'main': 1 new, 0 updated, 0 unused removed*"])
    result = run("--a2perf-update-baseline", FACTOR=1.5)
    result.stdout.fnmatch_lines(["*baseline 'main': 0 new, 1 updated, 0 unused removed*"])
    run(FACTOR=1.5).assert_outcomes(passed=9)
    project.makepyfile(test_it=SUITE.replace("{gates}", RETURN).replace("test_agent", "test_other"))
    result = project.runpytest_subprocess("--a2perf", "--a2perf-update-baseline")
    result.stdout.fnmatch_lines(["*1 new, 0 updated, 1 unused removed*"])
    assert "test_agent" not in (project.path / "baselines" / "main.json").read_text()


@pytest.mark.slow
def test_a_selection_leaves_the_rest_of_the_baseline_alone(run, project):
    two = SUITE.replace("{gates}", RETURN) + SUITE.replace("{gates}", RETURN).replace("test_agent", "test_other")  # fmt: skip
    project.makepyfile(test_it=two)
    project.runpytest_subprocess("--a2perf", "--a2perf-update-baseline")
    result = project.runpytest_subprocess("--a2perf", "--a2perf-update-baseline", "-k", "agent")
    result.stdout.fnmatch_lines(["*0 new, *1 unused kept, since tests were deselected*"])
    assert "test_other" in (project.path / "baselines" / "main.json").read_text()


@pytest.mark.slow
def test_absolute_tolerances_and_limits_beside_them(run):
    gates = "{'return.mean': {'regression': 20, 'min': 90}, 'reported.cost.mean': {'regression': '500 mJ', 'better': 'lower'}}"  # fmt: skip
    run("--a2perf-save", "main", gates=gates)
    run(gates=gates).assert_outcomes(passed=10)
    result = run(gates=gates, FACTOR=0.7)
    result.assert_outcomes(passed=8, failed=2)
    result.stdout.fnmatch_lines(["*FAIL *return.mean >= 90 and at most 20 worse*"])


@pytest.mark.slow
def test_a_changed_scenario_has_no_baseline_any_more(run, project):
    run("--a2perf-save", "main")
    project.makepyfile(test_it=SUITE.replace("{gates}", RETURN + ", episodes=2"))
    result = project.runpytest_subprocess("--a2perf", "-rs")
    result.assert_outcomes(passed=8, skipped=1)
    result.stdout.fnmatch_lines(["*is of another version of this scenario*"])


@pytest.mark.slow
def test_another_machine_says_nothing_about_energy_unless_asked(run, project):
    run("--a2perf-save", "main", gates=COST)
    path = project.path / "baselines" / "main.json"
    data = json.loads(path.read_text())
    data["scenarios"]["test_it.py::test_agent"]["machine"]["cpu"] = "Another CPU"
    path.write_text(json.dumps(data))
    result = run(gates=COST)
    result.assert_outcomes(passed=8, skipped=1)
    result.stdout.fnmatch_lines(["*is of another machine (cpu 'Another CPU', here *"])
    run("--a2perf-any-machine", gates=COST).assert_outcomes(passed=9)
    run("--a2perf-any-machine", gates=COST, FACTOR=0.5).assert_outcomes(passed=8, failed=1)


@pytest.mark.slow
def test_a_run_serves_as_baseline_by_path_and_automatically(run, project):
    project.run("git", "init", "-q", "-b", "main", ".")
    project.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x")  # fmt: skip
    run()
    (folder,) = (project.path / ".a2perf" / "runs").iterdir()
    run(f"--a2perf-compare={folder}", FACTOR=0.5).assert_outcomes(passed=8, failed=1)
    project.run("git", "checkout", "-q", "-b", "topic")
    run("--a2perf-compare=auto", FACTOR=0.5, SEEDS=8)
    result = run("--a2perf-compare=auto")
    result.assert_outcomes(passed=9)  # compared with main's newest run, which had a factor of 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--a2perf-compare=mian"], "*no baseline 'mian'*did you mean 'main'*"),
        (["--a2perf-alpha=2"], "*--a2perf-alpha*expected a probability below 0.5, got '2'*"),
        (["--a2perf-save=a/b"], "*--a2perf-save: expected a name*"),
    ],
)
def test_bad_requests_are_usage_errors(run, arguments, message):
    run("--a2perf-save", "main")
    result = run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_a_broken_baseline_is_named(run, project):
    (project.path / "baselines").mkdir()
    (project.path / "baselines" / "main.json").write_text("{")
    result = run("--a2perf-compare=main")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*main.json: not a baseline*write it anew with --a2perf-save*"])


@pytest.mark.slow
def test_gates_that_cannot_regress_are_errors_at_collection(run):
    result = run(gates="{'length.mean': {'regression': '5 %'}}")
    result.stdout.fnmatch_lines(["*length.mean may be better higher or lower*"])
    result = run(gates="{'energy': {'regression': '5 ms'}}")
    result.stdout.fnmatch_lines(["*energy is in J, the tolerance in s*"])


@pytest.mark.slow
def test_the_correction_holds_for_all_gates_of_a_run(project, monkeypatch):
    """One of 20 gates at p = 0.0039 is no proof: 20 times that is more than 0.05."""
    one = SUITE.replace("{gates}", RETURN)
    tests = [one.replace("test_agent", f"test_{i}") for i in range(20)]
    tests[1:] = [test.replace("FACTOR *", "1 *") for test in tests[1:]]
    project.makepyfile(test_it="\n".join(tests))
    project.runpytest_subprocess("--a2perf", "--a2perf-save=main")
    monkeypatch.setenv("FACTOR", "0.9")
    result = project.runpytest_subprocess("--a2perf")
    result.stdout.fnmatch_lines(["*UNDECIDED return.mean at most 5 % worse*"])
    result.stdout.no_fnmatch_line("*    FAIL *")


@pytest.mark.slow
def test_workers_and_merge_compare_alike(run, project):
    run("--a2perf-save", "main")
    run("-n", "2", FACTOR=0.9).assert_outcomes(passed=8, failed=1)
