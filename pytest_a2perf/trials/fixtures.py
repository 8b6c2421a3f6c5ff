"""What stands behind the fixtures: a trial for the running item, and its probes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_a2perf.keys import INSTRUMENTS, PLANNED, PROGRESS, RUN_FOLDER, TRIAL
from pytest_a2perf.meters.probes import EnergyProbe, LatencyProbe, MemoryProbe
from pytest_a2perf.meters.session import Instruments
from pytest_a2perf.reports.progress import sender
from pytest_a2perf.scenarios.models import Scenario
from pytest_a2perf.trials.plan import PlannedTrial, scenario_digest
from pytest_a2perf.trials.trial import Trial

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "ReliabilityProbe",
    "energy_probe",
    "latency_probe",
    "memory_probe",
    "planned_for",
    "trial_folder",
    "trial_of",
]


def trial_of(request: pytest.FixtureRequest) -> Iterator[Trial]:
    """Open the trial of the requesting item; its record is closed when the call is reported."""
    item: pytest.Item = request.node
    planned = planned_for(item)
    config = item.config
    instruments = _instruments(config)
    address = config.stash.get(PROGRESS, None)
    trial = Trial(
        planned.scenario,
        planned.seed,
        scenario_id=planned.scenario_id,
        nodeid=item.nodeid,
        root=Path(config.rootpath),
        folder=trial_folder(config, item.nodeid),
        case=planned.case,
        meters=instruments.meters(
            planned.scenario.energy,
            planned.scenario.target,
            tree=planned.scenario.phase == "train",
        ),
        worker=getattr(config, "workerinput", {}).get("workerid", "main"),
        on_progress=None if address is None else sender(address, item.nodeid),
    )
    trial.record.attempt = getattr(item, "execution_count", 1)
    trial.record.digest = planned.digest
    item.stash[TRIAL] = trial
    yield trial


def trial_folder(config: pytest.Config, nodeid: str) -> Path:
    """Return the folder of a trial, which need not exist."""
    run = config.stash.get(RUN_FOLDER, "")
    folder = Path(run) if run else Path(config.rootpath, ".a2perf", "scratch")
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "_", nodeid).strip("_")[-150:]
    return folder / "trials" / name


def planned_for(item: pytest.Item) -> PlannedTrial:
    """Return the item's plan; a test without the marker is a scenario of one trial, seed 0."""
    planned = item.stash.get(PLANNED, None)
    if planned is None:
        name = re.sub(r"[^A-Za-z0-9_.+-]+", "_", item.name).strip("_")[:100] or "test"
        scenario = Scenario.model_construct(
            name=name, domain="python", task=item.name, target="any"
        )
        planned = PlannedTrial(scenario, item.nodeid, 0, scenario_digest(scenario), from_file=False)
        item.stash[PLANNED] = planned
    return planned


def energy_probe(config: pytest.Config, trial: Trial) -> EnergyProbe:
    """Make the energy probe of a trial."""
    instruments = _instruments(config)
    probe = EnergyProbe(lambda: instruments.meters(trial.scenario.energy, trial.scenario.target))
    trial.on_close(probe.flush)
    return probe


def memory_probe(trial: Trial) -> MemoryProbe:
    """Make the memory probe of a trial."""
    probe = MemoryProbe()
    trial.on_close(probe.flush)
    return probe


def latency_probe(trial: Trial) -> LatencyProbe:
    """Make the latency probe of a trial."""
    probe = LatencyProbe()
    trial.on_close(probe.flush)
    return probe


class ReliabilityProbe:
    """Collects what the reliability metrics need, and shows them for this trial alone.

    Reliability over seeds is judged by gates (``reliability.*``); a single trial can only show
    its own dispersion and risk.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def add(self, *totals: float) -> None:
        """Record episode returns."""
        for total in totals:
            self._trial.episode(total, 0)

    def curve(
        self, steps: Sequence[float] | ArrayLike, values: Sequence[float] | ArrayLike
    ) -> None:
        """Record a training curve: the return reached at each step, of equal lengths."""
        import numpy as np

        for step, value in zip(np.ravel(steps), np.ravel(values), strict=True):
            self._trial.curve("return", float(step), float(value))

    def _statistic(self, name: str) -> float:
        from pytest_a2perf.metrics.base import Request
        from pytest_a2perf.metrics.registry import resolve

        # While the trial runs its outcome is still open, which metrics take for "no result".
        so_far = replace(self._trial.record, outcome="success")
        return resolve(name).estimate([so_far], Request()).value

    @property
    def dispersion(self) -> float:
        """Interquartile range of this trial's episode returns.

        Raises:
            UnsupportedSampleError: too few episodes.
        """
        return self._statistic("reliability.dispersion_across_rollouts")

    @property
    def risk(self) -> float:
        """Mean of the worst 5 % of this trial's episode returns (CVaR).

        Raises:
            UnsupportedSampleError: no episodes.
        """
        return self._statistic("reliability.risk_across_rollouts")

    @property
    def returns(self) -> Iterable[float]:
        """The episode returns recorded so far."""
        return [episode.total for episode in self._trial.record.episodes]


def _instruments(config: pytest.Config) -> Instruments:
    if INSTRUMENTS not in config.stash:  # the plugin is off, but a fixture is used
        config.stash[INSTRUMENTS] = Instruments()
    return config.stash[INSTRUMENTS]
