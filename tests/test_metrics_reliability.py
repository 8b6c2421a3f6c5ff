"""The seven reliability metrics in both definitions, against brute force and literal numbers."""

import math
import warnings
from collections import defaultdict

import numpy as np
import pytest
import scipy.signal
import scipy.stats

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Request
from pytest_a2perf.metrics.curves import low_pass, runs_of
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.runs.record import Curve, Episode, Record

A2PERF, DEFAULT = Request(definition="a2perf"), Request()
CURVE_METRICS = (
    "dispersion_across_runs",
    "dispersion_within_runs",
    "short_term_risk",
    "long_term_risk",
    "risk_across_runs",
)


def trial(seed, steps, values, returns=()):
    record = Record("s", f"s[{seed}]", seed, outcome="success")
    if len(steps):
        curve = Curve([float(step) for step in steps], [float(value) for value in values])
        record.curves["return"] = curve
    record.episodes = [Episode(float(total), 1) for total in returns]
    return record


def synthetic(seeds=10, points=60, spacing=1000):
    """Curves made of sines: the same on every machine."""
    t = np.arange(points)
    steps = spacing * t
    return [
        (
            steps,
            100 * (1 - np.exp(-t / 15)) + 6 * np.sin(1.7 * s + 0.9 * t) + 3 * s * np.cos(0.3 * t),
        )
        for s in range(seeds)
    ]


def rollouts(seeds=10, episodes=12):
    return [[100 + 20 * math.sin(1.3 * s + 2.1 * e) for e in range(episodes)] for s in range(seeds)]


RECORDS = [
    trial(seed, steps, values, returns)
    for seed, ((steps, values), returns) in enumerate(zip(synthetic(), rollouts(), strict=True))
]


def value(name, records=RECORDS, request=DEFAULT):
    return resolve(f"reliability.{name}").estimate(records, request).value


# -- A2Perf's definition, written once more from its description ----------------------------------


def brute_across(curves):
    b, a = scipy.signal.butter(8, 0.01)
    at_step = defaultdict(list)
    for steps, values in curves:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            smooth = scipy.signal.filtfilt(b, a, values, padlen=min(len(values) - 1, 27))
        for step, number in zip(steps, smooth, strict=True):
            at_step[step].append(number)
    ranges = [scipy.stats.iqr(group) for group in at_step.values() if len(group) > 2]
    return np.mean([number for number in ranges if number])


def brute_within(curves):
    pooled = []
    for steps, values in curves:
        spacing = np.median(np.diff(steps))
        width = int(5 * spacing)
        changes = [(steps[i], values[i] - values[i - 1]) for i in range(1, len(steps))]
        for centre in range(math.ceil(width / 2), int(max(steps)), int(spacing)):
            low, high = math.ceil(centre - width / 2), math.floor(centre + width / 2)
            inside = [change for step, change in changes if low <= step <= high]
            if len(inside) >= 2:
                pooled.append(scipy.stats.iqr(inside))
    return np.mean(pooled)


def brute_tail(numbers, percent):
    limit = np.percentile(numbers, percent)
    inside = [n for n in numbers if (n <= limit if percent < 50 else n >= limit)]
    return np.mean(inside)


def brute_short(curves):
    return -brute_tail(np.concatenate([np.diff(values) for _, values in curves]), 5)


def brute_long(curves):
    drawdowns = [
        max(values[: i + 1]) - values[i] for _, values in curves for i in range(len(values))
    ]
    return brute_tail(drawdowns, 95)


def brute_final(curves):
    return brute_tail([values[-1] for _, values in curves], 5)


BRUTE = dict(
    zip(
        CURVE_METRICS,
        (brute_across, brute_within, brute_short, brute_long, brute_final),
        strict=True,
    )
)


@pytest.mark.parametrize("name", CURVE_METRICS)
@pytest.mark.parametrize(("seeds", "points", "spacing"), [(10, 60, 1000), (3, 21, 7), (5, 8, 1)])
def test_a2perf_is_reproduced(name, seeds, points, spacing):
    curves = synthetic(seeds, points, spacing)
    records = [trial(seed, *curve) for seed, curve in enumerate(curves)]
    assert value(name, records, A2PERF) == pytest.approx(BRUTE[name](curves), rel=1e-12)


@pytest.mark.parametrize("name", CURVE_METRICS)
def test_a2perf_is_reproduced_for_uneven_curves(name):
    rng = np.random.default_rng(3)
    curves = []
    for seed in range(6):
        steps = np.unique(rng.integers(0, 40, size=30)) * 50
        curves.append((steps, rng.normal(seed, 2, size=len(steps)).cumsum()))
    records = [trial(seed, *curve) for seed, curve in enumerate(curves)]
    assert value(name, records, A2PERF) == pytest.approx(BRUTE[name](curves), rel=1e-12)


