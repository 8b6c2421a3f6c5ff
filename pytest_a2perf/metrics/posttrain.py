"""What trials of the domain ``posttrain`` report of scores, submissions and the agent's expense."""

from __future__ import annotations

from pytest_a2perf.metrics.base import Direction, Group
from pytest_a2perf.metrics.pooled import PooledFamily, reported_in

__all__ = ["POSTTRAIN_FAMILIES", "REPORTED"]

_SPREAD = ("mean", "std", "max")

REPORTED: dict[str, tuple[str, str, Direction, Group, tuple[str, ...], str]] = {
    "improvement": (
        "improvement", "points", "higher", "application", _SPREAD,
        "improvement over the base model on the private split",
    ),
    "private_score": (
        "score.private", "points", "higher", "application", ("mean",),
        "score on the private split, which decides",
    ),
    "public_score": (
        "score.public", "points", "higher", "application", ("mean",),
        "score on the public split, which the agent was told",
    ),
    "overfit": (
        "overfit", "points", "lower", "application", ("mean",),
        "public improvement that is none on the private split",
    ),
    "submissions": (
        "submissions", "", "none", "application", ("mean",), "number of submissions",
    ),
    "submissions_scored": (
        "submissions.scored", "", "none", "application", (), "number of submissions with a score",
    ),
    "incidents": (
        "incidents", "", "lower", "application", ("mean",), "number of signs of cheating",
    ),
    "agent_time": (
        "agent.time", "s", "lower", "system", ("mean",), "time of the agent without evaluations",
    ),
    "agent_cpu": ("agent.cpu", "s", "lower", "system", ("mean",), "CPU time of the agent"),
    "agent_energy": ("agent.energy", "J", "lower", "system", ("mean",), "energy of the agent"),
    "agent_tokens": (
        "agent.tokens", "", "lower", "system", ("mean",), "tokens of the agent's language model",
    ),
    "time_to_best": (
        "agent.time_to_best", "s", "lower", "system", ("mean",),
        "time of the agent up to its best submission",
    ),
}  # fmt: skip
"""Name that trials report -> metric, unit, which way is better, group, what is shown, in words."""

POSTTRAIN_FAMILIES: tuple[PooledFamily, ...] = tuple(
    PooledFamily(
        metric,
        unit,
        direction,
        group,
        what,
        reported_in("posttrain", name),
        "mean",
        examples=tuple(dict.fromkeys(("mean", *shown))),
        shown=shown,
    )
    for name, (metric, unit, direction, group, shown, what) in REPORTED.items()
)
