"""How much worse than a baseline, and how sure: permutation tests, and the intervals they imply.

Both designs compare means after a shift by the tolerance ``theta``. Paired by seed, the sign of
each difference is exchangeable when nothing else has changed (Fisher, "The Design of Experiments",
1935); unpaired, the labels "new" and "baseline" are (Pitman, "Significance Tests Which May Be
Applied to Samples from Any Populations", 1937). The interval holds every ``theta`` that the test
does not reject (Tritchler, "On Inverting Permutation Tests", 1984), so interval and verdict never
disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.runs.record import Unit

__all__ = ["Change", "Comparison", "compare", "holm"]

Floats = NDArray[np.float64]
_EXACT = 8192  # relabellings that are all looked at; of more, a sample of 9999
_SAMPLE = 9999
_SAME = 1e-9  # relative; two runs of the same seed that differ by less are identical


@dataclass(frozen=True, slots=True)
class Change:
    """A change for the worse; negative where it is for the better.

    Attributes:
        value: mean change, as a share of the baseline or in the metric's unit.
        low, high: two-sided interval at ``confidence``; infinite where the sample supports none.
        confidence: of the interval.
        n: pairs, or the smaller of the two samples.
        paired: whether seeds were paired.
        identical: whether every seed gave what it gave before.
        p_worse: of the hypothesis that the change is within the tolerance.
        p_within: of the hypothesis that it is beyond.
        seeds_needed: about how many seeds would decide; None if unknown.
        processes: of trials that ran side by side: how many pairs of processes ran them, whose
            values were tested; None where seeds were.
    """

    value: float
    low: float
    high: float
    confidence: float
    n: int
    paired: bool
    identical: bool
    p_worse: float
    p_within: float
    seeds_needed: int | None
    processes: int | None = None


class Comparison:
    """All relabellings of two samples, ready to be asked about any tolerance.

    Args:
        base, new: values of a metric by seed; seeds that both have are paired if there are two.
        worse: the direction that is worse.
        relative: whether tolerances are shares of the baseline.
    """

    def __init__(
        self,
        base: Mapping[Unit, float],
        new: Mapping[Unit, float],
        *,
        worse: Literal["higher", "lower"],
        relative: bool,
    ) -> None:
        sign = 1.0 if worse == "higher" else -1.0
        common = sorted(base.keys() & new.keys())
        self.paired = len(common) >= 2
        if self.paired:
            old = np.array([base[seed] for seed in common])
            now = np.array([new[seed] for seed in common])
            values, size = sign * (now - old), np.abs(old) if relative else np.ones(len(common))
            weights = _signs(len(common)) / len(common)
            shift = -size
            self.n = len(common)
        else:
            old, now = np.array(list(base.values())), np.array(list(new.values()))
            size = np.abs(old) if relative else np.ones(old.size)
            values = sign * np.concatenate([now, old])
            weights = _labels(now.size, old.size)
            shift = np.concatenate([np.zeros(now.size), size])
            self.n = min(now.size, old.size)
        scale = float(np.abs(old).mean()) or 1.0
        self.identical = self.paired and bool(np.allclose(now, old, rtol=_SAME, atol=0))
        self._at_zero, self._slope = weights @ values, weights @ shift
        self._noise = 1e-12 * max(scale, float(np.abs(values).max(initial=0.0)))
        denominator = float(size.mean())
        # A share of a baseline of zero has no meaning.
        self.value = float(self._at_zero[0]) / denominator if denominator else math.nan
        self._spread = float(np.std(values + (shift * self.value if self.paired else 0), ddof=1))
        self._unit = denominator

    def p_worse(self, tolerance: float) -> float:
        """Return how likely so large a change is, were the true one no more than the tolerance."""
        statistics = self._at_zero + tolerance * self._slope
        return float(np.mean(statistics >= statistics[0] - self._noise))

    def p_within(self, tolerance: float) -> float:
        """Return how likely so small a change is, were the true one no less than the tolerance."""
        statistics = self._at_zero + tolerance * self._slope
        return float(np.mean(statistics <= statistics[0] + self._noise))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the changes that neither test rejects at half of the error each."""
        error = (1 - confidence) / 2
        if 1 / len(self._at_zero) > error or math.isnan(self.value):
            return -math.inf, math.inf
        reach = 1.0 + abs(self.value)
        low = _bisect(lambda theta: self.p_worse(theta) > error, self.value, -reach)
        high = _bisect(lambda theta: self.p_within(theta) > error, self.value, reach)
        return low, high

    def seeds_needed(self, tolerance: float, alpha: float) -> int | None:
        """Estimate the seeds at which a test at ``alpha`` decides four times out of five."""
        least = math.ceil(math.log2(1 / alpha)) if self.paired else 4
        distance = abs(self.value - tolerance) * self._unit
        if not (distance > 0 and math.isfinite(distance)):
            return None
        from statistics import NormalDist

        reach = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(0.8)
        samples = 1 if self.paired else 2
        needed = math.ceil(samples * (reach * self._spread / distance) ** 2)
        needed = max(needed, least, self.n + 1)
        return needed if needed <= 100_000 else None


