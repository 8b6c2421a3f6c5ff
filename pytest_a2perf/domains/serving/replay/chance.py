"""What is left to chance, all of it decided by the seed: nonces, orders, first turns, arrivals.

Nothing here depends on how many load processes share a level.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["arrivals", "first_turn", "nonce_of", "session_of_agent", "session_of_arrival"]

_DIGITS = 32


def nonce_of(seed: int, level: str, agent: int | str, run: int) -> str:
    """Return 32 digits that begin a session's text, so that no prefix of another is reused."""
    text = f"{seed}/{level}/{agent}/{run}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def session_of_agent(seed: int, sessions: int, agent: int, run: int) -> int:
    """Return which session an agent of a closed loop runs.

    Each agent goes through all sessions before it repeats one, in an order of its own; and at
    every run the agents are spread evenly over the sessions.
    """
    group, place = divmod(agent, sessions)
    cycle, step = divmod(run, sessions)
    shift = _shuffled(f"{seed}/steps/{group}/{cycle}", sessions)[step]
    return _shuffled(f"{seed}/sessions", sessions)[(place + shift) % sessions]


def session_of_arrival(seed: int, sessions: int, arrival: int) -> int:
    """Return which session an arrival of an open loop runs: all before one is repeated."""
    cycle, step = divmod(arrival, sessions)
    return _shuffled(f"{seed}/arrivals/{cycle}", sessions)[step]


def first_turn(seed: int, agent: int, turns: int) -> int:
    """Return where an agent begins its first session: between a quarter and three quarters."""
    return int(turns * random.Random(f"{seed}/first/{agent}").uniform(0.25, 0.75))


def arrivals(seed: int, rate: float) -> Iterator[float]:
    """Yield the seconds from the start at which sessions arrive, a Poisson process."""
    chance = random.Random(f"{seed}/arrivals")
    at = 0.0
    while True:
        at += chance.expovariate(rate)
        yield at


@lru_cache(maxsize=64)
def _shuffled(seed: str, count: int) -> list[int]:
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order
