"""Conditions and verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.gates.condition import Condition, GateSpec, parse_condition
from pytest_a2perf.gates.verdict import judge
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Episode, Record
from pytest_a2perf.trials.plan import PlannedGate


def records_of(returns, outcome="success"):
    return [
        Record(
            "s",
            f"s[{seed}]",
            seed,
            outcome=outcome,
            episodes=[Episode(float(value), 1)],
            quantities={"energy": Quantity(float(value), "J", "cpu-time-model", "modelled")},
        )
        for seed, value in enumerate(returns)
    ]


def gate(metric, spec, records=(), definition="default"):
    model = GateSpec.model_validate(spec)
    data = model.model_dump(mode="json")
    data["conditions"] = [condition.model_dump() for condition in model.conditions]
    trials = tuple(record.nodeid for record in records)
    return PlannedGate(f"s::{metric}", "s", metric, data, definition, trials)


def verdict_of(metric, spec, records):
    return judge(gate(metric, spec, records), records)


@given(
    st.sampled_from([">=", "<=", ">", "<", "=="]),
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
)
def test_conditions_mean_what_they_say(operator, limit, value):
    condition = parse_condition(f"{operator} {limit!r}")
    assert condition.holds(value) is eval(f"{value!r} {operator} {limit!r}")
    assert not condition.holds(float("nan"))


@pytest.mark.parametrize("text", ["40", "=> 3", ">=", ">= fast", "3 >= 2", ">= 3 lightyears"])
def test_broken_conditions(text):
    with pytest.raises(A2PerfError):
        parse_condition(text)


@pytest.mark.parametrize(
    "spec", [{}, {"confidence": 0.9}, {"min": 3, "confidence": 0.5}, {"min": "x"}, True, 3]
)
def test_broken_tables(spec):
    with pytest.raises(ValidationError):
        GateSpec.model_validate(spec)


def test_tables_keep_units():
    spec = GateSpec.model_validate({"min": "1 ms", "max": "33 ms"})
    assert spec.conditions == (
        Condition(operator=">=", limit=0.001, unit="s"),
        Condition(operator="<=", limit=0.033, unit="s"),
    )
    assert spec.text("s") == ">= 1 ms and <= 33 ms"


def test_a_point_gate_is_decided_by_the_value():
    records = records_of([1, 2, 3])
    assert verdict_of("return.mean", ">= 2", records).name == "pass"
    failed = verdict_of("return.mean", ">= 2.5", records)
    assert (failed.name, failed.reason) == ("fail", "0.5 below the limit")
    assert verdict_of("return.mean", {"min": 0, "max": 1}, records).name == "fail"
    assert verdict_of("return.mean", {"min": 0, "max": 3}, records).name == "pass"


def test_a_gate_with_confidence_is_decided_by_the_interval():
    records = records_of(np.random.default_rng(0).normal(100, 10, size=20))
    assert verdict_of("return.mean", {"min": 80, "confidence": 0.95}, records).name == "pass"
    assert verdict_of("return.mean", {"min": 120, "confidence": 0.95}, records).name == "fail"
    close = verdict_of("return.mean", {"min": 99, "confidence": 0.95}, records)
    assert close.name == "undecided"
    assert close.seeds_needed > 20
    assert f"about {close.seeds_needed} seeds" in close.reason


def test_one_trial_decides_nothing_with_confidence():
    verdict = verdict_of("return.mean", {"min": 1, "confidence": 0.95}, records_of([5]))
    assert verdict.name == "undecided"
    assert "no interval" in verdict.reason


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12), st.floats(-120, 120))
def test_raising_the_limit_never_turns_a_fail_into_a_pass(returns, limit):
    records = records_of(returns)
    order = {"fail": 0, "undecided": 1, "pass": 2}
    spec = {"confidence": 0.9}
    low = verdict_of("return.mean", {**spec, "min": limit}, records)
    high = verdict_of("return.mean", {**spec, "min": limit + 5}, records)
    assert order[high.name] <= order[low.name]


def test_a_number_of_too_low_quality_skips_the_gate():
    verdict = verdict_of("energy.per_episode", {"max": "20 J", "quality": "measured"}, records_of([1, 2]))  # fmt: skip
    assert verdict.name == "skip"
    assert "only modelled here (cpu-time-model)" in verdict.reason


def test_a_metric_without_data_is_undecided():
    verdict = verdict_of("latency.p95", "<= 1 s", records_of([1, 2]))
    assert verdict.name == "undecided"
    assert verdict.reason.startswith("no value: ")


def test_a_pass_needs_all_trials_and_a_fail_does_not():
    records = records_of([5, 6])
    lost = Record("s", "s[9]", 9, outcome="infra")
    plan = gate("return.mean", ">= 5", [*records, lost])
    verdict = judge(plan, [*records, lost])
    assert (verdict.name, verdict.reason) == (
        "undecided",
        "1 of 3 trials have no result, so this is not a pass",
    )
    assert judge(gate("return.mean", ">= 9", [*records, lost]), records).name == "fail"


def test_crashed_trials_count_against_success_but_infra_does_not():
    records = records_of([1, 1, 1, 1])
    for record in records:
        record.episodes[0].success = True
    crash = Record("s", "s[8]", 8, outcome="error")
    infra = Record("s", "s[9]", 9, outcome="infra")
    verdict = verdict_of("success.rate", ">= 100 %", [*records, crash, infra])
    assert verdict.name == "fail"
    assert verdict.estimate.value == pytest.approx(0.8)


def test_a_plan_survives_its_line():
    plan = gate("latency.p95", {"max": "33 ms", "confidence": 0.9}, records_of([1]))
    assert PlannedGate.from_line(plan.to_line()) == plan


@pytest.mark.slow
@pytest.mark.parametrize(("option", "ret"), [("fail", 1), ("warn", 0), ("pass", 0)])
def test_undecided_gates_do_what_the_option_says(project, write, option, ret):
    write("""
        [[scenario]]
        name = "close"
        task = "CartPole-v1"
        agent = "random"
        seeds = 3
        [scenario.gates]
        "return.mean" = { min = 21, confidence = 0.95 }
    """)
    result = project.runpytest_subprocess("--a2perf", "--a2perf-undecided", option)
    assert result.ret == ret
    result.stdout.fnmatch_lines(["*UNDECIDED*return.mean >= 21*", "*seeds*decide*"])
    if option == "warn":
        result.stdout.fnmatch_lines(["*3 passed, 1 undecided*"])


def test_a_wrong_option_is_a_usage_error(project):
    result = project.runpytest_subprocess("--a2perf", "--a2perf-undecided", "maybe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*expected fail, warn or pass, got 'maybe'*"])
