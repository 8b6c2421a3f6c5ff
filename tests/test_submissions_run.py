"""Submissions with requirements of their own, and in runs: nothing of them outlives a trial."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from importlib import metadata

import numpy as np
import psutil
import pytest

from pytest_a2perf.agents.submission import Submission
from pytest_a2perf.errors import InfraError

POLICY = """
    import os, random
    NOISE = float(os.environ.get("NOISE", "0"))

    def load_model(env):
        return [0.0, 0.0, 1.0, 0.5]

    def preprocess_observation(observation):
        return observation + random.uniform(-NOISE, NOISE)

    def infer_once(model, observation):
        return int(sum(map(float.__mul__, model, map(float, observation))) > 0)
"""


@pytest.fixture
def submission(project):
    """Write ``submissions/<name>/`` with its files into the project."""

    def write(name="good", **files):
        folder = project.path / "submissions" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / f"{file}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        return folder

    return write


def ended(pid):
    """Wait until a process has ended; whether it did. Nobody may be there to reap it."""
    for _ in range(600):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def pids(path):
    """Wait until a submission has written the ids of its processes; return them."""
    for _ in range(1200):
        if path.exists() and path.read_text().endswith("\n"):
            return [int(pid) for pid in path.read_text().split()]
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


# -- requirements of its own ----------------------------------------------------------------------


def wheel(folder, name, version):
    """Write a wheel by hand: there is no network in tests."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(
            f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return f"./{path.name}"


