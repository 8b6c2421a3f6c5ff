"""The baselines of ``examples/baselines``: a miniature of each suite, and what they are made of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from pytest_a2perf.runs.store import read_records

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")
pytest.importorskip("minari")

EXAMPLE = Path(__file__).parent.parent / "examples" / "baselines"
NEEDS = {"cartpole": "gymnasium", "circuit": "numba", "quadruped": "mujoco"}
SMALL = {
    "total_timesteps": 256, "log_steps": 64, "n_steps": 32, "batch_size": 32, "updates": 40,
    "learning_starts": 32, "train_freq": 8, "gradient_steps": 2, "num_envs": 2,
}  # fmt: skip


@pytest.fixture
def baselines(monkeypatch):
    """Make the example's modules importable."""
    monkeypatch.syspath_prepend(EXAMPLE)


def shrink(path):
    """Make a suite so small that it is over in seconds, without the gates that it would fail."""
    text = path.read_text(encoding="utf-8")
    for key, value in SMALL.items():
        text = re.sub(rf"\b{key} = \d[\d_]*", f"{key} = {value}", text)
    text = re.sub(r"\bepisodes = \d+", "episodes = 1", text)
    text = re.sub(r"\[scenario\.gates\]\n(?:[^\n]+\n)*", "", text)
    path.write_text(text, encoding="utf-8")


def run(folder, suite):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = ["-m", "pytest", "--a2perf", f"scenarios/{suite}.toml"]
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
    return list(read_records(run))


@pytest.mark.slow
@pytest.mark.parametrize("suite", NEEDS)
def test_a_suite_trains_collects_clones_and_plays(tmp_path, suite):
    pytest.importorskip(NEEDS[suite])
    leftovers = shutil.ignore_patterns(".*", "__pycache__")
    folder = shutil.copytree(EXAMPLE, tmp_path / "baselines", ignore=leftovers)
    shrink(folder / "scenarios" / f"{suite}.toml")
    records = run(folder, suite)
    assert {record.outcome for record in records} == {"success"}
    trained = {}
    for record in records:
        if record.phase == "train":
            trained.setdefault(record.context["algorithm"], []).append(record)
    assert len(trained) == 3
    for record in trained["PPO"] + trained.get("DDQN", []) + trained.get("SAC", []):
        # Metrics across runs by A2Perf's definition need steps that the seeds share; the first
        # points are missing where no episode is over by then.
        assert {256} <= set(record.curves["return"].step) <= {64, 128, 192, 256}
    ppo = [record.quantities["energy"].value for record in trained["PPO"]]
    for record in trained["BC"]:
        assert record.curves["return"].step[-1] == 40
        assert record.reported["data_cost"].value == pytest.approx(np.mean(ppo))
    played = [r.context["algorithm"] for r in records if r.phase == "inference"]
    assert set(played) == set(trained)


@pytest.mark.slow
@pytest.mark.usefixtures("baselines")
def test_double_dqn_values_what_the_online_network_chooses():
    from baselines.ddqn import DoubleDQN
    from stable_baselines3.common.logger import Logger

    env = gymnasium.make("CartPole-v1")
    model = DoubleDQN("MlpPolicy", env, gamma=1.0, policy_kwargs={"net_arch": []}, device="cpu")
    model.set_logger(Logger(folder=None, output_formats=[]))
    model._current_progress_remaining = 1.0
    observation = np.zeros((1, 4), np.float32)
    for _ in range(8):
        model.replay_buffer.add(
            observation, observation, np.array([0]), np.zeros(1), np.zeros(1), [{}]
        )
    with torch.no_grad():
        model.q_net.q_net[0].bias[:] = torch.tensor([2.0, 3.0])  # chooses action 1
        model.q_net_target.q_net[0].bias[:] = torch.tensor([9.0, 2.5])
    model.train(gradient_steps=1, batch_size=8)
    # The target is 2.5 and not 9: Huber's loss of 2 against it.
    assert model.logger.name_to_value["train/loss"] == pytest.approx(0.5 * 0.5**2)


