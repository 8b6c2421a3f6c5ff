"""Tiny deterministic environments and agents for the tests of agents and rollouts."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces


class Countdown(gymnasium.Env):
    """The seed says how long an episode lasts and what each step is worth.

    Action 1 is worth one more. Every third seed ends by truncation.
    """

    def __init__(self, bad_reward=None, bad_step=0, raises_at=None):
        self.observation_space = spaces.Box(0, np.inf, (2,), np.float64)
        self.action_space = spaces.Discrete(2)
        self._bad = (bad_step, bad_reward) if bad_reward is not None else None
        self._raises_at = raises_at
        self.seeds = []
        self.steps = self.closed = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self._worth = int(self.np_random.integers(1, 100))
        self._left = int(self.np_random.integers(1, 8))
        self._ends_by_limit = self._worth % 3 == 0
        self._now = 0
        return np.array([self._worth, 0.0]), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is no action"
        if self._raises_at == self._now:
            raise OSError("the simulator is gone")
        reward = self._worth + float(action)
        if self._bad and self._bad[0] == self._now:
            reward = self._bad[1]
        self._now += 1
        self.steps += 1
        over = self._now >= self._left
        info = {"is_success": self._worth > 50} if over else {}
        ends = (over and not self._ends_by_limit, over and self._ends_by_limit)
        return np.array([self._worth, self._now], dtype=float), reward, *ends, info

    def close(self):
        self.closed += 1


class Long(gymnasium.Env):
    """A thousand steps worth 1 in a one-dimensional world, whatever is done."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._now = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self._now += 1
        return np.zeros(1, np.float32), 1.0, self._now >= 1000, False, {}


def expected(seed, action=0):
    """Return what an episode of Countdown with a constant action must be."""
    rng, _ = gymnasium.utils.seeding.np_random(seed)
    worth, length = int(rng.integers(1, 100)), int(rng.integers(1, 8))
    return (length * (worth + action), length, worth % 3 != 0, worth % 3 == 0, worth > 50)


def as_tuple(episode):
    return (
        episode.total,
        episode.length,
        episode.terminated,
        episode.truncated,
        episode.success,
    )


class Parity:
    """Has state: acts 0, 1, 0, 1, ... from the parity of its seed on."""

    def reset(self, seed):
        self.next = seed % 2

    def act(self, observation):
        self.next = 1 - self.next
        return self.next
