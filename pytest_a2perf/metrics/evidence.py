"""What the records of a scenario contribute to an estimate, and where their numbers come from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Estimate
from pytest_a2perf.quantities import Quantity, worst_quality
from pytest_a2perf.runs.record import Record

__all__ = [
    "Floats", "common_unit", "finite", "overflowing", "usable", "with_interval", "with_sources",
]  # fmt: skip

Floats = NDArray[np.float64]

overflowing = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""Decorates estimates: what floats cannot hold becomes infinite or NaN, which is told and passes no
gate, whatever filter for warnings the user has."""


def usable(records: Sequence[Record]) -> list[Record]:
    """Return the trials that say something about the agent: neither broken by infra nor idle.

    They come in the order of their seeds, so that no interval depends on who finished first.
    """
    found = [record for record in records if record.outcome not in ("infra", "not_run")]
    return sorted(found, key=lambda record: (record.seed, record.nodeid, record.attempt))


def finite(quantities: Mapping[str, Quantity], name: str) -> Quantity | None:
    """Return a reading, or None where it is missing or not a finite number."""
    quantity = quantities.get(name)
    return quantity if quantity is not None and math.isfinite(quantity.value) else None


def with_sources(estimate: Estimate, readings: Sequence[Quantity]) -> Estimate:
    """Say where an estimate comes from: every source once, and the worst quality."""
    sources = dict.fromkeys(reading.source for reading in readings)
    return replace(
        estimate,
        source=", ".join(sources),
        quality=worst_quality([reading.quality for reading in readings]),
    )


def with_interval(estimate: Estimate, bounds: tuple[float, float], method: str) -> Estimate:
    """Add an interval, widened to hold the point estimate; bounds of NaN add none."""
    low, high = bounds
    if math.isnan(low) or math.isnan(high) or math.isnan(estimate.value):
        return estimate
    low, high = min(low, estimate.value), max(high, estimate.value)
    return replace(estimate, low=low, high=high, method=method)


def common_unit(name: str, units: Sequence[str]) -> str:
    """Return the one unit of all readings.

    Raises:
        UnsupportedSampleError: they have several.
    """
    found = list(dict.fromkeys(units))
    if len(found) > 1:
        raise UnsupportedSampleError(f"{name}: readings are in several units: {', '.join(found)}")
    return found[0]