@pytest.mark.slow
@pytest.mark.usefixtures("baselines")
@pytest.mark.parametrize(
    "actions", [spaces.Discrete(2, start=5), spaces.Box(-0.5, 0.5, (2,), np.float32)]
)
def test_a_clone_learns_what_it_is_shown_and_stays_in_its_space(actions):
    from baselines.bc import Clone

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = Clone(spaces.Box(-9, 9, (3,), np.float32), actions, width=16)
    seen = rng.normal(size=(256, 3)).astype(np.float32)
    discrete = isinstance(actions, spaces.Discrete)
    shown = (5 + (seen[:, 0] > 0)) if discrete else seen[:, :2].clip(-0.5, 0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        model.loss(torch.from_numpy(seen), torch.from_numpy(shown)).backward()
        optimizer.step()
    found = model.act(seen)
    assert np.abs(found - shown).mean() < 0.05
    assert actions.contains(model.act(seen[0]))
    assert actions.contains(model.act(np.full(3, 1e4, np.float32)))


@pytest.mark.usefixtures("baselines")
@pytest.mark.parametrize(
    ("observations", "actions"),
    [
        (spaces.Box(0, 1, (2, 2)), spaces.Discrete(2)),
        (spaces.Dict(a=spaces.Discrete(2)), spaces.Discrete(2)),
        (spaces.Box(0, 1, (2,)), spaces.MultiBinary(2)),
    ],
)
def test_a_clone_says_which_spaces_it_knows(observations, actions):
    from baselines.bc import Clone

    with pytest.raises(ValueError, match=r"must be"):
        Clone(observations, actions)


@pytest.mark.slow
@pytest.mark.usefixtures("baselines")
@pytest.mark.parametrize("task", ["Floorplan-A-v0", "Floorplan-C-v0", "Corrected-Trot-v0"])
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_a_world_keeps_gymnasiums_contract(task):
    module = "floorplans" if task.startswith("Floorplan") else "gaits"
    pytest.importorskip({"floorplans": "numba", "gaits": "mujoco"}[module])
    env = gymnasium.make(f"baselines.{module}:{task}")
    check_env(env, skip_render_check=True)
    env.close()


@pytest.mark.usefixtures("baselines")
def test_every_place_of_a_floorplan_means_a_legal_cell():
    pytest.importorskip("numba")
    from baselines.floorplans import CORNERED, PLACES

    env = gymnasium.make("Floorplan-B-v0")
    rng = np.random.default_rng(0)
    for _ in range(20):
        seen, _ = env.reset(seed=0)
        over = False
        while not over:
            place = int(rng.integers(PLACES**2))
            legal, before = seen[place] > 0, np.argwhere(env.unwrapped.chip.placement.placed)
            seen, reward, over, _, info = env.step(place)
            new = np.setdiff1d(np.argwhere(env.unwrapped.chip.placement.placed), before)
            if legal:  # then it is in that place, else in the nearest
                (node,) = new
                placement = env.unwrapped.chip.placement
                at = np.array([placement.y[node], placement.x[node]])
                assert tuple((at // 10).astype(int)) == divmod(place, PLACES)
            assert "illegal_action" not in info
        assert reward == CORNERED if info.get("infeasible") else reward < -1


@pytest.mark.usefixtures("baselines")
def test_no_correction_is_the_clip():
    pytest.importorskip("mujoco")
    from baselines.gaits import SCALE

    from pytest_a2perf.domains.quadruped.kinematics import DEFAULT_POSE

    env = gymnasium.make("Corrected-Trot-v0")
    seen, _ = env.reset(seed=3)
    for correction in (0.0, 1.0):
        clip = seen[84 + 19 + 7 : 84 + 38] - DEFAULT_POSE
        seen, *_ = env.step(np.full(12, correction, np.float32))
        last = seen[12:24]
        assert last == pytest.approx(clip + SCALE * correction, abs=1e-5)
