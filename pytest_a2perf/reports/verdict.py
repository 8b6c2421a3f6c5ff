"""A verdict and a record as text and as flat JUnit properties."""

from __future__ import annotations

import math

from pytest_a2perf.gates.verdict import Verdict
from pytest_a2perf.metrics.base import Estimate
from pytest_a2perf.runs.record import Record
from pytest_a2perf.trials.plan import PlannedGate
from pytest_a2perf.units import format_number, format_value, printed_unit

__all__ = ["failure_text", "format_estimate", "gate_properties", "properties"]


def format_estimate(estimate: Estimate) -> str:
    """Print ``value ± half-width unit``, or ``value [low, high] unit`` where it is lopsided.

    What a search has left open is printed as ``40 (36..44)``, or as ``40 (36 and more)``.
    """
    if estimate.method == "bracket":
        least, most = format_number(estimate.low), format_number(estimate.high)
        known = f"{least}..{most}" if math.isfinite(estimate.high) else f"{least} and more"
        text = format_value(estimate.value, estimate.unit)
        return text if estimate.low == estimate.high else f"{text} ({known})"
    if not estimate.has_interval:
        return format_value(estimate.value, estimate.unit)
    name, factor = printed_unit(estimate.value or estimate.high, estimate.unit)
    value, low, high = (number / factor for number in (estimate.value, estimate.low, estimate.high))
    below, above = value - low, high - value
    unit = f" {name}" if name else ""
    half = (high - low) / 2
    if abs(above - below) <= 0.25 * (high - low) or half == 0:
        return f"{format_number(value)} ± {format_number(half)}{unit}"
    return f"{format_number(value)} [{format_number(low)}, {format_number(high)}]{unit}"


def failure_text(gate: PlannedGate, verdict: Verdict) -> str:
    """Explain a failed or undecided gate."""
    lines = [f"{gate.metric} of {gate.scenario_id}", f"  expected  {verdict.condition}"]
    estimate = verdict.estimate
    if estimate is not None:
        value = format_estimate(estimate)
        if estimate.has_interval and estimate.method != "bracket":
            percent = format_number(100 * estimate.confidence)
            value += f"  ({percent} % {estimate.method} interval, {estimate.n} trials)"
        else:
            value += f"  ({estimate.n} trials)"
        lines.append(f"  got       {value}")
        if estimate.quality != "measured":
            lines.append(f"  source    {estimate.source}, {estimate.quality}")
        if estimate.note:
            lines.append(f"  note      {estimate.note}")
    lines.append(f"  verdict   {verdict.name}: {verdict.reason}")
    return "\n".join(lines)


def properties(record: Record) -> list[tuple[str, object]]:
    """Return a record's main figures as flat scalars for JUnit."""
    found: list[tuple[str, object]] = [
        ("a2perf.outcome", record.outcome),
        ("a2perf.seed", record.seed),
        *([("a2perf.case", record.case)] if record.case else []),
        ("a2perf.attempt", record.attempt),
        ("a2perf.device", record.device),
    ]
    if record.episodes:
        totals = [episode.total for episode in record.episodes]
        found.append(("a2perf.return.mean", sum(totals) / len(totals)))
    for part in (record.quantities, record.reported):
        found += [(f"a2perf.{name}", quantity.value) for name, quantity in part.items()]
    return found


def gate_properties(gate: PlannedGate, verdict: Verdict) -> list[tuple[str, object]]:
    """Return a verdict, its figures and its limits as flat scalars for JUnit.

    A gate with ``min`` and ``max`` has a limit at both ends. What has no value is left out.
    """
    data = verdict.to_json()
    conditions = gate.spec["conditions"]
    if len(conditions) == 1:
        data["limit"] = conditions[0]["limit"]
    else:
        ends = {">": "limit.min", "<": "limit.max"}
        data |= {ends[part["operator"][0]]: part["limit"] for part in conditions}
    for name, value in data.pop("baseline", {}).items():
        data[f"baseline.{name}"] = value
    return [
        (f"a2perf.{name}", value)
        for name, value in data.items()
        if isinstance(value, str | int | float)
    ]
