"""Names of metrics: resolving, suggesting, registering, and what a report shows."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.metrics import registry
from pytest_a2perf.metrics.base import Estimate, Request
from pytest_a2perf.metrics.registry import catalogue, register, report_metrics, resolve
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.record import Curve, Episode, Record
from pytest_a2perf.units import UNITS

BASE_UNITS = {base for base, _ in UNITS.values()}


def full(seed, *, episodes=3, points=30):
    rng = np.random.default_rng(seed)
    record = Record("s", f"s[{seed}]", seed, outcome="success")
    record.episodes = [
        Episode(float(rng.normal(100, 10)), 50, success=bool(rng.random() < 0.7))
        for _ in range(episodes)
    ]
    record.samples["latency"] = Histogram.of(rng.lognormal(-7, 0.5, 50), limit=0.01)
    for name, unit in (("time.wall", "s"), ("memory.peak", "B"), ("energy", "J")):
        record.quantities[name] = Quantity(float(rng.gamma(5)), unit, "meter")
    if points:
        values = np.cumsum(rng.normal(1, 3, points)).tolist()
        record.curves["return"] = Curve([float(i) for i in range(points)], values)
    return record


def test_every_name_in_the_catalogue_resolves_to_itself():
    metrics = catalogue()
    names = [metric.name for metric in metrics]
    assert len(names) == len(set(names)) > 100
    for metric in metrics:
        assert resolve(metric.name).name == metric.name
        assert metric.unit in BASE_UNITS
        assert metric.direction in ("higher", "lower", "none")
        assert metric.group in ("data cost", "application", "system", "reliability")
        assert metric.summary


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("return.men", "return.mean"),
        ("retrun.mean", "return.mean"),
        ("success.pass^0", "success.pass^3"),
        ("latency.p95x", "latency.p95"),
        ("energy.per_epsiode", "energy.per_episode"),
        ("reliability.dispersion_across_run", "reliability.dispersion_across_runs"),
        ("benchmark.ops_", "benchmark.ops"),
        ("generalization.total", "generalization.mean"),
        ("return", "return.mean"),
        ("memory", "memory.peak"),
    ],
)
def test_the_nearest_name_is_offered(wrong, right):
    with pytest.raises(UnknownNameError) as error:
        resolve(wrong)
    assert f"unknown metric {wrong!r}" in str(error.value)
    assert "did you mean" in str(error.value)
    if wrong not in ("generalization.total", "return", "memory"):
        assert right in str(error.value)


@pytest.mark.parametrize("wrong", ["", ".", "reported.x", "sample.p95", "qqqq", "latency.jitter"])
def test_other_wrong_names(wrong):
    with pytest.raises(UnknownNameError):
        resolve(wrong)


def test_the_longest_prefix_wins():
    assert resolve("gpu.power.mean").summary == "mean of mean power of the devices over trials"
    assert resolve("gpu.power.mean.max").unit == "W"
    assert resolve("energy.cpu").name == "energy.cpu"
    assert resolve("energy.max").name == "energy.max"
    assert resolve("memory.peak.p99.9").unit == "B"


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("return.mean", "higher"), ("return.std", "lower"), ("length.mean", "none"),
        ("latency.p95", "lower"), ("throughput.steps", "higher"), ("success.pass^3", "higher"),
        ("reliability.risk_across_runs", "higher"), ("reliability.long_term_risk", "lower"),
        ("benchmark.ops", "higher"), ("reported.x.mean", "none"),
    ],
)  # fmt: skip
def test_directions(name, direction):
    assert resolve(name).direction == direction


def test_a_family_of_ones_own(monkeypatch):
    class Tokens:
        prefix, examples, shown = "tokens", ("total",), ("total",)
        name, unit, direction, group = "tokens.total", "", "lower", "system"
        summary = "tokens of all trials"

        def make(self, suffix):
            if suffix != "total":
                raise UnknownNameError(f"unknown metric 'tokens.{suffix}'")
            return self

        def estimate(self, records, request):
            return Estimate(float(len(records)), confidence=request.confidence)

    monkeypatch.setattr(registry, "_families", dict(registry._families))
    register(Tokens())
    assert resolve("tokens.total").estimate([full(0)], Request()).value == 1
    assert "tokens.total" in {metric.name for metric in catalogue()}
    assert "tokens.total" in report_metrics([full(0)])
    with pytest.raises(UnknownNameError, match=r"did you mean 'tokens\.total'"):
        resolve("tokens.totl")


# -- what a report shows --------------------------------------------------------------------------


def test_only_metrics_with_data_are_shown_by_group():
    names = report_metrics([full(seed) for seed in range(4)])
    groups = [resolve(name).group for name in names]
    order = ["data cost", "application", "system", "reliability"]
    assert groups == sorted(groups, key=order.index)
    for name in (
        "return.mean", "success.rate", "latency.p95", "latency.miss_rate", "time.wall",
        "energy.per_episode", "energy.per_solved", "reliability.dispersion_across_runs",
        "reliability.risk_across_rollouts",
    ):  # fmt: skip
        assert name in names
    for name in (
        "data_cost", "energy.total_with_data", "gpu.utilization", "generalization.sum",
        "env_step.mean", "benchmark.median", "carbon",
    ):  # fmt: skip
        assert name not in names


def test_nothing_to_show():
    assert report_metrics([]) == []
    assert report_metrics([Record("s", "s[0]", 0, outcome="infra")]) == []


def test_what_some_trials_alone_have_is_shown():
    records = [full(seed, points=0) for seed in range(40)]
    records[37].reported = {"score": Quantity(1.0, "", "test")}
    records[38].reported = {"data_cost": Quantity(5.0, "J", "test")}
    records[39].benchmark = {"median": 0.1}
    names = report_metrics(records)
    assert {"reported.score.mean", "data_cost", "benchmark.median"} <= set(names)
    assert "energy.total_with_data" in names
    assert "reported.data_cost.mean" not in names


# -- costs ----------------------------------------------------------------------------------------


def test_loading_metrics_loads_no_scipy():
    code = (
        "import sys; import pytest_a2perf.metrics.registry;"
        "print([m for m in sys.modules if m.startswith('scipy')])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert output.stdout.strip() == "[]"


@pytest.mark.slow
def test_ten_thousand_records_are_estimated_in_time():
    """The budget is 2 s for 20 metrics; this allows for a busy machine."""
    records = [full(i, episodes=1, points=0) for i in range(200)] * 50
    names = report_metrics(records)
    assert len(names) >= 15
    start = time.process_time()
    for name in names:
        resolve(name).estimate(records, Request())
    assert time.process_time() - start < 6
