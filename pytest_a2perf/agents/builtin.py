"""Agents that come along: for classic control, for MuJoCo's Ant, for floorplanning, for walking."""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.agents.base import AgentContext, AgentFactory
from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["BUILTIN", "AntGait", "RandomAgent"]

Observation = NDArray[np.floating[Any]]
Policy = Callable[[Observation], Any]


class RandomAgent:
    """Samples the action space; each episode's actions follow from its seed."""

    def __init__(self, env: Any) -> None:
        space = getattr(env, "single_action_space", None) or env.action_space
        self._space = copy.deepcopy(space)

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        # A seed of its own: the environment's would repeat the numbers that made its start.
        self._space.seed(int(np.random.SeedSequence([seed, 1]).generate_state(1)[0]))

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
    """A trot for Ant: joints follow sine waves, each held to its target by a PD law.

    The parameters were found by a short cross-entropy search over Ant-v5.

    Args:
        frequency: of the gait, in Hz; Ant decides 20 times a second.
        stride: amplitude of the hips, in rad.
        lift: amplitude of the ankles, in rad.
    """

    def __init__(
        self, frequency: float = 1.273, stride: float = 0.533, lift: float = 0.307
    ) -> None:
        self._turn = 2 * math.pi * frequency * 0.05
        self._amplitude = np.tile([stride, lift], 4)
        self._step = 0

    def reset(self, seed: int) -> None:
        """Begin at phase zero."""
        del seed
        self._step = 0

    def act(self, observation: Observation) -> NDArray[np.float64]:
        """Return the torques of hip and ankle of the four legs."""
        target = _CENTRE + _SIDE * self._amplitude * np.sin(self._turn * self._step + _PHASE)
        self._step += 1
        torque = _STIFFNESS * (target - observation[5:13]) - _DAMPING * observation[19:27]
        torque = np.roll(torque, 2)  # the actuators begin with the last leg
        clipped: NDArray[np.float64] = np.clip(torque, -1.0, 1.0)
        return clipped


# In the order of Ant's joints: hip and ankle of each leg; ankles bend to either side.
_SIDE = np.array([1, 1, 1, -1, 1, -1, 1, 1])
_CENTRE = _SIDE * np.tile([0.0, 0.956], 4)
_PHASE = np.repeat([-2.619, 1.308, -0.67, 0.338], 2) - np.tile([0.0, 0.393], 4)
_STIFFNESS = 1.444
_DAMPING = 0.129


class _Function:
    """A policy without state."""

    def __init__(self, policy: Policy) -> None:
        self.act = policy


def _policy(policy: Policy) -> AgentFactory:
    return _shipped(lambda context, options: _Function(policy))  # noqa: ARG005


def _shipped(make: Callable[[AgentContext, dict[str, Any]], Any], *options: str) -> AgentFactory:
    """Return a factory that takes only ``options`` and no text after the name."""

    def factory(text: str, context: AgentContext) -> Any:
        if text:
            raise AgentError(f"a shipped agent takes nothing after its name, got {text!r}")
        for name in context.options:
            if name not in options:
                hint = did_you_mean(name, options) if options else "; it has none"
                raise AgentError(f"the agent has no option {name!r}{hint}")
        return make(context, dict(context.options))

    return factory


def _of_domain(domain: str, name: str, *options: str) -> AgentFactory:
    """Return a factory of an agent of a domain of ours, imported when it is made."""

    def make(context: AgentContext, settings: dict[str, Any]) -> Any:
        agents = importlib.import_module(f"pytest_a2perf.domains.{domain}.agents")
        return getattr(agents, name)(context.env, **settings)

    return _shipped(make, *options)


def _web_llm(context: AgentContext, settings: dict[str, Any]) -> Any:
    from pytest_a2perf.domains.web.llm import LlmWebAgent

    return LlmWebAgent(context, **settings)


_MODEL = (
    "model", "api_base", "api_key_env", "temperature", "seed", "max_tokens", "reasoning_effort",
    "extra", "timeout", "max_retries", "patience", "prices",
)  # fmt: skip
_LIMITS = ("max_steps", "max_total_tokens", "max_cost")


def _assistant(name: str, *options: str) -> AgentFactory:
    """Return a factory of an agent of the domain ``assistant``."""

    def make(context: AgentContext, _: dict[str, Any]) -> Any:
        module = importlib.import_module("pytest_a2perf.domains.assistant.agents.make")
        return getattr(module, name)(context)

    return _shipped(make, *options)


def _mcp(command: str, context: AgentContext) -> Any:
    from pytest_a2perf.domains.assistant.agents.mcp_agent import McpAgent

    return McpAgent(command, context.root)


def _trained(name: str, context: AgentContext) -> Any:
    from pytest_a2perf.agents.trained import make_trained

    return make_trained(name, context)


BUILTIN: Mapping[str, AgentFactory] = {
    "random": _shipped(lambda context, _: RandomAgent(context.env)),
    "cartpole-balance": _policy(cartpole_balance),
    "cartpole-lean": _policy(cartpole_lean),
    "mountaincar-energy": _policy(mountaincar_energy),
    "mountaincar-uphill": _policy(mountaincar_uphill),
    "pendulum-energy": _policy(pendulum_energy),
    "pendulum-limp": _policy(pendulum_limp),
    "acrobot-energy": _policy(acrobot_energy),
    "acrobot-idle": _policy(acrobot_idle),
    "assistant-llm": _assistant("llm_agent", *_MODEL, *_LIMITS),
    "assistant-oracle": _assistant("oracle_agent", "flaw"),
    "assistant-react": _assistant("react_agent", *_MODEL, *_LIMITS),
    "assistant-scripted": _assistant("scripted_agent", "script"),
    "circuit-annealing": _of_domain("circuit", "AnnealingAgent", "rounds", "steps"),
    "circuit-by-area": _of_domain("circuit", "ByAreaAgent"),
    "circuit-greedy": _of_domain("circuit", "GreedyAgent", "clusters_every"),
    "circuit-random": _of_domain("circuit", "RandomLegalAgent"),
    "mcp": _mcp,
    "miniwob-oracle": _of_domain("miniwob", "MiniwobOracle"),
    "quadruped-feedback": _of_domain(
        "quadruped", "FeedbackAgent", "lead", "load", "capture", "steer", "damp"
    ),
    "quadruped-idle": _of_domain("quadruped", "IdleAgent"),
    "quadruped-open-loop": _of_domain("quadruped", "OpenLoopAgent", "lead", "load"),
    "quadruped-trained": _of_domain("quadruped", "TrainedAgent", "policy"),
    "run": _trained,
    "web-llm": _shipped(
        _web_llm,
        "model",
        "api_base",
        "temperature",
        "max_tokens",
        "timeout",
        "max_retries",
        "corrections",
    ),
    "web-oracle": _of_domain("web", "OracleAgent"),
    "web-random": _of_domain("web", "RandomElementAgent"),
    "ant-gait": _shipped(lambda _, options: AntGait(**options), "frequency", "stride", "lift"),
}
"""Name -> factory of the shipped agents."""
