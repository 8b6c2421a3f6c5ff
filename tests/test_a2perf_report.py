"""A2Perf's table: what stands in it, and in which columns."""

from __future__ import annotations

import re

import numpy as np
import pytest
from a2perf_worlds import line, pace, printed, rollouts, run, table, training, trial
from hypothesis import HealthCheck, given, settings

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.metrics.across_runs import curve_table
from pytest_a2perf.metrics.base import Request
from pytest_a2perf.metrics.curves import runs_of
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.reports.a2perf.build import tables_of
from pytest_a2perf.reports.a2perf.html import html
from pytest_a2perf.reports.a2perf.latex import latex
from pytest_a2perf.reports.a2perf.markdown import markdown
from pytest_a2perf.reports.a2perf.rows import ROWS
from pytest_a2perf.reports.a2perf.table import MISSING, format_number
from pytest_a2perf.runs.record import Episode
from pytest_a2perf.strategies import record_lists

# -- what stands in it -------------------------------------------------------------------------


def test_the_figures_of_december_2023():
    found = table(pace())
    assert found.algorithms == ("DDPG", "PPO")
    assert found.caption == "quadruped: dog_pace"
    assert printed(found, "Returns (10 eps.)") == ["12.65 ± 7.79", "18.10 ± 6.01"]
    assert printed(found, "Peak RAM Usage (GB)") == ["505.63 ± 0.28", "162.37 ± 0.03"]
    assert printed(found, "Wall Clock Time (h)") == ["16.18 ± 0.46", "8.39 ± 0.25"]
    assert printed(found, "Inference Time (ms)") == ["0.24 ± 0.10"] * 2


def test_rows_are_in_the_order_of_a2perf():
    found = table(pace(cost=1e6))
    assert [(one.category, one.phase, one.label.partition(" (")[0]) for one in found.lines] == [
        ("Data", "Training", "Training Sample Cost"),
        ("Application", "Inference", "Returns"),
        ("Reliability", "Training", "Dispersion Across Runs"),
        ("Reliability", "Training", "Dispersion Within Runs"),
        ("Reliability", "Training", "Short Term Risk"),
        ("Reliability", "Training", "Long Term Risk"),
        ("Reliability", "Training", "Risk Across Runs"),
        ("Reliability", "Inference", "Dispersion Across Rollouts"),
        ("Reliability", "Inference", "Risk Across Rollouts"),
        ("System", "Training", "Energy Consumed"),
        ("System", "Training", "Energy With Data"),
        ("System", "Training", "Peak RAM Usage"),
        ("System", "Training", "Wall Clock Time"),
        ("System", "Inference", "Energy Per Episode"),
        ("System", "Inference", "Inference Time"),
    ]


def test_arrows_point_to_what_is_better():
    headings = {one.heading for one in table(pace()).lines}
    higher = {text.rpartition(" ")[0].partition(" (")[0] for text in headings if "↑" in text}
    assert higher == {"Returns", "Risk Across Runs", "Risk Across Rollouts"}
    for row in ROWS:
        assert {resolve(name).direction for name in row.metrics} <= {"higher", "lower"}


def test_every_value_is_its_metric_in_the_unit_of_the_row():
    ran = pace(cost=7.2e6)
    found = table(ran)
    mine = [r for r in ran.records if r.context["algorithm"] == "PPO" and r.phase == "train"]
    for label, name, factor in (
        ("Training Sample Cost (kWh)", "data_cost", 3.6e6),
        ("Energy Consumed (kWh)", "energy", 3.6e6),
        ("Energy With Data (kWh)", "energy.total_with_data", 3.6e6),
        ("Short Term Risk (CVaR)", "reliability.short_term_risk", 1),
        ("Dispersion Across Runs (IQR)", "reliability.dispersion_across_runs", 1),
    ):
        value = resolve(name).estimate(mine, Request()).value
        assert line(found, label).cells[1].value == pytest.approx(value / factor)
    assert printed(found, "Training Sample Cost (kWh)")[1] == "2.00 ± 0.00"
    assert printed(found, "Energy With Data (kWh)")[1].startswith("3.00 ± ")


