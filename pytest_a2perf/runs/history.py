"""A metric over the stored runs of a project, and the steps in it."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.runs.store import RUN
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Point", "Series", "Step", "find_steps", "metric_history", "read_runs", "series_of"]

_ALPHA = 0.01
_SHORTEST = 3
_PERMUTATIONS = 1999


@dataclass(frozen=True, slots=True)
class Point:
    """A metric in one run.

    Attributes:
        run: the run's id.
        started: ISO 8601.
        commit: abbreviated, with ``*`` where the working tree differed; empty outside of git.
        value, low, high: the estimate and its interval, NaN where there is none.
        n: trials that it rests on.
    """

    run: str
    started: str
    commit: str
    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A lasting change of level.

    Attributes:
        index: the first point of the new level.
        before, after: medians of the level before and after it, up to the next step.
        p: probability of so clear a step in a series without one.
    """

    index: int
    before: float
    after: float
    p: float


@dataclass(frozen=True)
class Series:
    """A metric of a scenario over the runs on one machine, the oldest first.

    Attributes:
        scenario: its id.
        metric: its name.
        where: host and device.
        unit: base unit.
        points: one a run.
    """

    scenario: str
    metric: str
    where: str
    unit: str
    points: tuple[Point, ...]

    @cached_property
    def steps(self) -> list[Step]:
        """The steps in it."""
        return find_steps([point.value for point in self.points])


def read_runs(folder: Path, warnings: list[str], *, newest: int = 200) -> list[dict[str, Any]]:
    """Read ``run.json`` of the newest runs that came to their end, the oldest first.

    Args:
        folder: holds the runs' folders, which are named by time.
        warnings: gets a line for each file that is broken.
        newest: how many to read.
    """
    runs: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"*/{RUN}"), reverse=True):
        if len(runs) == newest:
            break
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            if run["state"] == "complete":
                list(_readings(run))
                runs.append(run)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            warnings.append(f"{path} is skipped: {type(error).__name__}: {error}")
    return sorted(runs, key=lambda run: str(run["started"]))


def metric_history(
    runs: Sequence[Mapping[str, Any]], metric: str, scenario: str = ""
) -> list[Series]:
    """Return a metric over runs, apart for each scenario, host and device.

    Args:
        runs: see `read_runs`.
        metric: its name.
        scenario: part of the id of the scenarios that are wanted.

    Raises:
        A2PerfError: no run has such a metric or scenario; the message has the nearest name.
    """
    known = {
        (name, found)
        for run in runs
        for name, parts in run["scenarios"].items()
        for found, data in parts["metrics"].items()
        if data["value"] is not None
    }
    scenarios = {name for name, _ in known}
    if not any(scenario in name for name in scenarios):
        raise A2PerfError(f"no run has a scenario {scenario!r}{did_you_mean(scenario, scenarios)}")
    names = {found for name, found in known if scenario in name}
    if metric not in names:
        raise A2PerfError(f"no run has a metric {metric!r}{did_you_mean(metric, names)}")
    return series_of(runs, {(name, metric) for name, _ in known if scenario in name})


def series_of(
    runs: Sequence[Mapping[str, Any]], wanted: Collection[tuple[str, str]]
) -> list[Series]:
    """Return the series of some pairs of a scenario's id and a metric."""
    found: dict[tuple[str, str, str, str], list[Point]] = {}
    for run in runs:
        for reading in _readings(run, wanted):
            key = (reading.scenario, reading.metric, reading.where, reading.unit)
            found.setdefault(key, []).append(reading.point)
    return [
        Series(name, metric, where, unit, tuple(points))
        for (name, metric, where, unit), points in sorted(found.items())
    ]


@dataclass(frozen=True, slots=True)
class _Reading:
    scenario: str
    metric: str
    where: str
    unit: str
    point: Point


def _readings(
    run: Mapping[str, Any], wanted: Collection[tuple[str, str]] | None = None
) -> Iterator[_Reading]:
    commit = _commit(run.get("git"))
    for scenario, parts in run["scenarios"].items():
        where = f"{_host(run)}, {', '.join(parts.get('devices', ())) or 'device not known'}"
        for name, data in parts["metrics"].items():
            if data["value"] is None or (wanted is not None and (scenario, name) not in wanted):
                continue
            value, low, high = (
                math.nan if data.get(end) is None else float(data[end])
                for end in ("value", "low", "high")
            )
            point = Point(
                str(run["id"]), str(run["started"]), commit, value, low, high, int(data.get("n", 0))
            )
            yield _Reading(scenario, name, where, data.get("unit", ""), point)


