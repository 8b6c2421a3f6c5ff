"""What early stopping costs and saves: false alarms, power and seeds, against a fixed sample.

The limit equals the truth for false alarms (a wrong pass, a wrong fail); for power it lies at two
distances from it. Means get the interval of `return.mean`, rates the one of `success.rate`. It also
compares spending functions, and a confidence sequence, on Student intervals of normal values.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from common import report
from numpy.typing import NDArray
from scipy.special import stdtrit

from pytest_a2perf.gates.boundaries import normal_levels
from pytest_a2perf.gates.sequential import (
    Plan,
    agreement_decides,
    look_confidence,
    looks,
    rate_confidence,
)
from pytest_a2perf.metrics.intervals import clopper_pearson, expanded_tail, weights

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
Look = tuple[int, Floats, Floats]

PLANS = (Plan(5, 30, 0.05), Plan(3, 10, 0.05))
REPEATS = 8000
BLOCK = 1000
SEED = 11
EFFECTS = {PLANS[0]: (0.5, 1), PLANS[1]: (1, 2)}
RATE_LIMITS: dict[float, dict[float, tuple[float, float]]] = {
    0.5: {0: (0.5, 0.5), 0.5: (0.25, 0.75), 1: (0.1, 0.9), 2: (0.05, 0.95)},
    0.9: {0: (0.9, 0.9), 0.5: (0.75, 0.97), 1: (0.6, 0.98), 2: (0.3, 0.99)},
}
"""Truth -> effect -> limits: a rate cannot be moved by deviations without leaving 0 to 1."""


@dataclass(frozen=True)
class Case:
    """A distribution of trials.

    Attributes:
        name: in words.
        draw: values of shape ``(repeats, trials)``.
        truth, deviation: its mean and standard deviation.
        rate: whether it is a rate, with exact intervals.
        hopeless: whether no interval of the mean keeps its promise, so that there is no budget.
    """

    name: str
    draw: Draw
    truth: float
    deviation: float
    rate: bool = False
    hopeless: bool = False

    def limits(self, effect: float) -> tuple[float, float]:
        """Return the limits of ``>=`` gates that the truth clears, and misses, by an effect."""
        if self.rate:
            return RATE_LIMITS[self.truth][effect]
        return self.truth - effect * self.deviation, self.truth + effect * self.deviation


def _rate(rate: float) -> Draw:
    return lambda rng, shape: (rng.random(shape) < rate).astype(float)


CASES = (
    Case("rate 0.5", _rate(0.5), 0.5, 0.5, rate=True),
    Case("rate 0.9", _rate(0.9), 0.9, 0.3, rate=True),
    Case("normal", lambda rng, shape: rng.normal(size=shape), 0, 1),
    Case("Student t3", lambda rng, shape: rng.standard_t(3, shape), 0, math.sqrt(3)),
    Case("Beta(0.5, 0.5)", lambda rng, shape: rng.beta(0.5, 0.5, shape), 0.5, math.sqrt(1 / 8)),
    Case(
        "lognormal",
        lambda rng, shape: rng.lognormal(size=shape),
        math.exp(0.5),
        math.sqrt((math.e - 1) * math.e),
        hopeless=True,
    ),
    Case("mean of 0s and 1s, 0.9", _rate(0.9), 0.9, 0.3, hopeless=True),
)


def mean_intervals(values: Floats, confidences: Mapping[str, float]) -> dict[str, Look]:
    """Return bootstrap intervals of many means at once, as `return.mean` has them.

    Args:
        values: one sample a row, one trial a column.
        confidences: one-sided.
    """
    n = values.shape[1]
    means = values @ weights(n, n, "return.mean").T / n
    count = means.shape[1]
    nearest = 10 / count
    tails = {name: max(expanded_tail(2 * c - 1, n), nearest) for name, c in confidences.items()}
    lowest = {name: math.floor(tail * (count - 1)) for name, tail in tails.items()}
    middle = [(count - 1) // 2, count // 2]
    kth = {*middle, *lowest.values(), *(count - 1 - k for k in lowest.values())}
    means.partition(sorted(kth), axis=1)
    found: dict[str, Look] = {}
    for name, confidence in confidences.items():
        student = float(stdtrit(n - 1, confidence))
        low, high = means[:, lowest[name]], means[:, count - 1 - lowest[name]]
        centre, stretch = means[:, middle].mean(axis=1), 1.0
        if n < 5:
            centre, reach = means.mean(axis=1), means.std(axis=1) * math.sqrt(n / (n - 1))
            low, high, stretch = centre - reach, centre + reach, student
        elif expanded_tail(2 * confidence - 1, n) < nearest:
            stretch = math.sqrt(n / (n - 1)) * student / -NormalDist().inv_cdf(nearest)
        value = values.mean(axis=1)
        low, high = centre - stretch * (centre - low), centre + stretch * (high - centre)
        found[name] = (n, np.minimum(low, value), np.maximum(high, value))
    return found


def mean_looks(plan: Plan, values: Floats) -> tuple[list[Look], list[Look]]:
    """Return the intervals at each look, and the one of the fixed sample."""
    taken: list[Look] = []
    fixed: list[Look] = []
    for n in looks(plan):
        confidence = look_confidence(plan, n)
        if confidence is None:
            continue
        wanted = {"look": confidence}
        if n == plan.maximum:
            wanted["fixed"] = 1 - plan.alpha
        blocks = [
            mean_intervals(values[start : start + BLOCK, :n], wanted)
            for start in range(0, len(values), BLOCK)
        ]
        found = {
            name: (
                np.concatenate([block[name][1] for block in blocks]),
                np.concatenate([block[name][2] for block in blocks]),
            )
            for name in wanted
        }
        low, high = found["look"]
        if not agreement_decides(plan, n):
            alike = np.ptp(values[:, :n], axis=1) == 0
            low, high = np.where(alike, -np.inf, low), np.where(alike, np.inf, high)
        taken.append((n, low, high))
        if n == plan.maximum:
            fixed.append((n, *found["fixed"]))
    return taken, fixed


def rate_looks(plan: Plan, values: Floats, limit: float) -> tuple[list[Look], list[Look]]:
    """Do the same for exact intervals of rates, whose confidence depends on the limit."""
    counts = values.cumsum(axis=1)
    taken: list[Look] = []
    for n in looks(plan):
        for_low, for_high = rate_confidence(plan, n, limit)
        low = _bounds(n, for_low)[0] if for_low else np.full(n + 1, -np.inf)
        high = _bounds(n, for_high)[1] if for_high else np.full(n + 1, np.inf)
        where = counts[:, n - 1].astype(int)
        taken.append((n, low[where], high[where]))
    low, high = _bounds(plan.maximum, 1 - plan.alpha)
    where = counts[:, -1].astype(int)
    return taken, [(plan.maximum, low[where], high[where])]


def _bounds(n: int, confidence: float) -> tuple[Floats, Floats]:
    ends = [clopper_pearson(count, n, 2 * confidence - 1) for count in range(n + 1)]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def decided(taken: list[Look], limit: float, *, passing: bool) -> tuple[float, Floats]:
    """Return how often a ``>= limit`` gate passes (or fails), and the seeds used."""
    stopped = np.zeros(len(taken[0][1]))
    for n, low, high in taken:
        stopped[(stopped == 0) & (low >= limit if passing else high < limit)] = n
    return float((stopped > 0).mean()), np.where(stopped > 0, stopped, taken[-1][0])


@dataclass(frozen=True)
class Outcome:
    """A false alarm or a power: of the passes and of the fails, by looks and by a fixed sample."""

    passes: float
    fails: float
    fixed_passes: float
    fixed_fails: float
    seeds: float


def outcome(case: Case, plan: Plan, values: Floats, effect: float, cache: list[Look]) -> Outcome:
    """Judge gates whose limits lie an effect from the truth."""
    found: list[tuple[float, Floats, float]] = []
    fixed: list[Look] = cache[-1:]
    taken: list[Look] = cache[:-1]
    for limit, passing in zip(case.limits(effect), (True, False), strict=True):
        if case.rate:
            taken, fixed = rate_looks(plan, values, limit)
        often, seeds = decided(taken, limit, passing=passing)
        found.append((often, seeds, decided(fixed, limit, passing=passing)[0]))
    (passes, one, fixed_passes), (fails, other, fixed_fails) = found
    return Outcome(
        passes, fails, fixed_passes, fixed_fails, float(np.median(np.concatenate([one, other])))
    )


def simulate(case: Case, plan: Plan, effects: tuple[float, float]) -> dict[str, object]:
    """Report one distribution under one plan."""
    rng = np.random.default_rng(SEED)
    values = case.draw(rng, (REPEATS * 3 if case.rate else REPEATS, plan.maximum))
    cache: list[Look] = []
    if not case.rate:
        taken, fixed = mean_looks(plan, values)
        cache = taken + fixed
    alarms = outcome(case, plan, values, 0, cache)
    detail = (
        f"wrong pass {alarms.passes:.3f}, wrong fail {alarms.fails:.3f} "
        f"(fixed {alarms.fixed_passes:.3f}, {alarms.fixed_fails:.3f})"
    )
    for effect in effects:
        power = outcome(case, plan, values, effect, cache)
        detail += (
            f"; power {_where(case, effect)} {power.passes:.2f}, {power.fails:.2f} "
            f"(fixed {power.fixed_passes:.2f}, {power.fixed_fails:.2f}), "
            f"{1 - power.seeds / plan.maximum:.0%} of seeds saved"
        )
    name = f"early stopping, {case.name}, {plan.minimum} to {plan.maximum} seeds: false alarms"
    # Where the interval itself does not keep alpha, early stopping is to be no worse.
    most = max(plan.alpha, alarms.fixed_passes, alarms.fixed_fails)
    budget = f"<= {most:.3f} +- {_error(len(values)):.3f}"
    worst = max(alarms.passes, alarms.fails)
    return report(name, worst, "", "none, see details" if case.hopeless else budget, detail)


def _where(case: Case, effect: float) -> str:
    return "at limits {:g}, {:g}:".format(*case.limits(effect)) if case.rate else f"{effect:g} sd:"


def _error(repeats: int) -> float:
    return 2 * math.sqrt(0.05 * 0.95 / repeats)


def _student(values: Floats, levels: Mapping[int, float]) -> Iterator[Look]:
    """Return Student intervals at one-sided levels."""
    for n, level in levels.items():
        part = values[:, :n]
        reach = -float(stdtrit(n - 1, level)) * part.std(axis=1, ddof=1) / math.sqrt(n)
        yield n, part.mean(axis=1) - reach, part.mean(axis=1) + reach


def _sequence(values: Floats, plan: Plan) -> Iterator[Look]:
    """Return asymptotic confidence sequences, which know no maximum.

    One-sided, normal mixture (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-Uniform
    Central Limit Theory and Asymptotic Confidence Sequences", 2024), tightest at half the maximum.
    """
    log = -2 * math.log(2 * plan.alpha)
    rho = (log + math.log(log) + 1) / (plan.maximum / 2)
    for n in range(plan.minimum, plan.maximum + 1):
        part = values[:, :n]
        growth = n * rho + 1
        factor = 2 * growth / (n**2 * rho) * math.log(1 + math.sqrt(growth) / (2 * plan.alpha))
        reach = part.std(axis=1, ddof=1) * math.sqrt(factor)
        yield n, part.mean(axis=1) - reach, part.mean(axis=1) + reach


def compare(plan: Plan) -> None:
    """Print spending functions side by side, on normal values."""
    values = np.random.default_rng(SEED).normal(size=(10 * BLOCK, plan.maximum))
    everywhere = tuple(range(plan.minimum, plan.maximum + 1))
    tenth = plan.maximum // 10
    thinned = tuple(reversed(range(plan.maximum, plan.minimum - 1, -tenth)))
    middle = NormalDist().inv_cdf(1 - plan.alpha / 2)
    methods: dict[str, tuple[tuple[int, ...], Callable[[float], float]]] = {
        "O'Brien-Fleming": (
            everywhere,
            lambda t: 2 - 2 * NormalDist().cdf(middle / math.sqrt(t)),
        ),
        "power 3": (everywhere, lambda t: plan.alpha * t**3),
        "power 3, tenths": (thinned, lambda t: plan.alpha * t**3),
        "power 2": (everywhere, lambda t: plan.alpha * t**2),
        "Pocock": (everywhere, lambda t: plan.alpha * math.log1p((math.e - 1) * t)),
        "fixed": ((plan.maximum,), lambda t: plan.alpha * t),
    }
    for name, (sizes, spending) in methods.items():
        found = {n: spending(n / plan.maximum) for n in sizes}
        found = {n: spent for n, spent in found.items() if spent >= 1e-6}
        levels = dict(zip(found, normal_levels([*found], [*found.values()]), strict=True))
        _line(plan, name, list(_student(values, levels)))
    _line(plan, "confidence sequence", list(_sequence(values, plan)))


def _line(plan: Plan, name: str, taken: list[Look]) -> None:
    alarms = decided(taken, 0, passing=True)[0]
    text = f"{plan.minimum} to {plan.maximum}, {name:20} false alarms {alarms:.3f}"
    for effect in (0.5, 1, 2, 4):
        power, seeds = decided(taken, -effect, passing=True)
        text += f" | {effect:g} sd: power {power:.2f}, {np.median(seeds):.0f} seeds"
    print(text, file=sys.stderr)


def main() -> list[dict[str, object]]:
    compare(Plan(5, 30, 0.05))
    compare(Plan(5, 100, 0.05))
    return [simulate(case, plan, EFFECTS[plan]) for plan in PLANS for case in CASES]


if __name__ == "__main__":
    main()
