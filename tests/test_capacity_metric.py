"""Agents at a service level, and the other figures of the domain ``serving``, as metrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_gates import gate

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.gates.regression import Reference, judge_regressions
from pytest_a2perf.gates.verdict import estimate_json, judge
from pytest_a2perf.metrics.base import Request
from pytest_a2perf.metrics.registry import report_metrics, resolve
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.baseline import Baseline, entry_of
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.record import Record

KW = {"divisor": 0.8, "source": "nvml-energy-counter", "quality": "measured", "note": "accelerator board"}  # fmt: skip
CARDS = {"divisor": 2.0, "source": "declared", "quality": "modelled"}


def trial(seed, *brackets, per=None, missing=None, **names):
    """Make the record of a trial: brackets of tier1, tier2, ... as (low, agents, high)."""
    capacity = {
        f"tier{number}": {
            "agents": agents,
            "low": low,
            "high": high,
            "why": "why",
            "per": per or {},
        }
        for number, (low, agents, high) in enumerate(brackets, 1)
    }
    context = {"capacity": capacity, "capacity_missing": missing or {}}
    record = Record("s", f"s[{seed}]", seed, domain="serving", outcome="success", context=context)
    record.reported = {name: Quantity(*value, "client") for name, value in names.items()}
    return Record.from_line(record.to_line())


def estimate(name, records, **request):
    return resolve(name).estimate(records, Request(**request))


def test_the_estimate_is_the_mean_and_its_interval_the_bracket():
    one = estimate("agents.at_slo", [trial(0, (36, 40, 44))])
    assert (one.value, one.low, one.high, one.n, one.method) == (40, 36, 44, 1, "bracket")
    assert one.note == "why"
    three = estimate("agents.at_slo", [trial(n, (36 + n, 40 + n, 44 + n)) for n in range(3)])
    assert (three.value, three.low, three.high, three.n) == (41, 37, 45, 3)
    assert three.note == "3 trials: 40 to 42 agents"
    metric = resolve("agents.per_kw.tier2")
    assert (metric.direction, metric.unit) == ("higher", "")
    assert metric.summary == "agents at once that meet tier 'tier2', per kW"


def test_trials_that_differ_widen_the_bracket_where_confidence_is_asked():
    records = [trial(n, (agents,) * 3) for n, agents in enumerate((38, 44, 40, 41, 36, 42))]
    plain = estimate("agents.at_slo", records)
    assert plain.low == plain.high == plain.value
    wide = estimate("agents.at_slo", records, exact=True)
    assert wide.low < 39
    assert wide.high > 41.5
    open_ended = estimate("agents.at_slo", [*records, trial(9, (40, 40, None))], exact=True)
    assert open_ended.high == math.inf
    assert estimate_json(open_ended)["high"] is None


def test_tiers():
    records = [trial(0, (40, 40, 40), (10, 10, 10), per={"kw": KW})]
    assert estimate("agents.at_slo.tier2", records).value == 10
    with pytest.raises(
        UnsupportedSampleError, match=r"say agents\.at_slo\.tier1, agents\.at_slo\.tier2"
    ):
        estimate("agents.at_slo", records)
    with pytest.raises(UnsupportedSampleError, match=r"no tier 'teir2'; did you mean 'tier2'"):
        estimate("agents.at_slo.teir2", records)
    with pytest.raises(UnsupportedSampleError, match="no trial searched"):
        estimate("agents.at_slo", [Record("s", "s[0]", 0, outcome="success")])
    assert "agents.at_slo.tier2" in report_metrics(records)
    assert "agents.per_kw.tier1" in report_metrics(records)
    assert "agents.at_slo" not in report_metrics(records)
    single = report_metrics([trial(0, (40, 40, 40), per={"kw": KW})])
    assert [name for name in single if name.startswith("agents")] == ["agents.at_slo", "agents.per_kw"]  # fmt: skip


def test_divided_agents_carry_the_bracket_and_the_source():
    records = [trial(0, (36, 40, 44), per={"kw": KW, "accelerator": CARDS})]
    found = estimate("agents.per_kw", records)
    assert (found.low, found.value, found.high) == pytest.approx((45, 50, 55))
    assert (found.source, found.quality) == ("nvml-energy-counter", "measured")
    assert found.note == "accelerator board; why"
    cards = estimate("agents.per_accelerator", records)
    assert (cards.value, cards.quality) == (20, "modelled")


def test_what_agents_cannot_be_divided_by():
    missing = {"kw": "[system] does not say which engine serves"}
    records = [trial(0, (36, 40, 44), per={"mw": {**KW, "divisor": 0}}, missing=missing)]
    for name, words in (("kw", "which engine"), ("rack", "declare"), ("mw", "divided by 0")):
        with pytest.raises(UnsupportedSampleError, match=words):
            estimate(f"agents.per_{name}", records)
    # A trial whose power could not be read is left out.
    found = estimate("agents.per_kw", [*records, trial(1, (48, 48, 48), per={"kw": KW})])
    assert (found.value, found.n) == (60, 1)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("agents.at_sol", "at_slo"), ("agents.per_gpu.tier1", "per_"),
        ("agents.at_slo.", "at_slo"), ("output_speed.miss_rate", "unknown"), ("agents", "unknown"), ("tokens.per_jule", "joule"),
    ],
)  # fmt: skip
def test_unknown_names(wrong, right):
    with pytest.raises(UnknownNameError, match=right):
        resolve(wrong)


# -- gates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "bracket", "verdict"),
    [
        (">= 40", (40, 42, 44), "pass"),
        (">= 40", (36, 42, 44), "undecided"),
        (">= 40", (36, 38, 39), "fail"),
        ("> 40", (40, 41, 44), "undecided"),
        (">= 40", (64, 64, None), "pass"),
        (">= 80", (64, 64, None), "undecided"),
        ("<= 50", (40, 42, 44), "pass"),
        ("<= 40", (36, 42, 44), "undecided"),
        ("== 40", (40, 40, 40), "pass"),
        ("== 40", (38, 40, 41), "undecided"),
        ("== 40", (41, 42, 43), "fail"),
        ({"min": 36, "max": 44}, (36, 40, 44), "pass"),
        ({"min": 40, "confidence": 0.95}, (36, 42, 44), "undecided"),
        ({"min": 40, "confidence": 0.95}, (41, 42, 44), "pass"),
    ],
)
def test_gates_are_decided_by_the_bracket(spec, bracket, verdict):
    records = [trial(0, bracket)]
    assert judge(gate("agents.at_slo", spec, records), records).name == verdict


def test_an_open_search_is_told():
    def reason(*bracket):
        records = [trial(0, bracket)]
        return judge(gate("agents.at_slo", ">= 40", records), records).reason

    assert reason(36, 42, 44) == "the search left 36..44 open: why"
    assert reason(36, 36, None) == "the search left 36 and more open: why"
    assert reason(36, 36, 36) == "what the search found misses the limit: 36"


def test_with_confidence_trials_that_differ_leave_a_gate_open():
    records = [trial(n, (agents,) * 3) for n, agents in enumerate((44, 38, 41))]
    assert judge(gate("agents.at_slo", ">= 40", records), records).name == "pass"
    spec = {"min": 40, "confidence": 0.95}
    assert judge(gate("agents.at_slo", spec, records), records).name == "undecided"


def regression(before, now, metric="agents.at_slo"):
    """Judge a run against the baseline that an earlier one left."""
    brackets = [[a if isinstance(a, tuple) else (a, a, a) for a in run] for run in (before, now)]
    old, records = [[trial(n, one) for n, one in enumerate(run)] for run in brackets]
    entry = entry_of(old, {}, [metric])
    plan = gate(metric, {"regression": "5 %"}, records)
    data = {**plan.spec, "tolerance": {"amount": 0.05, "relative": True}}
    plan = type(plan)(
        plan.nodeid, plan.scenario_id, plan.metric, data, plan.definition, plan.trials
    )
    reference = Reference(Baseline("main", {"s": entry}), "", {})
    (verdict,) = judge_regressions([plan], {"s": records}, reference).values()
    return verdict


def test_regression_gates_compare_the_seeds():
    few = regression([44, 44, 44], [40, 40, 40])
    assert few.name == "undecided"
    assert "9.09 % worse" in few.reason
    assert few.seeds_needed == 5
    assert "about 5 seeds would decide it" in few.reason
    assert regression([44] * 5, [40] * 5).name == "fail"
    assert regression([44, 45, 43, 44, 46, 44], [40, 41, 40, 41, 41, 39]).name == "fail"
    assert regression([44] * 5, [44] * 5).name == "pass"
    assert regression([40] * 5, [44] * 5).name == "pass"
    assert regression([44], [40]).name == "undecided"


def test_a_search_that_left_too_much_open_is_not_compared():
    open_end = regression([(44, 44, 44)] * 6, [(4, 4, None)] * 6)
    assert open_end.name == "undecided"
    assert "the searches of 6 of 6 seeds left it open" in open_end.reason
    assert regression([(44, 44, 44)] * 6, [(36, 40, 60)] * 6).name == "undecided"
    # What a bracket of a tenth leaves open is small beside other noise.
    assert regression([(44, 44, 44)] * 6, [(39, 40, 41)] * 6).name == "fail"
    # A baseline of open searches is none.
    assert regression([(44, 44, None)] * 6, [(40, 40, 40)] * 6).name == "new"


# -- other figures --------------------------------------------------------------------------------


def test_speeds_and_times_have_their_own_units_and_directions():
    record = trial(0, (40, 40, 40))
    record.samples["output_speed"] = Histogram.of(np.arange(1.0, 101), unit="tok/s")
    record.samples["ttft"] = Histogram.of(np.arange(0.01, 1, 0.01))
    speed = estimate("output_speed.p25", [record])
    assert speed.value == pytest.approx(25.5, rel=0.03)
    assert (speed.unit, speed.source) == ("tok/s", "monotonic clock")
    assert (resolve("output_speed.p25").direction, resolve("ttft.p95").direction) == ("higher", "lower")  # fmt: skip
    assert resolve("output_speed.std").direction == "lower"
    assert judge(gate("output_speed.p25", ">= 20 tok/s", [record]), [record]).name == "pass"
    assert judge(gate("ttft.p95", "<= 500 ms", [record]), [record]).name == "fail"
    shown = report_metrics([record])
    assert {"output_speed.p25", "ttft.p95", "agents.at_slo"} <= set(shown)


def test_what_trials_report():
    numbers = {
        "tokens_per_second": (2000.0, "tok/s"), "tokens_per_joule": (4.0, "tok/J"),
        "energy_per_token": (0.25, "J"), "energy_per_turn": (50.0, "J"),
        "cost_per_million_tokens": (0.6, "USD"), "cache_hit_rate": (0.9, ""),
        "error_rate": (0.001, ""),
    }  # fmt: skip
    records = [trial(seed, (40, 40, 40), **numbers) for seed in range(2)]
    for name, value, unit in (
        ("tokens.per_second", 2000, "tok/s"), ("tokens.per_joule", 4, "tok/J"),
        ("energy.per_token", 0.25, "J"), ("energy.per_turn", 50, "J"),
        ("cost.per_million_tokens", 0.6, "USD"), ("cache.hit_rate", 0.9, ""),
        ("errors.rate", 0.001, ""), ("energy.per_token.max", 0.25, "J"),
    ):  # fmt: skip
        found = estimate(name, records)
        assert (found.value, found.unit, found.source) == (value, unit, "client")
        assert ".max" in name or name in report_metrics(records)
    assert not [name for name in report_metrics(records) if name.startswith("reported.")]
    assert resolve("energy.per_step").name == "energy.per_step"
    assert resolve("energy.cpu").unit == "J"


def test_other_domains_keep_what_they_report():
    record = Record("s", "s[0]", 0, outcome="success")
    record.reported["error_rate"] = Quantity(0.5, "", "test")
    assert report_metrics([record]) == ["success.rate", "reported.error_rate.mean"]
