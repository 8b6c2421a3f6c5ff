"""Train the policy by the cross-entropy method: ``python train.py cartpole.npy``."""

import sys

import gymnasium
import numpy as np


def train(seed, generations=8, population=16, elite=4, steps=500):
    """Yield generation, weights and the return that they reach."""
    rng = np.random.default_rng(seed)
    mean, spread = np.zeros((4, 2)), np.ones((4, 2))
    env = gymnasium.make("CartPole-v1", max_episode_steps=steps)

    def play(weights):
        observation, _ = env.reset(seed=int(rng.integers(2**31)))
        total, over = 0.0, False
        while not over:
            action = int(np.argmax(observation @ weights))
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            over = terminated or truncated
        return total

    for generation in range(generations):
        tried = rng.normal(mean, spread, size=(population, 4, 2))
        best = tried[np.argsort([play(weights) for weights in tried])[-elite:]]
        mean, spread = best.mean(axis=0), best.std(axis=0) + 0.1
        yield generation, mean, play(mean)
    env.close()


if __name__ == "__main__":
    for generation, weights, total in train(seed=0):
        print(f"generation {generation}: {total:.0f}")
        np.save(sys.argv[1], weights)
