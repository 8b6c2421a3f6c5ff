"""Train a policy that follows a clip better than the feedback controller does.

    python training/quadruped.py trot --seed 1

Iterative learning control (Arimoto et al., 1984), as a residual of the controller: where in the
cycle a joint lags behind the clip, it shall be told so some steps earlier next time. A ridge
regression of the joints' errors on the clip's joint angles to come gives the correction of each
phase. What small errors of the joints are worth is up to the gait, so a correction stays only if
it raises the mean return of all training episodes; otherwise a smaller or another one is tried.
Half of the episodes are with drawn robots. It needs nothing but the package and MuJoCo.
"""  # noqa: INP001 - a folder of scripts

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.agents import TrainedAgent
from pytest_a2perf.domains.quadruped.environment import QuadrupedEnv
from pytest_a2perf.domains.quadruped.gaits import GAITS
from pytest_a2perf.domains.quadruped.residual import FEATURES, SHIPPED, Residual, features

Floats = NDArray[np.float64]

DELAYS = (2, 3, 4)
"""How many steps an action may take until joints follow."""
FIRST_GAIN, LEAST_GAIN = 0.2, 0.01
"""Part of the errors that is corrected in a round."""
RIDGE = 0.002
"""Of the regression, rad^2."""
SETTLING = 30
"""Steps at the start of an episode, in which errors are not the gait's."""


class Episode(NamedTuple):
    """What an episode showed.

    Attributes:
        total: the return.
        seen: features of all steps, shape (n, 49).
        errors: of the joints after these steps, shape (n, 12), rad.
    """

    total: float
    seen: Floats
    errors: Floats


@cache
def environment(clip: str, drawn: bool) -> QuadrupedEnv:
    """Return the environment of a process; ``drawn``: with another robot in each episode."""
    return QuadrupedEnv(clip, enable_randomizer=drawn)


def play(clip: str, drawn: bool, seed: int, weights: Floats, steps: int) -> Episode:
    """Play an episode of ``steps`` at most."""
    env = environment(clip, drawn)
    agent = TrainedAgent(env, Residual(weights))
    agent.reset(seed)
    observation, _ = env.reset(seed=seed)
    total, seen, errors = 0.0, [], []
    for step in range(1, steps + 1):
        seen.append(features(observation))
        observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
        errors.append(env.reference.joints[step] - env.data.qpos[7:])
        total += reward
        if terminated or truncated:
            break
    return Episode(total, np.array(seen), np.array(errors))


def correction(episodes: list[Episode], delay: int) -> Floats:
    """Return the weights that would have moved actions by the errors they led to, (12, 49)."""
    pairs = [
        (episode.seen[SETTLING:-delay], episode.errors[SETTLING + delay :])
        for episode in episodes
        if len(episode.seen) > SETTLING + delay
    ]
    seen, errors = (np.concatenate(part) for part in zip(*pairs, strict=True))
    square = seen.T @ seen / len(seen) + RIDGE * np.eye(FEATURES)
    found: Floats = np.linalg.solve(square, seen.T @ errors / len(seen)).T
    return found


class Trainer:
    """Plays the same episodes again and again, on all cores."""

    def __init__(self, pool: ProcessPoolExecutor, clip: str, seeds: list[int], steps: int) -> None:
        self._pool, self._clip, self._seeds, self._steps = pool, clip, seeds, steps
        self.played = 0

    def play(self, weights: Floats) -> list[Episode]:
        """Play half of the episodes with the robot as built, the others with drawn ones."""
        futures = [
            self._pool.submit(play, self._clip, number % 2 == 1, seed, weights, self._steps)
            for number, seed in enumerate(self._seeds)
        ]
        episodes = [future.result() for future in futures]
        self.played += sum(len(episode.seen) for episode in episodes)
        return episodes


def mean_return(episodes: list[Episode]) -> float:
    """Return the mean of the episodes' returns."""
    return float(np.mean([episode.total for episode in episodes]))


def train(trainer: Trainer, seed: int, rounds: int) -> tuple[Floats, float, float]:
    """Return the weights, and the mean returns of training before and after."""
    rng = np.random.default_rng(seed)
    best, gain = np.zeros((12, FEATURES)), FIRST_GAIN
    episodes = trainer.play(best)
    before = after = mean_return(episodes)
    for number in range(1, rounds + 1):
        # Abduction, hip and knee, of front and rear legs: both sides learn alike.
        speeds = np.repeat(rng.uniform(0.0, 2.0, (2, 1, 3)), 2, axis=1).reshape(12, 1)
        tried = best + gain * speeds * correction(episodes, int(rng.choice(DELAYS)))
        played = trainer.play(tried)
        better = mean_return(played) > after
        say(f"round {number}: gain {gain:.3f}, return {mean_return(played):.2f}{' *' * better}")
        if better:
            best, episodes, after = tried, played, mean_return(played)
        gain = min(max(gain * (1.3 if better else 0.8), LEAST_GAIN), FIRST_GAIN)
    return best, before, after


def say(text: str) -> None:
    """Print a line at once, also to a file."""
    print(text, flush=True)  # noqa: T201 - a script


def main() -> None:
    """Read the command line, train and write the policy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", choices=sorted(GAITS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--episodes", type=int, default=8, help="in each round")
    parser.add_argument("--steps", type=int, default=400, help="of an episode, at most")
    parser.add_argument("--workers", type=int, help="processes; default: one for each core")
    parser.add_argument("--output", type=Path, help="default: where the policies that ship are")
    given = parser.parse_args()
    started = time.perf_counter()
    with ProcessPoolExecutor(given.workers) as pool:
        # Far from the small seeds with which policies are compared.
        seeds = [1_000_000 * given.seed + number for number in range(given.episodes)]
        trainer = Trainer(pool, given.clip, seeds, given.steps)
        weights, before, after = train(trainer, given.seed, given.rounds)
    about = {
        "clip": given.clip,
        "command": f"python training/quadruped.py {given.clip} --seed {given.seed} "
        f"--rounds {given.rounds} --episodes {given.episodes} --steps {given.steps}",
        "method": "iterative learning control, as a residual of the feedback controller",
        "environment_steps": trainer.played,
        "training_return_before": round(before, 2),
        "training_return_after": round(after, 2),
    }
    path = given.output or SHIPPED / f"{given.clip}.npz"
    Residual(weights, about).save(path)
    minutes = (time.perf_counter() - started) / 60
    say(f"{path}: {before:.1f} -> {after:.1f} in {minutes:.1f} min")


if __name__ == "__main__":
    main()
