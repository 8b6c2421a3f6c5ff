"""Skill levels, the cost of data, and the ids and folders of data sets."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys

import h5py  # noqa: F401 - pytester forgets what a test imports, and this cannot be imported twice
import minari
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.datasets.cost import Policy, cost_of, declared_cost, parse_energy
from pytest_a2perf.datasets.levels import LEVELS, at_level, skill_levels
from pytest_a2perf.datasets.store import check_dataset_id, replace_dataset
from pytest_a2perf.domains.gym.options import CollectOptions
from pytest_a2perf.errors import A2PerfError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Request
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record

NAME = "cartpole/right-v0"


# -- skill levels ---------------------------------------------------------------------------------


def test_levels_by_mean_and_standard_deviation():
    values = [0.0] + [10.0] * 8 + [20.0]  # mean 10, sample standard deviation 4.714
    assert skill_levels(values) == {"novice": [0], "intermediate": [*range(1, 9)], "expert": [9]}
    between = [*values, 10 + 1.5 * 4.714, 10 - 1.5 * 4.714]
    assert not {10, 11} & {i for found in skill_levels(between).values() for i in found}


def test_levels_by_the_median():
    assert skill_levels([5.0, 1.0, 3.0, 4.0], "median") == {
        "novice": [1, 2], "intermediate": [], "expert": [0, 3],
    }  # fmt: skip


def test_a_level_without_checkpoints_says_which_have_some():
    with pytest.raises(A2PerfError, match=r"novice 0, intermediate 3, expert 0\).*skewed"):
        at_level([1.0, 2.0, 3.0, 20.0], "expert")
    with pytest.raises(A2PerfError, match=r"'intermediate' by the rule 'median'.*rule = 'sigma'"):
        at_level([1.0, 2.0], "intermediate", "median")
    for same in ([], [1.0], [2.0, 2.0]):
        with pytest.raises(A2PerfError, match="returns differ"):
            skill_levels(same)


@given(st.lists(st.integers(-1000, 1000).map(float), min_size=2).filter(lambda v: len({*v}) > 1))
def test_levels_are_apart_and_in_order(values):
    for rule in ("sigma", "median"):
        found = [skill_levels(values, rule)[level] for level in LEVELS]
        indices = [index for group in found for index in group]
        assert len(indices) == len(set(indices))
        spans = [[values[i] for i in group] for group in found if group]
        assert all(max(low) < min(high) for low, high in itertools.pairwise(spans))


# -- cost -----------------------------------------------------------------------------------------


def policy(seed=0, energy=100.0, checkpoint=None, last=None, quality="measured"):
    reading = None if energy is None else Quantity(energy, "J", "rapl", quality)
    return Policy("s.toml::learn", "run", seed, "PPO", checkpoint, last, 1.0, reading)


def cost(policies, root, agent="run:learn", **options):
    return cost_of(policies, agent, CollectOptions(**options), root)


def test_the_papers_cost_is_the_mean_over_the_trainings(tmp_path):
    policies = [policy(0, 10.0), policy(1, 30.0, quality="modelled"), policy(1, 30.0, 5.0, 10.0)]
    found = cost(policies[:2], tmp_path)
    assert (found.energy, found.formula, found.source) == (20, "paper", "rapl")
    assert found.quality == "modelled"
    assert cost(policies, tmp_path).energy == 20  # two checkpoints of one training: once


def test_a2perfs_cost_is_the_share_up_to_the_checkpoint(tmp_path):
    policies = [
        policy(0, 100.0, 25.0, 50.0),
        policy(0, 100.0, 50.0, 50.0),
        policy(1, 80.0, 10.0, 40.0),
    ]
    found = cost(policies, tmp_path, scaling="a2perf")
    assert (found.energy, found.formula) == (pytest.approx((50 + 100 + 20) / 3), "a2perf")
    assert cost([policy(0, 100.0)], tmp_path, scaling="a2perf").energy == 100  # the final model


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 10)), min_size=1, max_size=12),
    st.sampled_from(["paper", "a2perf"]),
    st.randoms(),
)
def test_neither_order_nor_repetition_changes_a_cost(tmp_path_factory, used, scaling, random):
    root = tmp_path_factory.getbasetemp()
    policies = [policy(seed, 10.0 * (seed + 1), step, 10.0) for seed, step in used]
    found = cost(policies, root, scaling=scaling).energy
    again = policies + policies[:2]
    random.shuffle(again)
    assert cost(again, root, scaling=scaling).energy == pytest.approx(found)
    energies = [policy.energy.value for policy in policies]
    assert found <= max(energies) * (1 + 1e-9)
    if scaling == "paper":
        assert found >= min(energies) * (1 - 1e-9)


def test_a_declared_cost_wins(tmp_path):
    found = cost([policy()], tmp_path, cost_kwh=2.0, cost_source="invoice")
    assert (found.energy, found.formula, found.source) == (7.2e6, "declared", "invoice")
    assert found.metadata()["training_sample_cost_kwh"] == 2.0


def test_an_unknown_cost_is_not_0(tmp_path):
    found = cost([policy(0), policy(1, None)], tmp_path)
    assert (found.energy, found.formula) == (None, "unknown")
    assert "no energy was read in the training of s.toml::learn[1]" in found.note
    found = cost([], tmp_path, agent="models/ppo.zip")
    assert (found.energy, found.formula) == (None, "unknown")
    assert "trained elsewhere" in found.note


@pytest.mark.parametrize("agent", ["random", "agents:Right", "cartpole-balance"])
def test_an_agent_that_was_not_trained_costs_nothing(tmp_path, agent):
    found = cost([], tmp_path, agent=agent)
    assert (found.energy, found.formula) == (0, "none")
    assert "needs no training" in found.note


@given(st.floats(0, 1e12))
def test_kilowatt_hours_are_joules(number):
    assert parse_energy(f"{number!r} kWh") == pytest.approx(number * 3.6e6)
    assert declared_cost(number).value == number
    assert declared_cost(number).source == "declared"


@pytest.mark.parametrize("text", ["-1 kWh", "3 kg", "much", "inf J", True])
def test_no_energies(text):
    with pytest.raises(A2PerfError):
        parse_energy(text)


def total(cost, definition="default"):
    record = Record("s", "n", 0, outcome="success")
    record.quantities["energy"] = Quantity(1000.0, "J", "rapl")
    record.reported["data_cost"] = cost
    request = Request(definition=definition)
    return [
        resolve(name).estimate([record], request)
        for name in ("data_cost", "energy.total_with_data")
    ]


@pytest.mark.parametrize(
    ("value", "unit", "joules"),
    [(2.0, "kWh", 7.2e6), (5.0, "J", 5.0), (5.0, "", 5.0), (3.0, "kJ", 3e3)],
)
@pytest.mark.parametrize("definition", ["default", "a2perf"])
def test_a_reported_cost_is_added_in_joules(value, unit, joules, definition):
    cost, both = total(Quantity(value, unit, "bill", "modelled"), definition)
    assert (cost.value, cost.unit) == (joules, "J")
    assert (both.value, both.unit, both.quality) == (1000 + joules, "J", "modelled")


def test_what_is_no_energy_is_not_added_to_one():
    with pytest.raises(UnsupportedSampleError, match="data_cost is reported in 'USD'"):
        total(Quantity(2.0, "USD", "bill"))


# -- ids and folders ------------------------------------------------------------------------------


@given(st.from_regex(r"[a-zA-Z_/0-9.-]{0,12}(-v[0-9])?", fullmatch=True))
def test_what_is_an_id_here_is_one_for_minari(name):
    try:
        check_dataset_id(name)
    except A2PerfError:
        return
    assert minari.dataset.minari_dataset.parse_dataset_id(name)[2] >= 0


@pytest.mark.parametrize(
    "name", ["QuadrupedLocomotion-dog_pace-novice-v0", NAME, "a-v1", "D4RL/door/human-v2"]
)
def test_ids(name):
    check_dataset_id(name)


@pytest.mark.parametrize(
    "name", ["", "a", "a-v", "../a-v0", "/a-v0", "a//b-v0", "n/a-v0", "a b-v0", "ä-v0", "a-v0\n"]
)
def test_no_ids(name):
    with pytest.raises(A2PerfError, match="no id of a Minari data set"):
        check_dataset_id(name)


def test_who_dies_while_writing_leaves_the_old_one(tmp_path):
    replace_dataset(tmp_path, NAME, lambda path: (path.mkdir(), (path / "x").write_text("old")))
    code = f"""
import os, signal, sys
from pathlib import Path
from pytest_a2perf.datasets.store import replace_dataset

def write(path):
    path.mkdir()
    (path / "x").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

replace_dataset(Path({str(tmp_path)!r}), {NAME!r}, write)
"""
    process = subprocess.run([sys.executable, "-c", code], check=False)
    assert process.returncode == -signal.SIGKILL
    data = tmp_path / NAME / "data"
    assert (data / "x").read_text() == "old"
    assert len([*data.parent.iterdir()]) == 3  # and what was begun
    with pytest.raises(ZeroDivisionError):
        replace_dataset(tmp_path, NAME, lambda path: path.mkdir() or 1 / 0)
    assert (data / "x").read_text() == "old"
    replace_dataset(tmp_path, NAME, lambda path: (path.mkdir(), (path / "x").write_text("new")))
    assert (data / "x").read_text() == "new"
    assert len([*data.parent.iterdir()]) == 2
