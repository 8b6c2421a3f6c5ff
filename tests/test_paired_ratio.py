"""The signed-rank test on ratios of pairs that ran side by side."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wilcoxon

from pytest_a2perf.gates.paired_ratio import compare_by_process, compare_ratios, trials_per_process


def by_seed(values):
    return dict(enumerate(np.asarray(values, dtype=float)))


def ratios(values, processes=None, *, worse="higher", tolerance=0.01, alpha=0.05):
    """Compare with a base of ones; each seed has processes of its own unless told otherwise."""
    base = by_seed(np.ones(len(values)))
    pairs = dict(enumerate(range(len(values)) if processes is None else processes))
    how = {"worse": worse, "tolerance": tolerance, "alpha": alpha}
    return compare_ratios(base, by_seed(values), pairs, **how)


def simulate(rng, pairs, trials, *, worse=0.0, lasting=0.02, noise=0.01):
    """Return ratios, and the processes that ran them: each pair has luck that lasts."""
    processes = np.repeat(np.arange(pairs), trials)
    luck = rng.normal(worse, lasting, pairs)[processes]
    return np.exp(luck + noise * rng.standard_t(3, processes.size)), processes


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


@pytest.mark.slow
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


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [1.0, -1.0], [1.0] * 2001])
def test_what_the_ratio_test_leaves_to_others(values):
    assert ratios(values) is None


@pytest.mark.slow
def test_the_luck_of_processes_raises_no_alarm():
    rng = np.random.default_rng(2)
    runs = [simulate(rng, 10, 12) for _ in range(1000)]
    alarms = [ratios(*run, tolerance=0).p_worse <= 0.05 for run in runs]
    assert np.mean(alarms) < 0.06
    # As if all trials were independent: what happened before pairs of processes were told apart.
    naive = [ratios(values, tolerance=0).p_worse <= 0.05 for values, _ in runs[:200]]
    assert np.mean(naive) > 0.2
    found = [ratios(*simulate(rng, 10, 12, worse=0.03)).p_worse <= 0.05 for _ in range(300)]
    assert np.mean(found) > 0.75


def test_pairs_of_processes_are_what_is_tested():
    values = [1.02, 1.03, 1.04, 1.04, 9.0] * 6
    change = ratios(values, np.repeat(np.arange(6), 5))
    assert (change.n, change.processes) == (30, 6)
    assert change.p_worse == 1 / 64
    assert change.value == pytest.approx(0.04, abs=0.001)  # the median of each five


@pytest.mark.parametrize("n", [1, 50])
def test_one_pair_of_processes_decides_nothing(n):
    change = ratios([2.0] * n, ["a"] * n)
    assert change.processes == 1
    assert min(change.p_worse, change.p_within) > 0.05
    assert (change.low, change.high) == (-np.inf, np.inf)
    unknown = compare_ratios(by_seed(np.ones(n)), by_seed([2.0] * n), {}, worse="higher", tolerance=0, alpha=0.05)  # fmt: skip
    assert unknown == ratios([2.0] * n, ["a"] * n, tolerance=0)


@pytest.mark.parametrize("n", [1, 5, 10, 19, 20, 39, 120, 199, 200, 1000])
def test_how_many_pairs_of_processes_there_are(n):
    pairs = -(-n // trials_per_process(n))
    assert pairs == n if n < 20 else pairs >= 10
    assert pairs <= max(19, n / 20)


def test_the_seeds_needed_are_enough():
    """With as many, four of five runs decide."""
    rng = np.random.default_rng(3)
    needed = []
    for _ in range(40):
        change = ratios(*simulate(rng, 10, 4, worse=0.02), tolerance=0.01)
        needed.append(change.seeds_needed or 100_000)
    seeds = int(np.median(needed))
    assert seeds > 40
    share = trials_per_process(seeds)
    runs = (simulate(rng, seeds // share, share, worse=0.02) for _ in range(100))
    assert np.mean([ratios(*run).p_worse <= 0.05 for run in runs]) > 0.7


def test_seeds_needed_know_that_only_more_processes_help():
    values, processes = simulate(np.random.default_rng(4), 10, 12, worse=0.015, noise=1e-4)
    needed = ratios(values, processes).seeds_needed
    assert needed >= 20 * 11
    assert ratios([1.02] * 3).seeds_needed == 5
    strict = ratios([1.02] * 30, [0, 1] * 15, alpha=1e-4).seeds_needed  # 14 signs alike, at least
    assert -(-strict // trials_per_process(strict)) >= 14


def test_means_are_compared_by_process_too():
    base, new = by_seed([1.0] * 12), by_seed([1.5, 2.5] * 6)
    how = {"worse": "higher", "tolerance": 0.5, "relative": False, "alpha": 0.05}
    change = compare_by_process(base, new, {seed: seed // 2 for seed in range(12)}, **how)
    assert (change.n, change.processes, change.value, change.p_worse) == (12, 6, 1.0, 1 / 64)
    one = compare_by_process(base, new, {}, **how)
    assert (one.n, one.processes, one.p_worse) == (12, 1, 1)
    assert compare_by_process(base, {}, {}, **how) is None
