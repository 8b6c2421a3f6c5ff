"""Agents that need no model: any action that the masks allow, and one that knows what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_a2perf.errors import AgentError

if TYPE_CHECKING:
    from pytest_a2perf.domains.web.environment import WebNavigationEnv
    from pytest_a2perf.domains.web.observation import Observation

__all__ = ["OracleAgent", "RandomElementAgent"]


def _web(env: Any) -> WebNavigationEnv:
    from pytest_a2perf.domains.web.environment import WebNavigationEnv

    inner = env.unwrapped
    if not isinstance(inner, WebNavigationEnv):
        raise AgentError(f"this agent navigates web sites; it cannot act in {inner}")
    return inner


class RandomElementAgent:
    """Acts on any element of the page, with any text of the profile where there is a choice.

    In conceptual mode it is the random agent by which the levels of difficulty are calibrated.
    """

    def __init__(self, env: Any) -> None:
        self._flat = _web(env).action_mode == "flat"
        self._rng = np.random.default_rng(0)

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        self._rng = np.random.default_rng([seed, 1])

    def act(self, observation: Observation) -> int:
        """Return any action that means something."""
        mask = observation["dom_profile_joint_mask" if self._flat else "dom_elements_mask"]
        # Actions are the places of the mask, row by row.
        return int(self._rng.choice(np.flatnonzero(mask)))


class OracleAgent:
    """Fills in each field of the page by its name, then leaves the page.

    It reads the page's elements and the user's profile, not the observation.
    """

    def __init__(self, env: Any) -> None:
        self._env = _web(env)

    def reset(self, seed: int) -> None:
        """Begin an episode; nothing is random here."""
        del seed

    def act(self, observation: Observation) -> int:
        """Return the first action that brings the page forward."""
        del observation
        env = self._env
        page = env.site.pages[env.state.page]
        for control, value in zip(page.controls, env.state.values, strict=True):
            if control.field is None:
                continue
            wanted = env.profile[control.field]
            if control.kind == "radio":
                done = value or control.attributes["value"] != wanted
            else:
                done = value == wanted
            if not done:
                return env.action_of(control.index, control.field)
        leave = next(element for element in page.elements if element.goto is not None)
        return env.action_of(leave.index)
