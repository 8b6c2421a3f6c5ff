"""The rows of A2Perf's table: which metric stands where, in which unit, and what its ± is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.across_runs import curve_table, dispersion
from pytest_a2perf.metrics.base import Definition, Request
from pytest_a2perf.metrics.curves import Run, dispersion_within_runs, runs_of
from pytest_a2perf.metrics.evidence import Floats, usable
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.runs.baseline import seed_values
from pytest_a2perf.runs.record import Record

__all__ = ["ROWS", "Row", "Spread"]

Spread = Callable[[str, Sequence[Record], Definition], float]
"""Takes a metric's name and a scenario's trials; returns the standard deviation, in base units."""

Phase = Literal["train", "inference", "generalization"]
Category = Literal["Data", "Application", "Reliability", "System"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Attributes:
        category: A2Perf's.
        phase: of the trials that it is about, as records have it.
        label: in A2Perf's words, with its unit; ``{episodes}`` is how many a trial has.
        metrics: what it shows: of several, the one that most algorithms have.
        unit: printed, see `pytest_a2perf.units.UNITS`.
        spread: gives what stands behind ±; None for none.
    """

    category: Category
    phase: Phase
    label: str
    metrics: tuple[str, ...]
    unit: str = ""
    spread: Spread | None = None

    @property
    def phase_label(self) -> str:
        """The phase, as A2Perf names it: what is not training is inference."""
        return "Training" if self.phase == "train" else "Inference"


def _over_values(name: str, records: Sequence[Record], definition: Definition) -> float:
    """Over all values that a mean pools: episodes or decisions."""
    spread = resolve(f"{name.removesuffix('.mean')}.std")
    return spread.estimate(records, Request(definition=definition)).value


def _over_seeds(name: str, records: Sequence[Record], definition: Definition) -> float:
    return _std(np.array(list(seed_values(resolve(name), records, definition).values())))


def _over_steps(_: str, records: Sequence[Record], definition: Definition) -> float:
    """Over the steps at which the dispersion across runs is taken."""
    table = curve_table(_curves(records), definition)
    each = dispersion(table.T[:, :, None], definition)  # as if every step were a table
    return _std(each[np.isfinite(each)])


def _over_windows(_: str, records: Sequence[Record], definition: Definition) -> float:
    """Over the windows of all seeds, as A2Perf does; by default over the means of seeds."""
    values = np.concatenate(
        [np.empty(0), *dispersion_within_runs(_curves(records), definition).values]
    )
    return float(values.std()) if definition == "a2perf" else _std(values)


def _curves(records: Sequence[Record]) -> list[Run]:
    return runs_of([r.curves["return"] for r in usable(records) if "return" in r.curves])


def _std(values: Floats) -> float:
    if values.size < 2:
        raise UnsupportedSampleError("a standard deviation needs 2 values")
    # Of equal values, rounding would leave something like 5e-21.
    return float(values.std(ddof=1)) if np.ptp(values) else 0.0


def _application(phase: Phase, label: str, metric: str, spread: Spread | None = None) -> Row:
    return Row("Application", phase, label, (metric,), "", spread)


def _reliability(phase: Phase, label: str, name: str, spread: Spread | None = None) -> Row:
    return Row("Reliability", phase, label, (f"reliability.{name}",), "", spread)


def _system(phase: Phase, label: str, unit: str, *metrics: str) -> Row:
    return Row("System", phase, f"{label} ({unit})", metrics, unit, _over_seeds)


_PEAK = ("memory.tree.peak", "memory.peak")
ROWS = (
    Row("Data", "train", "Training Sample Cost (kWh)", ("data_cost",), "kWh", _over_seeds),
    _application("inference", "Returns ({episodes}eps.)", "return.mean", _over_values),
    _application(
        "generalization", "Generalization ({episodes}eps. [all tasks])", "generalization.sum"
    ),
    _application("generalization", "Generalization (normalised)", "generalization.normalized"),
    _application("generalization", "Generalization (normalised, IQM)", "generalization.iqm"),
    _reliability("train", "Dispersion Across Runs (IQR)", "dispersion_across_runs", _over_steps),
    _reliability("train", "Dispersion Within Runs (IQR)", "dispersion_within_runs", _over_windows),
    _reliability("train", "Short Term Risk (CVaR)", "short_term_risk"),
    _reliability("train", "Long Term Risk (CVaR)", "long_term_risk"),
    _reliability("train", "Risk Across Runs (CVaR)", "risk_across_runs"),
    _reliability("inference", "Dispersion Across Rollouts (IQR)", "dispersion_across_rollouts"),
    _reliability("inference", "Risk Across Rollouts (CVaR)", "risk_across_rollouts"),
    _system("train", "Energy Consumed", "kWh", "energy"),
    _system("train", "Energy With Data", "kWh", "energy.total_with_data"),
    _system("train", "GPU Power Usage", "W", "gpu.power.mean"),
    _system("train", "Peak RAM Usage", "GB", *_PEAK),
    _system("train", "Mean RAM Usage", "GB", "memory.tree.mean"),
    _system("train", "Wall Clock Time", "h", "time.wall"),
    _system("inference", "Energy Per Episode", "J", "energy.per_episode"),
    _system("inference", "GPU Power Usage", "W", "gpu.power.mean"),
    _system("inference", "Peak RAM Usage", "GB", *_PEAK),
    _system("inference", "Mean RAM Usage", "GB", "memory.tree.mean"),
    Row("System", "inference", "Inference Time (ms)", ("latency.mean",), "ms", _over_values),
)
"""In A2Perf's order."""
