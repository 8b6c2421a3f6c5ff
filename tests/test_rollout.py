"""The rollout engine: seeds, ends of episodes, timing, vectorised environments, blame."""

from __future__ import annotations

import random
import sys
import types

import gymnasium
import numpy as np
import pytest
from gym_worlds import Countdown, Long, Parity, as_tuple, expected
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.agents.adapt import adapt
from pytest_a2perf.domains.gym.rollout import Rollout, episode_seeds, roll_out, seed_everything
from pytest_a2perf.domains.gym.vector import roll_out_vector
from pytest_a2perf.errors import AgentError, AgentFailure, InfraError


def agent_of(made):
    return adapt(made, made)


def zero(observation):
    return 0


class Batch:
    batched = True
    asked = 0

    def act(self, observations):
        self.asked += 1
        return np.zeros(len(observations), dtype=np.int64)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 50), more=st.integers(0, 20))
def test_the_first_episode_has_the_trials_seed_and_more_episodes_change_no_earlier_one(
    seed, count, more
):
    seeds = episode_seeds(seed, count)
    assert len(seeds) == count
    assert seeds[0] == seed
    assert episode_seeds(seed, count + more)[:count] == seeds
    assert all(type(each) is int for each in seeds)


def test_seeds_of_a_trial_differ_from_each_other_and_from_the_next_trials():
    seeds = [seed for trial in range(20) for seed in episode_seeds(trial, 20)]
    assert len(set(seeds)) == len(seeds)


@given(seeds=st.lists(st.integers(0, 2**31), min_size=1, max_size=6))
def test_every_episode_is_reset_with_its_seed(seeds):
    env = Countdown()
    result = roll_out(env, agent_of(zero), seeds=seeds)
    assert env.seeds == seeds
    assert [as_tuple(episode) for episode in result.episodes] == [expected(s) for s in seeds]


def test_terminated_and_truncated_are_kept_apart():
    result = roll_out(gymnasium.make("MountainCar-v0"), agent_of(lambda _: 2), seeds=[0])
    assert as_tuple(result.episodes[0]) == (-200.0, 200, False, True, None)
    result = roll_out(gymnasium.make("CartPole-v1"), agent_of(zero), seeds=[0])
    assert as_tuple(result.episodes[0])[2:4] == (True, False)


def test_returns_are_those_of_a_plain_loop():
    env = gymnasium.make("Pendulum-v1")
    action = np.array([0.5], dtype=np.float32)
    (episode,) = roll_out(env, agent_of(lambda _: action), seeds=[5]).episodes
    env.reset(seed=5)
    total, over = 0.0, False
    while not over:
        _, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        over = terminated or truncated
    assert episode.total == total


def test_there_is_one_latency_and_one_step_time_for_each_step():
    def slow(observation):
        if observation[1] == 0:
            for _ in range(20_000):
                pass
        return 0

    env = Countdown()
    result = roll_out(env, agent_of(slow), seeds=[0, 1, 2])
    lengths = [episode.length for episode in result.episodes]
    assert len(result.latency) == len(result.env_step) == sum(lengths) == env.steps
    assert (result.latency >= 0).all()
    assert (result.env_step > 0).all()
    firsts = np.cumsum([0, *lengths[:-1]])
    assert result.latency[firsts].min() > 10 * np.median(np.delete(result.latency, firsts))


def test_long_episodes_are_timed_across_the_internal_chunks_and_show_progress(monkeypatch):
    monkeypatch.setattr("pytest_a2perf.domains.gym.rollout._PROGRESS_NS", 0)
    said = []
    agent = agent_of(lambda _: np.zeros(1))
    result = roll_out(Long(), agent, seeds=[0, 1], on_progress=said.append)
    assert len(result.latency) == len(result.env_step) == 2000
    assert [episode.total for episode in result.episodes] == [1000, 1000]
    assert "episode 1/2, step 512, return 512.0" in said
    assert said[-1] == "episode 2/2, return 1000.0"


def test_success_is_the_criterion_or_else_the_environments_word():
    seeds = list(range(8))
    by_env = roll_out(Countdown(), agent_of(zero), seeds=seeds)
    assert [e.success for e in by_env.episodes] == [expected(s)[4] for s in seeds]
    by_rule = roll_out(Countdown(), agent_of(zero), seeds=seeds, success=lambda total: total >= 99)
    assert [e.success for e in by_rule.episodes] == [expected(s)[0] >= 99 for s in seeds]