def test_the_total_is_left_out_where_no_data_cost_anything():
    labels = {one.label for one in table(pace()).lines}
    assert "Energy Consumed (kWh)" in labels
    assert not labels & {"Energy With Data (kWh)", "Training Sample Cost (kWh)"}


def test_the_best_is_bold_where_intervals_lie_apart():
    found = table(pace())
    best = {one.label: [cell.best for cell in one.cells] for one in found.lines}
    assert best["Peak RAM Usage (GB)"] == [False, True]
    assert best["Returns (10 eps.)"] == [False, True]
    assert best["Energy Consumed (kWh)"] == [False, False]
    assert best["Inference Time (ms)"] == [False, False]
    alone = table(run(rollouts("PPO", returns=(5, 1))))
    assert not any(cell.best for one in alone.lines for cell in one.cells)


def steady(algorithm, *values):
    records = rollouts(algorithm, returns=(0, 1), seeds=len(values))
    for record, value in zip(records, values, strict=True):
        record.episodes = [Episode(float(value), 1)]
    return records


@pytest.mark.parametrize(
    ("one", "other", "best"),
    [
        ([10, 11, 12, 10, 11], [1, 2, 3, 2, 1], [True, False]),
        ([10, 11, 12, 10, 11], [1, 25, 3, 2, 1], [False, False]),
        ([1, 2, 3, 2, 1], [10, 11, 12, 10, 11], [False, True]),
        ([10], [1, 2, 3], [False, False]),
        ([float("nan")] * 3, [1, 2, 3], [False, False]),
    ],
)
def test_a_doubtful_best_is_not_bold(one, other, best):
    cells = line(table(run(steady("A", *one), steady("B", *other))), "Returns (1 eps.)").cells
    assert [cell.best for cell in cells] == best


def test_sources_qualities_and_notes_are_footnotes():
    found = table(pace())
    notes = dict(found.notes)
    texts = [notes[mark] for mark in line(found, "Energy Consumed (kWh)").cells[0].marks]
    assert texts == ["modelled: cpu-time-model"]
    (cell, _) = line(found, "Energy Per Episode (J)").cells
    assert [notes[mark] for mark in cell.marks] == ["measured: rapl"]
    assert len(set(notes.values())) == len(notes)
    (risk, _) = line(found, "Risk Across Runs (CVaR)").cells
    assert "no more than an extreme" in notes[risk.marks[-1]]
    assert found.sources[1] == (
        "PPO: train: dog.toml::PPO-train, 10 seeds; "
        "inference: dog.toml::PPO-play, 10 seeds, 10 episodes each"
    )


def test_trials_that_went_wrong_are_told():
    records = rollouts("PPO", returns=(1, 1))
    records[0].outcome = "infra"
    records[1].outcome = "error"
    records[2].context["tainted"] = ["load"]
    assert table(run(records)).sources[0].endswith("each (1 infra, 1 error, 1 tainted)")


def test_machines_are_not_compared():
    one = run(training("PPO", ram=(1, 0.01), hours=(1, 0.01)), cpu="EPYC")
    other = run(training("DDPG", ram=(9, 0.01), hours=(9, 0.01)), cpu="Xeon")
    found = table(one, other)
    ram = line(found, "Peak RAM Usage (GB)")
    assert not any(cell.best for cell in ram.cells)
    assert "different machines" in dict(found.notes)[ram.marks[0]]
    assert line(found, "Risk Across Runs (CVaR)").marks == ()


@pytest.mark.slow
def test_the_definition_of_a2perf():
    found, own = table(pace()), table(pace(), definition="a2perf")
    label = "Dispersion Within Runs (IQR)"
    assert printed(found, label) != printed(own, label)
    assert printed(found, "Returns (10 eps.)") == printed(own, "Returns (10 eps.)")
    assert own.caption == "quadruped: dog_pace, by A2Perf's own definitions"