@pytest.fixture
def venvs(tmp_path, monkeypatch):
    """Return the folder of the cached environments, which is empty."""
    monkeypatch.setenv("A2PERF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "venvs"


VERSIONS = """
    import sys
    def load_policy():
        import iniconfig, vendored, numpy
        return iniconfig.VERSION, vendored.VERSION, numpy.__version__, sys.prefix
    def preprocess_observation(observation): return observation
    def infer_once(policy, observation): return policy
"""


def versions(folder):
    agent = Submission(folder).policy(env=None, options={}, root_dir=None, seed=0)
    try:
        return agent.act(None)
    finally:
        agent.close()


@pytest.mark.slow
def test_a_submission_has_its_own_packages_beside_ours(submission, venvs):
    old, new = submission("old", inference=VERSIONS), submission("new", inference=VERSIONS)
    for folder, version in ((old, "1.0"), (new, "2.0")):
        line = wheel(folder, "vendored", version)
        pinned = wheel(folder, "iniconfig", "0.0.1")  # pytest needs it, and has another
        (folder / "requirements.txt").write_text(f"# ours\n{line}\nnumpy>=1\n{pinned}\n")
    # Two at once build it once.
    threads = [threading.Thread(target=Submission, args=(old,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (home,) = venvs.glob("*/")
    assert versions(old) == ("0.0.1", "1.0", np.__version__, str(home))
    found = versions(new)
    assert found[1:3] == ("2.0", np.__version__)
    assert metadata.version("iniconfig") != "0.0.1"
    assert found[3] != str(home)
    with pytest.raises(ModuleNotFoundError):
        import vendored  # noqa: F401

    # What was not completed is built anew; what was is not.
    (home / "complete").unlink()
    (home / "half").touch()
    Submission(old)
    assert not (home / "half").exists()
    (home / "whole").touch()
    Submission(old)
    assert (home / "whole").exists()
    # A file that the requirements name has changed.
    wheel(old, "vendored", "1.0")
    with zipfile.ZipFile(old / "vendored-1.0-py3-none-any.whl", "a") as archive:
        archive.writestr("more.py", "")
    Submission(old)
    assert len(list(venvs.glob("*/"))) == 3


def test_requirements_that_cannot_be_installed_are_nobodys_fault(submission, venvs):
    folder = submission("sub", inference=VERSIONS)
    (folder / "requirements.txt").write_text("./missing-1.0-py3-none-any.whl\n")
    with pytest.raises(InfraError, match="pip could not install its") as raised:
        Submission(folder)
    assert "missing-1.0" in str(raised.value)
    (home,) = venvs.glob("*/")
    assert not (home / "complete").exists()


def test_requirements_that_say_nothing_need_no_environment(submission, venvs):
    text = """
        import sys
        def load_policy(): return sys.prefix
        def preprocess_observation(observation): return observation
        def infer_once(policy, observation): return policy
    """
    folder = submission("sub", inference=text)
    (folder / "requirements.txt").write_text("# numpy==1.0\n\n")
    assert versions(folder) == sys.prefix
    assert not venvs.exists()


# -- in runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)])
def test_a_submission_is_an_agent_of_scenarios(project, write, submission, records, arguments):
    submission(inference=POLICY)
    write(
        """
        [[scenario]]
        name = "good"
        task = "CartPole-v1"
        agent = "submissions/good/"
        seeds = 2
        episodes = 2
        gates = {"return.mean" = ">= 475"}

        [[scenario]]
        name = "many"
        task = "CartPole-v1"
        agent = "submissions/good"
        episodes = 2
        options = {num_envs = 2, max_steps = 50}
        gates = {"return.mean" = ">= 50"}
        """
    )
    result = project.runpytest_subprocess("--a2perf", *arguments)
    result.assert_outcomes(passed=5)
    assert all(len(record.episodes) == 2 for record in records())


@pytest.mark.slow
def test_a_scenario_repeats_with_its_seed(project, write, submission, records, monkeypatch):
    monkeypatch.setenv("NOISE", "3")
    submission(inference=POLICY)
    same = """
        [[scenario]]
        name = "{}"
        task = "CartPole-v1"
        agent = "submissions/good/"
        episodes = 3
        options = {{warmup_steps = {}}}
    """
    write(same.format("first", 0) + same.format("second", 7))
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=2)
    first, second = (record.episodes for record in records())
    assert first == second
    assert len({episode.total for episode in first}) > 1


@pytest.mark.slow
def test_what_a_submission_does_wrong_is_reported(project, write, submission, records):
    submission(inference=POLICY.replace("int(sum", "1 // 0 + int(sum"))
    write(
        """
        [[scenario]]
        name = "bad"
        task = "CartPole-v1"
        agent = "submissions/good/"

        [[scenario]]
        name = "missing"
        task = "CartPole-v1"
        agent = "submissions/god/"
        """
    )
    result = project.runpytest_subprocess("--a2perf")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*infer_once() raised ZeroDivisionError: *",
            "raised by the agent's act (seed 0, step 0)",
            '  File "*inference.py", line *, in infer_once',
            "submission 'god': there is no folder *; did you mean 'good'?",
        ]
    )
    assert [record.outcome for record in records()] == ["error", "error"]


# -- its end --------------------------------------------------------------------------------------

STARTS = """
    import os, subprocess, sys, time

    def start():
        other = subprocess.Popen(["sleep", "600"])
        with open(os.environ["PIDS"], "w") as file:
            print(os.getpid(), other.pid, file=file)
"""


@pytest.mark.slow
@pytest.mark.parametrize("isolate", ["true", "false"])
def test_nothing_outlives_a_timeout(project, write, submission, records, isolate, monkeypatch):
    path = project.path / "pids"
    monkeypatch.setenv("PIDS", str(path))
    # The time is up once the submission hangs, however long its process took to start.
    project.makeconftest("""
        import os

        def pytest_runtest_setup(item):
            os.environ["TRIAL"] = str(os.getpid())
    """)
    late = "start(); os.kill(int(os.environ['TRIAL']), 14); time.sleep(600); int"  # SIGALRM
    hangs = POLICY.replace("(env)", "()").replace("return int", late)
    submission(inference=textwrap.dedent(STARTS) + textwrap.dedent(hangs))
    write(
        f"""
        [[scenario]]
        name = "hangs"
        task = "CartPole-v1"
        agent = "submissions/good/"
        timeout = "2 min"
        isolate = {isolate}
        """
    )
    project.runpytest_subprocess("--a2perf").assert_outcomes(failed=1)
    assert all(map(ended, pids(path)))
    (record,) = records()
    assert record.outcome == "timeout"


def test_nothing_outlives_a_trial_that_went_well(submission, tmp_path, monkeypatch):
    path = tmp_path / "pids"
    monkeypatch.setenv("PIDS", str(path))
    text = textwrap.dedent(STARTS) + "def train(): start()\n"
    Submission(submission(train=text)).train(
        artefact=tmp_path, seed=0, options={}, task="T", env_settings={}
    )
    assert all(map(ended, pids(path)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_nothing_outlives_its_parent(submission, tmp_path, number):
    path = tmp_path / "pids"
    folder = submission(train=textwrap.dedent(STARTS) + "def train(): start(); time.sleep(600)\n")
    script = (
        "from pathlib import Path\n"
        "from pytest_a2perf.agents.submission import Submission\n"
        f"Submission(Path({str(folder)!r})).train(artefact=Path({str(tmp_path)!r}), seed=0, "
        "options={}, task='T', env_settings={})\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PIDS": str(path)},
        stderr=subprocess.DEVNULL,
    )
    found = pids(path)
    assert not any(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in found)
    parent.send_signal(number)
    assert parent.wait(60) == -number
    assert all(map(ended, found))


def test_the_meters_see_the_processes_of_a_submission(submission, tmp_path, monkeypatch):
    path = tmp_path / "pids"
    monkeypatch.setenv("PIDS", str(path))
    agent = Submission(
        submission(inference=textwrap.dedent(STARTS) + textwrap.dedent(POLICY) + "start()\n")
    ).policy(env=None, options={}, root_dir=None, seed=0)
    try:
        below = {process.pid for process in psutil.Process().children(recursive=True)}
        assert set(pids(path)) <= below
    finally:
        agent.close()


# -- closing --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_agents_are_closed_by_who_made_them(project, write, records):
    project.makepyfile(
        closing="""
        from pathlib import Path

        class Agent:
            def __init__(self, name):
                self.name = name

            def act(self, observation):
                return 1 // (self.name != "raises")

            def close(self):
                with Path("closed").open("a") as file:
                    print(self.name, file=file)
                if self.name == "stuck":
                    raise OSError("still busy")
        """,
        test_closing="""
        from closing import Agent

        def test_closing(rollout):
            rollout("CartPole-v1", agent=Agent("own"))
        """,
    )
    write(
        "".join(
            f"""
            [[scenario]]
            name = "{name}"
            task = "CartPole-v1"
            agent = "closing:Agent"
            agent_options = {{name = "{name}"}}
            """
            for name in ("good", "raises", "stuck")
        )
    )
    result = project.runpytest_subprocess("--a2perf")
    result.assert_outcomes(passed=2, failed=2)
    assert (project.path / "closed").read_text().split() == ["good", "raises", "stuck"]
    result.stdout.fnmatch_lines(["*the agent's close raised OSError: still busy"])