def _host(run: Mapping[str, Any]) -> str:
    """Name the machine; in CI, where hosts live for an hour, their kind stands for it."""
    kind = f"{run.get('cpu') or 'CPU'} x {run.get('cores')}"
    return f"{run['ci']}: {kind}" if run.get("ci") else str(run.get("host"))


def _commit(git: Mapping[str, Any] | None) -> str:
    if not git or not git.get("commit"):
        return ""
    return str(git["commit"])[:8] + "*" * bool(git.get("dirty"))


def find_steps(values: Sequence[float], *, alpha: float = _ALPHA) -> list[Step]:
    """Find lasting changes of level in a series.

    Binary segmentation (Vostrikova, "Detecting 'disorder' in multidimensional random processes",
    Soviet Mathematics Doklady 24, 1981): the series is cut where the ranks before and after differ
    most, and each part is searched again. A cut counts when few of the random orders of the same
    values have one as clear; that is Pettitt's test ("A non-parametric approach to the change-point
    problem", Applied Statistics 28, 1979) with the rank sum standardised for the lengths of the
    parts, and by permutation. A level that comes and goes hides from a single cut, so where there
    is none, two are tried that set a stretch apart from the rest (circular binary segmentation:
    Olshen et al., Biostatistics 5, 2004). Each of both tests has half of ``alpha``.

    Ranks keep single outliers from being steps. The random orders come from a fixed seed, so the
    same series has the same steps; Hunter turned to t-tests for that (Fleming et al., "Hunter:
    Using Change Point Detection to Hunt for Performance Regressions", ICPE 2023), which are not
    valid after a search for the best cut.

    A level lasts for at least three values. The earliest step can be found once there are eleven.
    The test takes values for independent of each other: a slow drift is told as several steps.

    Args:
        values: the oldest first; those that are not finite are left out.
        alpha: share of series without a step in which one is found all the same.
    """
    all_values = np.asarray(values, dtype=float)
    places = np.flatnonzero(np.isfinite(all_values))
    level = all_values[places]
    cuts: dict[int, float] = {}
    open_parts = [(0, len(level))]
    while open_parts:
        first, last = open_parts.pop()
        found, p = _clearest_cuts(level[first:last], alpha / 2)
        if found:
            cuts |= dict.fromkeys((first + cut for cut in found), p)
            bounds = [first, *(first + cut for cut in found), last]
            open_parts += pairwise(bounds)
    if not cuts:
        return []
    bounds = [0, *sorted(cuts), len(level)]
    medians = [float(np.median(level[a:b])) for a, b in pairwise(bounds)]
    return [
        Step(int(places[cut]), medians[number], medians[number + 1], cuts[cut])
        for number, cut in enumerate(bounds[1:-1])
    ]


def _clearest_cuts(values: NDArray[np.float64], alpha: float) -> tuple[tuple[int, ...], float]:
    """Return the one or two cuts that set ranks apart most, and how often chance does as much."""
    n = len(values)
    if n < 2 * _SHORTEST:
        return (), 1.0
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    # Equal values share the mean of their ranks; less the mean rank, so that all add up to 0.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse] - (n + 1) / 2
    orders = np.random.default_rng(n).permuted(np.tile(ranks, (_PERMUTATIONS, 1)), axis=1)
    # The first row is the series; then come its random orders.
    sums = np.cumsum(np.vstack([ranks, orders]), axis=1)
    sums = np.hstack([np.zeros((len(sums), 1)), sums])
    cuts = np.arange(_SHORTEST, n - _SHORTEST + 1)
    clear = np.abs(sums[:, cuts]) / np.sqrt(cuts * (n - cuts))
    p = _share(clear.max(axis=1))
    if p <= alpha:
        return (int(cuts[np.argmax(clear[0])]),), p
    best = np.zeros(len(sums))
    stretch: tuple[int, ...] = ()
    inner = sums[:, _SHORTEST : n - _SHORTEST + 1]
    for length in range(_SHORTEST, n - 2 * _SHORTEST + 1):
        clear = np.abs(inner[:, length:] - inner[:, :-length]) / math.sqrt(length * (n - length))
        if clear[0].max() > best[0]:
            start = _SHORTEST + int(np.argmax(clear[0]))
            stretch = (start, start + length)
        best = np.maximum(best, clear.max(axis=1))
    p = _share(best)
    return (stretch, p) if p <= alpha else ((), p)


def _share(clear: NDArray[np.float64]) -> float:
    """Return the share of rows that are as clear as the first, itself among them."""
    return int(np.count_nonzero(clear >= clear[0] - 1e-9)) / len(clear)
