"""Metrics of records: returns, success, latency, energy, data cost, generalization."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Request
from pytest_a2perf.metrics.data_cost import checkpoint_data_cost, data_cost
from pytest_a2perf.metrics.intervals import clopper_pearson, wilson
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.metrics.success import attempts_of, pass_all_of, pass_at
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.record import Episode, Record

quick = settings(deadline=None, max_examples=60)

REQUEST = Request()


def trial(seed, totals=(), *, outcome="success", solved=None, task="", length=10, **quantities):
    record = Record("s", f"s[{seed}]", seed, outcome=outcome)
    judged = solved if solved is not None else [None] * len(totals)
    totals = totals or [0.0] * len(judged)
    record.episodes = [
        Episode(float(total), length, success=success, task=task)
        for total, success in zip(totals, judged, strict=True)
    ]
    for name, value in quantities.items():
        key = name.replace("_", ".")
        record.quantities[key] = Quantity(value, "J", "meter", "estimated")
    return record


def estimate(name, records, request=REQUEST):
    return resolve(name).estimate(records, request)


def fails(name, records, match):
    with pytest.raises(UnsupportedSampleError, match=match):
        estimate(name, records)


# -- pooled values --------------------------------------------------------------------------------


def test_returns_are_pooled_over_trials_of_any_length():
    records = [trial(0, [1, 2, 3]), trial(1, [10]), trial(2, [4, 6])]
    found = estimate("return.mean", records)
    assert (found.value, found.n, found.method) == (pytest.approx(26 / 6), 3, "bootstrap")
    assert found.low < found.value < found.high
    assert estimate("length.mean", records).value == 10


def test_cvar_takes_the_bad_tail():
    values = list(range(100))
    records = [trial(i, values) for i in range(2)]
    assert estimate("return.cvar", records).value == 2
    timed = [trial(i) for i in values]
    for record, value in zip(timed, values, strict=True):
        record.quantities["time.wall"] = Quantity(value, "s", "clock")
    assert estimate("time.wall.cvar", timed).value == 97


def test_bare_names_are_means_over_trials():
    records = [trial(i, energy=float(i)) for i in range(5)]
    assert estimate("energy", records) == estimate("energy", records)
    assert estimate("energy", records).value == estimate("energy.mean", records).value == 2
    assert estimate("energy.max", records).value == 4


def test_source_and_quality_are_the_worst_of_all_trials():
    records = [trial(i) for i in range(3)]
    for record, (source, quality) in zip(
        records,
        [("nvml", "measured"), ("model", "modelled"), ("nvml", "estimated")],
        strict=True,
    ):
        record.quantities["energy"] = Quantity(1.0, "J", source, quality)
    for name in ("energy", "energy.total"):
        found = estimate(name, records)
        assert (found.source, found.quality, found.unit) == ("nvml, model", "modelled", "J")


def test_broken_off_trials_are_left_out():
    records = [trial(0, [1.0]), trial(1, [3.0]), trial(2, [99.0], outcome="infra")]
    found = estimate("return.mean", records)
    assert (found.value, found.n) == (2, 2)


def test_one_trial_supports_no_interval():
    found = estimate("return.mean", [trial(0, [1, 2, 3])])
    assert (found.value, found.n, found.method) == (2, 1, "none")
    assert not found.has_interval


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("return.cvar", "cvar of 10 values is no more than an extreme; it takes 21"),
        ("return.p99", "p99 of 10 values is no more than an extreme; it takes 100"),
        ("return.max", "a sample does not bound its extremes"),
    ],
)
def test_what_a_sample_does_not_support_has_a_note_and_no_interval(name, note):
    found = estimate(name, [trial(i, [float(i)]) for i in range(10)])
    assert found.note == note
    assert not found.has_interval


def test_too_few_values():
    fails("return.std", [trial(0, [1.0])], "return.std needs 2 values, there is 1")
    fails("return.mean", [trial(0)], "return.mean needs 1 value, there are 0")


def test_readings_that_are_not_numbers_are_left_out():
    records = [trial(0, energy=1.0), trial(1, energy=math.nan), trial(2, energy=3.0)]
    assert estimate("energy", records).value == 2


def test_returns_that_are_not_numbers_are_shown():
    records = [trial(0, [1.0]), trial(1, [math.nan])]
    found = estimate("return.mean", records)
    assert math.isnan(found.value)
    assert not found.has_interval
    infinite = estimate("return.mean", [trial(0, [1.0]), trial(1, [-math.inf])])
    assert infinite.value == -math.inf
    estimate("return.std", [trial(0, [1.0]), trial(1, [-math.inf])])


def test_reported_numbers_bring_their_unit():
    records = [trial(i) for i in range(4)]
    for i, record in enumerate(records):
        record.reported["a.b"] = Quantity(float(i), "USD", "price list", "modelled")
    found = estimate("reported.a.b.max", records)
    assert (found.value, found.unit, found.quality) == (3, "USD", "modelled")
    records[0].reported["a.b"] = Quantity(0.0, "s", "x")
    fails("reported.a.b.mean", records, "several units: s, USD")


def test_statistics_of_pytest_benchmark():
    records = [trial(i) for i in range(3)]
    for i, record in enumerate(records):
        record.benchmark = {"median": float(i), "ops": 5, "outliers": "1;2"}
    assert estimate("benchmark.median", records).value == 1
    assert estimate("benchmark.ops", records).unit == "1/s"
    fails("benchmark.iqr", records, "there are 0")


# -- success --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "c"), [(n, c) for n in range(1, 8) for c in range(n + 1)])
def test_pass_estimators_count_subsets(n, c):
    attempts = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        subsets = list(combinations(attempts, k))
        assert pass_at(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))
        assert pass_all_of(n, c, k) == pytest.approx(sum(map(all, subsets)) / len(subsets))


@pytest.mark.parametrize(
    ("record", "attempts"),
    [
        (trial(0, solved=[True, False]), [True, False]),
        (trial(0, solved=[True], outcome="error"), [True, False]),
        (trial(0, outcome="timeout"), [False]),
        (trial(0, outcome="success"), [True]),
        (trial(0, outcome="failure"), [False]),
        (trial(0, solved=[True], outcome="infra"), None),
        (trial(0, outcome="not_run"), None),
        (trial(0, [1.0]), []),
    ],
)
def test_attempts(record, attempts):
    assert attempts_of(record) == attempts


def test_rate_of_single_attempts():
    records = [trial(i, solved=[i < 7]) for i in range(10)]
    found = estimate("success.rate", records)
    assert (found.value, found.method, found.n) == (0.7, "wilson", 10)
    assert (found.low, found.high) == pytest.approx(wilson(7, 10, 0.95))
    exact = estimate("success.rate", records, Request(exact=True, confidence=0.9))
    assert (exact.low, exact.high) == pytest.approx(clopper_pearson(7, 10, 0.9))
    assert exact.method == "clopper-pearson"


def test_the_denominator_is_told():
    records = [
        *(trial(i, solved=[True]) for i in range(4)),
        trial(4, outcome="error"),
        trial(5, outcome="infra"),
        trial(6, outcome="not_run"),
    ]
    found = estimate("success.rate", records)
    assert found.value == 0.8
    assert found.note == "4 of 5 attempts, 2 trials left out (infra or not run)"


def test_pass_intervals_are_the_rates_carried_over():
    records = [trial(i, solved=[i < 6]) for i in range(8)]
    rate = estimate("success.rate", records)
    every, some = estimate("success.pass^3", records), estimate("success.pass@3", records)
    assert every.value == pytest.approx(20 / 56)
    assert some.value == 1
    assert (every.low, every.high) == pytest.approx((rate.low**3, rate.high**3))
    assert some.low == pytest.approx(1 - (1 - rate.low) ** 3)
    assert some.low <= some.value <= some.high


def test_attempts_of_one_trial_are_no_independent_evidence():
    copies = [trial(i, solved=[i % 3 > 0] * 20) for i in range(9)]
    single = [trial(i, solved=[i % 3 > 0]) for i in range(9)]
    many, few = estimate("success.rate", copies), estimate("success.rate", single)
    assert (many.low, many.high) == pytest.approx((few.low, few.high))


def test_success_that_nobody_judged():
    fails("success.rate", [trial(0, [1.0]), trial(1, outcome="error")], "no trial says")
    fails("success.pass^3", [trial(0, solved=[True, True])], "2 attempts are fewer than 3")
    assert estimate("success.rate", [trial(0, outcome="error")]).value == 0


def test_pooled_tasks_are_told():
    records = [trial(i, solved=[True, False], task="ab"[i % 2]) for i in range(4)]
    assert estimate("success.pass^2", records).note == "4 of 8 attempts, 2 tasks pooled"


# -- samples --------------------------------------------------------------------------------------


def sampled(seed, values, limit=None, name="latency", unit="s"):
    record = trial(seed)
    record.samples[name] = Histogram.of(values, limit=limit, unit=unit)
    return record


rng = np.random.default_rng(0)
LATENCIES = [rng.lognormal(-7 + 0.2 * i, 0.5, size=200) for i in range(6)]
SAMPLED = [sampled(i, values, limit=0.002) for i, values in enumerate(LATENCIES)]


def test_statistics_of_samples():
    pooled = np.concatenate(LATENCIES)
    for name, expected in {
        "mean": pooled.mean(),
        "std": pooled.std(ddof=1),
        "min": pooled.min(),
        "max": pooled.max(),
        "miss_rate": (pooled > 0.002).mean(),
    }.items():
        assert estimate(f"latency.{name}", SAMPLED).value == pytest.approx(expected)
    for name, q in {"median": 0.5, "p95": 0.95, "p99.5": 0.995}.items():
        exact = np.quantile(pooled, q, method="lower")
        assert estimate(f"latency.{name}", SAMPLED).value == pytest.approx(exact, rel=0.00501)


@pytest.mark.parametrize("name", ["mean", "std", "median", "p95"])
def test_intervals_of_samples_are_those_of_resampled_trials(name):
    found = estimate(f"latency.{name}", SAMPLED, Request(confidence=0.9))
    assert found.low < found.value < found.high
    assert estimate(f"latency.{name}", SAMPLED, Request(confidence=0.9)) == found
    wider = estimate(f"latency.{name}", SAMPLED)
    assert wider.low <= found.low < found.high <= wider.high
    more = [*SAMPLED] * 8
    narrow = estimate(f"latency.{name}", more, Request(confidence=0.9))
    assert narrow.high - narrow.low < 0.6 * (found.high - found.low)


def test_sample_quantiles_by_brute_force():
    from pytest_a2perf.metrics.intervals import quantile_interval, resamples

    medians = [
        Histogram.merge(SAMPLED[i].samples["latency"] for i in row).quantile(0.9)
        for row in resamples(6, 6, "latency.p90")
    ]
    low, high = quantile_interval(np.array(medians), 0.95, 6)
    found = estimate("latency.p90", SAMPLED)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_no_missed_deadline_is_no_proof():
    never = [sampled(i, [0.001] * 100, limit=1.0) for i in range(10)]
    found = estimate("latency.miss_rate", never)
    assert found.value == found.low == 0
    assert found.high == pytest.approx(wilson(0, 10, 0.95)[1])
    assert found.note == "0 of 1000 samples"


def test_guards_of_samples():
    fails("latency.mean", [trial(0)], "no trial has samples of 'latency'")
    fails("latency.miss_rate", [sampled(0, [1.0])], "no deadline")
    fails("latency.std", [sampled(0, [1.0])], "needs 2 samples")
    fails("latency.mean", [sampled(0, [1.0]), sampled(1, [1.0], unit="B")], "several units")
    few = [sampled(i, [1.0, 2.0]) for i in range(3)]
    assert estimate("latency.p99", few).note == "p99 of 6 samples is no more than an extreme"
    assert not estimate("latency.max", few).has_interval
    assert not estimate("latency.mean", few[:1]).has_interval


def test_any_sample_by_name():
    records = [sampled(i, [1.0 + i, 2.0], name="ttft", unit="B") for i in range(3)]
    found = estimate("sample.ttft.mean", records)
    assert (found.value, found.unit) == (2, "B")


# -- ratios and sums ------------------------------------------------------------------------------


def powered(seed, energy, *, solved=(True, False), seconds=2.0, length=10):
    record = trial(seed, solved=list(solved), length=length, energy=energy)
    record.quantities["time.wall"] = Quantity(seconds, "s", "clock")
    return record


def test_ratios_are_of_totals():
    records = [powered(0, 10.0), powered(1, 30.0, length=30, solved=(True, True, True, False))]
    for name, expected, unit in (
        ("energy.total", 40, "J"),
        ("energy.per_episode", 40 / 6, "J"),
        ("energy.per_step", 40 / 140, "J"),
        ("energy.per_solved", 40 / 4, "J"),
        ("throughput.steps", 140 / 4, "1/s"),
        ("throughput.episodes", 6 / 4, "1/s"),
        ("power.mean", 40 / 4, "W"),
    ):
        found = estimate(name, records)
        assert (found.value, found.unit, found.n) == (pytest.approx(expected), unit, 2)
        if name != "energy.total":
            assert found.low <= found.value <= found.high


def test_trials_without_one_of_both_are_left_out_of_a_ratio():
    records = [powered(0, 10.0), powered(1, 30.0), powered(2, 1000.0)]
    del records[2].quantities["time.wall"]
    assert estimate("power.mean", records).value == 10


def test_nothing_was_solved():
    records = [powered(i, 1.0, solved=(False,)) for i in range(3)]
    fails("energy.per_solved", records, "the trials have no solved attempts")
    fails("throughput.steps", [trial(0)], "no trial has time.wall and steps")


def test_the_price_of_rare_success_has_no_upper_bound():
    records = [powered(i, 1.0, solved=(i == 0,)) for i in range(10)]
    found = estimate("energy.per_solved", records)
    assert found.value == 10
    assert found.high == math.inf


def test_totals_tell_what_is_missing():
    records = [trial(0, energy=1.0), trial(1, energy=2.0, outcome="infra"), trial(2)]
    found = estimate("energy.total", records)
    assert (found.value, found.n) == (3, 2)
    assert found.note.startswith("1 of 3 trials have no reading")


# -- data cost ------------------------------------------------------------------------------------


def test_data_cost_is_the_mean_energy_of_the_policies():
    assert data_cost([10.0, 30.0]) == 20
    with pytest.raises(ValueError, match="at least one policy"):
        data_cost([])


def test_checkpoints_cost_in_proportion():
    assert checkpoint_data_cost(100.0, [10, 20, 50], 50) == pytest.approx((20 + 40 + 100) / 3)
    for bad in ([], [51], [-1]):
        with pytest.raises(ValueError, match="expected checkpoints from 0 to 50"):
            checkpoint_data_cost(100.0, bad, 50)


def test_energy_with_data():
    records = [trial(i, energy=float(i)) for i in range(3)]
    online = estimate("energy.total_with_data", records)
    assert (online.value, online.note) == (1, "3 of 3 trials report no data cost")
    for record in records:
        record.reported["data_cost"] = Quantity(100.0, "J", "data set", "modelled")
    offline = estimate("energy.total_with_data", records)
    assert (offline.value, offline.quality, offline.note) == (101, "modelled", "")
    assert offline.low < 101 < offline.high
    assert estimate("data_cost", records).value == 100


# -- generalization -------------------------------------------------------------------------------


def test_generalization_sums_or_averages_the_means_of_tasks():
    records = []
    for seed in range(4):
        record = trial(seed, [1.0 + seed, 3.0], task="a")
        record.episodes += trial(seed, [10.0], task="b").episodes
        records.append(record)
    mean_a = np.mean([1, 3, 2, 3, 3, 3, 4, 3])
    found = estimate("generalization.sum", records)
    assert (found.value, found.note) == (pytest.approx(mean_a + 10), "2 tasks")
    assert estimate("generalization.mean", records).value == pytest.approx((mean_a + 10) / 2)
    assert found.low < found.value < found.high


def test_tasks_spread_over_trials():
    records = [trial(i, [float(i)], task="ab"[i % 2]) for i in range(8)]
    found = estimate("generalization.sum", records)
    assert found.value == 3 + 4
    assert found.low < 7 < found.high
    fails("generalization.sum", [trial(0)], "no trial has episodes")


def with_references(seed, a, b, references=None):
    record = trial(seed, a, task="a")
    record.episodes += trial(seed, b, task="b").episodes
    record.context["references"] = references or {"a": [0, 10], "b": [-200, -100]}
    return record


def test_normalised_returns_put_tasks_on_one_scale():
    records = [with_references(i, [4.0, 6.0], [-150.0 + 10 * i]) for i in range(3)]
    found = estimate("generalization.normalized", records)
    assert (found.value, found.note) == (pytest.approx((0.5 + 0.6) / 2), "2 tasks")
    assert found.low < found.value < found.high
    assert estimate("generalization.sum", records).value == pytest.approx(5 - 140)


def test_the_interquartile_mean_is_over_trials_and_tasks():
    records = [with_references(i, [float(i)], [-200.0 + 10 * i]) for i in range(6)]
    scores = sorted([0.1 * i for i in range(6)] * 2)
    found = estimate("generalization.iqm", records)
    assert found.value == pytest.approx(np.mean(scores[3:9]))
    assert (found.n, found.method) == (6, "bootstrap")
    assert found.low < found.value < found.high


def test_an_outlier_moves_the_mean_and_not_the_interquartile_mean():
    records = [with_references(i, [5.0], [-150.0]) for i in range(8)]
    records[3].episodes[0].total = 1e6
    assert estimate("generalization.iqm", records).value == pytest.approx(0.5)
    assert estimate("generalization.normalized", records).value > 100


_REFERENCES = "generalization.normalized", "generalization.iqm"


@pytest.mark.parametrize("name", _REFERENCES)
@pytest.mark.parametrize(
    ("references", "match"),
    [
        ({"a": [0, 1]}, r"no references of 'b'; give a low and a high return"),
        ({"c": [0, 1]}, r"no references of 'a', 'b'"),
        ({"a": [0, 0], "b": [0, 1]}, r"references of 'a': expected two different returns"),
        ({"a": [0, 1], "b": [0, math.inf]}, r"references of 'b': expected two different"),
        ({"a": [0, 1, 2], "b": [0, 1]}, r"references of 'a': expected two"),
    ],
)
def test_references_that_do_not_fit(name, references, match):
    fails(name, [with_references(i, [1.0], [2.0], references) for i in range(3)], match)


def test_trials_with_other_references_are_not_compared():
    records = [with_references(i, [1.0], [2.0], {"a": [0, 1 + i], "b": [0, 1]}) for i in range(2)]
    fails("generalization.iqm", records, r"several references of 'a': \(0, 1\), \(0, 2\)")


def test_intervals_hold_when_the_tasks_of_a_trial_are_alike():
    # Resampling each task by itself, as if its runs were others, would hold 72 % here.
    rng = np.random.default_rng(5)
    tasks = [f"t{j}" for j in range(10)]
    references = {task: [0, 1] for task in tasks}
    held = 0
    for _ in range(60):
        records = []
        for seed in range(10):
            shared = rng.normal()
            record = Record("s", f"s[{seed}]", seed, outcome="success")
            record.context["references"] = references
            record.episodes = [
                Episode(float((shared + rng.normal()) / math.sqrt(8)), 1, task=task)
                for task in tasks
            ]
            records.append(record)
        found = estimate("generalization.iqm", records)
        held += found.low <= 0 <= found.high
    assert held >= 52  # 57 are expected of 95 %; fewer than 52 have a probability of 0.01


# -- every interval -------------------------------------------------------------------------------


@quick
@given(
    st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), min_size=2, max_size=8),
    st.sampled_from(["mean", "median", "iqm", "sum", "p40", "iqr"]),
)
def test_an_interval_holds_the_estimate(totals, name):
    found = estimate(f"return.{name}", [trial(i, values) for i, values in enumerate(totals)])
    if found.has_interval:
        assert found.low <= found.value <= found.high
