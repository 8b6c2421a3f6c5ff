"""What a rollout costs over a bare Gymnasium loop: CartPole with a cheap policy.

Ours records the latency of each decision, the time of each step of the environment, and every
reward; the bare loop adds up the rewards.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import gymnasium
from common import interleave, median_ratio, report

from pytest_a2perf.agents.adapt import adapt
from pytest_a2perf.domains.gym.rollout import roll_out

ROUNDS = 75
SEEDS = range(2)


def policy(observation: Any) -> int:
    return int(observation[2] + 0.5 * observation[3] > 0)


def bare(env: gymnasium.Env[Any, Any]) -> float:
    """Return the CPU seconds that a loop as in Gymnasium's documentation takes."""
    started = time.process_time()
    for seed in SEEDS:
        observation, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total += float(reward)
            over = terminated or truncated
    return time.process_time() - started


def ours(env: gymnasium.Env[Any, Any]) -> float:
    """Return the CPU seconds that our rollout takes."""
    agent = adapt(policy, "policy")
    started = time.process_time()
    roll_out(env, agent, seeds=SEEDS)
    return time.process_time() - started


def main() -> list[dict[str, object]]:
    env = gymnasium.make("CartPole-v1")
    steps = sum(
        episode.length for episode in roll_out(env, adapt(policy, ""), seeds=SEEDS).episodes
    )
    times = interleave(ROUNDS, {"bare": lambda: bare(env), "ours": lambda: ours(env)})
    env.close()
    for name, values in times.items():
        print(f"{name:6}{1e6 * statistics.median(values) / steps:8.2f} µs a step", file=sys.stderr)
    ratio = median_ratio(times["ours"], times["bare"])
    detail = f"CartPole, {steps} steps a round, {ROUNDS} interleaved rounds, latency of each step"
    return [report("rollout over a bare gymnasium loop", ratio, "x", "<= 1.10", detail)]


if __name__ == "__main__":
    main()