def test_a2perf_for_rollouts():
    pooled = np.concatenate(rollouts())
    for request in (A2PERF, DEFAULT):
        assert value("dispersion_across_rollouts", request=request) == pytest.approx(
            scipy.stats.iqr(pooled)
        )
        assert value("risk_across_rollouts", request=request) == pytest.approx(
            brute_tail(pooled, 5)
        )


# -- literal numbers ------------------------------------------------------------------------------

GOLDEN = {
    ("dispersion_across_runs", "a2perf"): 27.9179845,
    ("dispersion_within_runs", "a2perf"): 5.97181734,
    ("short_term_risk", "a2perf"): 8.4550613,
    ("long_term_risk", "a2perf"): 44.8058518,
    ("risk_across_runs", "a2perf"): 93.3635127,
    ("dispersion_across_rollouts", "a2perf"): 28.4238567,
    ("risk_across_rollouts", "a2perf"): 80.1541079,
    ("dispersion_across_runs", "default"): 8.50470787,
    ("dispersion_within_runs", "default"): 5.3734052,
    ("short_term_risk", "default"): 7.56784267,
    ("long_term_risk", "default"): 31.245542,
    ("risk_across_runs", "default"): 93.4166292,
    ("dispersion_across_rollouts", "default"): 28.4238567,
    ("risk_across_rollouts", "default"): 80.1541079,
}


@pytest.mark.parametrize(("name", "definition"), GOLDEN)
def test_golden_numbers(name, definition):
    found = value(name, request=Request(definition=definition))
    # A2Perf's filter makes whole per cent of what processors differ by in the last bit.
    rel = 0.1 if (name, definition) == ("dispersion_across_runs", "a2perf") else 1e-6
    assert found == pytest.approx(GOLDEN[name, definition], rel=rel)


# -- the default, by its definition ---------------------------------------------------------------


def test_default_dispersion_within_runs():
    expected = []
    for _, values in synthetic():
        changes = np.diff(values)
        windows = [scipy.stats.iqr(changes[i : i + 5]) for i in range(len(changes) - 4)]
        expected.append(np.mean(windows))
    assert value("dispersion_within_runs") == pytest.approx(np.mean(expected))


def test_default_risks_are_means_over_runs():
    curves = synthetic()
    short = [-brute_tail(np.diff(values), 5) for _, values in curves]
    assert value("short_term_risk") == pytest.approx(np.mean(short))
    long = [brute_tail(np.maximum.accumulate(values) - values, 95) for _, values in curves]
    assert value("long_term_risk") == pytest.approx(np.mean(long))


def test_default_dispersion_across_runs():
    sections = scipy.signal.butter(8, 10 / 60, output="sos")
    smooth = [scipy.signal.sosfiltfilt(sections, values, padlen=27) for _, values in synthetic()]
    assert value("dispersion_across_runs") == pytest.approx(
        np.mean(scipy.stats.iqr(np.array(smooth), axis=0))
    )


def test_an_uneven_log_is_no_instability():
    steps = np.cumsum([0, *[100, 100, 300, 100, 200] * 6])
    records = [trial(seed, steps, steps / 100) for seed in range(4)]
    assert value("dispersion_within_runs", records) == pytest.approx(0, abs=1e-12)
    assert value("dispersion_within_runs", records, A2PERF) > 0.1


def test_curves_of_different_lengths_and_steps_are_compared_where_they_overlap():
    full, short = np.arange(0, 5000, 100), np.arange(50, 3000, 150)
    records = [trial(0, full, full), trial(1, short, short + 5), trial(2, full, full + 10)]
    assert value("dispersion_across_runs", records) == pytest.approx(5, rel=0.1)


def test_curves_without_common_steps():
    records = [trial(seed, np.arange(5) + 100 * seed, np.arange(5)) for seed in range(3)]
    for request in (DEFAULT, A2PERF):
        with pytest.raises(UnsupportedSampleError, match="dispersion_across_runs"):
            value("dispersion_across_runs", records, request)


def test_normalised_by_the_range_of_the_curves():
    ranges = [np.quantile(values, 0.95) - values[0] for _, values in synthetic()]
    assert value("long_term_risk.normalized") == pytest.approx(
        value("long_term_risk") / np.mean(ranges)
    )
    tenfold = [trial(seed, steps, 10 * values) for seed, (steps, values) in enumerate(synthetic())]
    for name in CURVE_METRICS[:-1]:
        assert value(f"{name}.normalized", tenfold) == pytest.approx(value(f"{name}.normalized"))


def test_what_cannot_be_normalised():
    falling = [trial(seed, range(30), -np.arange(30.0)) for seed in range(4)]
    with pytest.raises(UnsupportedSampleError, match="do not rise"):
        value("long_term_risk.normalized", falling)
    with pytest.raises(UnknownNameError, match="did you mean"):
        resolve("reliability.risk_across_runs.normalized")