def test_everything_that_agents_draw_from_is_seeded(monkeypatch):
    torch = types.ModuleType("torch")
    torch.manual_seed = lambda seed: setattr(torch, "seeded", seed)
    monkeypatch.setitem(sys.modules, "torch", torch)
    env = gymnasium.make("CartPole-v1")

    def draws():
        seed_everything(env, 7)
        drawn = random.random(), np.random.rand()  # noqa: NPY002 - agents may do so
        return *drawn, env.action_space.sample(), torch.seeded

    assert draws() == draws()
    assert torch.seeded == 7


def test_a_gpu_is_waited_for_before_the_clock_is_read(monkeypatch):
    waits = []
    cuda = types.SimpleNamespace(
        is_initialized=lambda: True, device_count=lambda: 1, synchronize=waits.append
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    result = roll_out(Countdown(), agent_of(zero), seeds=[3])
    assert len(waits) == len(result.latency)


# -- blame -------------------------------------------------------------------------------------


def test_an_agent_that_raises_is_named_with_seed_and_step_and_its_own_traceback():
    def fails(observation):
        if observation[1] == 1:
            raise KeyError("lost")
        return 0

    seed = next(s for s in range(50) if expected(s)[1] > 2)
    into = Rollout()
    with pytest.raises(AgentError) as caught:
        roll_out(Countdown(), agent_of(fails), seeds=[seed], into=into)
    assert str(caught.value) == (
        f"KeyError: 'lost'\nraised by the agent's act (seed {seed}, step 1)"
    )
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_was_done_before_an_error_is_kept():
    asked = []

    def fails_late(observation):
        asked.append(observation)
        if len(asked) > sum(expected(s)[1] for s in (0, 1, 2)) + 1:
            raise ValueError
        return 0

    seed = next(s for s in range(50) if expected(s)[1] > 3)
    into = Rollout()
    with pytest.raises(AgentError):
        roll_out(Countdown(), agent_of(fails_late), seeds=[0, 1, 2, seed], into=into)
    assert [as_tuple(e) for e in into.episodes] == [expected(s) for s in (0, 1, 2)]
    assert len(into.latency) == len(into.env_step) >= sum(e.length for e in into.episodes)


def test_an_agents_own_verdict_passes_through():
    def down(observation):
        raise InfraError("the endpoint is down")

    with pytest.raises(InfraError, match="endpoint is down"):
        roll_out(Countdown(), agent_of(down), seeds=[0])
    with pytest.raises(InfraError, match="endpoint is down"):
        roll_out_vector(vector(2), [agent_of(down)], seeds=[0])

    class GivesUp:
        def reset(self, seed):
            raise AgentFailure("no")

        act = zero

    with pytest.raises(AgentFailure):
        roll_out(Countdown(), agent_of(GivesUp()), seeds=[0])


def test_a_reset_that_raises_is_the_agents_fault():
    class Bad:
        def reset(self, seed):
            raise OSError("weights")

        def act(self, observation):
            return 0

    with pytest.raises(AgentError, match=r"OSError: weights\nraised by the agent's reset \(seed 4"):
        roll_out(Countdown(), agent_of(Bad()), seeds=[4])


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), "one", np.array([1.0])])
def test_a_reward_that_is_no_finite_number_is_the_environments_fault(reward):
    seed = next(s for s in range(50) if expected(s)[1] > 3)
    with pytest.raises(InfraError, match=rf"reward .* \(seed {seed}, step 2\)"):
        roll_out(Countdown(bad_reward=reward, bad_step=2), agent_of(zero), seeds=[seed])


