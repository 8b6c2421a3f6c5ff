"""Permutation tests and their intervals, against scipy and by simulation."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_a2perf.gates.permutation import Comparison, compare, holm

values = st.lists(st.floats(1, 100).map(lambda v: round(v, 3)), min_size=3, max_size=8)


def by_seed(numbers, first=0):
    return dict(enumerate(map(float, numbers), start=first))


@settings(deadline=None)
@given(values, values)
def test_the_paired_test_is_scipys(old, new):
    n = min(len(old), len(new))
    old, new = np.array(old[:n]), np.array(new[:n])
    ours = Comparison(by_seed(old), by_seed(new), worse="higher", relative=False)
    peer = stats.permutation_test(
        (new - old,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    assert ours.p_worse(0.0) == pytest.approx(peer.pvalue)


whole = st.lists(st.integers(1, 20), min_size=2, max_size=6)


@settings(deadline=None)
@given(whole, whole)
def test_the_unpaired_test_counts_relabellings(old, new):
    ours = Comparison(by_seed(old), by_seed(new, first=100), worse="higher", relative=False)
    pooled, n = new + old, len(new)

    def gap(chosen):  # times both sizes, to stay with integers: scipy's own misses ties
        total = sum(pooled[i] for i in chosen)
        return total * len(old) - (sum(pooled) - total) * n

    gaps = [gap(chosen) for chosen in combinations(range(len(pooled)), n)]
    expected = sum(g >= gap(range(n)) for g in gaps) / len(gaps)
    assert ours.p_worse(0.0) == pytest.approx(expected)


@settings(deadline=None)
@given(values, values, st.sampled_from(["higher", "lower"]), st.booleans(), st.booleans())
def test_interval_and_tests_agree(old, new, worse, relative, paired):
    n = min(len(old), len(new)) if paired else None
    test = Comparison(
        by_seed(old[:n]),
        by_seed(new[:n], first=0 if paired else 50),
        worse=worse,
        relative=relative,
    )
    low, high = test.interval(0.6)
    assert low <= test.value + 1e-9
    assert high >= test.value - 1e-9
    if math.isfinite(low):
        step = 1e-6 * (1 + abs(low))
        assert test.p_worse(low - step) <= 0.2 + 1e-12
        assert test.p_worse(low + step) > 0.2
    if math.isfinite(high):
        step = 1e-6 * (1 + abs(high))
        assert test.p_within(high + step) <= 0.2 + 1e-12
        assert test.p_within(high - step) > 0.2


def test_a_change_is_a_share_of_the_baseline_and_positive_if_worse():
    old, new = by_seed([10, 20, 30, 40, 50, 60]), by_seed([11, 22, 33, 44, 55, 66])
    slower = compare(old, new, worse="higher", tolerance=0.05, relative=True, alpha=0.05)
    assert slower.value == pytest.approx(0.1)
    assert slower.p_worse == pytest.approx(2**-6)
    better = compare(old, new, worse="lower", tolerance=0.0, relative=True, alpha=0.05)
    assert better.value == pytest.approx(-0.1)
    assert better.p_within == pytest.approx(2**-6)
    absolute = compare(old, new, worse="higher", tolerance=1.0, relative=False, alpha=0.05)
    assert absolute.value == pytest.approx(3.5)


def test_what_no_sample_can_decide_says_how_many_would():
    few = compare(by_seed([1, 2, 3]), by_seed([2, 3, 4]), worse="higher", tolerance=0, relative=False, alpha=0.05)  # fmt: skip
    assert few.p_worse == 0.125
    assert few.seeds_needed == 5
    assert (few.low, few.high) == (-math.inf, math.inf)


def test_identical_runs_are_recognised_and_single_values_decide_nothing():
    same = compare({1: 2.0, 2: 3.0}, {1: 2.0, 2: 3.0}, worse="lower", tolerance=0.0, relative=True, alpha=0.05)  # fmt: skip
    assert same.identical
    assert compare({1: 2.0}, {1: 2.0}, worse="lower", tolerance=0.0, relative=True, alpha=0.05).identical  # fmt: skip
    assert compare({1: 2.0}, {2: 2.0}, worse="lower", tolerance=0.0, relative=True, alpha=0.05) is None  # fmt: skip
    assert compare({1: 0.0, 2: 0.0}, {1: 1.0, 2: 2.0}, worse="lower", tolerance=0.0, relative=True, alpha=0.05) is None  # fmt: skip


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_scipys_bound_or_stricter(p_values):
    adjusted = holm(p_values)
    ordered = sorted(p_values, key=p_values.__getitem__)
    for rank, name in enumerate(ordered):
        worst = max(min(1.0, (len(ordered) - i) * p_values[ordered[i]]) for i in range(rank + 1))
        assert adjusted[name] == pytest.approx(worst)
        assert adjusted[name] >= p_values[name]


@pytest.mark.slow
@pytest.mark.parametrize("paired", [True, False])
def test_false_alarms_stay_below_alpha(paired):
    rng = np.random.default_rng(7)
    alarms = 0
    rounds = 800
    for _ in range(rounds):
        old = rng.lognormal(0, 0.7, 10)
        new = old * rng.lognormal(0, 0.1, 10) if paired else rng.lognormal(0, 0.7, 10)
        change = Comparison(
            by_seed(old), by_seed(new, 0 if paired else 99), worse="higher", relative=True
        )
        alarms += change.p_worse(0.0) <= 0.05
    assert alarms / rounds <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)


def test_a_planted_slowdown_is_found_when_paired():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(100):
        old = rng.lognormal(0, 0.7, 12)
        new = 1.05 * old * rng.lognormal(0, 0.02, 12)
        found += Comparison(by_seed(old), by_seed(new), worse="higher", relative=True).p_worse(0.01) <= 0.05  # fmt: skip
    assert found >= 95
