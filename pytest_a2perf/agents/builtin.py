"""Agents that come along: good and bad ones for classic control, a gait for MuJoCo's Ant."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.agents.base import AgentContext, AgentFactory

__all__ = ["BUILTIN", "AntGait", "RandomAgent"]

Observation = NDArray[np.floating[Any]]
Policy = Callable[[Observation], Any]


class RandomAgent:
    """Samples the action space."""

    def __init__(self, env: Any) -> None:
        self._space = getattr(env, "single_action_space", None) or env.action_space

    def reset(self, seed: int) -> None:
        """Begin an episode with its seed."""
        self._space.seed(seed)

    def act(self, observation: Any) -> Any:
        """Return any action."""
        del observation
        return self._space.sample()


def cartpole_balance(observation: Observation) -> int:
    """Balance the pole and hold the cart near the centre: the sign of a linear law."""
    position, velocity, angle, turning = observation.tolist()
    return int(0.1 * position + 0.3 * velocity + 3.0 * angle + turning > 0)


def cartpole_lean(observation: Observation) -> int:
    """Push to the side to which the pole leans: overshoots and falls."""
    return int(observation[2] > 0)


def mountaincar_energy(observation: Observation) -> int:
    """Push in the direction of travel, so that every swing gains energy."""
    return 2 if observation[1] >= 0 else 0


def mountaincar_uphill(observation: Observation) -> int:
    """Push uphill: the engine is too weak for that."""
    del observation
    return 2


def pendulum_energy(observation: Observation) -> NDArray[np.float32]:
    """Pump energy until upright is within reach, then hold it by a linear law.

    The energy of the unit pendulum, with upright at rest as zero, is
    ``E = w**2 / 2 - 3 g / (2 l) * (1 - cos(theta))`` up to its moment of inertia, with g = 10.
    """
    cosine, sine, speed = observation.tolist()
    angle = math.atan2(sine, cosine)
    if cosine > 0.85:
        torque = -12.0 * angle - 3.0 * speed
    else:
        energy = speed**2 / 2 - 15.0 * (1 - cosine)
        torque = 2.0 * math.copysign(1.0, speed or 1.0) * (-1.0 if energy > 0 else 1.0)
    return np.array([min(max(torque, -2.0), 2.0)], dtype=np.float32)


def pendulum_limp(observation: Observation) -> NDArray[np.float32]:
    """Do nothing: hang down."""
    del observation
    return np.zeros(1, dtype=np.float32)


def acrobot_energy(observation: Observation) -> int:
    """Push the elbow the way it swings, so that the swings grow."""
    return 2 if observation[5] > 0 else 0


def acrobot_idle(observation: Observation) -> int:
    """Apply no torque."""
    del observation
    return 1


class AntGait:
    """An open-loop gait for Ant: legs swing in diagonal pairs at one frequency.

    Args:
        frequency: of the gait, in Hz; Ant decides 20 times a second.
        hip, ankle: amplitudes of the torques, in units of the action (-1..1).
        lag: phase of the ankle behind the hip, in rad.
    """

    def __init__(
        self, frequency: float = 2.0, hip: float = 0.5, ankle: float = 0.4, lag: float = 1.6
    ) -> None:
        self._step = 2 * math.pi * frequency * 0.05
        self._hip, self._ankle, self._lag = hip, ankle, lag
        self._phase = 0.0

    def reset(self, seed: int) -> None:
        """Begin at phase zero."""
        del seed
        self._phase = 0.0

    def act(self, observation: Any) -> NDArray[np.float64]:
        """Return the torques of hip and ankle of the four legs."""
        del observation
        self._phase += self._step
        action = np.empty(8)
        for leg, (offset, side, knee) in enumerate(_LEGS):
            phase = self._phase + offset
            action[2 * leg] = side * self._hip * math.sin(phase)
            action[2 * leg + 1] = knee * self._ankle * math.sin(phase - self._lag)
        return action


_LEGS = ((0.0, 1.0, 1.0), (math.pi, 1.0, -1.0), (0.0, -1.0, -1.0), (math.pi, -1.0, 1.0))
# Actuators of Ant-v5 start with the back right leg (4), then 1, 2, 3; sides and knees mirror.


class _Function:
    """A policy without state."""

    def __init__(self, policy: Policy) -> None:
        self.act = policy


def _policy(policy: Policy) -> AgentFactory:
    def make(text: str, context: AgentContext) -> _Function:
        del text, context
        return _Function(policy)

    return make


def _random(text: str, context: AgentContext) -> RandomAgent:
    del text
    return RandomAgent(context.env)


def _ant_gait(text: str, context: AgentContext) -> AntGait:
    del text
    return AntGait(**context.options)


BUILTIN: Mapping[str, AgentFactory] = {
    "random": _random,
    "cartpole-balance": _policy(cartpole_balance),
    "cartpole-lean": _policy(cartpole_lean),
    "mountaincar-energy": _policy(mountaincar_energy),
    "mountaincar-uphill": _policy(mountaincar_uphill),
    "pendulum-energy": _policy(pendulum_energy),
    "pendulum-limp": _policy(pendulum_limp),
    "acrobot-energy": _policy(acrobot_energy),
    "acrobot-idle": _policy(acrobot_idle),
    "ant-gait": _ant_gait,
}
"""Name -> factory of the shipped agents."""
