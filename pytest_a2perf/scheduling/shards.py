"""Shards: a part of a run for each of several machines that know nothing of each other."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pytest_a2perf.errors import A2PerfError

__all__ = ["Shard", "assign", "parse_shard"]

T = TypeVar("T", bound=Hashable)

_FROM_ZERO = (
    ("CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL"),
    ("BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT"),
    ("JOB_COMPLETION_INDEX", "A2PERF_SHARDS"),
)
_AUTO = (
    "--a2perf-shard auto: no array job is running here. It reads SLURM_ARRAY_TASK_ID, GitLab's and "
    "CircleCI's CI_NODE_INDEX and CIRCLE_NODE_INDEX, BUILDKITE_PARALLEL_JOB, and Kubernetes' "
    "JOB_COMPLETION_INDEX together with A2PERF_SHARDS; elsewhere say I/N, as in 1/4"
)


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` (from 1) of ``count``."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str, environ: Mapping[str, str]) -> Shard:
    """Read ``I/N``, or ``auto`` from the variables of the array job that runs this process.

    Raises:
        A2PerfError: neither, or the index is not one of 1 to N.
    """
    if text == "auto":
        return _from_environment(environ)
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None:
        raise A2PerfError(f"--a2perf-shard: expected I/N, as in 1/4, or auto, got {text!r}")
    return _checked(int(match[1]), int(match[2]), "--a2perf-shard")


def _from_environment(environ: Mapping[str, str]) -> Shard:
    def number(name: str) -> int:
        try:
            return int(environ[name])
        except (KeyError, ValueError):
            raise A2PerfError(
                f"--a2perf-shard auto: {name} is {environ.get(name)!r}, expected a number"
            ) from None

    if "SLURM_ARRAY_TASK_ID" in environ:
        first, count = number("SLURM_ARRAY_TASK_MIN"), number("SLURM_ARRAY_TASK_COUNT")
        step = number("SLURM_ARRAY_TASK_STEP") if "SLURM_ARRAY_TASK_STEP" in environ else 1
        index, rest = divmod(number("SLURM_ARRAY_TASK_ID") - first, max(1, step))
        if rest or (number("SLURM_ARRAY_TASK_MAX") - first) // max(1, step) + 1 != count:
            raise A2PerfError(
                "--a2perf-shard auto: the array's indices have gaps; use --array=0-3 or the like"
            )
        return _checked(index + 1, count, "SLURM_ARRAY_TASK_ID")
    if "CI_NODE_INDEX" in environ:
        return _checked(number("CI_NODE_INDEX"), number("CI_NODE_TOTAL"), "CI_NODE_INDEX")
    for index_name, count_name in _FROM_ZERO:
        if index_name in environ:
            return _checked(number(index_name) + 1, number(count_name), index_name)
    raise A2PerfError(_AUTO)


def _checked(index: int, count: int, source: str) -> Shard:
    if not 1 <= index <= count:
        raise A2PerfError(f"{source}: there is no shard {index} of {count}; they count from 1")
    return Shard(index, count)


def assign(weights: Sequence[tuple[T, float]], count: int) -> dict[T, int]:
    """Spread work over shards: the heaviest first, each to the lightest shard so far.

    The result depends on nothing but the arguments, so shards agree without talking. The longest
    shard is at most 4/3 of the best possible (Graham 1969, bound of the LPT rule).

    Args:
        weights: pairs of name and seconds; names are unique.
        count: of the shards.

    Returns:
        The shard, from 1, of each name.
    """
    loads = [0.0] * count
    shards: dict[T, int] = {}
    order = sorted(range(len(weights)), key=lambda place: (-weights[place][1], place))
    for place in order:
        name, seconds = weights[place]
        lightest = min(range(count), key=loads.__getitem__)
        loads[lightest] += seconds
        shards[name] = lightest + 1
    return shards
