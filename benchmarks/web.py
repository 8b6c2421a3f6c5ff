"""The domain web without a browser: steps a second of one core, with whole observations.

Random actions on sites of each level, and on one page that has all 40 primitives; resets are
counted with the steps. Gymnasium's CartPole is the peer: what a loop in Python costs here.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

import gymnasium
from common import interleave, median_ratio, report

from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.environment import WebNavigationEnv
from pytest_a2perf.domains.web.primitives import PRIMITIVES

STEPS = 3000
ROUNDS = 9
WHOLE = Design(1, tuple(PRIMITIVES), (0,) * len(PRIMITIVES))


def actions(env: WebNavigationEnv) -> list[int]:
    """Return random actions, all on elements that are there."""
    env.reset(seed=0)
    rng = env.np_random
    size = len(env.site.pages[0].elements)
    return (rng.integers(25, size=STEPS) * 250 + rng.integers(size, size=STEPS)).tolist()


def play(env: Any, chosen: list[Any]) -> float:
    """Return the CPU seconds of a step, resets included."""
    env.reset(seed=1)
    started = time.process_time()
    for action in chosen:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return (time.process_time() - started) / len(chosen)


def main() -> list[dict[str, object]]:
    sites = {
        **{f"level {level}": WebNavigationEnv(difficulty=level) for level in (1, 2, 3)},
        "all primitives": WebNavigationEnv([WHOLE]),
    }
    cartpole = gymnasium.make("CartPole-v1").unwrapped
    runs = {name: partial(play, env, actions(env)) for name, env in sites.items()}
    runs["peer"] = partial(play, cartpole, [0, 1] * (STEPS // 2))
    times = interleave(ROUNDS, runs)
    slowest = max(sites, key=lambda name: statistics.median(times[name]))
    rates = ", ".join(f"{name} {1 / statistics.median(times[name]):,.0f}" for name in sites)
    return [
        report(
            "web: steps without a browser",
            1 / statistics.median(times[slowest]),
            "a CPU second",
            ">= 3,000",
            f"the slowest of: {rates}; {STEPS} random steps, resets and observations included; "
            f"A2Perf's in Chromium makes about 30",
        ),
        report(
            "web: a step over one of CartPole",
            median_ratio(times[slowest], times["peer"]),
            "x",
            "",
            f"{slowest}, in the same rounds",
        ),
    ]


if __name__ == "__main__":
    main()
