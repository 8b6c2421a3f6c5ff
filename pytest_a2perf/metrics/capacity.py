"""Agents that a system holds within a service level, as trials of the domain ``serving`` found.

A trial's search leaves a bracket: so many agents surely meet the tier, more than so many surely do
not. The bracket goes with the number into every figure that is derived from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics import weighted
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.evidence import overflowing, usable, with_sources
from pytest_a2perf.metrics.intervals import bootstrap
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["AgentsFamily", "AgentsMetric", "tier_names"]

_DIVISORS = {
    "accelerator": "accelerator",
    "kw": "kW",
    "mw": "MW",
    "dollar_hour": "dollar an hour",
    "rack": "rack",
    "system": "system",
}
"""Member of ``capacity[tier]["per"]`` -> in words."""
_BARE = ("at_slo", *(f"per_{name}" for name in _DIVISORS))


def tier_names(records: Iterable[Record]) -> list[str]:
    """Return the names of the tiers that trials searched for, in their order."""
    return list(dict.fromkeys(name for record in records for name in _capacities(record)))


def _capacities(record: Record) -> Mapping[str, Any]:
    found = record.context.get("capacity")
    return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class _Found:
    """What one trial found: agents, its bracket, and what they are divided by."""

    agents: float
    low: float
    high: float
    why: str
    divisor: Quantity | None


@dataclass(frozen=True)
class AgentsMetric:
    """Agents at a tier, over one of the system's sizes; see `Metric`.

    Attributes:
        per: member of `_DIVISORS`; empty for the agents themselves.
        tier: its name; empty means the only one.
    """

    name: str
    summary: str
    per: str
    tier: str
    unit: str = ""
    direction: Direction = "higher"
    group: Group = "application"

    @overflowing
    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate the mean over trials; its bracket runs between the means of the ends.

        With ``request.exact``, as for a gate with ``confidence``, the bracket is widened by what
        the trials differ by, if there are several.
        """
        found = self._found(usable(records))
        values = np.array([[f.agents, f.low, f.high] for f in found], dtype=float)
        divisors = [f.divisor for f in found if f.divisor is not None]
        if divisors:
            values /= np.array([[divisor.value] for divisor in divisors])
        value, low, high = values.mean(axis=0)
        if request.exact and len(found) > 1:
            low = min(low, self._bounds(values[:, 1], request)[0])
            high = max(high, self._bounds(values[:, 2], request)[1])
        estimate = Estimate(
            float(value),
            low=float(min(low, value)),
            high=float(max(high, value)),
            confidence=request.confidence,
            n=len(found),
            method="bracket",
            note=_note(found, divisors),
        )
        return with_sources(estimate, divisors) if divisors else replace(estimate, source="search")

    def _tier_of(self, trials: Sequence[Record]) -> str:
        names = tier_names(trials)
        if not names:
            raise UnsupportedSampleError(f"{self.name}: no trial searched for the agents of a tier")
        if self.tier and self.tier not in names:
            hint = did_you_mean(self.tier, names)
            raise UnsupportedSampleError(f"{self.name}: there is no tier {self.tier!r}{hint}")
        if not self.tier and len(names) > 1:
            choices = ", ".join(f"{self.name}.{name}" for name in names)
            raise UnsupportedSampleError(f"{self.name}: there are several tiers, say {choices}")
        return self.tier or names[0]

    def _found(self, trials: Sequence[Record]) -> list[_Found]:
        """Return what the trials found; those without the tier or the divisor are left out."""
        tier = self._tier_of(trials)
        found, missing = [], ""
        for record in trials:
            if tier in _capacities(record):
                try:
                    found.append(self._of(record, _capacities(record)[tier]))
                except UnsupportedSampleError as error:
                    missing = str(error)
        if not found:
            raise UnsupportedSampleError(missing)
        return found

    def _of(self, record: Record, capacity: Mapping[str, Any]) -> _Found:
        divisor = self._divisor(record, capacity.get("per", {})) if self.per else None
        high = capacity.get("high")
        return _Found(
            capacity["agents"],
            capacity["low"],
            math.inf if high is None else high,
            str(capacity.get("why", "")),
            divisor,
        )

    def _divisor(self, record: Record, per: Mapping[str, Any]) -> Quantity:
        data = per.get(self.per)
        if data is None:
            missing = record.context.get("capacity_missing") or {}
            reason = missing.get(self.per) or f"the scenario does not declare its {self.per}"
            raise UnsupportedSampleError(f"{self.name}: {reason}")
        divisor = Quantity.from_json({**data, "value": data["divisor"], "unit": ""})
        if not (divisor.value > 0 and math.isfinite(divisor.value)):
            raise UnsupportedSampleError(f"{self.name}: divided by {divisor.value:g}")
        return divisor

    def _bounds(self, ends: np.ndarray, request: Request) -> tuple[float, float]:
        if not np.isfinite(ends).all():
            return math.inf, math.inf
        trials = [np.array([end]) for end in ends]
        return bootstrap(trials, weighted.mean, confidence=request.confidence, key=self.name)


def _note(found: Sequence[_Found], divisors: Sequence[Quantity]) -> str:
    agents = sorted(f.agents for f in found)
    parts = [f"{len(found)} trials: {agents[0]:g} to {agents[-1]:g} agents"] if found[1:] else []
    parts += dict.fromkeys(divisor.note for divisor in divisors if divisor.note)
    if not found[1:] and found[0].why:
        parts.append(found[0].why)
    return "; ".join(parts)


class AgentsFamily:
    """``agents.at_slo``, ``agents.per_kw`` and the like, each also with ``.<tier>``."""

    prefix = "agents"
    examples = (*_BARE, *(f"{name}.<tier>" for name in _BARE))
    shown = _BARE

    def make(self, suffix: str) -> Metric:
        """Make the metric.

        Raises:
            UnknownNameError: agents are not divided by that.
        """
        what, _, tier = suffix.partition(".")
        if what not in _BARE or suffix.endswith("."):
            raise UnknownNameError(f"unknown metric 'agents.{suffix}'{did_you_mean(what, _BARE)}")
        per = "" if what == "at_slo" else what.removeprefix("per_")
        of = f"tier {tier!r}" if tier else "the tier"
        summary = f"agents at once that meet {of}" + (f", per {_DIVISORS[per]}" if per else "")
        return AgentsMetric(f"agents.{suffix}", summary, per, tier)
