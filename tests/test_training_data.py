"""What data cost that trained agents collected, and trainings that learn from data."""

from __future__ import annotations

import shutil

import pytest
from dataset_worlds import (
    COLLECT,
    LEARNER,
    NAME,
    TRAIN,
    by_hand,
    data_of,
    metadata_of,
    minari_of_its_own,
    of_run,
    trained,
)

from pytest_a2perf.datasets.cost import dataset_cost
from pytest_a2perf.datasets.store import open_dataset
from pytest_a2perf.errors import InfraError
from pytest_a2perf.quantities import Quantity

__all__ = ["minari_of_its_own"]


@pytest.fixture
def learner(project):
    project.makepyfile(learner=LEARNER)


# -- cost of what trained agents collected --------------------------------------------------------


@pytest.mark.slow
def test_trained_agents_cost_their_training(project, write, learner, records):
    trained(project)
    write(of_run("{}", seeds=5))
    result = project.runpytest("--a2perf", "-s")
    result.assert_outcomes(passed=5)
    about = metadata_of(project)
    assert about["training_sample_cost_kwh"] == pytest.approx(2.5)  # of 2 and 3, each once
    assert (about["cost_formula"], about["cost_source"]) == ("paper", "rapl")
    assert about["cost_quality"] == "estimated"
    assert [found["seed"] for found in about["generated_by"]] == [0, 1]
    assert about["algorithm_name"] == "Mine"


@pytest.mark.slow
def test_a_level_takes_its_checkpoints_in_turn(project, write, learner):
    trained(project, returns=(0.0, *[10.0] * 8, 20.0))
    write(of_run("{level = 'expert', scaling = 'a2perf'}", seeds=3))
    result = project.runpytest("--a2perf", "-s")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*rolled out 0 at_10*", "*rolled out 1 at_10*", "*rolled out 0 at_10*"]
    )
    about = metadata_of(project)
    assert about["expertise"] == "expert"
    assert [(p["seed"], p["checkpoint"], p["value"]) for p in about["generated_by"]] == [
        (0, 1000, 20), (1, 1000, 20),
    ]  # fmt: skip
    write(of_run("{level = 'novice', scaling = 'a2perf'}"))
    project.runpytest("--a2perf").assert_outcomes(passed=2)
    assert metadata_of(project)["training_sample_cost_kwh"] == pytest.approx(2.5 / 10)
    write(of_run("{level = 'novice', scaling = 'paper'}"))
    project.runpytest("--a2perf").assert_outcomes(passed=2)
    assert metadata_of(project)["training_sample_cost_kwh"] == pytest.approx(2.5)


def test_a_level_that_is_empty_is_an_error(project, write, learner, records):
    trained(project, returns=(1.0, 2.0, 3.0, 20.0))
    write(of_run("{level = 'novice'}"))
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines(["*none of 8 checkpoints is 'novice'*intermediate 6*"])
    assert result.ret == 1


@pytest.mark.slow
def test_a_training_without_energy_leaves_the_cost_unknown(project, write, learner):
    trained(project, energies=(None, 3.6e6))
    write(of_run("{}") + TRAIN)
    result = project.runpytest("--a2perf", "-s")
    assert metadata_of(project)["training_sample_cost_kwh"] is None
    assert metadata_of(project)["cost_formula"] == "unknown"
    assert "no energy was read" in metadata_of(project)["cost_note"]
    result.assert_outcomes(passed=3)


# -- training from data ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("definition", ["default", "a2perf"])
def test_a_training_adds_the_cost_of_its_data(project, write, learner, definition):
    gates = """
        [scenario.gates]
        "energy.total_with_data" = { min = "2.5 kWh", max = "2.51 kWh" }
        "data_cost" = { min = "2.499 kWh", max = "2.501 kWh" }
    """
    trained(project)
    write(of_run("{}") + TRAIN + f'    definition = "{definition}"\n' + gates)
    project.runpytest("--a2perf", "-n", "2").assert_outcomes(passed=5)


def test_a_training_does_not_take_an_old_set_for_one_that_failed(project, write, learner, records):
    write(COLLECT)
    project.runpytest("--a2perf").assert_outcomes(passed=2)
    before = metadata_of(project)
    shutil.rmtree(project.path / ".a2perf" / "runs")
    write(COLLECT.replace("agents:wrong", "agents:Crashes") + TRAIN)
    project.runpytest("--a2perf").assert_outcomes(failed=3)
    assert sorted(record.outcome for record in records()) == ["error", "error", "infra"]
    assert metadata_of(project) == before


@pytest.mark.parametrize(
    ("text", "value"), [("'3 kWh'", 3 * 3.6e6), ("250", 250.0), ("'1.5 kJ'", 1500.0)]
)
def test_a_training_declares_the_cost_of_logged_data(project, write, learner, records, text, value):
    project.makepyfile(learner="def train(training):\n    training.log(1, returns=1)")
    text = f"options = {{data_cost = {text}}}"
    write(TRAIN.replace(":offline", ":train").replace(f'dataset = "{NAME}"', text))
    project.runpytest("--a2perf").assert_outcomes(passed=1)
    (record,) = records()
    assert record.reported["data_cost"] == Quantity(value, "J", "declared", "modelled")


def test_a_declared_cost_must_be_an_energy(project, write, learner):
    write(TRAIN + "    options = {data_cost = '3 kg'}\n")
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines(["*options.data_cost*unknown unit 'kg'*"])
    assert result.ret != 0


def test_a_data_set_that_is_not_there_says_what_to_do(project, write, learner, records):
    write(COLLECT.replace("right-v0", "rihgt-v0"))
    project.runpytest("--a2perf").assert_outcomes(passed=2)
    with pytest.raises(InfraError, match=r"did you mean 'cartpole/rihgt-v0'\?; collect it with"):
        open_dataset(NAME, project.path)
    write(TRAIN)
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines([f"*there is no data set '{NAME}' in*minari download {NAME}*"])
    assert result.ret == 1
    (data_of(project, "cartpole/rihgt-v0") / "metadata.json").write_text("{")
    with pytest.raises(InfraError, match="cannot be read"):
        open_dataset("cartpole/rihgt-v0", project.path)
    with pytest.raises(InfraError, match="no id"):
        open_dataset("nothing", project.path)


def test_costs_in_the_metadata_of_others(project, monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert dataset_cost(by_hand("a-v0")) is None
    found = dataset_cost(by_hand("b-v0", training_sample_cost_kwh=0.5))
    assert (found.value, found.unit, found.source) == (1.8e6, "J", "minari-metadata")
    assert found.quality == "modelled"
    for number, bad in enumerate([-1, "0.5 kWh", True, float("nan"), [1]]):
        with pytest.raises(InfraError, match="is no energy in kWh"):
            dataset_cost(by_hand(f"c-v{number}", training_sample_cost_kwh=bad))
