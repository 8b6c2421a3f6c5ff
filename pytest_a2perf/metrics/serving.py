"""What trials of the domain ``serving`` report of requests, tokens, energy and money."""

from __future__ import annotations

from pytest_a2perf.metrics.base import Direction
from pytest_a2perf.metrics.pooled import PooledFamily, reported_in
from pytest_a2perf.metrics.sampled import SampledFamily

__all__ = ["REPORTED", "SERVING_FAMILIES"]

_CLOCK = "monotonic clock"
_TIMES = ("mean", "median", "p50", "p95", "p99", "max", "std")
_SPEEDS = ("mean", "median", "p5", "p25", "p50", "min", "std")

REPORTED: dict[str, tuple[str, str, Direction, str]] = {
    "tokens_per_second": ("tokens.per_second", "tok/s", "higher", "output tokens a second"),
    "tokens_per_joule": ("tokens.per_joule", "tok/J", "higher", "output tokens for each joule"),
    "energy_per_token": ("energy.per_token", "J", "lower", "energy of an output token"),
    "energy_per_turn": ("energy.per_turn", "J", "lower", "energy of a request"),
    "cost_per_million_tokens": (
        "cost.per_million_tokens", "USD", "lower", "dollars for a million output tokens",
    ),
    "cache_hit_rate": ("cache.hit_rate", "", "higher", "share of prompt tokens from the cache"),
    "error_rate": ("errors.rate", "", "lower", "share of requests that failed"),
}  # fmt: skip
"""Name that trials report -> name of the metric, its unit, which way is better, in words."""


def _times(name: str, what: str) -> SampledFamily:
    return SampledFamily(name, name, what, _TIMES, ("median", "p95"), _CLOCK)


def _speeds(name: str, what: str) -> SampledFamily:
    return SampledFamily(name, name, what, _SPEEDS, ("p25", "median"), _CLOCK, "tok/s", "higher")


SERVING_FAMILIES: tuple[SampledFamily | PooledFamily, ...] = (
    _times("ttft", "times to the first token"),
    _times("itl", "times between chunks of tokens"),
    _times("turn", "times of requests"),
    _times("session", "times of sessions"),
    _speeds("output_speed", "output speeds of requests"),
    _speeds("e2e_speed", "end-to-end speeds of requests"),
    *(
        PooledFamily(
            metric, unit, direction, "system", f"{what} over trials",
            reported_in("serving", name), "mean", examples=("",), shown=("",),
        )
        for name, (metric, unit, direction, what) in REPORTED.items()
    ),
)  # fmt: skip
