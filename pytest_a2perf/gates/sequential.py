"""Early stopping: how sure a gate must be to be decided before all of its seeds have run.

A gate may be looked at after every seed, because each look asks more of the interval than the one
look at the end of a fixed sample would: the looks share the one error probability ``alpha``. How
they share it is an alpha spending function (Lan and DeMets, "Discrete Sequential Boundaries for
Clinical Trials", 1983): up to ``n`` of ``maximum`` seeds the power function of Kim and DeMets
("Design and Analysis of Group Sequential Tests Based on the Type I Error Spending Rate Function",
1987), ``alpha * (n / maximum)^3``, may be spent. It spends little early, where intervals are worst,
and costs little power at the end. The two errors, a wrong pass and a wrong fail, have an ``alpha``
each and do not rely on the other's boundary.

What holds for a running mean of normal values is carried over to any metric by its one-sided
confidence (the significance level approach of Jennison and Turnbull, "Group Sequential Methods",
2000, chapter 3). Rates of single attempts are discrete, which wastes much of ``alpha``; for them
`rate_confidence` has exact boundaries.

Three rules make it valid. Look at the first ``n`` seeds in their order, when all of them are in:
whatever finished first is not a fair sample. Keep the verdict of the look that decided. And let no
one change the maximum on seeing results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from pytest_a2perf.gates.boundaries import count_levels, normal_levels

__all__ = ["Plan", "agreement_decides", "look_confidence", "looks", "rate_confidence"]

_POWER = 3
"""Of the spending function; benchmarks/sequential.py compares it with others."""
_MOST_LOOKS = 200
_LEAST = 1e-6
"""Alpha spent below which there is no look."""
_FEWEST = 5
"""Trials of which other intervals than those of rates are fit to stop early."""
_SHARE = 0.1
"""Share of different values that trials in agreement must have been able to show."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Between how many seeds a scenario runs.

    Attributes:
        minimum: seeds before which nothing is decided.
        maximum: seeds at which it ends.
        alpha: of a wrong pass, and of a wrong fail: one minus the gate's one-sided confidence.
    """

    minimum: int
    maximum: int
    alpha: float

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(f"expected 1 <= {self.minimum} <= {self.maximum} seeds")
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha: expected more than 0 and less than 0.5, got {self.alpha}")


@lru_cache(maxsize=256)
def looks(plan: Plan) -> tuple[int, ...]:
    """Return the numbers of seeds at which gates may be decided, ascending; the last is maximum.

    That is every number from the minimum on. Of plans with more than 200 it is each second, third
    and so on, and numbers are left out at which so little alpha may be spent (less than one in a
    million) that no interval can be trusted with it.
    """
    step = math.ceil((plan.maximum - plan.minimum + 1) / _MOST_LOOKS)
    found = range(plan.maximum, plan.minimum - 1, -step)
    return tuple(n for n in reversed(found) if _spending(plan, n) >= _LEAST or n == plan.maximum)


def look_confidence(plan: Plan, n: int) -> float | None:
    """Return the one-sided confidence that an interval over ``n`` seeds needs to decide.

    The gate passes if the interval at that confidence clears the limit and fails if it misses it.

    Args:
        plan: see `Plan`.
        n: seeds with results.

    Returns:
        The confidence; None where ``n`` is no look, or is less than 5 and not the maximum.
    """
    return _confidences(plan).get(n)


def rate_confidence(plan: Plan, n: int, limit: float) -> tuple[float | None, float | None]:
    """Return the one-sided confidences for the bounds of a rate over ``n`` single attempts.

    For Clopper-Pearson intervals of independent attempts, one a seed; of several attempts a seed,
    `look_confidence` holds. The probability of crossing is counted exactly, and what cannot be
    spent at a look is left to later ones (compare Jennison and Turnbull 2000, chapter 12). Without
    that, a gate for a rate near 1 would hardly ever pass.

    Args:
        plan: see `Plan`.
        n: attempts.
        limit: the rate the gate asks for.

    Returns:
        Confidence for the lower and for the upper bound; None where that bound cannot decide.
    """
    if not 0 < limit < 1:
        return look_confidence(plan, n), look_confidence(plan, n)
    low, high = _rate_levels(plan, limit).get(n), _rate_levels(plan, 1 - limit).get(n)
    return None if low is None else 1 - low, None if high is None else 1 - high


def agreement_decides(plan: Plan, n: int) -> bool:
    """Whether ``n`` trials that all gave the same value may decide.

    Their interval is a point, since resampling cannot show what was not seen. They may decide at
    the maximum, as without early stopping, and before it once a different value in one of ten
    trials would have shown itself with probability ``1 - alpha``: ``0.9^n <= alpha``, 29 trials
    for 0.05.
    """
    return n >= plan.maximum or (1 - _SHARE) ** n <= plan.alpha


def _spending(plan: Plan, n: int) -> float:
    return float(plan.alpha * (n / plan.maximum) ** _POWER)


def _allowance(maximum: int) -> float:
    """Return how many times alpha is spent by intervals that are computed from the sample.

    Boundaries are computed for means whose deviation is known. Student's intervals estimate it
    anew at each look, so that their looks agree less with each other and cross more often: 1.14
    times at a maximum of 6, 1.02 times at 100. Bootstrap intervals add the noise of their
    resamples. The formula is fitted to simulations of both on normal values.
    """
    return 1.06 + 4 / (maximum + 10)


@lru_cache(maxsize=256)
def _confidences(plan: Plan) -> dict[int, float]:
    found = [n for n in looks(plan) if n >= _FEWEST or n == plan.maximum]
    if len(found) == 1:
        return {plan.maximum: 1 - plan.alpha}
    spent = [_spending(plan, n) / _allowance(plan.maximum) for n in found]
    return {n: 1 - level for n, level in zip(found, normal_levels(found, spent), strict=True)}


@lru_cache(maxsize=256)
def _rate_levels(plan: Plan, rate: float) -> dict[int, float]:
    found = looks(plan)
    return count_levels(found, {n: _spending(plan, n) for n in found}, rate)
