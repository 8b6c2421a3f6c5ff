"""Benchmarks as Python tests: the marker ``a2perf`` and the fixtures."""

import gymnasium
import pytest
from policy import Policy


# The test runs once for each seed; the gates are judged over all of them.
@pytest.mark.a2perf(seeds=5, gates={"return.mean": ">= 475", "latency.p95": "<= 5 ms"})
def test_it_balances(rollout):
    rollout("CartPole-v1", agent=Policy(), episodes=3)


# Each combination of parameters is a scenario of its own, with its own gates.
@pytest.mark.parametrize("length", [0.4, 0.6])
@pytest.mark.a2perf(seeds=3, gates={"return.mean": {"min": 400, "confidence": 0.9}})
def test_other_poles(rollout, length):
    env = gymnasium.make("CartPole-v1")
    env.unwrapped.length = length
    rollout(env, agent=Policy(), episodes=2)
    env.close()


# Within a seed an assertion judges, over all seeds a gate.
@pytest.mark.a2perf(seeds=3, gates={"reliability.risk_across_rollouts": ">= 300"})
def test_its_bad_days(rollout, reliability):
    rollout("CartPole-v1", agent=Policy(), episodes=5)
    assert reliability.dispersion <= 50


@pytest.fixture
def observations():
    env = gymnasium.make("CartPole-v1")
    env.observation_space.seed(0)
    yield [env.observation_space.sample() for _ in range(2000)]
    env.close()


# Without the marker it is an ordinary test, and runs without --a2perf, too.
def test_what_decisions_cost(latency, energy, memory, observations):
    policy = Policy()
    with energy, memory:
        for observation in observations:
            with latency:
                policy.act(observation)
    assert latency.p95 <= 0.005
    assert memory.delta <= 50e6
    assert energy.joules <= 20, f"read by {energy.source}, {energy.quality}"
