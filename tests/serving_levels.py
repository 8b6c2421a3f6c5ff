"""Levels whose truth is known: requests with given speeds and times, without any server."""

from __future__ import annotations

import math
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np

from pytest_a2perf.domains.serving.replay.plan import COLUMNS
from pytest_a2perf.domains.serving.replay.rows import _TEXTS, Rows

_NORMAL = NormalDist()
SPREAD = 0.15  # of the logarithm of speeds
TTFT_SPREAD = 0.3


def rows_of(speed=None, ttft=None, *, agent=None, run=None, failed=()):
    """Make requests of so many tok/s and seconds; a speed of NaN is a reply in one piece."""
    n = len(speed if speed is not None else ttft)
    speed = np.full(n, 50.0) if speed is None else np.asarray(speed, dtype=float)
    ttft = np.full(n, 1.0) if ttft is None else np.asarray(ttft, dtype=float)
    columns = {
        name: np.full(n, "", dtype=object) if name in _TEXTS else np.zeros(n) for name in COLUMNS
    }
    columns["agent"] = np.arange(n, dtype=float) if agent is None else np.asarray(agent, float)
    columns["run"] = np.zeros(n) if run is None else np.asarray(run, float)
    columns["output_tokens"] = np.full(n, 101.0)
    columns["due"] = columns["sent"] = np.full(n, 1000.0)
    columns["first"] = 1000.0 + ttft
    columns["last"] = columns["first"] + np.nan_to_num(100 / speed)
    columns["ended"] = columns["last"]
    columns["failure"][list(failed)] = "status"
    return Rows(columns)


def level_of(rows, *, lacks="", limited=""):
    return SimpleNamespace(rows=rows, lacks=lacks, client=SimpleNamespace(limited=limited))


def speed_at(agents):
    """Median tok/s of the simulated server."""
    return 2000 / (10 + agents)


def ttft_at(agents):
    """Median seconds to the first token of the simulated server."""
    return 0.2 * (1 + agents / 20)


def simulated(rng, agents, *, sessions=60, turns=15, alike=0.2):
    """Hold a level; ``alike`` is how much requests of a session resemble each other."""
    count = max(sessions, agents)
    owner = np.repeat(np.arange(count), 1 + rng.poisson(turns, count))

    def noise():
        shared, own = rng.normal(size=count)[owner], rng.normal(size=owner.size)
        return math.sqrt(alike) * shared + math.sqrt(1 - alike) * own

    speed = speed_at(agents) * np.exp(SPREAD * noise())
    ttft = ttft_at(agents) * np.exp(TTFT_SPREAD * noise())
    return level_of(rows_of(speed, ttft, agent=owner % agents, run=owner // agents))


def capacity_of(tier):
    """Return how many agents the simulated server truly serves within a tier."""
    agents = 0
    while all(limit.holds(_percentile(limit, agents + 1)) for limit in tier.limits):
        agents += 1
    return agents


def _percentile(limit, agents):
    quantile = _NORMAL.inv_cdf(limit.percentile / 100)
    if limit.measure == "output_speed":
        return speed_at(agents) * math.exp(SPREAD * quantile)
    return ttft_at(agents) * math.exp(TTFT_SPREAD * quantile)
