"""The signed-rank test on ratios of pairs that ran side by side."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wilcoxon

from pytest_a2perf.gates.paired_ratio import compare_ratios


def by_seed(values):
    return dict(enumerate(np.asarray(values, dtype=float)))


def ratios(values, *, worse="higher", tolerance=0.01):
    base = by_seed(np.ones(len(values)))
    return compare_ratios(base, by_seed(values), worse=worse, tolerance=tolerance, alpha=0.05)


@pytest.mark.parametrize("n", [5, 12, 40, 250])
def test_the_ratio_test_is_wilcoxons(n):
    values = np.exp(np.random.default_rng(n).standard_t(2, n) * 0.02 + 0.01)
    change = ratios(values)
    logs = np.log(values) - np.log(1.01)
    for p, side in ((change.p_worse, "greater"), (change.p_within, "less")):
        assert p == pytest.approx(wilcoxon(logs, alternative=side).pvalue, abs=1e-3)
    assert change.low < change.value < change.high
    assert ratios(values, tolerance=change.low - 1e-5).p_worse <= 0.05
    assert ratios(values, tolerance=change.low + 1e-5).p_worse > 0.05
    assert ratios(values, tolerance=change.high + 1e-5).p_within <= 0.05
    assert ratios(values, tolerance=change.high - 1e-5).p_within > 0.05


def test_the_ratio_test_keeps_its_word_where_noise_has_no_mean():
    rng = np.random.default_rng(1)
    alarms = [ratios(np.exp(rng.standard_t(1.5, 20) / 50), tolerance=0) for _ in range(2000)]
    assert 0.035 < np.mean([change.p_worse <= 0.05 for change in alarms]) < 0.06
    found = [ratios(1.03 * np.exp(rng.standard_t(1.5, 40) / 100)) for _ in range(200)]
    assert np.mean([change.p_worse <= 0.05 for change in found]) > 0.95


def test_the_ratio_test_of_what_is_better_higher():
    change = ratios([0.9, 0.91, 0.92, 0.9, 0.91], worse="lower")
    assert change.value == pytest.approx(0.09, abs=1e-3)
    assert change.p_worse == 1 / 32
    assert ratios([1.0, 1.0, 1.0]).identical
    assert ratios([1.0, 1.0, 1.0], tolerance=0).p_worse == 1


@pytest.mark.parametrize("values", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0] * 2001])
def test_what_the_ratio_test_leaves_to_others(values):
    assert ratios(values) is None