def test_the_spread_of_the_dispersion_across_runs_is_over_steps():
    mine = training("PPO", ram=(1, 0.1), hours=(1, 0.1))
    cell = line(table(run(mine)), "Dispersion Across Runs (IQR)").cells[0]
    curves = curve_table(runs_of([record.curves["return"] for record in mine]), "default")
    ranges = np.subtract(*np.quantile(curves, [0.75, 0.25], axis=0))
    assert (cell.value, cell.spread) == pytest.approx((ranges.mean(), ranges.std(ddof=1)))


def test_the_spread_of_the_dispersion_within_runs_is_over_windows_as_in_a2perf():
    mine = training("PPO", ram=(1, 0.1), hours=(1, 0.1))
    found = table(run(mine), definition="a2perf")
    cell = line(found, "Dispersion Within Runs (IQR)").cells[0]
    windows = []
    for record in mine:
        changes = np.diff(record.curves["return"].value)  # changes[i] leads to step i + 1
        for centre in range(3, 59):
            low, high = np.quantile(changes[centre - 3 : centre + 2], [0.25, 0.75])
            windows.append(high - low)
    assert (cell.value, cell.spread) == pytest.approx((np.mean(windows), np.std(windows)))
    (default,) = line(table(run(mine)), "Dispersion Within Runs (IQR)").cells
    seeds = np.reshape(windows, (10, -1))
    assert default.spread == pytest.approx(seeds.mean(axis=1).std(ddof=1), rel=0.05)


# -- tables and columns ------------------------------------------------------------------------


def test_several_tasks_are_several_tables():
    runs = [
        run(rollouts("PPO", returns=(v, 1), task=task, name=task))
        for v, task in ((3, "dog_spin"), (4, "dog_pace"))
    ]
    other = run(rollouts("SAC", returns=(7, 1), task="dog_pace", domain="gym", name="other"))
    found = tables_of([*runs, other])
    assert [one.caption for one in found] == [
        "gym: dog_pace", "quadruped: dog_pace", "quadruped: dog_spin",
    ]  # fmt: skip
    assert [printed(one, "Returns (10 eps.)")[0][:4] for one in found] == ["7.00", "4.00", "3.00"]


def test_two_runs_join_and_a_missing_phase_is_a_dash():
    found = table(
        run(training("PPO", ram=(1, 0.1), hours=(1, 0.1)), name="a"),
        run(rollouts("PPO", returns=(5, 1)), rollouts("SAC", returns=(6, 1)), name="b"),
    )
    assert found.algorithms == ("PPO", "SAC")
    assert printed(found, "Wall Clock Time (h)") == ["1.00 ± 0.10", None]
    assert printed(found, "Returns (10 eps.)")[1] == "6.00 ± 1.00"
    assert "Generalization" not in " ".join(one.label for one in found.lines)
    text = markdown([found], [])
    assert re.search(
        rf"\| Wall Clock Time \(h\) ↓ \| 1\.00 ± 0\.10<sup>\w</sup> \| {MISSING} \|", text
    )


def test_a_trial_of_two_runs_counts_once():
    old, new = rollouts("PPO", returns=(1, 0.1)), rollouts("PPO", returns=(2, 0.1), seeds=5)
    for record in new:
        record.started = f"2027{record.started[4:]}"
    found = table(run(old, name="a"), run(new, name="b"))
    assert line(found, "Returns (10 eps.)").cells[0].value == pytest.approx(1.5)
    assert markdown([table(run(new, name="b"), run(old, name="a"))], []) == markdown([found], [])


def test_versions_of_a_scenario_do_not_mix():
    old, new = rollouts("PPO", returns=(1, 0.1)), rollouts("PPO", returns=(2, 0.1), seeds=5)
    for record in new:
        record.digest = "new"
        record.started = f"2027{record.started[4:]}"
    with pytest.raises(A2PerfError, match=r"dog\.toml::PPO-play: the runs hold different versions"):
        tables_of([run(old), run(new)])


def test_scenarios_of_one_algorithm_are_not_pooled():
    found = table(
        run(
            training("PPO", ram=(1, 0.1), hours=(1, 0.1)),
            rollouts("PPO", returns=(1, 1), name="early"),
            rollouts("PPO", returns=(9, 1), name="late"),
        )
    )
    assert found.algorithms == ("PPO (early)", "PPO (late)", "PPO (PPO-train)")
    assert printed(found, "Returns (10 eps.)") == ["1.00 ± 1.00", "9.00 ± 1.00", None]


