"""Roll out agents in a vectorised Gymnasium environment."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter_ns
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from pytest_a2perf.agents.base import Agent
from pytest_a2perf.domains.gym.blame import action_problem, agents_fault, environments_fault
from pytest_a2perf.domains.gym.rollout import Rollout, add_rewards, begin, solved, total_of
from pytest_a2perf.errors import A2PerfError, AgentError
from pytest_a2perf.meters.torch_cuda import cuda, synchronize
from pytest_a2perf.runs.record import Episode

__all__ = ["roll_out_vector"]


class _Lane:
    """A sub-environment: the agent that decides in it, and the episodes it has to run.

    Attributes:
        running: it is in an episode; otherwise it idles.
        number, seed: of the episode.
        rewards: of the episode so far.
        action: the last one; idle lanes repeat it.
    """

    __slots__ = ("_own", "_queue", "action", "agent", "number", "rewards", "running", "seed")

    def __init__(
        self, agent: Agent, episodes: Iterable[tuple[int, int]], action: Any, *, own: bool
    ) -> None:
        self.agent = agent
        self.action = action
        self._own = own
        self._queue = iter(episodes)
        self.number = self.seed = 0
        self.advance()

    def advance(self) -> None:
        """Go on to the next episode, if there is one."""
        self.rewards = array("d")
        following = next(self._queue, None)
        self.running = following is not None
        if following is not None:
            self.number, self.seed = following
            if self._own:
                begin(self.agent, self.seed)


def roll_out_vector(
    env: VectorEnv[Any, Any, Any],
    agents: Sequence[Agent],
    *,
    seeds: Sequence[int],
    success: Callable[[float], bool] | None = None,
    on_progress: Callable[[str], None] | None = None,
    task: str = "",
    into: Rollout | None = None,
) -> Rollout:
    """Run one episode for each seed over the sub-environments; see `roll_out`.

    Which sub-environment runs which episodes is fixed beforehand: taking whichever ends first would
    favour short ones. With autoreset disabled, as `make_env` makes them, every episode is reset
    with its own seed, so the results are those of a single environment. Environments that reset
    themselves take only their first seeds from us; the step in which they reset counts nowhere.

    Args:
        env: a vectorised environment, in any mode of autoreset.
        agents: one batched agent, which decides for all sub-environments at once and is reset only
            at the start; or one agent without state; or one for each sub-environment.
        seeds: one for each episode.
        success: criterion on an episode's return.
        on_progress: told how far it is, at the end of each episode.
        task: written into the episodes.
        into: is filled and returned. A batched agent's latency is that of a whole batch; others
            are timed one by one.

    Raises:
        AgentError: an agent raised, or an action is not one of the environment's.
        InfraError: the environment raised, or gave a reward that is not finite.
    """
    result = Rollout() if into is None else into
    count = env.num_envs
    mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
    batched = bool(getattr(agents[0], "batched", False))
    own = len(agents) == count and not batched
    if not own:
        begin(agents[0], seeds[0])
    numbered = list(enumerate(seeds))
    lanes = [
        _Lane(
            agents[index % len(agents)],
            numbered[index::count],
            env.single_action_space.sample(),
            own=own,
        )
        for index in range(count)
    ]
    ask = _ask_all if batched else _ask_each
    wait = synchronize if cuda() is not None else None
    resetting = np.zeros(count, dtype=bool)
    finished: dict[int, Episode] = {}
    try:
        observations = _reset(env, lanes, None)
        while any(lane.running for lane in lanes):
            asked = [i for i, lane in enumerate(lanes) if lane.running and not resetting[i]]
            actions = ask(env, lanes, asked, observations, decisions=result.decisions, wait=wait)
            decided = perf_counter_ns()
            try:
                observations, rewards, terminated, truncated, infos = env.step(actions)
            except Exception as error:
                lane = lanes[asked[0]] if asked else lanes[0]
                problem = _problem(env, lanes, actions, batched=batched)
                raise environments_fault(error, problem, lane.seed, len(lane.rewards)) from error
            result.steps.append(perf_counter_ns() - decided)
            over = terminated | truncated
            for index in asked:
                lane = lanes[index]
                add_rewards(lane.rewards, [rewards[index]], lane.seed)
                if not over[index]:
                    continue
                problem = _problem(env, [lane], actions, batched=batched)
                if problem is not None:
                    step = len(lane.rewards) - 1
                    raise AgentError(f"{problem} (seed {lane.seed}, step {step})")
                total = total_of(lane.rewards, lane.seed)
                finished[lane.number] = Episode(
                    total,
                    len(lane.rewards),
                    bool(terminated[index]),
                    bool(truncated[index]),
                    solved(_info_of(infos, index), total, success),
                    task,
                )
                lane.advance()
                if on_progress is not None:
                    on_progress(f"episode {len(finished)}/{len(seeds)}, return {total:.1f}")
            if mode is AutoresetMode.NEXT_STEP:
                resetting = over
            elif mode is AutoresetMode.DISABLED and over.any():
                observations = _reset(env, lanes, over)
    finally:
        result.episodes += [finished[number] for number in sorted(finished)]
    return result


def _ask_all(
    env: VectorEnv[Any, Any, Any],
    lanes: Sequence[_Lane],
    asked: Sequence[int],
    observations: Any,
    *,
    decisions: array[int],
    wait: Callable[[], None] | None,
) -> Any:
    """Ask a batched agent once."""
    del env
    began = perf_counter_ns()
    try:
        actions = lanes[0].agent.act(observations)
        if wait is not None:
            wait()
    except A2PerfError:
        raise
    except Exception as error:
        lane = lanes[asked[0]] if asked else lanes[0]
        raise agents_fault(error, lane.seed, len(lane.rewards)) from error
    decisions.append(perf_counter_ns() - began)
    return actions


def _ask_each(
    env: VectorEnv[Any, Any, Any],
    lanes: Sequence[_Lane],
    asked: Sequence[int],
    observations: Any,
    *,
    decisions: array[int],
    wait: Callable[[], None] | None,
) -> Any:
    """Ask for the lanes that are in an episode; the others keep their last action."""
    each = list(iterate(env.observation_space, observations))
    for index in asked:
        lane, observation = lanes[index], each[index]
        began = perf_counter_ns()
        try:
            lane.action = lane.agent.act(observation)
            if wait is not None:
                wait()
        except A2PerfError:
            raise
        except Exception as error:
            raise agents_fault(error, lane.seed, len(lane.rewards)) from error
        decisions.append(perf_counter_ns() - began)
    empty: Any = create_empty_array(env.single_action_space, env.num_envs)
    try:
        return concatenate(env.single_action_space, [lane.action for lane in lanes], empty)
    except Exception as error:
        problem = _problem(env, lanes, None, batched=False)
        lane = lanes[asked[0]]
        raise environments_fault(error, problem, lane.seed, len(lane.rewards)) from error


def _problem(
    env: VectorEnv[Any, Any, Any], lanes: Sequence[_Lane], actions: Any, *, batched: bool
) -> str | None:
    """Say what is wrong with the lanes' actions, or with a batch of actions."""
    if batched:
        return action_problem(env.action_space, actions)
    problems = (action_problem(env.single_action_space, lane.action) for lane in lanes)
    return next((problem for problem in problems if problem is not None), None)


def _reset(
    env: VectorEnv[Any, Any, Any], lanes: Sequence[_Lane], mask: NDArray[np.bool_] | None
) -> Any:
    by_hand = env.metadata.get("autoreset_mode") is AutoresetMode.DISABLED
    try:
        observations, _ = env.reset(
            # Those that reset themselves need not take more than one seed, see VectorEnv.reset.
            seed=[lane.seed for lane in lanes] if by_hand else lanes[0].seed,  # type: ignore[arg-type]
            options=None if mask is None else {"reset_mask": mask},
        )
    except Exception as error:
        raise environments_fault(error, None, lanes[0].seed, None) from error
    return observations


def _info_of(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """Pick one sub-environment's entries: those whose mask says that it set them."""
    infos = infos.get("final_info", infos)  # after a reset in the same step
    return {
        key: values[index]
        for key, values in infos.items()
        if not key.startswith("_") and f"_{key}" in infos and infos[f"_{key}"][index]
    }
