"""Gaits to be learnt in minutes: corrections of a clip instead of a gait from nothing."""

import gymnasium
import numpy as np
from gymnasium import spaces

from pytest_a2perf.domains.quadruped.environment import QuadrupedEnv
from pytest_a2perf.domains.quadruped.kinematics import DEFAULT_POSE

SCALE = 0.15
"""The largest correction of a joint, rad."""
_NEXT = slice(84 + 19 + 7, 84 + 2 * 19)
"""Joint angles of the clip two control steps ahead, in the observation."""


class Correction(gymnasium.Wrapper):
    """Takes corrections of the clip's joint angles, from -1 to 1, as its actions.

    The clip alone falls after some seconds, or less: it knows nothing of weight, nor of how far the
    motors lag.
    """

    def __init__(self, clip, **settings):
        super().__init__(QuadrupedEnv(clip, **settings))
        self.action_space = spaces.Box(-1.0, 1.0, (12,), np.float32)

    def reset(self, *, seed=None, options=None):
        observation, info = self.env.reset(seed=seed, options=options)
        self._base = observation[_NEXT] - DEFAULT_POSE
        return observation, info

    def step(self, action):
        action = self._base + SCALE * np.clip(action, -1.0, 1.0)
        observation, reward, terminated, truncated, info = self.env.step(action.astype(np.float32))
        self._base = observation[_NEXT] - DEFAULT_POSE
        info.pop("is_success", None)  # five seconds say nothing of it
        return observation, reward, terminated, truncated, info


for clip in ("pace", "trot", "spin"):
    gymnasium.register(
        f"Corrected-{clip.title()}-v0", Correction, max_episode_steps=150, kwargs={"clip": clip}
    )
