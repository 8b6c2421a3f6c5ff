"""A metric over stored runs, and the steps in it."""

from __future__ import annotations

import io
import json
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.__main__ import main
from pytest_a2perf.runs.history import find_steps, metric_history, read_runs

RNG_SEED = 7


def places(values):
    return [step.index for step in find_steps(values)]


# -- steps -------------------------------------------------------------------------------------


def test_a_step_is_found_where_it_is():
    (step,) = find_steps([20.0, 21, 20.5, 19.9, 20.2, 20.1, 33, 31, 32, 31.5, 32.2, 33.1])
    assert (step.index, step.before) == (6, pytest.approx(20.15))
    assert step.after == pytest.approx(32.1)
    assert step.p <= 0.005


def test_a_level_that_comes_and_goes_is_two_steps():
    assert places([1.0] * 10 + [9.0] * 8 + [1.0] * 10) == [10, 18]


def test_eleven_values_are_enough_and_ten_are_not():
    assert places([1.0] * 5 + [2.0] * 6) == [5]
    assert places([1.0] * 5 + [2.0] * 5) == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [11, 20, 40])
def test_few_false_alarms(size):
    rng = np.random.default_rng(RNG_SEED)
    drawn = [rng.normal, rng.standard_cauchy, lambda size: rng.integers(0, 3, size)]
    alarms = sum(bool(places(drawn[i % 3](size=size))) for i in range(300))
    assert alarms <= 9  # 3 are expected at most; more than 9 have a probability of 0.001


@pytest.mark.parametrize(("size", "shift", "least"), [(20, 4, 0.95), (40, 2.5, 0.9), (60, 2, 0.95)])
def test_power(size, shift, least):
    rng = np.random.default_rng(RNG_SEED)
    half = size // 2
    found = 0
    for _ in range(60):
        steps = places(np.concatenate([rng.normal(size=half), rng.normal(shift, size=half)]))
        found += len(steps) == 1 and abs(steps[0] - half) <= 3
    assert found >= least * 60


def test_outliers_are_no_steps():
    rng = np.random.default_rng(RNG_SEED)
    values = rng.normal(10, 1, size=30)
    values[[7, 15, 28]] = 1e6
    assert places(values) == []


_SERIES = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(_SERIES, st.sampled_from([1.0, 5.0]))
def test_steps_are_far_apart_and_do_not_depend_on_the_unit(values, shift):
    values = [*values, *(value + shift for value in values)]
    steps = places(values)
    assert steps == places(values)
    bounds = [0, *steps, len(values)]
    assert all(b - a >= 3 for a, b in pairwise(bounds)) or not steps
    assert steps == places([value * 1024 for value in values])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(), max_size=30))
def test_what_is_not_finite_is_left_out(values):
    clean = [value for value in values if np.isfinite(value)]
    assert len(places(values)) == len(places(clean))
    assert all(np.isfinite(values[place]) for place in places(values))


# -- runs --------------------------------------------------------------------------------------


def store(folder, number, value, *, host="bench", devices=("cpu",), state="complete", **extra):
    metric = {"value": value, "unit": "s", "low": value - 1e-3, "high": value + 1e-3, "n": 10}
    run = {
        "id": f"run-{number:03}",
        "state": state,
        "started": f"2026-01-{1 + number % 28:02}T0{number // 28}:30:00+00:00",
        "host": host,
        "git": {"commit": f"{number:08x}" + "0" * 32, "dirty": number == 0},
        "scenarios": {
            "scenarios/a.toml::walk": {
                "devices": list(devices),
                "metrics": {"latency.p95": metric, "return.mean": metric | {"value": None}},
            }
        },
        **extra,
    }
    path = folder / "runs" / run["id"] / "run.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(run), "utf-8")


@pytest.fixture
def runs(tmp_path):
    for number in range(14):
        store(tmp_path, number, 0.02 + 0.01 * (number >= 7) + 1e-4 * (number % 3))
    return tmp_path


def history(folder, *arguments):
    return main(["history", *arguments, "--dir", str(folder)])


def test_it_shows_runs_and_steps(runs, capsys):
    assert history(runs, "latency.p95") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["scenarios/a.toml::walk", "  latency.p95, bench, cpu"]
    assert lines[2].startswith("  2026-01-01 00:30 00000000* │")
    assert lines[2].endswith("│ 20 ± 1 ms")
    assert "step: 20.1 ms -> 30.1 ms (+49.8 %), worse, p = 0.001" in lines[9]
    assert len(lines) == 17
    assert max(map(len, lines)) <= 80


def test_other_machines_are_kept_apart(runs, capsys):
    store(runs, 20, 0.5, host="laptop")
    store(runs, 21, 0.5, devices=["NVIDIA H100"])
    assert history(runs, "latency.p95") == 0
    out = capsys.readouterr().out
    for where in ("bench, NVIDIA H100", "bench, cpu", "laptop, cpu"):
        assert f"  latency.p95, {where}\n" in out
    assert out.count("no step in 1 runs") == 2


def test_in_ci_the_kind_of_machine_counts(tmp_path):
    for number in range(3):
        store(tmp_path, number, 1.0, host=f"runner-{number}", ci="CI", cpu="EPYC", cores=4)
    (series,) = metric_history(read_runs(tmp_path / "runs", []), "latency.p95")
    assert series.where == "CI: EPYC x 4, cpu"
    assert len(series.points) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["latency.p59"], "no run has a metric 'latency.p59'; did you mean 'latency.p95'?"),
        (["return.mean"], "no run has a metric 'return.mean'"),
        (["latency.p95", "--scenario", "scenarios/a.toml::wlak"], "did you mean 'scenarios/a."),
    ],
)
def test_unknown_names_get_the_nearest(runs, capsys, arguments, message):
    assert history(runs, *arguments) == 1
    assert message in capsys.readouterr().err


def test_without_runs(tmp_path, capsys):
    store(tmp_path, 0, 1.0, state="running")
    assert history(tmp_path, "latency.p95") == 1
    assert "no run here that came to its end" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"state": "complete", "started": "", "id": "x", "scenarios": {"a": 1}}']
)
def test_broken_runs_are_skipped_with_a_warning(runs, capsys, text):
    (runs / "runs" / "run-003" / "run.json").write_text(text)
    assert history(runs, "latency.p95") == 0
    captured = capsys.readouterr()
    assert "run-003" in captured.err
    assert "is skipped" in captured.err
    assert "2026-01-04" not in captured.out


def test_a_terminal_without_unicode(runs, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert history(runs, "latency.p95") == 0
    out.seek(0)
    assert "--o--" in out.read()


def test_the_page(runs, tmp_path):
    assert history(runs, "latency.p95", "--html", str(tmp_path / "new" / "history.html")) == 0
    page = (tmp_path / "new" / "history.html").read_text("utf-8")
    assert "step 1: 20.1 ms" in page
    assert 'class="step"' in page


def test_a_page_that_cannot_be_written(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert history(runs, "latency.p95", "--html", str(tmp_path / "file" / "x.html")) == 1
    assert "history: " in capsys.readouterr().err
