"""The domain quadruped: control steps a second, against MuJoCo stepped alone, and in threads.

MuJoCo alone replays the very steps that the environment made: the same states, the same set
points, the same number of substeps. All of it is CPU time, but for the vector mode's wall clock.
"""

from __future__ import annotations

import os
import statistics
import time
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
ROUNDS = 15


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


def episode(env: QuadrupedEnv, actions: list[Any]) -> float:
    """Return the CPU seconds of one control step of the environment, reset included."""
    started = time.process_time()
    env.reset(seed=1)
    for action in actions:
        env.step(action)
    return (time.process_time() - started) / STEPS


def alone(env: QuadrupedEnv, motors: list[Any]) -> float:
    """Return the CPU seconds of the same steps of MuJoCo alone."""
    env.reset(seed=1)
    model, data = env.model, env.data
    started = time.process_time()
    for state, speed in motors:
        data.act[:] = state
        data.ctrl[:] = speed
        mujoco.mj_step(model, data, nstep=SUBSTEPS)
    return (time.process_time() - started) / STEPS


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
    times = interleave(
        ROUNDS, {"env": partial(episode, env, actions), "alone": partial(alone, env, motors)}
    )
    share = 1 - median_ratio(times["alone"], times["env"])
    cores = len(os.sched_getaffinity(0))
    one = QuadrupedVectorEnv(8, clip="trot", threads=1)
    all_cores = QuadrupedVectorEnv(8, clip="trot")
    walls = interleave(5, {"one": partial(vector, one), "all": partial(vector, all_cores)})
    fastest = min(times["env"])
    return [
        report(
            "quadruped: control steps",
            1 / statistics.median(times["env"]),
            "a CPU second",
            ">= 2,000",
            f"trot, {STEPS} steps of {SUBSTEPS} substeps, reset included; {ROUNDS} rounds, of "
            f"which the best made {1 / fastest:,.0f}; MuJoCo alone "
            f"{1 / min(times['alone']):,.0f} at best; A2Perf's in PyBullet makes 40 to 76",
        ),
        report(
            "quadruped: share outside physics",
            share,
            "",
            "< 0.2",
            "of the environment's CPU time, against MuJoCo that replays the same steps",
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
