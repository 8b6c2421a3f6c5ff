"""Curves over the number of agents, and the normalised table, for the HTML report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from statistics import median
from typing import Any

from pytest_a2perf.domains.serving.report.data import (
    Column,
    columns_of,
    levels_of,
    normalised_rows,
    serving_of,
)
from pytest_a2perf.domains.serving.report.text import capacity_text, tier_text
from pytest_a2perf.reports.html.svg import axis, circle, figure, line, path, text, usable
from pytest_a2perf.runs.record import Record
from pytest_a2perf.units import format_value

__all__ = ["figures"]

_LEFT, _RIGHT = 46.0, 350.0
_BOTTOM, _TOP = 150.0, 24.0
_DRAWN = ("output speed p25", "TTFT p95", "energy per token", "energy per turn")


def figures(scenario_id: str, records: Sequence[Record]) -> Iterator[str]:
    """Yield figures as HTML.

    Args:
        scenario_id: of the scenario.
        records: of its trials.
    """
    del scenario_id
    levels = [level for level in levels_of(records) if level.get("rate") is None]
    tiers = {tier["name"]: tier for trial in serving_of(records) for tier in trial.get("tiers", ())}
    for column in columns_of(levels):
        limits = list(_limits(column, tiers.values()))
        if column.title in _DRAWN or limits:
            yield _curve(column, levels, limits)
    if table := _capacities(records, tiers):
        yield table


def _limits(
    column: Column, tiers: Sequence[Mapping[str, Any]] | Any
) -> Iterator[tuple[str, float]]:
    for tier in tiers:
        for limit in tier["limits"]:
            if (limit["measure"], limit["percentile"]) == (column.measure, column.percentile):
                yield tier["name"], float(limit["limit"])


def _curve(
    column: Column, levels: Sequence[Mapping[str, Any]], limits: Sequence[tuple[str, float]]
) -> str:
    """Plot a figure of the levels over their agents: each of them, and their medians."""
    points = [
        (float(level["agents"]), value)
        for level in levels
        if (value := column.of(level)) is not None and usable([value])
    ]
    if not points:
        return ""
    values = [value for _, value in points] + [limit for _, limit in limits]
    counts = [agents for agents, _ in points]
    wide = max(counts) / min(counts) >= 8
    steep = min(values) > 0 and max(values) / min(values) >= 20
    x = axis(counts, _LEFT, _RIGHT, log=wide)
    y = axis(values if steep else [0.0, *values], _BOTTOM, _TOP, column.unit, log=steep)
    body = y.vertical(_LEFT, _RIGHT) + x.horizontal(_BOTTOM, _BOTTOM)
    middle = [
        (at, median(value for agents, value in points if agents == at)) for at in sorted({*counts})
    ]
    body += path([(x(at), y(value)) for at, value in middle], "line")
    for at, value in points:
        label = f"{at:g} agents: {format_value(value, column.unit)}"
        body += circle(x(at), y(value), 2.6, "dot", label)
    for number, (name, limit) in enumerate(limits):
        body += line(_LEFT, y(limit), _RIGHT, y(limit), "limit")
        # By turns on the right and on the left, as limits may lie close together.
        at, anchor = (_LEFT + 4, "start") if number % 2 else (_RIGHT, "end")
        label = f"{name}: {format_value(limit, column.unit)}"
        body += text(at, y(limit) - 3, label, f"limit-text {anchor}")
    body += text(_RIGHT, _BOTTOM + 27, "agents", "tick end")
    ends = ", ".join(
        f"{format_value(value, column.unit)} at {at:g} agents"
        for at, value in middle[:: len(middle) - 1 or 1]
    )
    title = f"{column.title} over agents"
    return figure(title, f"{title}: {ends}", body, height=_BOTTOM + 30)


def _capacities(records: Sequence[Record], tiers: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay capacities and what they are per unit of hardware out as a table."""
    normalised = normalised_rows(records)
    units = list(dict.fromkeys(row.per for row in normalised))
    rows = []
    for name, tier in tiers.items():
        found = [
            capacity_text(record.context["capacity"][name])
            for record in records
            if name in record.context.get("capacity", {})
        ]
        per = {row.per: row.text for row in normalised if row.tier == name}
        if found:
            rows.append(
                [name, tier_text(tier), "; ".join(found), *(per.get(u, "-") for u in units)]
            )
    if not rows:
        return ""
    heads = ("Tier", "Limits", "Agents at once", *(f"per {unit}" for unit in units))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    told = dict.fromkeys(f"per {row.per}: {row.told}" for row in normalised)
    sources = "".join(f"<li>{escape(text)}</li>" for text in told)
    return (
        '<figure class="wide"><figcaption>Agents at the service level</figcaption>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>'
        f"</div>{f'<ul>{sources}</ul>' if sources else ''}</figure>\n"
    )
