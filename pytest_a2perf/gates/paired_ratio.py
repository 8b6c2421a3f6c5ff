"""How much slower than a twin that ran side by side: a signed-rank test on the ratios of pairs.

What disturbs a machine hits some trials hard and most not at all. A mean is at the mercy of the
few; ranks are not. If only chance decides which of two equal versions is slower in a pair, the
signs of the logarithms of their ratios are exchangeable, whatever the noise looks like (Wilcoxon,
"Individual Comparisons by Ranking Methods", 1945). The estimate and its interval come from the
averages of two ratios each (Hodges and Lehmann, "Estimates of Location Based on Rank Tests", 1963),
so that they never disagree with the test.

A pair is one of processes, not of trials. Where a process has its code and data in memory, and in
which order it walks its tables, makes it some percent slower or faster than its twin for as long as
it lives, so that the trials of one pair agree far too well (Kalibera and Jones, "Rigorous
Benchmarking in Reasonable Time", 2013; Curtsinger and Berger, "Stabilizer", 2013). Each pair of
processes is therefore reduced to one ratio, the median, before anything is tested.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.gates.permutation import Change, compare
from pytest_a2perf.runs.record import Unit

__all__ = ["compare_by_process", "compare_ratios", "trials_per_process"]

Floats = NDArray[np.float64]
_EXACT = 200  # pairs; of more, the normal approximation is as good
_MOST = 2000  # pairs; of more, the averages take too much memory
_MOST_SEEDS = 100_000
_SAME = 1e-9
_SIGMAS = 1.4826  # of normal noise in its median absolute deviation


def trials_per_process(trials: int) -> int:
    """Return how many of a scenario's trials one pair of processes should run.

    That makes ten pairs or a few more, enough for the test to be significant among many gates; of
    fewer trials, each has its own. From 200 trials on there are more pairs instead of longer ones,
    for long ones only tell better and better what chance has made of two processes.
    """
    return min(20, max(1, trials // 10))


def compare_ratios(
    base: Mapping[Unit, float],
    new: Mapping[Unit, float],
    processes: Mapping[Unit, Hashable],
    *,
    worse: Literal["higher", "lower"],
    tolerance: float,
    alpha: float,
) -> Change | None:
    """Compare a metric's values by seed with those of a version that ran side by side.

    Args:
        base: values by seed of the other version.
        new: values by seed of this one.
        processes: the pair of processes that ran each seed; seeds without one share one.
        worse: the direction that is worse.
        tolerance: change for the worse that is allowed, as a share.
        alpha: error of one test, for the interval and for the seeds needed.

    Returns:
        None where there are no pairs or too many, or values that are not positive.
    """
    seeds = sorted(base.keys() & new.keys())
    if not seeds or min(*base.values(), *new.values()) <= 0 or tolerance >= 1:
        return None
    sign = 1 if worse == "higher" else -1
    logs = sign * np.log([new[seed] / base[seed] for seed in seeds])
    groups = _groups(dict(zip(seeds, logs.tolist(), strict=True)), processes)
    if len(groups) > _MOST:
        return None
    centres = np.array([statistics.median(group) for group in groups])
    rows, columns = np.triu_indices(centres.size)
    averages = np.sort((centres[rows] + centres[columns]) / 2)
    limit = sign * math.log1p(sign * tolerance)
    tails = _tails(centres.size)
    above = averages.size - int(np.searchsorted(averages, limit + _SAME, "right"))
    not_below = averages.size - int(np.searchsorted(averages, limit - _SAME, "left"))
    # The interval leaves out as many averages at each end as chance would at this error.
    cut = int(np.searchsorted(-tails, -alpha, "left"))  # least sum that is significant
    outside = averages.size - cut
    found = cut <= averages.size
    low, high = (averages[outside], averages[-1 - outside]) if found else (-math.inf, math.inf)
    middle = float(np.median(averages))
    needed = None
    if not found:
        needed = _seeds_needed(len(seeds), 1.0, 0.0, 1 / math.ceil(math.log2(1 / alpha)))
    elif middle != limit:
        inverse = statistics.NormalDist().inv_cdf
        quantile = inverse(1 - alpha)
        variance = centres.size * (float(high - low) / (2 * quantile)) ** 2
        wanted = (abs(middle - limit) / (quantile + inverse(0.8))) ** 2
        needed = _seeds_needed(len(seeds), variance, _noise(groups), wanted)
    return Change(
        _share(middle, sign),
        _share(float(low), sign),
        _share(float(high), sign),
        1 - 2 * alpha,
        len(seeds),
        paired=True,
        identical=bool(np.abs(logs).max() < _SAME),
        p_worse=float(tails[above]),
        p_within=float(tails[averages.size - not_below]),
        seeds_needed=needed,
        processes=len(groups),
    )


def compare_by_process(
    base: Mapping[Unit, float],
    new: Mapping[Unit, float],
    processes: Mapping[Unit, Hashable],
    *,
    worse: Literal["higher", "lower"],
    tolerance: float,
    relative: bool,
    alpha: float,
) -> Change | None:
    """Compare the means of each pair of processes as `compare` does those of seeds.

    Returns:
        None where `compare` does, and where there are no pairs.
    """
    seeds = base.keys() & new.keys()
    means: list[dict[Unit, float]] = [
        {
            place: math.fsum(group) / len(group)
            for place, group in enumerate(_groups({s: side[s] for s in seeds}, processes))
        }
        for side in (base, new)
    ]
    old, now = means
    if not old:
        return None
    change = compare(old, now, worse=worse, tolerance=tolerance, relative=relative, alpha=alpha)
    if change is None:
        return None
    needed = change.seeds_needed
    if needed is not None:
        needed = _seeds_needed(len(seeds), 1.0, 0.0, 1 / needed)
    return replace(change, n=len(seeds), seeds_needed=needed, processes=len(old))


def _groups(values: Mapping[Unit, float], processes: Mapping[Unit, Hashable]) -> list[list[float]]:
    """Return the values of each pair of processes."""
    groups: dict[Hashable, list[float]] = {}
    for seed in sorted(values):
        groups.setdefault(processes.get(seed, ""), []).append(values[seed])
    return list(groups.values())


def _noise(groups: list[list[float]]) -> float:
    """Estimate the variance of one trial's ratio among those of its processes; 0 if unknown."""
    variances = [
        (_SIGMAS * abs(value - statistics.median(group))) ** 2 * len(group) / (len(group) - 1)
        for group in groups
        if len(group) > 1
        for value in group
    ]
    return statistics.median(variances) if variances else 0.0


