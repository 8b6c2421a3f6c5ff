"""Steps before the measurement, so that caches and just-in-time compilers are warm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_a2perf.agents.base import Agent
from pytest_a2perf.domains.gym.rollout import Rollout, roll_out
from pytest_a2perf.domains.gym.vector import roll_out_vector

__all__ = ["warm_up"]


class _Enough(BaseException):
    """The warm-up is over; no agent may swallow it."""


class _Counting:
    """Passes an agent's decisions on until there were enough."""

    def __init__(self, agent: Agent, left: list[int]) -> None:
        self._agent = agent
        self._left = left
        self.batched = bool(getattr(agent, "batched", False))
        self.reset, self.load = agent.reset, agent.load

    def act(self, observation: Any) -> Any:
        if not self._left[0]:
            raise _Enough
        self._left[0] -= 1
        return self._agent.act(observation)


def warm_up(env: Any, agents: Sequence[Agent], steps: int, seed: int) -> None:
    """Let the agents decide ``steps`` times, over as many episodes as that takes.

    Raises:
        AgentError: see `roll_out`.
        InfraError: see `roll_out`.
    """
    left = [steps]
    counting = [_Counting(agent, left) for agent in agents]
    thrown_away = Rollout()
    try:
        while left[0]:
            if hasattr(env, "num_envs"):
                seeds = [seed] * env.num_envs
                roll_out_vector(env, counting, seeds=seeds, into=thrown_away)
            else:
                roll_out(env, counting[0], seeds=[seed], into=thrown_away)
    except _Enough:
        pass