def test_what_a_scenario_trained_stands_with_it():
    parts = [training("PPO", ram=(v, 0.1), hours=(1, 0.1)) for v in (1, 2)]
    for number, records in enumerate(parts):
        for record in records:
            record.scenario = f"dog.toml::train-{number}"
            record.nodeid = f"{record.scenario}[{record.seed}]"
            record.digest = record.scenario
    played = [
        rollouts("PPO", returns=(v, 1), name=name, trained_by=f"dog.toml::train-{v}")
        for v, name in ((0, "play"), (1, "early"), (1, "late"))
    ]
    found = table(run(*parts, *played))
    assert found.algorithms == ("PPO (early)", "PPO (late)", "PPO (train-0)", "PPO (train-1)")
    assert printed(found, "Returns (10 eps.)")[2:] == ["0.00 ± 1.00", None]
    assert printed(found, "Peak RAM Usage (GB)")[2:] == ["1.00 ± 0.10", "2.00 ± 0.10"]


def test_equal_names_in_several_files():
    parts = [rollouts("PPO", returns=(v, 1)) for v in (1, 2)]
    for record in parts[1]:
        record.scenario, record.nodeid = (
            text.replace("dog", "cat") for text in (record.scenario, record.nodeid)
        )
    assert table(run(*parts)).algorithms == ("PPO (dog.toml::PPO-play)", "PPO (PPO-play)")


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ({"algorithm": "SAC", "agent": "sb3:PPO"}, "SAC"),
        ({"algorithm": "", "agent": "sb3:PPO"}, "PPO"),
        ({"algorithm": "", "agent": "policies:Trot"}, "Trot"),
        ({"algorithm": "", "agent": ""}, "walk"),
    ],
)
def test_the_name_of_an_algorithm(context, name):
    records = rollouts("x", returns=(1, 1), name="walk")
    for record in records:
        record.context |= context
    records[0].context["algorithm"] = ""  # it broke before its agent was loaded
    assert table(run(records)).algorithms == (name,)


def test_generalization_as_sum_and_normalised():
    records = []
    for seed in range(5):
        record = trial("PPO-tasks", seed, "generalization", "PPO")
        record.context["references"] = {"a": [0, 10], "b": [0, 100]}
        record.episodes = [Episode(5.0 + seed, 1, task="a"), Episode(20.0, 1, task="b")] * 3
        records.append(record)
    found = table(run(records))
    assert printed(found, "Generalization (3 eps. [all tasks])") == ["27.00"]
    assert printed(found, "Generalization (normalised)") == ["0.45"]
    assert len(printed(found, "Generalization (normalised, IQM)")) == 1
    for record in records:
        del record.context["references"]
    assert len(table(run(records)).lines) == 1


def test_a_number_in_another_unit():
    records = training("PPO", ram=(1, 0.1), hours=(1, 0.1))
    for record in records:
        record.reported["data_cost"] = Quantity(2.0, "kWh", "bill")
    assert printed(table(run(records)), "Training Sample Cost (kWh)") == ["2.00 ± 0.00"]
    for record in records:
        record.reported["data_cost"] = Quantity(2.0, "USD", "bill")
    with pytest.raises(A2PerfError, match=r"PPO-train: data_cost is in 'USD'.*report it in 'J'"):
        tables_of([run(records)])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"), (0.01, "0.01"), (0.0099, "9.90e-03"), (-18.104, "-18.10"),
        (123456.789, "123456.79"), (2.5e12, "2.50e+12"), (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    assert format_number(value) == text


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(record_lists(max_size=6))
def test_any_records(records):
    for place, record in enumerate(records):
        record.context["task"] = f"task {place % 2}"
        record.digest = record.scenario
    try:
        found = tables_of([run(records)])
    except A2PerfError as error:
        assert re.search("no scenario with a task|cannot show", str(error))  # noqa: PT017 - may
        return
    for write in (markdown, latex, html):
        text = write(found, ["from anywhere"])
        assert all(len(one.lines) == 0 or "Category" in text for one in found)