def _share(log: float, sign: int) -> float:
    """Turn the logarithm of a ratio into a change for the worse."""
    if math.isinf(log):
        return log
    return sign * math.expm1(sign * log)


def _seeds_needed(n: int, variance: float, noise: float, wanted: float) -> int | None:
    """Estimate the seeds at which a test decides four times out of five.

    Args:
        n: seeds there are.
        variance: of the ratios of pairs of processes, as they are.
        noise: the variance of one trial in it.
        wanted: variance of the mean of all pairs.
    """
    lasting = max(0.0, variance - noise / trials_per_process(n))
    seeds = n + 1
    while seeds <= _MOST_SEEDS:
        share = trials_per_process(seeds)
        if (lasting + noise / share) / math.ceil(seeds / share) <= wanted:
            return seeds
        seeds += 1 + seeds // 100
    return None


@lru_cache(maxsize=64)
def _tails(n: int) -> Floats:
    """Return the probability that the ranks of positive signs sum up to each value or more."""
    most = n * (n + 1) // 2
    if n > _EXACT:
        from scipy.special import ndtr

        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return np.asarray(ndtr((most / 2 + 0.5 - np.arange(most + 2)) / spread))
    masses = np.zeros(most + 2)
    masses[0] = 1.0
    for rank in range(1, n + 1):
        moved = np.zeros_like(masses)
        moved[rank:] = masses[:-rank]
        masses = (masses + moved) / 2
    return np.asarray(np.cumsum(masses[::-1])[::-1])
