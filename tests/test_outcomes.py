"""Whatever happens to a trial is recorded as what it was, and the next trial is unharmed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

SCENARIO = """
    [[scenario]]
    name = "first"
    task = "CartPole-v1"
    agent = "agents:{agent}"
    {extra}

    [[scenario]]
    name = "second"
    task = "CartPole-v1"
    agent = "agents:Right"
    [scenario.gates]
    "return.mean" = ">= 100"
"""


# When the alarm comes is not left to chance: it finds the agent stuck, or else the trial has all
# the time that it needs to record what it was told.
BLOCKED = """
    import signal
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
"""
PATIENT = """
    from pytest_a2perf.scheduling import nodes
    from pytest_a2perf.trials import isolation
    isolation.GRACE = nodes._MARGIN = 120.0
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("agent", "extra", "outcome", "message"),
    [
        ("Crashes", "", "error", "from the agent"),
        ("Crashes", "isolate = true", "error", "from the agent"),
        ("Hangs", "timeout = '0.5 s'", "timeout", "timeout of 500 ms"),
        ("Hangs", "timeout = '0.5 s'\n    isolate = false", "timeout", "timeout of 500 ms"),
        ("Stuck", "timeout = '0.5 s'", "timeout", "killed"),
        ("Dies", "isolate = true", "error", "SIGSEGV"),
        ("Rigth", "", "error", "did you mean"),
    ],
)
def test_outcome(project, write, records, workers, agent, extra, outcome, message):
    project.makeconftest(BLOCKED if agent == "Stuck" else PATIENT)
    write(SCENARIO.format(agent=agent, extra=extra))
    result = project.runpytest_subprocess("--a2perf", "-n", workers)
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == 1
    by_name = {record.scenario.rpartition("::")[2]: record for record in records()}
    assert by_name["first"].outcome == outcome
    assert message in by_name["first"].error["message"]
    assert by_name["second"].outcome == "success"
    result.stdout.fnmatch_lines([f"*1 trial on cpu: 1 {outcome}*"])


@pytest.mark.slow
def test_a_worker_that_dies_without_isolation_is_replaced(project, write, records):
    write(SCENARIO.format(agent="Dies", extra=""))
    result = project.runpytest_subprocess("--a2perf", "-n", "1")
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == 1
    outcomes = {record.nodeid: (record.outcome, record.seed) for record in records()}
    assert outcomes["scenarios/suite.toml::first[0]"] == ("error", 0)
    assert outcomes["scenarios/suite.toml::second[0]"] == ("success", 0)


@pytest.mark.slow
def test_the_traceback_is_the_users(project, write):
    write(SCENARIO.format(agent="Crashes", extra=""))
    result = project.runpytest_subprocess("--a2perf")
    result.stdout.fnmatch_lines(
        [
            "ZeroDivisionError: from the agent",
            "*agents.py*in act",
            "*raise ZeroDivisionError*",
            "*scenarios/suite.toml:3: scenario 'first', agent 'agents:Crashes'",
        ]
    )
    assert "pytest_a2perf/" not in result.stdout.str()


@pytest.mark.slow
def test_a_gate_withholds_its_pass_when_a_trial_has_no_result(project, write):
    project.makepyfile(
        flaky="""
        class Flaky:
            def reset(self, seed):
                self.seed = seed
            def act(self, observation):
                if observation[0] > 0:
                    raise RuntimeError("half of the time")
                return int(observation[2] + 0.5 * observation[3] > 0)
        """
    )
    write("""
        [[scenario]]
        name = "flaky"
        task = "CartPole-v1"
        agent = "flaky:Flaky"
        seeds = 4
        [scenario.gates]
        "length.mean" = ">= 0"
    """)
    result = project.runpytest_subprocess("--a2perf")
    result.stdout.fnmatch_lines(["*verdict   undecided: * of 4 trials have no result*"])
    assert result.ret == 1


@pytest.mark.slow
def test_failure_of_the_agent_fails_the_item_unless_a_gate_judges_success(project, write, records):
    scenario = """
        [[scenario]]
        name = "solve"
        task = "CartPole-v1"
        agent = "agents:wrong"
        seeds = 2
        options = {{ success = ">= 100" }}
        {gates}
    """
    write(scenario.format(gates=""))
    result = project.runpytest_subprocess("--a2perf")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*1 of 1 episodes not solved*"])
    write(scenario.format(gates='gates = { "success.rate" = "<= 10 %" }'))
    result = project.runpytest_subprocess("--a2perf", "-rA")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*1 passed, 2 unsuccessful*"])


