"""Web forms for learners that take vectors: what can be done on a page, without its words.

An action is an element of the page, and means what a conceptual action of `WebNavigationEnv` does.
The observation has for each of the first `ELEMENTS` elements, from 0 to 1: whether it is there,
takes a text, can be clicked, is filled in or on, was acted on since the page was shown, and was
the last one.
"""

import gymnasium
import numpy as np
from gymnasium import spaces

from pytest_a2perf.domains.web.environment import WebNavigationEnv
from pytest_a2perf.domains.web.observation import FEATURES

ELEMENTS = 32
"""That are seen and acted on; pages of A2Perf's levels have fewer."""
SEEN = ("typed", "clicked", "filled", "tried", "focused")
_COLUMNS = [FEATURES.index(name) for name in SEEN]


class Form(gymnasium.Wrapper):
    """Sites of a level, seen as a vector."""

    def __init__(self, level, num_websites=50, **settings):
        super().__init__(
            WebNavigationEnv(
                difficulty=level,
                num_websites=num_websites,
                action_mode="conceptual",
                **settings,
            )
        )
        self.observation_space = spaces.Box(0.0, 1.0, (ELEMENTS * (1 + len(SEEN)),), np.float32)
        self.action_space = spaces.Discrete(ELEMENTS)

    def reset(self, *, seed=None, options=None):
        seen, info = self.env.reset(seed=seed, options=options)
        return _vector(seen), info

    def step(self, action):
        seen, *rest = self.env.step(action)
        return _vector(seen), *rest


def _vector(seen):
    there = seen["dom_elements_mask"][:ELEMENTS, None]
    return np.hstack([there, seen["dom_features"][:ELEMENTS, _COLUMNS]]).ravel()


for level in (1, 2, 3):
    gymnasium.register(f"Form-{level}-v0", Form, kwargs={"level": level})
