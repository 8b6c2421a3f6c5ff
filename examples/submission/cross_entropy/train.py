"""The cross-entropy method: sample laws, keep the best, sample around them."""

import csv
import os
from pathlib import Path

import gymnasium
import numpy as np
from law import act


def play(env, weights, seed):
    observation, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(act(weights, observation))
        total += reward
        over = terminated or truncated
    return total


def train(rounds="8", laws="20"):
    """A2Perf passes the participant's arguments as strings."""
    root = Path(os.environ["ROOT_DIR"])
    rng = np.random.default_rng(int(os.environ["SEED"]))
    env = gymnasium.make(os.environ.get("A2PERF_TASK", "CartPole-v1"))
    mean, spread, steps = np.zeros(4), np.ones(4), 0
    with (root / "progress.csv").open("w", newline="") as file:
        curve = csv.writer(file)
        curve.writerow(["step", "return"])
        for _ in range(int(rounds)):
            sampled = rng.normal(mean, spread, (int(laws), 4))
            totals = np.array([play(env, weights, int(rng.integers(2**31))) for weights in sampled])
            best = sampled[np.argsort(totals)[-len(totals) // 4 :]]
            mean, spread = best.mean(axis=0), best.std(axis=0) + 0.05
            steps += int(totals.sum())  # each step is worth one
            curve.writerow([steps, totals.mean()])
            print(f"{steps} steps: return {totals.mean():.0f}")
    np.save(root / "law.npy", mean)