@pytest.mark.slow
def test_what_the_trial_leaves_running_is_ended(project, write):
    mark = f"a2perf-leftover-{os.getpid()}-{project.path.name}"
    project.makepyfile(
        daemon=f"""
        import subprocess, sys
        class Daemon:
            def act(self, observation):
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "{mark}"])
                return 0
        """
    )
    write("""
        [[scenario]]
        name = "daemon"
        task = "CartPole-v1"
        agent = "daemon:Daemon"
        isolate = true
        options = { max_steps = 2 }
    """)
    started = time.monotonic()
    project.runpytest_subprocess("--a2perf", "-p", "no:unraisableexception")
    assert time.monotonic() - started < 300  # it did not wait for them

    def left():
        return [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]

    end = time.monotonic() + 60  # what is killed takes a moment to be gone
    while left() and time.monotonic() < end:
        time.sleep(0.05)
    assert left() == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_cut_off_keeps_its_records_and_can_be_resumed(
    project, write, records, run_json, how
):
    project.makepyfile(
        slow="""
        import os, time
        class Slow:
            def reset(self, seed):
                with open("begun", "a") as file:
                    file.write(".")
            def act(self, observation):
                # The third trial lasts until the run is cut off.
                while os.path.getsize("begun") > 2 and not os.path.exists("fast"):
                    time.sleep(0.05)
                return 0
        """
    )
    write("""
        [[scenario]]
        name = "slow"
        task = "CartPole-v1"
        agent = "slow:Slow"
        seeds = 6
        isolate = true
        [scenario.gates]
        "return.mean" = ">= 1"
    """)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--a2perf"],
        cwd=project.path,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = list((project.path / ".a2perf" / "runs").glob("*/records.jsonl"))
        if runs and runs[0].read_text().count("\n") >= 2:
            break
        time.sleep(0.02)
    os.kill(process.pid, how)
    process.communicate(timeout=60)
    kept = len(records())
    assert 2 <= kept < 6
    assert run_json()["state"] == ("running" if how == signal.SIGKILL else "stopped")

    (project.path / "fast").touch()
    result = project.runpytest_subprocess("--a2perf", "--a2perf-resume")
    result.assert_outcomes(passed=6 - kept + 1, deselected=kept)
    assert result.ret == 0
    assert sorted(record.seed for record in records()) == list(range(6))
    assert run_json()["state"] == "complete"


@pytest.mark.slow
def test_resume_repeats_what_has_changed(project, write, records):
    write(SCENARIO.format(agent="Right", extra=""))
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=3)
    write(SCENARIO.format(agent="Right", extra="episodes = 2"))
    result = project.runpytest_subprocess("--a2perf", "--a2perf-resume")
    result.assert_outcomes(passed=2, deselected=1)
    assert len(records()) == 3


def test_resume_without_a_run_says_so(project, write):
    write(SCENARIO.format(agent="Right", extra=""))
    result = project.runpytest_subprocess("--a2perf", "--a2perf-resume", "nonsense")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no run to go on with in*"])


@pytest.mark.slow
def test_target_that_is_not_here_skips_with_the_reason(project, write, records):
    write(SCENARIO.format(agent="Right", extra="target = 'cuda'"))
    result = project.runpytest_subprocess("--a2perf", "-rs")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["*target 'cuda': no NVIDIA device is visible here*"])
    assert {record.outcome for record in records()} == {"not_run", "success"}


@pytest.mark.slow
@pytest.mark.usefixtures("all_plugins")
def test_reruns_keep_every_attempt(project, write, records):
    pytest.importorskip("pytest_rerunfailures")
    project.makepyfile("""
        import pytest
        tries = []
        @pytest.mark.flaky(reruns=2)
        @pytest.mark.a2perf(seeds=1)
        def test_flaky(trial):
            tries.append(1)
            assert len(tries) == 3
    """)
    project.runpytest_subprocess("--a2perf").stdout.fnmatch_lines(["*1 passed, 2 rerun*"])
    assert [(r.attempt, r.outcome) for r in records()] == [
        (1, "failure"),
        (2, "failure"),
        (3, "success"),
    ]
