"""The web forms of ``examples/baselines``, for learners that take vectors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from pytest_a2perf.domains.web.agents import OracleAgent
from pytest_a2perf.runs.store import read_records

EXAMPLE = Path(__file__).parent.parent / "examples" / "baselines"
THERE, TYPED, CLICKED, FILLED, TRIED, FOCUSED = range(6)


@pytest.fixture
def make(monkeypatch):
    """Return what makes the form of a level."""
    monkeypatch.syspath_prepend(EXAMPLE)
    return lambda level: gymnasium.make(f"baselines.forms:Form-{level}-v0")


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
@pytest.mark.parametrize("level", [1, 3])
def test_a_form_keeps_gymnasiums_contract(make, level):
    check_env(make(level), skip_render_check=True)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_every_form_can_be_filled_in(make, level):
    env = make(level)
    oracle = OracleAgent(env)
    for website in range(len(env.unwrapped.designs)):
        seen, _ = env.reset(seed=website, options={"website": website})
        over = False
        while not over:
            action = oracle.act(seen)
            element = seen.reshape(-1, 6)[action]
            assert element[THERE]
            assert element[TYPED] or element[CLICKED]
            assert not element[FILLED]
            seen, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        assert info["is_success"]


def test_what_was_done_is_seen_and_what_is_not_there_changes_nothing(make):
    env = make(1)
    seen, info = env.reset(seed=0)
    before = seen.reshape(-1, 6)
    assert not before[:, FILLED:].any()
    count = int(before[:, THERE].sum())
    assert count == len(env.unwrapped.site.pages[0].elements)
    assert not before[count:].any()
    seen, reward, *_, info = env.step(count)
    assert not info["changed"]
    assert reward == pytest.approx(-0.55)
    field = OracleAgent(env).act(seen)
    after = env.step(field)[0].reshape(-1, 6)
    assert np.flatnonzero(after[:, TRIED]).tolist() == [field]
    assert np.flatnonzero(after[:, FOCUSED]).tolist() == [field]
    assert np.flatnonzero(after[:, FILLED]).tolist() == [field]


@pytest.mark.slow
def test_the_suite_trains_collects_and_clones(tmp_path):
    for package in ("torch", "stable_baselines3", "minari"):
        pytest.importorskip(package)
    from test_baselines_example import shrink

    leftovers = shutil.ignore_patterns(".*", "__pycache__")
    folder = shutil.copytree(EXAMPLE, tmp_path / "baselines", ignore=leftovers)
    shrink(folder / "scenarios" / "web.toml")
    # So little training solves no form.
    command = ["-m", "pytest", "--a2perf", "scenarios/web.toml", "-k", "not plays"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    found = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    (run,) = (folder / ".a2perf" / "runs").iterdir()
    records = list(read_records(run))
    trained = [record for record in records if record.phase == "train"]
    algorithms = {record.context["algorithm"] for record in trained}
    assert algorithms == {"PPO", "DDQN", "BC"}
    costs = {(r.reported["data_cost"].value, r.reported["data_cost"].source) for r in trained}
    assert costs == {(0, "no data set"), (0, "minari-metadata")}
    assert {record.phase for record in records} == {"train", "collect", "generalization"}
