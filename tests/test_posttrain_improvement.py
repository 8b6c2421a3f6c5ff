"""Success is an improvement beyond noise, and not a rounding error or a few lucky items."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pytest_a2perf.domains.posttrain.grading.evaluation import score_of
from pytest_a2perf.domains.posttrain.grading.improvement import improvement


def scores(right: int, total: int, *, gained: int, lost: int = 0):
    """Return the base model's score and one with so many items gained and lost."""
    base = [1.0] * right + [0.0] * (total - right)
    ours = [0.0] * lost + [1.0] * (right - lost) + [1.0] * gained
    ours += [0.0] * (total - right - gained)
    return score_of(base, 0.0, {}), score_of(ours, 0.0, {})


@pytest.mark.slow
@pytest.mark.parametrize("total", [300, 600])
def test_one_item_more_is_no_success(total):
    for right in range(10, total - 10, 20):
        found = improvement(*scores(right, total, gained=1))
        assert found.value == pytest.approx(100 / total)
        assert found.low == 0
        assert not found.success


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30))
def test_success_needs_what_the_exact_test_needs(gained, lost):
    found = improvement(*scores(50, 200, gained=gained, lost=lost))
    changed = gained + lost
    exact = binomtest(gained, changed, alternative="greater").pvalue if changed else 1.0
    assert not (found.success and exact > 0.025)
    assert found.success or exact > 0.005  # and nothing clear is missed
    assert found.low <= found.value <= found.high


def test_a_loss_that_may_be_chance_reaches_zero():
    assert improvement(*scores(50, 200, gained=0, lost=4)).high == 0
    assert improvement(*scores(50, 200, gained=0, lost=6)).high < 0


def test_items_that_are_shares_are_not_tested_as_coins():
    base = score_of([0.25] * 20, 0.0, {})
    ours = score_of([0.30 + 0.01 * (number % 2) for number in range(20)], 0.0, {})
    assert improvement(base, ours).low > 4


def test_values_that_are_no_means_have_their_own_error():
    base, ours = scores(100, 400, gained=60)
    plain = improvement(base, ours)
    errors = [
        score_of(one.items, 0.0, {"value": one.value, "error": 3 * one.error})
        for one in (base, ours)
    ]
    wide = improvement(*errors)
    assert wide.value == plain.value
    assert wide.value - wide.low == pytest.approx(3 * (plain.value - plain.low))
    assert wide.high - wide.value == pytest.approx(3 * (plain.high - plain.value))
    narrow = [score_of(one.items, 0.0, {"value": one.value, "error": 0.0}) for one in (base, ours)]
    assert improvement(*narrow) == plain


def test_repeats_that_differ_by_more_than_is_stated_count():
    base, ours = scores(100, 400, gained=60)
    repeated = [replace(one, extra={"repeats": [20.0, 28.0, 36.0, 28.0]}) for one in (base, ours)]
    assert improvement(base, ours, 1.0).noise == pytest.approx(math.sqrt(2))
    spread = statistics.stdev([20.0, 28.0, 36.0, 28.0])
    assert improvement(*repeated, 1.0).noise == pytest.approx(spread * math.sqrt(2 / 4))
    assert improvement(*repeated, 9.0).noise == pytest.approx(9 * math.sqrt(2 / 4))


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(3)
    held = []
    for _ in range(300):
        chance = generator.beta(2, 2, 200)
        base, ours = ((generator.random(200) < chance).astype(float) for _ in range(2))
        found = improvement(score_of(list(base), 0.0, {}), score_of(list(ours), 0.0, {}))
        held.append(found.low <= 0 <= found.high)
    assert math.fsum(held) / len(held) > 0.93
