"""Roll out an agent in one Gymnasium environment, measuring each decision.

The loop is written out, not factored: at a microsecond a step every call of ours would show.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.runs.record import Episode

__all__ = ["Rollout", "episode_seeds", "roll_out", "seed_everything", "solved"]

_PROGRESS_NS = 500_000_000
_CHECK_EVERY = 256


@dataclass(slots=True)
class Rollout:
    """What happened.

    Attributes:
        episodes: in order of their end.
        latency: seconds of each decision, shape ``(decisions,)``.
        env_step: seconds of each step of the environment, shape ``(steps,)``.
    """

    episodes: list[Episode] = field(default_factory=list)
    latency: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    env_step: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


def episode_seeds(seed: int, count: int) -> list[int]:
    """Return a seed for each episode of a trial.

    The first is the trial's own, so that a single episode can be repeated by hand with
    ``env.reset(seed=...)``; the others are drawn from ``numpy.random.SeedSequence(seed)``.
    """
    drawn = np.random.SeedSequence(seed).generate_state(max(count - 1, 0)).tolist()
    return [seed, *drawn][:count]


def seed_everything(env: Any, seed: int) -> None:
    """Seed what agents draw from: action space, Python, NumPy's global state, torch if loaded."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - users' agents may use the global state
    env.action_space.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def solved(
    info: dict[str, Any], total: float, success: Callable[[float], bool] | None
) -> bool | None:
    """Return whether an episode was solved: by the criterion, else by the environment's own word."""
    if success is not None:
        return success(total)
    for key in ("is_success", "success"):
        if key in info:
            return bool(info[key])
    return None


def roll_out(
    env: gymnasium.Env[Any, Any],
    agent: Any,
    *,
    seeds: list[int],
    success: Callable[[float], bool] | None = None,
    synchronize: Callable[[], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
    task: str = "",
) -> Rollout:
    """Run one episode for each seed.

    Args:
        env: a single environment.
        agent: has ``act(observation)``; ``reset(seed)`` is called before each episode.
        seeds: one for each episode.
        success: criterion on an episode's return.
        synchronize: waits for the agent's device before the clock is read.
        on_progress: told how far it is, at most every half second.
        task: written into the episodes.

    Raises:
        AgentError: the agent raised, or its action is not one of the environment's.
        InfraError: the environment raised, or gave a reward that is not finite.
    """
    result = Rollout()
    latency: list[int] = []
    stepping: list[int] = []
    clock = perf_counter_ns
    act, step = agent.act, env.step
    reported = clock()
    for number, seed in enumerate(seeds):
        agent.reset(seed)
        observation, info = env.reset(seed=seed)
        total, length, terminated, truncated = 0.0, 0, False, False
        add_latency, add_stepping = latency.append, stepping.append
        while True:
            began = clock()
            action = act(observation)
            if synchronize is not None:
                synchronize()
            decided = clock()
            try:
                observation, reward, terminated, truncated, info = step(action)
            except Exception as error:
                raise _blame(env, action, error, seed, length) from error
            ended = clock()
            add_latency(decided - began)
            add_stepping(ended - decided)
            total += float(reward)
            length += 1
            if terminated or truncated:
                break
            if not length % _CHECK_EVERY and on_progress and ended - reported >= _PROGRESS_NS:
                reported = ended
                on_progress(f"episode {number + 1}/{len(seeds)}, step {length}, return {total:g}")
        if not math.isfinite(total):
            raise InfraError(
                f"the return of the episode with seed {seed} is {total} after {length} steps"
            )
        result.episodes.append(
            Episode(
                total, length, bool(terminated), bool(truncated), solved(info, total, success), task
            )
        )
        if on_progress and (clock() - reported >= _PROGRESS_NS or number == 0):
            reported = clock()
            on_progress(f"episode {number + 1}/{len(seeds)}, return {total:g}")
    result.latency = np.asarray(latency, dtype=float) * 1e-9
    result.env_step = np.asarray(stepping, dtype=float) * 1e-9
    return result


def _blame(env: Any, action: Any, error: Exception, seed: int, step: int) -> Exception:
    """Tell the agent's mistake from the environment's."""
    where = f"seed {seed}, step {step}"
    try:
        legal = env.action_space.contains(action)
    except Exception:  # noqa: BLE001 - an action so odd that the space cannot tell
        legal = False
    if not legal:
        return AgentError(f"the action {action!r} is not in {env.action_space} ({where})")
    return InfraError(f"the environment raised {type(error).__name__}: {error} ({where})")
