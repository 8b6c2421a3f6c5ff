"""Policies that ship, their files, and the script that trains them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_quadruped_agents import play

from pytest_a2perf.domains.quadruped.agents import FeedbackAgent, TrainedAgent
from pytest_a2perf.domains.quadruped.environment import QuadrupedEnv
from pytest_a2perf.domains.quadruped.gaits import GAITS
from pytest_a2perf.domains.quadruped.residual import FEATURES, SHIPPED, Residual, features
from pytest_a2perf.errors import AgentError

pytest.importorskip("mujoco", reason="the quadruped needs MuJoCo")

ROOT = Path(__file__).parents[1]
CLIPS = sorted(GAITS)


class TestShipped:
    def test_there_is_a_small_one_for_each_clip(self):
        assert sorted(path.stem for path in SHIPPED.iterdir()) == CLIPS
        assert all(path.stat().st_size < 20_000 for path in SHIPPED.iterdir())

    @pytest.mark.parametrize("clip", CLIPS)
    def test_it_says_how_it_was_made(self, clip):
        about = Residual.load(clip).about
        assert about["clip"] == clip
        assert about["command"].startswith(f"python training/quadruped.py {clip} --seed ")
        assert about["training_return_after"] > about["training_return_before"]

    @pytest.mark.parametrize("clip", CLIPS)
    @pytest.mark.parametrize("drawn", [False, True])
    def test_it_beats_the_controller(self, clip, drawn):
        env = QuadrupedEnv(clip, enable_randomizer=drawn)
        controller, trained = FeedbackAgent(env), TrainedAgent(env, clip)
        for seed in (78, 79):  # docs/quadruped.md has the means of many
            before, after = (play(env, agent, seed) for agent in (controller, trained))
            assert after[0] > before[0]
            assert not after[2]

    def test_it_repeats_itself(self):
        env = QuadrupedEnv("spin")
        agent = TrainedAgent(env, "spin")
        assert play(env, agent, 3, 60) == play(env, agent, 3, 60)


class TestFile:
    def test_features_are_the_joint_angles_to_come(self):
        env = QuadrupedEnv("trot")
        seen, _ = env.reset(seed=0, options={"start": 0.1})
        found = features(seen)
        joints = env.reference.joints[[1, 2, 10, 30]] - np.tile([0.0, 0.07, -0.59], 4)
        assert found.shape == (FEATURES,)
        assert found == pytest.approx(np.append(joints, 1), abs=1e-6)

    def test_what_is_written_is_read(self, tmp_path):
        weights = np.random.default_rng(0).normal(size=(12, FEATURES))
        one, other = tmp_path / "one.npz", tmp_path / "deep" / "other.npz"
        for path in (one, other):
            Residual(weights, {"seed": 3}).save(path)
        found = Residual.load(str(one))
        assert np.array_equal(found.weights, weights)
        assert found.about == {"seed": 3}
        assert one.read_bytes() == other.read_bytes()

    def test_without_weights_it_is_the_controller(self):
        env = QuadrupedEnv("trot")
        trained = TrainedAgent(env, Residual(np.zeros((12, FEATURES))))
        assert play(env, trained, 1, 60) == play(env, FeedbackAgent(env), 1, 60)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"no archive", r"broken\.npz is no policy of training/quadruped\.py"),
            ({"weights": np.zeros((12, 3)), "about": "{}"}, "must be 12 x 49 finite numbers"),
            ({"weights": np.full((12, 49), np.nan), "about": "{}"}, "must be 12 x 49 finite"),
            ({"weights": np.zeros((12, 49))}, "is no policy"),
            ({"weights": np.zeros((12, 49)), "about": "{"}, "is no policy"),
        ],
    )
    def test_others_are_refused(self, tmp_path, content, message):
        path = tmp_path / "broken.npz"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.savez(path, **content)
        with pytest.raises(AgentError, match=message):
            Residual.load(str(path))

    def test_a_missing_one_is_refused(self, tmp_path):
        with pytest.raises(AgentError, match="did you mean 'trot'"):
            Residual.load("troot")
        with pytest.raises(AgentError, match=re.escape("there is no policy")):
            Residual.load(str(tmp_path / "none.npz"))


@pytest.mark.slow
def test_the_script_repeats_itself_and_does_not_make_it_worse(tmp_path):
    def train(name):
        path = tmp_path / name
        small = ["--rounds", "2", "--episodes", "2", "--steps", "70", "--workers", "1"]
        script = [sys.executable, "training/quadruped.py", "trot", "--seed", "4", *small]
        subprocess.run([*script, "--output", str(path)], cwd=ROOT, check=True, timeout=600)
        return path

    one, other = train("one.npz"), train("other.npz")
    assert one.read_bytes() == other.read_bytes()
    policy = Residual.load(str(one))
    assert policy.about["training_return_after"] >= policy.about["training_return_before"]
    env = QuadrupedEnv("trot")
    assert not play(env, TrainedAgent(env, policy), 1, 60)[2]
