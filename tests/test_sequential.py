"""Early stopping: boundaries, what they spend, and that looking keeps its promise."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit
from scipy.stats import binom, multivariate_normal

from pytest_a2perf.gates.boundaries import count_levels, normal_levels
from pytest_a2perf.gates.sequential import (
    Plan,
    agreement_decides,
    look_confidence,
    looks,
    rate_confidence,
)
from pytest_a2perf.metrics.base import Request
from pytest_a2perf.metrics.intervals import clopper_pearson, quantile_interval
from pytest_a2perf.metrics.pooled import estimate_pooled
from pytest_a2perf.metrics.statistics import MEAN

NORMAL = NormalDist()


def scores(levels):
    return [-NORMAL.inv_cdf(level) for level in levels]


def obrien_fleming(share):
    return 2 - 2 * NORMAL.cdf(NORMAL.inv_cdf(1 - 0.0125) / math.sqrt(share))


def pocock(share):
    return 0.025 * math.log1p((math.e - 1) * share)


# Lan and DeMets 1983; the values are tabulated e.g. by Reboussin, DeMets, Kim and Lan, "Computations
# for Group Sequential Boundaries Using the Lan-DeMets Spending Function Method", 2000.
@pytest.mark.parametrize(
    ("spending", "published"),
    [
        (obrien_fleming, [2.963, 1.969]),
        (obrien_fleming, [3.710, 2.511, 1.993]),
        (obrien_fleming, [4.333, 2.963, 2.359, 2.014]),
        (obrien_fleming, [4.877, 3.357, 2.680, 2.290, 2.031]),
        (pocock, [2.157, 2.201]),
        (pocock, [2.279, 2.295, 2.296]),
        (pocock, [2.368, 2.368, 2.358, 2.350]),
        (pocock, [2.438, 2.427, 2.410, 2.397, 2.386]),
    ],
)
def test_published_spending_boundaries(spending, published):
    count = len(published)
    sizes = range(10, 10 * count + 1, 10)
    levels = normal_levels(sizes, [spending(size / sizes[-1]) for size in sizes])
    assert scores(levels) == pytest.approx(published, abs=6e-4)


# Jennison and Turnbull, "Group Sequential Methods", 2000, tables 2.1 and 2.3: two-sided tests at 0.05.
@pytest.mark.parametrize(
    ("constants", "power"),
    [((2.178, 2.289, 2.361), 0.0), ((1.977, 2.004, 2.024), 0.5)],
    ids=["pocock", "obrien-fleming"],
)
def test_classical_constants(constants, power):
    for count, constant in enumerate(constants, 2):
        bounds = [constant * (count / look) ** power for look in range(1, count + 1)]
        at = np.arange(1, count + 1)
        covariance = np.sqrt(np.minimum.outer(at, at) / np.maximum.outer(at, at))
        spent = [
            1 - multivariate_normal.cdf(bounds[:k], cov=covariance[:k, :k], abseps=3e-6) for k in at
        ]
        assert spent[-1] == pytest.approx(0.025, abs=3e-4)
        assert scores(normal_levels(range(1, count + 1), spent)) == pytest.approx(bounds, abs=5e-3)


def test_first_look_far_from_zero():
    """A first sample of many increments; the reference is a simulation."""
    sizes = range(20, 41)
    levels = normal_levels(sizes, [0.1 * size / 40 for size in sizes])
    sums = np.random.default_rng(3).normal(size=(40_000, 40)).cumsum(axis=1)[:, 19:]
    crossed = sums / np.sqrt(np.array(sizes)) >= np.array(scores(levels))
    assert crossed[:, 0].mean() == pytest.approx(0.05, abs=0.005)
    assert crossed.any(axis=1).mean() == pytest.approx(0.1, abs=0.006)


PLANS = st.builds(
    lambda low, more, alpha: Plan(low, low + more, alpha),
    st.integers(1, 40),
    st.integers(0, 80),
    st.sampled_from([0.2, 0.1, 0.05, 0.01, 0.001]),
)


@given(PLANS)
@settings(deadline=None, max_examples=50)
def test_looks(plan):
    found = looks(plan)
    assert found[-1] == plan.maximum
    assert plan.minimum <= found[0]
    assert list(found) == sorted(set(found))
    assert all((look_confidence(plan, n) is None) == (5 > n != plan.maximum) for n in found)
    assert look_confidence(plan, plan.maximum + 1) is None
    assert look_confidence(plan, plan.minimum - 1) is None


@given(PLANS)
@settings(deadline=None, max_examples=50)
def test_every_look_asks_more_than_a_fixed_sample(plan):
    asked = [look_confidence(plan, n) for n in looks(plan)]
    assert all(1 - plan.alpha <= c < 1 for c in asked if c is not None)


@given(st.integers(5, 15), st.integers(0, 60), st.sampled_from([0.1, 0.05, 0.01, 0.001]))
@settings(deadline=None, max_examples=50)
def test_later_looks_ask_less(low, more, alpha):
    plan = Plan(low, 3 * low + more, alpha)
    asked = [look_confidence(plan, n) for n in looks(plan)]
    # The first look may be easier: it spends at once what earlier ones might have.
    assert asked[1:] == sorted(asked[1:], reverse=True)
    assert asked[-1] < min(asked[0], 1 - alpha / 3)


@given(st.integers(2, 30), st.integers(0, 60))
@settings(deadline=None, max_examples=30)
def test_less_alpha_asks_more(low, more):
    strict, lax = Plan(low, low + more, 0.01), Plan(low, low + more, 0.05)
    for n in looks(strict):
        asked = look_confidence(strict, n)
        assert asked is None or asked > (look_confidence(lax, n) or 0)


def test_one_look_is_a_fixed_sample():
    assert looks(Plan(8, 8, 0.05)) == (8,)
    assert look_confidence(Plan(8, 8, 0.05), 8) == 0.95
    assert look_confidence(Plan(2, 4, 0.05), 4) == 0.95
    assert look_confidence(Plan(2, 4, 0.05), 3) is None


def test_long_plans_look_less_often():
    found = looks(Plan(10, 1000, 0.05))
    assert len(found) <= 200
    assert set(np.diff(found)) == {5}


@pytest.mark.parametrize("bad", [(0, 5, 0.05), (6, 5, 0.05), (2, 5, 0.0), (2, 5, 0.5)])
def test_broken_plans(bad):
    with pytest.raises(ValueError, match=r"seeds|alpha"):
        Plan(*bad)


def crossings(plan, limit, *, above):
    """Probability that Clopper-Pearson intervals clear (or miss) a limit that is the truth."""
    masses, total = {0: 1.0}, 0.0
    for n in range(1, plan.maximum + 1):
        grown: dict[int, float] = {}
        for count, mass in masses.items():
            grown[count + 1] = grown.get(count + 1, 0.0) + mass * limit
            grown[count] = grown.get(count, 0.0) + mass * (1 - limit)
        masses = grown
        asked = rate_confidence(plan, n, limit)[0 if above else 1]
        if asked is None:
            continue
        for count in list(masses):
            low, high = clopper_pearson(count, n, 2 * asked - 1)
            if low >= limit if above else high < limit:
                total += masses.pop(count)
    return total


@given(
    st.integers(1, 10),
    st.integers(0, 30),
    st.sampled_from([0.05, 0.2, 0.5, 0.75, 0.9, 0.95]),
    st.sampled_from([0.1, 0.05, 0.01]),
)
@settings(deadline=None, max_examples=40)
def test_rates_never_spend_more_than_alpha(low, more, limit, alpha):
    plan = Plan(low, low + more, alpha)
    for above in (True, False):
        spent = crossings(plan, limit, above=above)
        assert spent <= alpha + 1e-12


def test_rates_spend_nearly_all_of_alpha():
    assert crossings(Plan(10, 100, 0.05), 0.8, above=True) > 0.04


def test_looking_does_not_cost_the_only_pass():
    """30 of 30 show a rate of 0.9; so they must with looks before, of which none could pass."""
    plan = Plan(5, 30, 0.05)
    assert all(rate_confidence(plan, n, 0.9)[0] is None for n in range(5, 30))
    asked = rate_confidence(plan, 30, 0.9)[0]
    assert asked == pytest.approx(1 - 0.9**30, abs=1e-4)
    assert clopper_pearson(30, 30, 2 * asked - 1)[0] > 0.9


def test_rates_are_symmetric():
    plan = Plan(5, 40, 0.05)
    for n in looks(plan):
        low, high = rate_confidence(plan, n, 0.75)
        assert rate_confidence(plan, n, 0.25) == (high, low)


def test_limits_that_are_no_rates():
    plan = Plan(5, 40, 0.05)
    assert rate_confidence(plan, 40, 1.0) == (look_confidence(plan, 40),) * 2


def test_count_levels_are_tails():
    """8 of 10 have a probability of 0.055 at a rate of one half, 9 of 10 one of 0.011."""
    levels = count_levels([10], {10: 0.05}, 0.5)
    assert levels[10] == pytest.approx(binom.sf(8, 10, 0.5), rel=0.002)
    assert count_levels([10], {10: 0.0001}, 0.5) == {}


def test_agreement():
    plan = Plan(5, 100, 0.05)
    assert next(n for n in range(5, 101) if agreement_decides(plan, n)) == 29
    assert not agreement_decides(Plan(5, 20, 0.05), 19)
    assert agreement_decides(Plan(5, 20, 0.05), 20)


@pytest.mark.parametrize("plan", [Plan(5, 30, 0.05), Plan(3, 10, 0.05), Plan(10, 60, 0.01)])
def test_false_alarms_of_student_intervals(plan):
    repeats = 20_000
    values = np.random.default_rng(7).normal(size=(repeats, plan.maximum))
    sums, squares = values.cumsum(axis=1), np.square(values).cumsum(axis=1)
    passes, fails = np.zeros(repeats, bool), np.zeros(repeats, bool)
    for n in looks(plan):
        asked = look_confidence(plan, n)
        if asked is None:
            continue
        mean = sums[:, n - 1] / n
        error = np.sqrt((squares[:, n - 1] - n * mean**2) / (n - 1) / n)
        reach = stdtrit(n - 1, asked) * error
        passes |= mean - reach >= 0
        fails |= mean + reach < 0
    most = plan.alpha + 3 * math.sqrt(plan.alpha / repeats)
    assert passes.mean() <= most
    assert fails.mean() <= most
    assert passes.mean() > 0.7 * plan.alpha


@pytest.fixture
def benchmark_script(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import sequential

    return sequential


@pytest.mark.parametrize("n", [3, 4, 5, 6, 12, 30])
def test_the_benchmark_simulates_our_intervals(benchmark_script, n):
    values = np.random.default_rng(n).lognormal(size=(3, n))
    confidences = {str(c): c for c in (0.9, 0.95, 0.99, 0.9999)}
    found = benchmark_script.mean_intervals(values, confidences)
    for name, confidence in confidences.items():
        _, lows, highs = found[name]
        for row, low, high in zip(values, lows, highs, strict=True):
            estimate = estimate_pooled(
                "return.mean", [row[i : i + 1] for i in range(n)], MEAN, Request(2 * confidence - 1)
            )
            assert (low, high) == pytest.approx((estimate.low, estimate.high), rel=1e-9)


def test_bootstrap_intervals_reach_beyond_the_values():
    """Five values that all lie above a limit are no proof of 0.9999."""
    values = np.array([1.0, 1.1, 1.2, 1.3, 1.4])
    trials = [values[i : i + 1] for i in range(5)]

    def interval(confidence):
        found = estimate_pooled("return.mean", trials, MEAN, Request(2 * confidence - 1))
        return found.low, found.high

    spans = [interval(c) for c in (0.9, 0.95, 0.975, 0.99, 0.999, 0.9999)]
    assert spans == sorted(spans, reverse=True)
    assert spans[-1][0] < 0.5 < 1.9 < spans[-1][1]


def test_infinite_resamples_have_no_far_bound():
    values = np.array([1.0] * 1500 + [np.inf] * 500)
    low, high = quantile_interval(values, 0.9998, 10)
    assert low == 1.0
    assert high == math.inf
    assert math.isnan(quantile_interval(np.array([1.0] * 500 + [np.inf] * 1500), 0.9998, 10)[0])