def compare(
    base: Mapping[Unit, float],
    new: Mapping[Unit, float],
    *,
    worse: Literal["higher", "lower"],
    tolerance: float,
    relative: bool,
    alpha: float,
) -> Change | None:
    """Compare a metric's values by seed with those of a baseline.

    Args:
        base: values by seed, before.
        new: values by seed, now.
        worse: the direction that is worse.
        tolerance: change for the worse that is allowed.
        relative: whether it is a share of the baseline.
        alpha: error of one test, for the interval and for the seeds needed.

    Returns:
        None where one side has fewer than two values, or the baseline is zero and a share is asked.
    """
    if min(len(base), len(new)) < 2:
        return _of_one_seed(base, new, worse=worse, relative=relative, confidence=1 - 2 * alpha)
    test = Comparison(base, new, worse=worse, relative=relative)
    if math.isnan(test.value):
        return None
    confidence = 1 - 2 * alpha
    low, high = test.interval(confidence)
    return Change(
        test.value,
        low,
        high,
        confidence,
        test.n,
        test.paired,
        test.identical,
        test.p_worse(tolerance),
        test.p_within(tolerance),
        test.seeds_needed(tolerance, alpha),
    )


def _of_one_seed(
    base: Mapping[Unit, float],
    new: Mapping[Unit, float],
    *,
    worse: Literal["higher", "lower"],
    relative: bool,
    confidence: float,
) -> Change | None:
    """Describe a change that no test can judge: all that one pair can show is that it is equal."""
    common = base.keys() & new.keys()
    if not common:
        return None
    (seed,) = common
    size = abs(base[seed]) if relative else 1.0
    if size == 0:
        return None
    value = (new[seed] - base[seed]) / size * (1 if worse == "higher" else -1)
    return Change(
        value,
        -math.inf,
        math.inf,
        confidence,
        n=1,
        paired=True,
        identical=math.isclose(base[seed], new[seed], rel_tol=_SAME),
        p_worse=1.0,
        p_within=1.0,
        seeds_needed=None,
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values so that the chance of any false alarm among them stays what it is for one.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979).
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    ordered = sorted(p_values.items(), key=lambda entry: entry[1])
    for rank, (name, p) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * p))
        adjusted[name] = largest
    return adjusted


def _signs(n: int) -> Floats:
    """Return sign flips as rows, all or a sample; the first flips nothing."""
    if 2**n <= _EXACT:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
    flips = np.random.default_rng(n).integers(0, 2, size=(_SAMPLE + 1, n))
    flips[0] = 0
    return np.asarray(1.0 - 2.0 * flips, dtype=np.float64)


def _labels(new: int, base: int) -> Floats:
    """Return weights of a difference of means as rows; the first has the true labels."""
    total = new + base
    rng = np.random.default_rng((new, base))
    if math.comb(total, new) <= _EXACT:
        chosen = np.array(list(combinations(range(total), new)))
    else:
        chosen = np.argsort(rng.random((_SAMPLE + 1, total)), axis=1)[:, :new]
        chosen[0] = np.arange(new)
    weights = np.full((len(chosen), total), -1.0 / base)
    np.put_along_axis(weights, chosen, 1.0 / new, axis=1)
    return weights


def _bisect(inside: Callable[[float], bool], start: float, reach: float) -> float:
    """Find where a monotone condition that holds at ``start`` ends in the direction of reach."""
    step = reach
    while inside(start + step):
        step *= 2
        if abs(step) > 1e12:
            return math.copysign(math.inf, reach)
    near, far = start, start + step
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if inside(middle) else (near, middle)
    return (near + far) / 2
