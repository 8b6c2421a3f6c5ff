"""Statistics and intervals, against SciPy, numpy and brute force."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.metrics import weighted
from pytest_a2perf.metrics.intervals import (
    bootstrap,
    clopper_pearson,
    effective_size,
    quantile_interval,
    rate_interval,
    resamples,
    weights,
    wilson,
)
from pytest_a2perf.metrics.statistics import NAMES, cvar, iqm, iqr, quantile_wants, statistic

quick = settings(deadline=None, max_examples=60)

numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
samples = st.lists(numbers, min_size=2, max_size=120).map(np.array)


def close(value, expected):
    return value == pytest.approx(expected, rel=1e-9, abs=1e-6)


@quick
@given(samples)
def test_simple_statistics_are_numpys(values):
    for name, expected in {
        "mean": values.mean(),
        "median": np.median(values),
        "std": np.std(values, ddof=1),
        "min": values.min(),
        "max": values.max(),
        "sum": values.sum(),
    }.items():
        assert close(statistic(name, "higher").function(values), expected)


@quick
@given(samples)
def test_the_interquartile_mean_is_scipys_trimmed_mean(values):
    assert close(iqm(values), scipy.stats.trim_mean(values, 0.25))


@quick
@given(samples)
def test_the_interquartile_range_is_scipys(values):
    assert close(iqr(values), scipy.stats.iqr(values))


@quick
@given(samples, st.integers(0, 1000))
def test_quantiles_are_numpys(values, permille):
    name = f"p{permille / 10:g}"
    assert close(statistic(name, "higher").function(values), np.quantile(values, permille / 1000))


@quick
@given(samples, st.integers(1, 99))
def test_cvar_is_the_mean_beyond_the_quantile(values, percent):
    low = np.quantile(values, percent / 100)
    assert close(
        statistic(f"cvar{percent}", "higher").function(values),
        np.mean([v for v in values if v <= low]),
    )
    high = -np.quantile(-values, percent / 100)
    assert close(
        statistic(f"cvar{percent}", "lower").function(values),
        np.mean([v for v in values if v >= high]),
    )


@pytest.mark.parametrize(("count", "tail"), [(10, 1), (20, 1), (21, 2), (41, 3), (100, 5)])
def test_how_many_values_the_tail_of_cvar_holds(count, tail):
    values = np.arange(float(count))
    assert cvar(values) == np.mean(values[:tail])
    assert bool(statistic("cvar", "higher").note(count)) == (tail == 1)


@pytest.mark.parametrize(
    ("q", "wants"), [(0.5, 1), (0.8, 5), (0.9, 10), (0.95, 20), (0.99, 100), (0.01, 100), (1, 1)]
)
def test_a_quantile_wants_a_value_beyond_it(q, wants):
    assert quantile_wants(q) == wants


@pytest.mark.parametrize("name", ["cvar0", "p101", "p5x", "average", "", "cvar.5"])
def test_unknown_statistics(name):
    with pytest.raises(UnknownNameError):
        statistic(name, "higher")


@quick
@example([(0.0, 3), (35544.021640508436, 0)], "std", "higher")
@given(
    st.lists(st.tuples(numbers, st.integers(0, 4)), min_size=2, max_size=40).filter(
        lambda pairs: sum(weight for _, weight in pairs) >= 2
    ),
    st.sampled_from([*NAMES, "p2.5", "cvar40"]),
    st.sampled_from(["higher", "lower"]),
)
def test_weighted_statistics_are_those_of_repeated_values(pairs, name, direction):
    reduce = statistic(name, direction)
    if reduce.resampled is None:
        return
    values, counts = (np.array(column) for column in zip(*sorted(pairs), strict=True))
    result = reduce.resampled(values.astype(float), counts[None, :].astype(float))
    expected = reduce.function(np.repeat(values.astype(float), counts))
    assert result.shape == (1,)
    # What squares cancel is known to the root of the machine's precision, of all values' spread.
    close = max(1e-5, 1e-7 * np.ptp(values)) if name == "std" else 1e-5
    assert result[0] == pytest.approx(expected, rel=1e-7, abs=close)


# -- bootstrap ------------------------------------------------------------------------------------


def trials(seed, n, lengths=(1,)):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=lengths[i % len(lengths)]) for i in range(n)]


def test_resamples_depend_on_the_name_and_size_alone():
    first = resamples(10, 10, "return.mean")
    assert np.array_equal(first, resamples(10, 10, "return.mean"))
    assert not np.array_equal(first, resamples(10, 10, "return.iqm"))
    assert first[0].tolist() == [0, 4, 0, 1, 8, 1, 4, 6, 1, 5]  # on every machine, in every process


@pytest.mark.parametrize("n", [2, 10, 1000, 1500])
def test_each_resample_draws_as_many_trials_as_there_are(n):
    drawn = weights(n, n, "x")
    assert drawn.shape[1] == n
    assert drawn.sum(axis=1).mean() == pytest.approx(n, rel=0.01)
    if n <= 1000:
        assert set(drawn.sum(axis=1)) == {n}


def test_the_bootstrap_is_that_of_resampled_trials_of_unequal_length():
    sample = trials(1, 6, lengths=(1, 5, 3))
    values = [np.median(np.concatenate([sample[i] for i in row])) for row in resamples(6, 18, "m")]
    expected = quantile_interval(np.array(values), 0.9, 6)
    reduce = statistic("median", "higher").resampled
    assert bootstrap(sample, reduce, confidence=0.9, key="m") == pytest.approx(expected)


@pytest.mark.parametrize("name", ["mean", "median", "iqm", "std", "iqr", "p90", "cvar"])
def test_a_bootstrap_interval_grows_with_confidence(name):
    reduce = statistic(name, "higher").resampled
    sample = trials(2, 12, lengths=(20,))
    bounds = [bootstrap(sample, reduce, confidence=c, key=name) for c in (0.5, 0.8, 0.95, 0.99)]
    for (low, high), (wider_low, wider_high) in pairwise(bounds):
        assert wider_low <= low <= high <= wider_high


@pytest.mark.parametrize("name", ["mean", "median", "iqr"])
def test_a_bootstrap_interval_shrinks_with_the_sample(name):
    reduce = statistic(name, "higher").resampled

    def width(n):
        bounds = [
            bootstrap(trials(seed, n, (5,)), reduce, confidence=0.95, key=name) for seed in range(5)
        ]
        return np.mean([high - low for low, high in bounds])

    assert width(10) > 1.5 * width(40) > 2.25 * width(160)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 20])
def test_coverage_for_the_mean_of_normal_data(n):
    rng = np.random.default_rng(100 + n)
    hits = 0
    for repetition in range(1000):
        sample = list(rng.normal(size=(n, 1)))
        low, high = bootstrap(sample, weighted.mean, confidence=0.95, key=str(repetition))
        hits += low <= 0 <= high
    assert hits / 1000 >= 0.92


def test_an_infinite_resample_makes_an_infinite_bound():
    values = np.concatenate([np.arange(1900.0), np.full(100, math.inf), np.full(9, math.nan)])
    low, high = quantile_interval(values, 0.95, 10)
    assert math.isfinite(low)
    assert high == math.inf


def test_no_resample_has_a_value():
    assert all(map(math.isnan, quantile_interval(np.full(9, math.nan), 0.95, 10)))


# -- rates ----------------------------------------------------------------------------------------


@quick
@given(st.integers(1, 300), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_rate_intervals_are_scipys(n, data, confidence):
    successes = data.draw(st.integers(0, n))
    test = scipy.stats.binomtest(successes, n)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        expected = test.proportion_ci(confidence, method)
        assert ours(successes, n, confidence) == pytest.approx(tuple(expected), abs=1e-9)


def test_single_attempts_are_independent():
    assert effective_size(np.array([1.0, 0, 1, 1]), np.ones(4)) == 4


def test_attempts_that_all_agree_count_once_a_trial():
    assert effective_size(np.full(8, 5.0), np.full(8, 5.0)) == 8
    assert effective_size(np.zeros(8), np.full(8, 5.0)) == 8
    unequal = np.array([1.0, 1, 1, 97])
    assert effective_size(unequal, unequal) == pytest.approx(100**2 / (3 + 97**2))


def test_copies_within_trials_count_once_a_trial():
    successes = np.array([5.0, 5, 0, 5, 0, 5, 5, 0])
    assert effective_size(successes, np.full(8, 5.0)) == pytest.approx(8)


@quick
@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=20).flatmap(
        lambda sizes: st.tuples(
            st.just(sizes), st.tuples(*(st.integers(0, size) for size in sizes))
        )
    )
)
def test_the_effective_size_lies_between_copies_and_independence(drawn):
    attempts, successes = (np.array(column, dtype=float) for column in drawn)
    size = effective_size(successes, attempts)
    copies = attempts.sum() ** 2 / np.square(attempts).sum()
    assert copies - 1e-9 <= size <= attempts.sum() + 1e-9
    (low, high), _ = rate_interval(successes, attempts, 0.95, exact=False)
    assert 0 <= low <= successes.sum() / attempts.sum() <= high <= 1


def test_rates_keep_their_promise_when_attempts_are_correlated():
    rng = np.random.default_rng(7)
    rho, p, n, m = 0.4, 0.7, 10, 20
    kept = naive = 0
    for _ in range(1000):
        rates = rng.beta(p * (1 - rho) / rho, (1 - p) * (1 - rho) / rho, size=n)
        successes = rng.binomial(m, rates).astype(float)
        (low, high), _ = rate_interval(successes, np.full(n, float(m)), 0.95, exact=True)
        kept += low <= p <= high
        low, high = clopper_pearson(successes.sum(), n * m, 0.95)
        naive += low <= p <= high
    assert kept / 1000 >= 0.93
    assert naive / 1000 < 0.7


def test_every_statistic_has_a_name_in_the_catalogue():
    for name, direction in product(NAMES, ("higher", "lower", "none")):
        assert statistic(name, direction).name == name
