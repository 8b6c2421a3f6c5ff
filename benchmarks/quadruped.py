"""The domain quadruped: control steps a second, against MuJoCo stepped alone, and in threads.

MuJoCo alone replays the very steps that the environment made: the same states, the same set
points, the same number of substeps. All of it is CPU time, but for the vector mode's wall clock.

On a machine that others use, a step takes longer in most rounds than it needs. Beside the medians
of rounds stands what is left when each step counts as long as in its quickest round.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import mujoco
import numpy as np
from common import interleave, median_ratio, report

from pytest_a2perf.domains.quadruped.agents import FeedbackAgent
from pytest_a2perf.domains.quadruped.environment import QuadrupedEnv
from pytest_a2perf.domains.quadruped.model import SUBSTEPS
from pytest_a2perf.domains.quadruped.vector import QuadrupedVectorEnv

STEPS = 500
ROUNDS = 31


def record(env: QuadrupedEnv) -> tuple[list[Any], list[Any]]:
    """Trot for a while; return the actions, and the motors' states and inputs."""
    agent = FeedbackAgent(env)
    agent.reset(1)
    seen, _ = env.reset(seed=1)
    actions, motors = [], []
    for _ in range(STEPS):
        actions.append(agent.act(seen))
        before = env.robot._command.copy()  # noqa: SLF001
        seen, _, over, _, _ = env.step(actions[-1])
        if over:
            raise SystemExit("the robot fell: nothing to measure")
        motors.append((before, env.data.ctrl.copy()))
    return actions, motors


def episode(env: QuadrupedEnv, actions: list[Any]) -> list[float]:
    """Return when the reset and each step were over, CPU seconds, after when they began."""
    ticks = [time.process_time()]
    env.reset(seed=1)
    ticks.append(time.process_time())
    for action in actions:
        env.step(action)
        ticks.append(time.process_time())
    return ticks


def alone(env: QuadrupedEnv, motors: list[Any]) -> list[float]:
    """Return likewise when each of the same steps of MuJoCo alone was over."""
    env.reset(seed=1)
    model, data = env.model, env.data
    ticks = [time.process_time()]
    for state, speed in motors:
        data.act[:] = state
        data.ctrl[:] = speed
        mujoco.mj_step(model, data, nstep=SUBSTEPS)
        ticks.append(time.process_time())
    return ticks


class Rounds:
    """What is measured again and again.

    Attributes:
        least: seconds of each part in its quickest round.
    """

    def __init__(self, measure: Callable[[], list[float]]) -> None:
        self._measure = measure
        self.least = np.array(np.inf)

    def __call__(self) -> float:
        """Measure once more; return the seconds of one control step."""
        parts = np.diff(self._measure())
        self.least = np.minimum(self.least, parts)
        return float(parts.sum()) / STEPS

    @property
    def quickest(self) -> float:
        """Seconds of one control step, each as in its quickest round."""
        return float(self.least.sum()) / STEPS


def vector(env: QuadrupedVectorEnv, steps: int = 150) -> float:
    """Return the seconds of one control step of one environment."""
    env.reset(seed=0)
    actions = np.zeros((env.num_envs, 12), dtype=np.float32)
    started = time.perf_counter()
    for _ in range(steps):
        env.step(actions)
    return (time.perf_counter() - started) / steps / env.num_envs


def main() -> list[dict[str, object]]:
    env = QuadrupedEnv("trot")
    actions, motors = record(env)
    whole, physics = Rounds(partial(episode, env, actions)), Rounds(partial(alone, env, motors))
    times = interleave(ROUNDS, {"env": whole, "alone": physics})
    share = 1 - median_ratio(times["alone"], times["env"])
    cores = len(os.sched_getaffinity(0))
    one = QuadrupedVectorEnv(8, clip="trot", threads=1)
    all_cores = QuadrupedVectorEnv(8, clip="trot")
    walls = interleave(5, {"one": partial(vector, one), "all": partial(vector, all_cores)})
    return [
        report(
            "quadruped: control steps",
            1 / statistics.median(times["env"]),
            "a CPU second",
            ">= 2,000",
            f"trot, {STEPS} steps of {SUBSTEPS} substeps, reset included; {ROUNDS} rounds, the "
            f"best {1 / min(times['env']):,.0f}; each step as in its quickest round "
            f"{1 / whole.quickest:,.0f}, MuJoCo alone {1 / physics.quickest:,.0f}; A2Perf's in "
            "PyBullet makes 40 to 76",
        ),
        report(
            "quadruped: share outside physics",
            share,
            "",
            "< 0.2",
            "of the environment's CPU time, against MuJoCo that replays the same steps; each step "
            f"as in its quickest round {1 - physics.quickest / whole.quickest:.3f}",
        ),
        report(
            "quadruped: vector mode, one thread over one for each core",
            median_ratio(walls["one"], walls["all"]),
            "x",
            f"> 1 (ideal {cores})",
            f"8 environments, {cores} threads, {1 / min(walls['all']):,.0f} control steps a second "
            "at best",
        ),
    ]


if __name__ == "__main__":
    main()
