"""What phase ``collect`` writes, step by step."""

from __future__ import annotations

import gymnasium
import h5py  # noqa: F401 - pytester forgets what a test imports, and this cannot be imported twice
import minari
import numpy as np
import pytest
from gymnasium import spaces

from pytest_a2perf.datasets import recorder as module
from pytest_a2perf.datasets.recorder import Recorder
from pytest_a2perf.datasets.store import dataset_fingerprint
from pytest_a2perf.errors import InfraError

NAME = "tests/nested-v0"


class Nested(gymnasium.Env):
    """Counts, in a structure of spaces, and gives away the array that it goes on to change."""

    def __init__(self):
        self.observation_space = spaces.Dict(
            count=spaces.Box(0, 1000, (2,), np.float64),
            pair=spaces.Tuple((spaces.Discrete(1000), spaces.Box(-1, 1, (), np.float32))),
        )
        self.action_space = spaces.Dict(push=spaces.Box(-1, 1, (1,), np.float32))
        self._count = np.zeros(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._count[:] = 0
        return self._observe(), {}

    def step(self, action):
        self._count += 1
        action["push"][:] = 0.5  # an environment may do so
        return self._observe(), 1.0, self._count[0] >= 5, False, {}

    def _observe(self):
        return {"count": self._count, "pair": (int(self._count[0]), np.float32(0.25))}


def record(folder, episodes=4, length=5):
    made = Recorder(Nested(), NAME, folder / "draft")
    for seed in range(episodes):
        made.reset(seed=seed)
        for _ in range(length):
            made.step({"push": np.full(1, -0.25, np.float32)})
    made.save(folder / "data")
    made.close()
    assert not (folder / "draft").exists()
    return minari.MinariDataset(folder / "data")


def test_nested_spaces_come_back_with_their_values(tmp_path):
    dataset = record(tmp_path)
    assert (dataset.total_episodes, dataset.total_steps) == (4, 20)
    for number, episode in enumerate(dataset):
        assert episode.id == number
        np.testing.assert_array_equal(episode.observations["count"][:, 0], range(6))
        np.testing.assert_array_equal(episode.observations["pair"][0], range(6))
        np.testing.assert_array_equal(episode.actions["push"], np.full((5, 1), -0.25))
        assert episode.terminations.tolist() == [False] * 4 + [True]
        assert not episode.truncations.any()
    assert dataset.observation_space == Nested().observation_space


def test_an_episode_that_was_cut_off_counts_as_truncated(tmp_path):
    for episode in record(tmp_path, length=3):
        assert episode.truncations.tolist() == [False, False, True]
        assert not episode.terminations.any()


def test_writing_often_writes_the_same(tmp_path, monkeypatch):
    whole = dataset_fingerprint(record(tmp_path / "whole"))
    monkeypatch.setattr(module, "_AT_ONCE", 0)
    assert dataset_fingerprint(record(tmp_path / "parts")) == whole
    assert dataset_fingerprint(record(tmp_path / "others", episodes=3)) != whole


def test_no_step_is_no_data_set(tmp_path):
    made = Recorder(Nested(), NAME, tmp_path / "draft")
    made.reset(seed=0)
    with pytest.raises(InfraError, match="no step was recorded"):
        made.save(tmp_path / "data")
    made.close()
