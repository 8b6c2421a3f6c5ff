"""Phase ``train``: an agent's training inside the meters' window."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_a2perf.errors import A2PerfError, AgentError, InfraError
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.store import RECORDS, read_records
from pytest_a2perf.training.artefacts import ARTEFACT, Artefact, write_manifest
from pytest_a2perf.training.curves import read_curves
from pytest_a2perf.training.trainers import algorithm_of, find_trainer
from pytest_a2perf.training.training import Training

if TYPE_CHECKING:
    from pytest_a2perf.domains.gym.options import GymOptions
    from pytest_a2perf.trials.trial import Trial

__all__ = ["train"]


_NO_DATA = Quantity(0.0, "J", "no data set")
"""Data cost of a method that makes its own experience (A2Perf, section 3)."""


def train(trial: Trial, options: GymOptions) -> None:
    """Train the scenario's agent; its artefact and its curves stay in the run.

    Raises:
        AgentError: there is no such trainer, it raised, or it reported no curve that
            ``options.curves`` asks for.
        InfraError: the environment or the data set is not there.
    """
    scenario = trial.scenario
    dataset = None
    cost: Quantity | None = _NO_DATA
    if scenario.dataset is not None:
        from pytest_a2perf.datasets.cost import dataset_cost
        from pytest_a2perf.datasets.store import open_dataset

        _check_collected(scenario.dataset, trial.run_folder)
        dataset = open_dataset(scenario.dataset, trial.root, trial.run_folder)
        cost = dataset_cost(dataset)
    if options.data_cost is not None:
        from pytest_a2perf.datasets.cost import declared_cost

        cost = declared_cost(options.data_cost)
    if cost is not None:
        trial.record.reported["data_cost"] = cost
    folder = trial.folder / ARTEFACT
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier attempt
    folder.mkdir()
    trainer = find_trainer(trial, options)
    artefact = Artefact(
        folder=folder,
        scenario=trial.record.scenario,
        seed=trial.seed,
        agent=scenario.agent,
        agent_options=scenario.agent_options,
        task=scenario.task,
        algorithm=scenario.algorithm or algorithm_of(scenario.agent),
        data_cost=cost,
        complete=False,
    )
    write_manifest(artefact)  # so that an agent which needs it can tell that it failed
    with Training(trial, folder, options, dataset) as training:
        try:
            returned = trial.measured(lambda: _run(trainer, training, scenario.agent))
        finally:
            missing = read_curves(trial.record, folder, options.curves)
        write_manifest(
            replace(
                artefact,
                model=_model(training, returned),
                energy=trial.record.quantities.get("energy"),
                checkpoints=tuple(sorted(training.checkpoints, key=lambda point: point.step)),
                complete=True,
            )
        )
    trial.note(algorithm=artefact.algorithm)
    if missing:
        raise AgentError(f"options.curves: {missing}")


def _check_collected(dataset: str, run: Path) -> None:
    """Refuse the data set of an earlier run where this run was to collect it, and failed.

    Raises:
        InfraError: a trial that collects it has no result.
    """
    records = read_records(run) if (run / RECORDS).is_file() else ()
    collected = {
        record.nodeid: record  # the last one, since a resumed run repeats what failed
        for record in records
        if record.phase == "collect" and record.context.get("dataset") == dataset
    }
    for record in collected.values():
        if record.outcome != "success":
            raise InfraError(f"dataset {dataset!r}: {record.nodeid} was to collect it and failed")


def _run(trainer: Callable[[Training], Any], training: Training, agent: str) -> Any:
    try:
        return trainer(training)
    except A2PerfError:
        raise
    except Exception as error:
        raise AgentError(
            f"the training of agent {agent!r} raised {type(error).__name__}: {error}"
        ) from error


def _model(training: Training, returned: Any) -> str:
    """Return the path of the model, as the training function gave it, or empty."""
    if returned is None:
        return ""
    if not isinstance(returned, str | Path):
        raise AgentError(
            "a training function returns the path of its model, or nothing; this one returned "
            f"{type(returned).__name__}"
        )
    return training.inside(returned)
