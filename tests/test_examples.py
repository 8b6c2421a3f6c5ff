"""The examples run as their READMEs say; and where the agent is bad, its gates fail."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))
RUN = re.compile(r"^```sh\n(pytest[^\n]*)\n```\n\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?)")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Copy an example, as a user would."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    # Hypothesis' own profile for machines that may be slow, whose examples are the same each time.
    monkeypatch.setenv("PYTEST_ADDOPTS", "--hypothesis-profile=ci")

    def copy(name):
        leftovers = shutil.ignore_patterns(".*", "__pycache__", "summary.txt")
        return shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=leftovers)

    return copy


def run(folder, command):
    program, *arguments = shlex.split(command)
    assert program == "pytest"
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr.count("Traceback") == 0, found.stderr
    return found.returncode, found.stdout.splitlines()


def counts(line):
    return Counter({name: int(number) for number, name in COUNT.findall(line)})


def test_every_example_is_listed():
    listed = re.findall(r"\]\((\w+)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == FOLDERS


# The baselines train for minutes; tests/test_baselines_example.py runs them in miniature.
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "baselines"])
def test_an_example_does_what_its_readme_says(copy, name):
    folder = copy(name)
    text = (folder / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"\]\(([\w./]+)\)", text):
        assert (folder / path).exists(), path
    commands = RUN.findall(text)
    assert commands
    for command, expected in commands:
        code, lines = run(folder, command)
        *shown, summary = expected.splitlines()
        for line in shown:
            pattern = line.strip().replace("[", "[[]")
            assert any(fnmatch(other.strip(), f"{pattern}*") for other in lines), (line, lines)
        # A gate on what was measured is skipped where nothing measures, else it passes.
        found, promised = counts(lines[-1]), counts(summary)
        assert sum(found.values()) == sum(promised.values()), lines
        assert found["passed"] >= promised["passed"], lines
        assert code == 0


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def fails(folder, command, *expected):
    code, lines = run(folder, command)
    assert code == 1, lines
    for part in expected:
        assert any(part in line for line in lines), (part, lines)


@pytest.mark.slow
def test_a_bad_agent_fails_the_gates_of_its_scenario(copy):
    folder = copy("scenario_files")
    replace(folder / "scenarios" / "cartpole.toml", "agents:Balance", "agents:Lean")
    fails(
        folder,
        "pytest --a2perf -k balance",
        "FAIL      return.mean >= 475",
        "FAIL      success.rate",
    )


@pytest.mark.slow
def test_a_bad_policy_fails_the_python_tests(copy):
    folder = copy("python_tests")
    replace(folder / "policy.py", "> 0)", "> 100)")
    fails(folder, "pytest --a2perf -k 'balances or bad_days'", "FAIL      return.mean >= 475")


@pytest.mark.slow
def test_a_policy_can_be_trained_anew_and_an_untrained_one_fails(copy):
    folder = copy("trained_policy")
    (folder / "cartpole.npy").unlink()
    subprocess.run([sys.executable, "train.py", "cartpole.npy"], cwd=folder, check=True)
    assert np.array_equal(
        np.load(folder / "cartpole.npy"), np.load(EXAMPLES / "trained_policy" / "cartpole.npy")
    )
    np.save(folder / "cartpole.npy", np.zeros((4, 2)))
    fails(
        folder,
        "pytest --a2perf -k 'as-trained or other-worlds'",
        "FAIL      return.mean",
        "FAIL      generalization.mean",
    )


@pytest.mark.slow
def test_a_submission_whose_training_raises_fails(copy):
    folder = copy("submission")
    replace(folder / "cross_entropy" / "train.py", "    root = ", "    raise ValueError('no data')\n    root = ")  # fmt: skip
    fails(
        folder,
        "pytest --a2perf",
        "submission 'cross_entropy': train() raised ValueError: no data",
        "its training with seed 0 did not come to its end",
    )


@pytest.mark.slow
def test_a_bad_assistant_fails_and_is_published(copy):
    folder = copy("extensions")
    replace(folder / "scenarios" / "tickets.toml", "rules:rules.json", "assistants:chatty")
    fails(
        folder, "pytest --a2perf -k english", "FAIL      success.rate", "UNDECIDED words.per_solved"
    )
    summary = (folder / "summary.txt").read_text(encoding="utf-8").splitlines()
    assert summary == [f"scenarios/tickets.toml::english[{seed}]: failure" for seed in range(5)]


@pytest.mark.slow
def test_a_policy_with_a_hole_is_found(copy):
    folder = copy("property_tests")
    replace(
        folder / "policy.py",
        "    return int(",
        "    if position > 1:\n        return 2\n    return int(",
    )
    fails(folder, "pytest -k always", "test_it_always_decides", "observation=array([")
