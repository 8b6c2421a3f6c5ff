"""Roll out an agent in a Gymnasium environment, timing each decision.

The loop is written out, not factored: at a few microseconds a step, every call of ours would show.
So is the bookkeeping: a step stores two stamps of the clock and its reward in lists that are
already there, and everything else is worked out once in a few hundred steps.
"""

from __future__ import annotations

import random
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.agents.base import Agent
from pytest_a2perf.domains.gym.blame import (
    action_problem,
    agents_fault,
    bad_reward,
    environments_fault,
)
from pytest_a2perf.errors import A2PerfError, AgentError
from pytest_a2perf.meters.torch_cuda import cuda, synchronize
from pytest_a2perf.runs.record import Episode

__all__ = [
    "Rollout",
    "add_rewards",
    "begin",
    "episode_seeds",
    "roll_out",
    "seed_everything",
    "solved",
    "total_of",
]

_PROGRESS_NS = 500_000_000
_CHUNK = range(256)
"""Steps between two times of working out what they gave."""


@dataclass(slots=True)
class Rollout:
    """What happened, also as far as it went when something raised.

    Attributes:
        episodes: in the order of their seeds.
        decisions: nanoseconds of each decision of the agent.
        steps: nanoseconds of each step of the environment.
    """

    episodes: list[Episode] = field(default_factory=list)
    decisions: array[int] = field(default_factory=lambda: array("q"))
    steps: array[int] = field(default_factory=lambda: array("q"))

    @property
    def latency(self) -> NDArray[np.float64]:
        """Seconds of each decision."""
        return np.array(self.decisions, dtype=float) * 1e-9

    @property
    def env_step(self) -> NDArray[np.float64]:
        """Seconds of each step of the environment."""
        return np.array(self.steps, dtype=float) * 1e-9

    def add_stamps(
        self, began: list[int], decided: list[int], last: int, ended: int | None
    ) -> None:
        """Add consecutive steps.

        Args:
            began: when each decision began, in nanoseconds; what follows ``last`` is stale.
            decided: when it was made.
            last: index of the last step.
            ended: when it was over; None if it was cut off.
        """
        # What cut a step off may have struck anywhere, so only those before it are certain.
        count = max(last - 1, 0) if ended is None else last + 1
        starts = np.array(began[: count + 1], dtype=np.int64)
        if ended is not None:
            starts = np.append(starts[:count], ended)
        decisions = np.array(decided[:count], dtype=np.int64)
        self.decisions.frombytes((decisions - starts[:count]).tobytes())
        self.steps.frombytes((starts[1 : count + 1] - decisions).tobytes())


def episode_seeds(seed: int, count: int) -> list[int]:
    """Return a seed for each episode of a trial.

    The first is the trial's own, so that an episode can be repeated by hand with
    ``env.reset(seed=...)``; the others are drawn from ``numpy.random.SeedSequence(seed)``, and the
    first ones stay the same when there are more of them.
    """
    drawn = np.random.SeedSequence(seed).generate_state(max(count - 1, 0)).tolist()
    return [seed, *drawn][:count]


def seed_everything(env: Any, seed: int) -> None:
    """Seed what agents may draw from: action spaces, Python, NumPy's global state, torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - users' agents may use the global state
    env.action_space.seed(seed)
    if hasattr(env, "single_action_space"):
        env.single_action_space.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(seed)


def solved(
    info: dict[str, Any], total: float, success: Callable[[float], bool] | None
) -> bool | None:
    """Say whether an episode was solved: by the criterion, else by the environment's own word."""
    if success is not None:
        return success(total)
    for key in ("is_success", "success"):
        if key in info:
            return bool(info[key])
    return None


def total_of(rewards: array[float], seed: int) -> float:
    """Add up rewards one by one, as a plain loop would.

    Raises:
        InfraError: one of them is not finite; the message says which.
    """
    running = np.add.accumulate(np.array(rewards, dtype=float)) if rewards else np.zeros(1)
    if not np.isfinite(running[-1]):
        step = int(np.argmin(np.isfinite(running)))
        raise bad_reward(rewards[step], seed, step)
    return float(running[-1])


