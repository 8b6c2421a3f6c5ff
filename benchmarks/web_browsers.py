"""Both engines of the domain web against MiniWoB++ through Selenium, in the same rounds.

Wall time, since a browser works in processes of its own; rewards, observations and resets are
counted. Both engines play the same random episodes on level 3. MiniWoB++ logs users in, a text or a
click a step, as its faster half does: without screenshots, its pages being smaller than ours.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
from common import interleave, median_ratio, report

from pytest_a2perf import envs as ours
from pytest_a2perf.domains import miniwob
from pytest_a2perf.domains.miniwob.agents import MiniwobOracle
from pytest_a2perf.domains.web.agents import RandomElementAgent

ROUNDS = 7
STEPS = {"dom": 3000, "chromium": 300, "screenshots": 40, "miniwob": 40}


def play(env: Any, agent: Any, steps: int) -> float:
    """Return the seconds of a step, resets included and decisions left out."""
    spent, taken, seed = 0.0, 0, 0
    while taken < steps:
        seed += 1
        agent.reset(seed)
        started = time.perf_counter()
        observation, _ = env.reset(seed=seed)
        spent += time.perf_counter() - started
        over = False
        while not over:
            action = agent.act(observation)
            started = time.perf_counter()
            observation, _, terminated, truncated, _ = env.step(action)
            spent += time.perf_counter() - started
            taken += 1
            over = terminated or truncated
    return spent / taken


def main() -> list[dict[str, object]]:
    ours.register()
    miniwob.register()
    level = "a2perf/WebNavigation-Difficulty-03-v0"
    envs = {
        "dom": gymnasium.make(level),
        "chromium": gymnasium.make(level, engine="chromium"),
        "screenshots": gymnasium.make(level, engine="chromium", screenshot=True),
        "miniwob": gymnasium.make("a2perf/miniwob-login-user-v1", time_limit=600),
    }
    agents: dict[str, Callable[[Any], Any]] = dict.fromkeys(envs, RandomElementAgent)
    agents["miniwob"] = MiniwobOracle
    runs = {name: partial(play, env, agents[name](env), STEPS[name]) for name, env in envs.items()}
    try:
        times = interleave(ROUNDS, runs)
    finally:
        for env in envs.values():
            env.close()
    rate = {name: 1 / statistics.median(seconds) for name, seconds in times.items()}
    best = {name: 1 / min(seconds) for name, seconds in times.items()}
    return [
        report(
            "web: steps in Chromium",
            rate["chromium"],
            "a second",
            ">= 100",
            f"level 3, {STEPS['chromium']} random steps, resets included; best of {ROUNDS} rounds "
            f"{best['chromium']:,.0f}; with a screenshot a step {rate['screenshots']:,.1f}",
        ),
        report(
            "web: a step of MiniWoB++ over one in Chromium",
            median_ratio(times["miniwob"], times["chromium"]),
            "x",
            "> 1",
            f"MiniWoB++ makes {rate['miniwob']:,.1f} steps a second (login-user, no screenshots), "
            f"at best {best['miniwob']:,.1f}",
        ),
        report(
            "web: a step in Chromium over one without a browser",
            median_ratio(times["chromium"], times["dom"]),
            "x",
            "",
            f"the same episodes; without a browser {rate['dom']:,.0f} steps a second, at best "
            f"{best['dom']:,.0f}",
        ),
    ]


if __name__ == "__main__":
    main()
