"""What the terminal shows of a serving scenario at the end of its run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_a2perf.domains.serving.report.data import (
    NORMALISED,
    columns_of,
    levels_of,
    normalised_rows,
    serving_of,
)
from pytest_a2perf.runs.record import Record
from pytest_a2perf.units import format_number, format_value

__all__ = ["capacity_text", "summary_lines", "tier_text"]

_TOLD = ("pause_scale", "longest_pause", "isolate_cache", "fixed_tokens")
_MARKS = {"met": "yes", "missed": "no", "unsure": "?"}
_MEASURES = {
    "output_speed": "output speed", "ttft": "TTFT", "e2e_speed": "end-to-end speed", "turn": "turn",
}  # fmt: skip


def summary_lines(scenario_id: str, records: Sequence[Record]) -> Iterator[str]:
    """Yield lines: a table of the levels, the capacities, and what they are per unit of hardware.

    Args:
        scenario_id: of the scenario.
        records: of its trials.
    """
    trials = serving_of(records)
    if not trials:
        return
    yield f"{scenario_id}: {_about(trials)}"
    levels = levels_of(records)
    yield from (f"  {line}" for line in _table(levels, trials[0].get("tiers", ())))
    tiers = {tier["name"]: tier for trial in trials for tier in trial.get("tiers", ())}
    for record in records:
        for name, capacity in record.context.get("capacity", {}).items():
            seed = f" (seed {record.seed})" if len(records) > 1 else ""
            yield f"  {name}{seed}: {capacity_text(capacity)}; {tier_text(tiers[name])}"
    normalised = normalised_rows(records)
    for tier in dict.fromkeys(row.tier for row in normalised):
        parts = [f"{row.text} per {row.per}" for row in normalised if row.tier == tier]
        yield f"  {tier}: {', '.join(parts)}"
    for per, told in dict.fromkeys((row.per, row.told) for row in normalised):
        yield f"  per {per}: {told}"
    missing: dict[str, dict[str, None]] = {}
    for record in records:
        for name, reason in record.context.get("capacity_missing", {}).items():
            missing.setdefault(reason, {})[NORMALISED.get(name, name)] = None
    for reason, names in missing.items():
        yield f"  not given per {', '.join(names)}: {reason}"
    notes = dict.fromkeys(
        note for trial in trials for level in trial.get("levels", ()) for note in _notes(level)
    )
    yield from (f"  note: {note}" for note in notes)


def capacity_text(capacity: Mapping[str, Any]) -> str:
    """Put a capacity into words: ``12 agents``, or ``10 to 14 agents, probably 12``."""
    agents, low, high = capacity["agents"], capacity["low"], capacity["high"]
    noun = "agent" if agents == 1 else "agents"
    why = f" ({capacity['why']})" if capacity.get("why") else ""
    if low == high:
        return f"{agents} {noun}{why}"
    if high is None and not low:
        return f"undecided{why}"
    if high is None:
        return f"at least {low} {'agent' if low == 1 else 'agents'}{why}"
    return f"{low} to {high} agents, probably {agents}{why}"


def tier_text(tier: Mapping[str, Any]) -> str:
    """Put a tier into words: ``P25 output speed >= 20 tok/s, P95 TTFT <= 10 s``."""
    parts = []
    for limit in tier["limits"]:
        faster = limit["measure"] in ("output_speed", "e2e_speed")
        unit = "tok/s" if faster else "s"
        value = format_value(limit["limit"], unit)
        name = _MEASURES[limit["measure"]]
        parts.append(f"P{limit['percentile']:g} {name} {'>=' if faster else '<='} {value}")
    source = f" [{tier['revision']}, {tier['model']}]" if tier.get("revision") else ""
    return ", ".join(parts) + source


def _about(trials: Sequence[Mapping[str, Any]]) -> str:
    first = trials[0]
    workload = first.get("workload", {})
    kind = "synthetic sessions" if workload.get("synthetic") else "recorded sessions"
    profiles = {level["profile"] for trial in trials for level in trial.get("levels", ())}
    official = all(level.get("official") for trial in trials for level in trial.get("levels", ()))
    parts = [
        f"{workload.get('sessions', 0)} {kind}",
        f"output {first.get('output', 'free')}",
        *(f"{name} {value}" for name, value in first.get("load", {}).items() if name in _TOLD),
        f"profile {', '.join(sorted(profiles)) or 'none'}",
    ]
    if not official:
        parts.append("not as the published method asks, so not comparable with its figures")
    return ", ".join(parts)


def _table(levels: Sequence[Mapping[str, Any]], tiers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lay the levels out in columns."""
    if not levels:
        return ["no level was measured"]
    columns = columns_of(levels)
    judged = [tier["name"] for tier in tiers]
    heads = ["agents", *(column.title for column in columns), "requests", "failed", *judged]
    rows = [heads]
    for level in levels:
        rate = level.get("rate")
        load = f"{level['agents']}" if rate is None else f"{format_number(rate)}/s"
        cells = [load]
        for column in columns:
            value = column.of(level)
            cells.append("-" if value is None else format_value(value, column.unit))
        failed = sum(level.get("failed", {}).values())
        cells += [str(level["requests"]), str(failed)]
        decisions = level.get("decisions", {})
        cells += [_MARKS.get(decisions.get(name, {}).get("says"), "-") for name in judged]
        rows.append(cells)
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads))]
    return ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]


def _notes(level: Mapping[str, Any]) -> Iterator[str]:
    rate, agents = level.get("rate"), level["agents"]
    load = f"{agents} agent{'' if agents == 1 else 's'}" if rate is None else f"{rate:g}/s"
    where = f"{load}: "
    if limited := level.get("client", {}).get("limited"):
        yield f"{where}the client was the limit: {limited}"
    if lacks := level.get("lacks"):
        yield f"{where}{lacks}"
    for reason in level.get("tainted", ()):
        yield f"{where}{reason}"
    if why_not := level.get("power", {}).get("why_not"):
        yield f"{where}no power: {why_not}"
