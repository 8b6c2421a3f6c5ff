"""What reports show of serving scenarios, read out of their records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pytest_a2perf.metrics.evidence import usable
from pytest_a2perf.runs.record import Record
from pytest_a2perf.units import format_number

__all__ = [
    "NORMALISED",
    "Column",
    "Normalised",
    "columns_of",
    "levels_of",
    "normalised_rows",
    "serving_of",
]

NORMALISED = {
    "accelerator": "accelerator", "system": "system", "kw": "kW", "mw": "MW",
    "dollar_hour": "dollar and hour", "rack": "rack",
}  # fmt: skip
"""Name of a divisor in records -> in words."""


@dataclass(frozen=True, slots=True)
class Column:
    """A figure that a report shows of each level.

    Attributes:
        title: e.g. ``TTFT p95``.
        unit: base unit.
        where: keys that lead to it in a level's summary.
        measure, percentile: of the limits that are drawn beside it; empty for none.
    """

    title: str
    unit: str
    where: tuple[str, ...]
    measure: str = ""
    percentile: float = 0.0

    def of(self, level: Mapping[str, Any]) -> float | None:
        """Return it of a level; None where it is not known, or infinite."""
        found: Any = level
        for key in self.where:
            found = found.get(key) if isinstance(found, Mapping) else None
        return float(found) if isinstance(found, int | float) else None


@dataclass(frozen=True, slots=True)
class Normalised:
    """Agents for each unit of hardware.

    Attributes:
        tier: its name.
        per: the unit, in words.
        value: of the best estimate.
        low, high: of the search's bracket.
        told: where the divisor comes from.
    """

    tier: str
    per: str
    value: float
    low: float
    high: float
    told: str

    @property
    def text(self) -> str:
        """The value, with its bracket where the search has left one."""
        value = format_number(self.value)
        if self.low == self.high:
            return value
        most = format_number(self.high) if math.isfinite(self.high) else "more"
        return f"{value} ({format_number(self.low)} to {most})"


_COLUMNS = (
    Column("output speed p25", "tok/s", ("output_speed", "p25"), "output_speed", 25),
    Column("TTFT p95", "s", ("ttft", "p95"), "ttft", 95),
    Column("turn p95", "s", ("turn", "p95"), "turn", 95),
    Column("end-to-end speed p25", "tok/s", ("e2e_speed", "p25"), "e2e_speed", 25),
    Column("output", "tok/s", ("tokens", "output_rate")),
    Column("energy per token", "J", ("energy", "per_token")),
    Column("energy per turn", "J", ("energy", "per_turn")),
    Column("cache hits", "", ("tokens", "cache_hits")),
)


def serving_of(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return what each trial has left of its measurements."""
    return [record.context["serving"] for record in records if "serving" in record.context]


def levels_of(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the levels of all trials, fewest agents first."""
    levels = [level for found in serving_of(records) for level in found.get("levels", ())]
    return sorted(levels, key=lambda level: float(level["agents"]))


def columns_of(levels: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return the columns that any of the levels has figures for."""
    return [one for one in _COLUMNS if any(one.of(level) is not None for level in levels)]


def normalised_rows(records: Sequence[Record]) -> list[Normalised]:
    """Return agents for each unit of hardware, over all trials."""
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    told: dict[tuple[str, str], dict[str, None]] = {}
    for record in usable(records):
        for tier, capacity in record.context.get("capacity", {}).items():
            high = math.inf if capacity["high"] is None else capacity["high"]
            for name, divisor in capacity.get("per", {}).items():
                by = divisor["divisor"]
                values = (capacity["agents"] / by, capacity["low"] / by, high / by)
                found.setdefault((tier, name), []).append(values)
                quality = divisor["quality"] if divisor["quality"] != "measured" else ""
                parts = dict.fromkeys((divisor["source"], quality, divisor["note"]))
                text = ", ".join(filter(None, parts))
                told.setdefault((tier, name), {})[text] = None
    rows = []
    for (tier, name), trials in found.items():
        columns = list(zip(*trials, strict=True))
        value, low, high = fmean(columns[0]), fmean(columns[1]), fmean(columns[2])
        text = "; ".join(told[tier, name])
        rows.append(Normalised(tier, NORMALISED.get(name, name), value, low, high, text))
    return rows