@pytest.mark.parametrize("reward", [float("nan"), "one"])
def test_a_bad_reward_in_a_vectorised_environment(reward):
    seed = next(s for s in range(50) if expected(s)[1] > 3)
    lanes = [lambda: Countdown(bad_reward=reward, bad_step=2)] * 2
    env = SyncVectorEnv(lanes, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(InfraError, match=rf"environment .*\(seed {seed}, step 2\)"):
        roll_out_vector(env, [agent_of(zero)], seeds=[seed, seed])


@pytest.mark.parametrize(
    ("env", "action", "message"),
    [
        (Countdown, 2, r"action 2 is not in Discrete\(2\) \(seed 0, step 0\)"),
        (Countdown, None, r"action None is not in Discrete"),
        (Long, 0.5, r"has shape \(\), but the environment takes \(1,\)"),
        (Long, np.array([np.nan]), "is not finite"),
        (Long, "left", "'left' is not in Box"),
    ],
)
def test_an_action_outside_the_space_is_the_agents_fault(env, action, message):
    with pytest.raises(AgentError, match=message):
        roll_out(env(), agent_of(lambda _: action), seeds=[0])


def test_the_element_type_of_a_continuous_action_does_not_matter():
    for action in ([0.5], np.array([0.5]), np.array([1])):
        roll_out(Long(), agent_of(lambda _, action=action: action), seeds=[0])


def test_an_environment_that_raises_is_not_the_agents_fault():
    with pytest.raises(
        InfraError, match=r"OSError in step: the simulator is gone \(seed 0, step 0"
    ):
        roll_out(Countdown(raises_at=0), agent_of(zero), seeds=[0])


# -- vectorised --------------------------------------------------------------------------------


def vector(count, mode=AutoresetMode.DISABLED, kind=SyncVectorEnv):
    return kind([Countdown] * count, autoreset_mode=mode)


@settings(deadline=None)
@given(
    episodes=st.integers(1, 12),
    lanes=st.integers(1, 6),
    seed=st.integers(0, 1000),
    mode=st.sampled_from(AutoresetMode),
    kind=st.sampled_from(["function", "own state", "batched"]),
)
def test_any_number_of_lanes_runs_each_episode_once_and_counts_no_reset(
    episodes, lanes, seed, mode, kind
):
    seeds = episode_seeds(seed, episodes)
    env = vector(lanes, mode)
    batch = Batch()
    agents = {
        "function": lambda: [agent_of(zero)],
        "own state": lambda: [agent_of(Parity()) for _ in range(lanes)],
        "batched": lambda: [agent_of(batch)],
    }[kind]()
    result = roll_out_vector(env, agents, seeds=seeds)
    assert len(result.episodes) == episodes
    decided = sum(episode.length for episode in result.episodes)
    assert len(result.latency) == (batch.asked if kind == "batched" else decided)
    if mode is AutoresetMode.DISABLED:
        made = agent_of(Parity() if kind == "own state" else zero)
        alone = roll_out(Countdown(), made, seeds=seeds)
        assert result.episodes == alone.episodes
    elif kind != "own state":
        for episode in result.episodes:
            worth = episode.total / episode.length
            assert worth == int(worth)
            assert 1 <= worth < 100
            assert episode.terminated == (worth % 3 != 0)
            assert episode.success == (worth > 50)


def test_processes_give_what_a_single_environment_gives():
    seeds = episode_seeds(1, 5)
    env = vector(2, kind=AsyncVectorEnv)
    result = roll_out_vector(env, [agent_of(zero)], seeds=seeds)
    env.close()
    assert [as_tuple(episode) for episode in result.episodes] == [expected(s) for s in seeds]


def test_short_episodes_are_not_favoured():
    short = [s for s in range(300) if expected(s)[1] == 1][:3]
    long = next(s for s in range(300) if expected(s)[1] == 7)
    seeds = [long, short[0], long, short[1], long, short[2]]
    result = roll_out_vector(vector(2), [agent_of(zero)], seeds=seeds)
    assert [episode.length for episode in result.episodes] == [7, 1, 7, 1, 7, 1]


def test_blame_in_a_vectorised_environment():
    with pytest.raises(AgentError, match=r"action 5 is not in Discrete\(2\)"):
        roll_out_vector(vector(2), [agent_of(lambda _: 5)], seeds=[0, 1])
    with pytest.raises(AgentError, match="action 'x' is not in"):
        roll_out_vector(vector(2), [agent_of(lambda _: "x")], seeds=[0, 1])

    class Wrong:
        batched = True

        def act(self, observations):
            return [0]

    with pytest.raises(AgentError, match="is not in MultiDiscrete"):
        roll_out_vector(vector(2), [agent_of(Wrong())], seeds=[0, 1])

    class Fails:
        batched = True

        def act(self, observations):
            raise ZeroDivisionError

    with pytest.raises(AgentError, match=r"ZeroDivisionError: \nraised by the agent's act"):
        roll_out_vector(vector(2), [agent_of(Fails())], seeds=[0, 1])
    broken = SyncVectorEnv([lambda: Countdown(raises_at=0)], autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(InfraError, match="simulator is gone"):
        roll_out_vector(broken, [agent_of(zero)], seeds=[0])
