"""Data cost: the energy that went into the data a policy was trained on.

A2Perf (paper, section 3): the data cost is the mean energy of training the policies that generated
the data set; the total energy of an offline method is its own training energy plus the data cost,
which is 0 for a method that needs no data. A2Perf's code scales each checkpoint by its progress;
both are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Request
from pytest_a2perf.metrics.evidence import Floats, finite, usable, with_sources
from pytest_a2perf.metrics.pooled import estimate_pooled
from pytest_a2perf.metrics.statistics import MEAN
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record
from pytest_a2perf.units import UNITS

__all__ = ["TotalWithDataMetric", "checkpoint_data_cost", "data_cost", "reported_cost"]


def data_cost(training_energies: Sequence[float]) -> float:
    """Return the mean energy, J, of training the policies that generated the data.

    Raises:
        ValueError: there is no policy.
    """
    if not training_energies:
        raise ValueError("data cost needs the training energy of at least one policy")
    return sum(training_energies) / len(training_energies)


def checkpoint_data_cost(total_energy: float, checkpoints: Sequence[float], last: float) -> float:
    """Return A2Perf's per-checkpoint data cost, J.

    Checkpoint k of a training that took ``total_energy`` until checkpoint ``last`` is taken to have
    cost ``E_k = total_energy * k / last``; the cost is the mean over the checkpoints used.

    Raises:
        ValueError: there is no checkpoint, or one beyond the last.
    """
    if not checkpoints or last <= 0 or max(checkpoints) > last or min(checkpoints) < 0:
        raise ValueError(f"expected checkpoints from 0 to {last}, got {list(checkpoints)!r}")
    return total_energy * sum(checkpoints) / len(checkpoints) / last


def reported_cost(record: Record) -> tuple[Floats, Quantity | None]:
    """Extract the data cost that a trial reports, in J where it is an energy; see `PooledFamily`.

    A number without a unit is in J.
    """
    reading = finite(record.reported, "data_cost")
    if reading is None:
        return np.empty(0), None
    unit, factor = UNITS.get(reading.unit or "J", ("", 1.0))
    if unit == "J":
        reading = replace(reading, value=reading.value * factor, unit=unit)
    return np.array([reading.value]), reading


@dataclass(frozen=True)
class TotalWithDataMetric:
    """``energy.total_with_data``: a training's own energy plus its data cost, mean over trials."""

    name: str = "energy.total_with_data"
    unit: str = "J"
    direction: Direction = "lower"
    group: Group = "data cost"
    summary: str = "energy of a trial plus the cost of its data"

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; see `Metric.estimate`. A trial that reports no data cost has none."""
        trials, readings, free = [], [], 0
        for record in usable(records):
            energy, (_, cost) = finite(record.quantities, "energy"), reported_cost(record)
            if energy is None:
                continue
            if cost is not None and cost.unit != self.unit:
                raise UnsupportedSampleError(
                    f"{self.name}: data_cost is reported in {cost.unit!r}, which is no energy; "
                    "report it in 'J' or 'kWh'"
                )
            free += cost is None
            readings += [energy] if cost is None else [energy, cost]
            trials.append(np.array([energy.value + (0.0 if cost is None else cost.value)]))
        if not trials:
            raise UnsupportedSampleError(f"{self.name}: no trial has energy")
        estimate = estimate_pooled(self.name, trials, MEAN, request, unit=self.unit)
        if free:
            note = f"{free} of {len(trials)} trials report no data cost"
            estimate = replace(estimate, note=note)
        return with_sources(estimate, readings)
