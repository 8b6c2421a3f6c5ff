"""Several trials at once in one process that waits for models (--a2perf-concurrency)."""

import os
import signal
import subprocess
import time

import psutil
import pytest

DOMAIN = """
    import os, signal, time
    from pathlib import Path

    from pytest_a2perf.errors import AgentFailure, InfraError
    from pytest_a2perf.scenarios.models import Strict


    class Waiting:
        name = "waiting"
        phases = frozenset({"inference"})
        options = Strict
        concurrent = True

        def check(self, scenario):
            return ()

        def prepare(self):
            pass

        def run(self, trial):
            Path(f"begun-{trial.scenario.name}-{trial.seed}").write_text(str(os.getpid()))
            trial.note(noise="x" * 200_000)  # more than fits into a pipe
            match trial.scenario.task:
                case "together":
                    self.meet(trial, 3)
                case "alone":
                    time.sleep(0.3)
                    if len(list(Path().glob("begun-*"))) > trial.seed + 1:
                        raise InfraError("somebody else has begun")
                case "hang":
                    time.sleep(600)
                case "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "fail":
                    raise AgentFailure("no")
            trial.episode(1, 1, success=True)

        def meet(self, trial, count):
            for _ in range(2400):
                if len(list(Path().glob(f"begun-{trial.scenario.name}-*"))) >= count:
                    return
                time.sleep(0.05)
            raise InfraError("nobody came")


    def pytest_a2perf_domains():
        return [Waiting()]
"""


@pytest.fixture
def waiting(project, write):
    """Write scenarios of a domain that waits: name, task, number of seeds and further keys."""
    project.makeconftest(DOMAIN)

    def scenarios(*entries):
        write(
            "".join(
                f"""
                [[scenario]]
                name = "{name}"
                domain = "waiting"
                task = "{task}"
                seeds = {seeds}
                {more}
                """
                for name, task, seeds, more in entries
            )
        )

    return scenarios


@pytest.mark.slow
def test_trials_run_at_the_same_time_and_are_reported_in_order(project, waiting, records):
    waiting(("one", "together", 3, 'gates = {"success.rate" = ">= 1"}'), ("two", "together", 3, ""))
    result = project.runpytest_subprocess("--a2perf", "--a2perf-concurrency", "3", "-v")
    result.assert_outcomes(passed=7)
    assert [r.nodeid.partition("::")[2] for r in records()] == [
        "one[0]", "one[1]", "one[2]", "two[0]", "two[1]", "two[2]",
    ]  # fmt: skip
    assert {record.context["concurrency"] for record in records()} == {3}
    assert len({record.context["noise"] for record in records()}) == 1


@pytest.mark.slow
def test_without_the_option_they_run_one_by_one(project, waiting, records):
    waiting(("one", "alone", 2, ""))
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=2)


@pytest.mark.slow
def test_an_exclusive_trial_still_runs_alone(project, waiting):
    waiting(("one", "alone", 2, "exclusive = true"))
    project.runpytest_subprocess("--a2perf", "--a2perf-concurrency", "4").assert_outcomes(passed=2)


@pytest.mark.slow
def test_each_has_its_own_end(project, waiting, records):
    waiting(
        ("hangs", "hang", 2, 'timeout = "1 s"'),
        ("dies", "die", 1, ""),
        ("fails", "fail", 1, ""),
        ("works", "together", 3, ""),
    )
    result = project.runpytest_subprocess("--a2perf", "--a2perf-concurrency", "4")
    result.assert_outcomes(passed=3, failed=4)
    assert [record.outcome for record in records()] == [
        "timeout", "timeout", "error", "failure", "success", "success", "success",
    ]  # fmt: skip


def test_what_was_started_ahead_ends_with_the_first_failure(project, waiting):
    waiting(("fails", "fail", 1, ""), ("hangs", "hang", 3, ""))
    result = project.runpytest_subprocess("--a2perf", "--a2perf-concurrency", "4", "-x")
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    assert not any(psutil.pid_exists(pid) for pid in begun(project))


def begun(project):
    return [int(text) for path in project.path.glob("begun-hangs-*") if (text := path.read_text())]


def test_a_kill_of_pytest_ends_them_all(project, waiting):
    waiting(("hangs", "hang", 3, ""))
    process = project.popen(
        [*project._getpytestargs(), "--a2perf", "--a2perf-concurrency", "3"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if k != "PYTEST_XDIST_WORKER"},
    )
    for _ in range(1200):
        if len(begun(project)) == 3:
            break
        time.sleep(0.1)
    pids = begun(project)
    assert len(pids) == 3
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(600):
        if not any(map(alive, pids)):
            break
        time.sleep(0.1)
    assert not any(map(alive, pids))


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--a2perf-concurrency", "0"], "*--a2perf-concurrency*expected a number of trials*"),
        (["--a2perf-concurrency", "2", "-n", "2"], "*with -n, give more workers*"),
    ],
)
def test_wrong_uses_say_so(project, waiting, arguments, message):
    waiting(("one", "alone", 1, ""))
    result = project.runpytest_subprocess("--a2perf", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
