"""Roll out an agent in a vectorised Gymnasium environment."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from pytest_a2perf.domains.gym.rollout import Rollout, solved
from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.runs.record import Episode

__all__ = ["roll_out_vector"]


def roll_out_vector(
    env: VectorEnv[Any, Any, Any],
    agent: Any,
    *,
    seeds: list[int],
    success: Callable[[float], bool] | None = None,
    synchronize: Callable[[], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
    task: str = "",
) -> Rollout:
    """Run ``len(seeds)`` episodes over the sub-environments; see `roll_out` for the arguments.

    Each sub-environment contributes a fixed quota of episodes: taking whichever end first would
    favour short ones. Gymnasium reseeds a sub-environment only at the first reset, so the first
    episode of each has a seed of its own and the later ones follow from it.

    A batched agent's latency is that of the whole batch; others are asked, and timed, one by one.

    Raises:
        AgentError: an action is not one of the environment's.
        InfraError: the environment raised, or gave a reward that is not finite.
    """
    count = env.num_envs
    quota = np.array([len(seeds) // count + (i < len(seeds) % count) for i in range(count)])
    batched = bool(getattr(agent, "batched", False))
    next_step = (
        env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP) is AutoresetMode.NEXT_STEP
    )
    result = Rollout()
    latency: list[int] = []
    stepping: list[int] = []
    agent.reset(seeds[0])
    first = [seeds[i] if i < len(seeds) else seeds[0] + i for i in range(count)]
    observations, _ = env.reset(seed=first)
    totals, lengths = np.zeros(count), np.zeros(count, dtype=int)
    done = np.zeros(count, dtype=bool)
    while quota.any():
        active = quota > 0
        began = perf_counter_ns()
        if batched:
            actions = agent.act(observations)
            if synchronize is not None:
                synchronize()
            latency.append(perf_counter_ns() - began)
        else:
            actions = _ask_each(env, agent, observations, active & ~done, latency, synchronize)
        decided = perf_counter_ns()
        try:
            observations, rewards, terminated, truncated, infos = env.step(actions)
        except Exception as error:
            if not env.action_space.contains(actions):
                raise AgentError(
                    f"the actions {actions!r} are not in {env.action_space}"
                ) from error
            raise InfraError(f"the environment raised {type(error).__name__}: {error}") from error
        stepping.append(perf_counter_ns() - decided)
        # In this mode the step after an end only resets: its reward belongs to no episode.
        counts = active & ~done if next_step else active
        totals[counts] += rewards[counts]
        lengths[counts] += 1
        if not np.isfinite(totals[counts]).all():
            raise InfraError(f"a return is not finite after {int(lengths.max())} steps")
        ended = (terminated | truncated) & counts
        for index in np.flatnonzero(ended):
            info = _info_of(infos, int(index))
            result.episodes.append(
                Episode(
                    float(totals[index]),
                    int(lengths[index]),
                    bool(terminated[index]),
                    bool(truncated[index]),
                    solved(info, float(totals[index]), success),
                    task,
                )
            )
            quota[index] -= 1
        totals[ended], lengths[ended] = 0.0, 0
        done = (terminated | truncated) if next_step else np.zeros(count, dtype=bool)
        if ended.any() and on_progress is not None:
            on_progress(f"episode {len(result.episodes)}/{len(seeds)}")
    result.latency = np.asarray(latency, dtype=float) * 1e-9
    result.env_step = np.asarray(stepping, dtype=float) * 1e-9
    return result


def _ask_each(
    env: VectorEnv[Any, Any, Any],
    agent: Any,
    observations: Any,
    asked: NDArray[np.bool_],
    latency: list[int],
    synchronize: Callable[[], None] | None,
) -> Any:
    """Ask the agent for each sub-environment that is in an episode; the others get any action."""
    actions: list[Any] = list(iterate(env.action_space, env.action_space.sample()))
    for index, observation in enumerate(iterate(env.observation_space, observations)):
        if asked[index]:
            began = perf_counter_ns()
            actions[index] = agent.act(observation)
            if synchronize is not None:
                synchronize()
            latency.append(perf_counter_ns() - began)
    empty = create_empty_array(env.single_action_space, env.num_envs)
    return concatenate(env.single_action_space, actions, empty)


def _info_of(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """Pick one sub-environment's entries: those whose mask says that it set them."""
    return {
        key: values[index]
        for key, values in infos.items()
        if not key.startswith("_") and f"_{key}" in infos and infos[f"_{key}"][index]
    }