# -- the defects of A2Perf's code -----------------------------------------------------------------


def test_identical_curves():
    records = [trial(seed, range(40), np.sin(np.arange(40.0))) for seed in range(5)]
    assert value("dispersion_across_runs", records) == pytest.approx(0, abs=1e-12)
    with pytest.raises(UnsupportedSampleError, match="no step has 3 seeds whose returns differ"):
        value("dispersion_across_runs", records, A2PERF)


def test_steps_without_dispersion_count():
    """A2Perf drops them, and so reports the same however long the seeds agree."""
    flat = [np.concatenate([np.zeros(60), np.full(60, float(seed))]) for seed in range(3)]
    records = [trial(seed, range(120), values) for seed, values in enumerate(flat)]
    table = np.array([low_pass(values) for values in flat])
    assert value("dispersion_across_runs", records) == pytest.approx(
        np.mean(scipy.stats.iqr(table, axis=0))
    )


def test_the_filter_keeps_a_constant_only_in_sections():
    ones = np.ones(2000)
    assert low_pass(ones)[1000] == pytest.approx(1, abs=1e-9)
    b, a = scipy.signal.butter(8, 0.01)
    gain = b.sum() / a.sum()
    assert gain == pytest.approx(0.9929, abs=5e-5)
    assert gain**2 == pytest.approx(0.9858, abs=5e-5)


@pytest.mark.parametrize("points", [10, 30, 100, 300, 1000])
def test_smoothing_brings_a_noisy_curve_closer_to_its_course(points):
    rng = np.random.default_rng(1)
    course = 100 * (1 - np.exp(-np.arange(points) / (points / 4)))
    noisy = course + rng.normal(0, 5, size=(20, points))
    assert np.square(low_pass(noisy) - course).mean() < np.square(noisy - course).mean()
    if points <= 100:  # A2Perf's filter needs 200 points for one period of its cutoff
        assert np.abs(low_pass(noisy[0], "a2perf") - course).max() > 100


def test_a_handful_of_points_is_not_smoothed():
    assert low_pass(np.arange(9.0)).tolist() == list(range(9))


def test_the_risk_across_ten_runs_is_the_minimum():
    finals = [values[-1] for _, values in synthetic()]
    assert value("risk_across_runs", request=A2PERF) == min(finals)
    estimate = resolve("reliability.risk_across_runs").estimate(RECORDS, DEFAULT)
    assert estimate.note == "cvar of 10 values is no more than an extreme; it takes 21"
    assert not estimate.has_interval


# -- guards and intervals -------------------------------------------------------------------------


@pytest.mark.parametrize("name", CURVE_METRICS)
@pytest.mark.parametrize("request_", [DEFAULT, A2PERF])
def test_no_curves(name, request_):
    with pytest.raises(UnsupportedSampleError, match=f"reliability.{name}: no trial has a curve"):
        value(name, [trial(0, (), ()), trial(1, (), ())], request_)


@pytest.mark.parametrize("name", CURVE_METRICS[:3])
@pytest.mark.parametrize("request_", [DEFAULT, A2PERF])
def test_curves_of_one_point(name, request_):
    with pytest.raises(UnsupportedSampleError, match=f"reliability.{name}"):
        value(name, [trial(0, [1], [2]), trial(1, [1], [3])], request_)


def test_one_point_has_no_drawdown():
    assert value("long_term_risk", [trial(0, [1], [2])]) == 0
    assert value("risk_across_runs", [trial(0, [1], [2])]) == pytest.approx(2)


def test_short_curves_are_noted():
    records = [trial(seed, range(10), np.arange(10.0) * seed) for seed in range(5)]
    estimate = resolve("reliability.short_term_risk").estimate(records, DEFAULT)
    assert estimate.note == "the worst of 9 steps is one step"


@pytest.mark.parametrize("definition", ["default", "a2perf"])
@pytest.mark.parametrize("name", CURVE_METRICS[:-1])
def test_intervals(name, definition):
    request = Request(definition=definition)
    metric = resolve(f"reliability.{name}")
    estimate = metric.estimate(RECORDS, request)
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.low < estimate.high
    assert (estimate.n, estimate.method) == (10, "bootstrap")
    assert metric.estimate(RECORDS, request) == estimate
    if name != "dispersion_across_runs":
        assert not metric.estimate(RECORDS[:1], request).has_interval


def test_the_short_term_risk_of_a_rising_curve_is_negative():
    records = [trial(seed, range(30), np.arange(30.0)) for seed in range(5)]
    estimate = resolve("reliability.short_term_risk").estimate(records, DEFAULT)
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((-1, -1, -1))


def test_actors_that_log_the_same_step_are_averaged():
    ((steps, values),) = runs_of([Curve([2, 1, 2, 1], [4.0, 1.0, 6.0, 3.0])])
    assert steps.tolist() == [1, 2]
    assert values.tolist() == [2, 5]