def roll_out(
    env: gymnasium.Env[Any, Any],
    agent: Agent,
    *,
    seeds: Sequence[int],
    success: Callable[[float], bool] | None = None,
    on_progress: Callable[[str], None] | None = None,
    task: str = "",
    into: Rollout | None = None,
) -> Rollout:
    """Run one episode for each seed in a single environment.

    A decision is timed from the observation to the action, on the real observations; a GPU on which
    the agent works is waited for. The rest up to the next decision is the environment's step.

    Args:
        env: a single environment.
        agent: see `Agent`; ``reset(seed)`` is called before each episode.
        seeds: one for each episode; agent and environment both get it.
        success: criterion on an episode's return.
        on_progress: told how far it is, at the end of an episode and in long ones.
        task: written into the episodes.
        into: is filled and returned, so that the caller has what there is when this raises.

    Raises:
        AgentError: the agent raised, or its action is not one of the environment's.
        InfraError: the environment raised, or gave a reward that is not finite.
    """
    result = Rollout() if into is None else into
    clock, act, step = perf_counter_ns, agent.act, env.step
    size = len(_CHUNK)
    began, decided, rewarded = [0] * size, [0] * size, [0.0] * size
    reported = clock()
    for number, seed in enumerate(seeds, 1):
        begin(agent, seed)
        observation, info = _reset(env, seed)
        rewards = array("d")
        wait = synchronize if cuda() is not None else None
        action: Any = None
        terminated = truncated = False
        while not (terminated or truncated):
            i, ended = 0, None
            try:
                for i in _CHUNK:
                    began[i] = clock()
                    try:
                        action = act(observation)
                        if wait is not None:
                            wait()
                    except A2PerfError:
                        raise
                    except Exception as error:
                        raise agents_fault(error, seed, len(rewards) + i) from error
                    decided[i] = clock()
                    try:
                        observation, rewarded[i], terminated, truncated, info = step(action)  # type: ignore[call-overload]
                    except Exception as error:
                        problem = action_problem(env.action_space, action)
                        raise environments_fault(error, problem, seed, len(rewards) + i) from error
                    if terminated or truncated:
                        break
                ended = clock()
            finally:
                result.add_stamps(began, decided, i, ended)
            add_rewards(rewards, rewarded[: i + 1], seed)
            if on_progress is not None and ended - reported >= _PROGRESS_NS:
                reported = ended
                sofar = f"step {len(rewards)}, return {sum(rewards):.1f}"
                on_progress(f"episode {number}/{len(seeds)}, {sofar}")
        # Not each action is checked: most environments do, and this costs more than a step.
        problem = action_problem(env.action_space, action)
        if problem is not None:
            raise AgentError(f"{problem} (seed {seed}, step {len(rewards) - 1})")
        total = total_of(rewards, seed)
        result.episodes.append(
            Episode(
                total,
                len(rewards),
                bool(terminated),
                bool(truncated),
                solved(info, total, success),
                task,
            )
        )
        if on_progress is not None:
            on_progress(f"episode {number}/{len(seeds)}, return {total:.1f}")
    return result


def add_rewards(rewards: array[float], new: list[Any], seed: int) -> None:
    """Append what an environment gave.

    Raises:
        InfraError: one of them is not a number; the message says which.
    """
    before = len(rewards)
    try:
        rewards.extend(new)
    except (TypeError, ValueError, DeprecationWarning):  # the last for arrays of one number
        raise bad_reward(new[len(rewards) - before], seed, len(rewards)) from None


def begin(agent: Agent, seed: int) -> None:
    """Reset an agent for an episode.

    Raises:
        AgentError: it raised.
    """
    try:
        agent.reset(seed)
    except A2PerfError:
        raise
    except Exception as error:
        raise agents_fault(error, seed, None) from error


def _reset(env: gymnasium.Env[Any, Any], seed: int) -> tuple[Any, dict[str, Any]]:
    try:
        return env.reset(seed=seed)
    except Exception as error:
        raise environments_fault(error, None, seed, None) from error
