"""The plots of the report. Whatever its number of trials, a plot has a few hundred marks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pytest_a2perf.metrics.evidence import Floats
from pytest_a2perf.reports.history import describe_step, format_point
from pytest_a2perf.reports.html.svg import (
    Axis,
    axis,
    circle,
    figure,
    line,
    path,
    rect,
    text,
    usable,
)
from pytest_a2perf.runs.histogram import Histogram, bucket_value
from pytest_a2perf.runs.history import Series
from pytest_a2perf.units import format_value

__all__ = ["Spread", "curves", "history", "latencies", "over_time", "spread"]

_LEFT, _RIGHT = 52.0, 350.0
_DOTS = 8  # higher stacks become bars
_GRID = 60
_MARKS = 300


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric of a scenario: each seed's value, the value of all, and what it is held against.

    Attributes:
        title: name of the metric.
        note: e.g. the verdict.
        unit: base unit.
        values: one of each trial that has one.
        limits: operator and limit, in base units.
        estimate: value, low and high over all trials; None where there is none.
        baseline: the same of the baseline.
        baseline_values: one of each trial of the baseline.
    """

    title: str
    note: str
    unit: str
    values: Sequence[float]
    limits: Sequence[tuple[str, float]] = ()
    estimate: tuple[float, float, float] | None = None
    baseline: tuple[float, float, float] | None = None
    baseline_values: Sequence[float] = ()


def spread(data: Spread) -> str:
    """Plot a metric over seeds against its limits and its baseline; empty where there is nothing.

    Each row has its name, the side of a limit that fails is hatched, and the limit is written out.
    """
    limits = [(operator, limit) for operator, limit in data.limits if usable([limit])]
    ranges = [usable(part) for part in (data.estimate or (), data.baseline or ())]
    values, others = usable(data.values), usable(data.baseline_values)
    shown = [*values, *others, *ranges[0], *ranges[1], *(limit for _, limit in limits)]
    if not (values or ranges[0]):
        return ""
    top = 18.0 + 12 * len(limits) if limits else 8.0
    x = axis(shown, _LEFT + 6, _RIGHT, data.unit)
    rows = [
        (f"n = {len(values)}", *_stack(values, x, "dot")),
        ("all", *_whisker(data.estimate, x, "estimate")),
        ("baseline", *_stack(others, x, "dot hollow")),
        ("" if others else "baseline", *_whisker(data.baseline, x, "baseline")),
    ]
    body, y = [], top
    for name, marks, height in rows:
        if marks:
            body.append(text(2, y + height - 2, name, "tick"))
            body.append(f'<g transform="translate(0 {y:.1f})">{marks}</g>')
            y += height + 8
    for number, (operator, limit) in enumerate(limits):
        at = x(limit)
        if operator in (">=", ">"):
            body.insert(0, rect(_LEFT + 6, top - 4, at - _LEFT - 6, y - top, "forbidden"))
        elif operator in ("<=", "<"):
            body.insert(0, rect(at, top - 4, _RIGHT - at, y - top, "forbidden"))
        label = f"limit {operator} {format_value(limit, data.unit)}"
        anchor = "middle" if 130 < at < 270 else "end" if at >= 270 else "start"
        body.append(line(at, top - 6, at, y - 4, "limit"))
        body.append(text(at, top - 10 - 12 * number, label, f"limit-text {anchor}"))
    frame = x.horizontal(top - 4, y - 4)
    summary = _spread_summary(data, values, limits)
    return figure(data.title, summary, frame + "".join(body), height=y + 26, note=data.note)


def _spread_summary(
    data: Spread, values: Sequence[float], limits: Sequence[tuple[str, float]]
) -> str:
    parts = [f"{data.title}: {len(values)} seeds"]
    if values:
        ends = (format_value(end, data.unit) for end in (min(values), max(values)))
        parts.append(" to ".join(ends))
    if data.estimate is not None:
        parts.append(f"all together {format_value(data.estimate[0], data.unit)}")
    parts += [f"limit {operator} {format_value(limit, data.unit)}" for operator, limit in limits]
    if data.baseline is not None:
        parts.append(f"baseline {format_value(data.baseline[0], data.unit)}")
    return ", ".join([*parts, data.note])


def _stack(values: Sequence[float], x: Axis, kind: str) -> tuple[str, float]:
    """Stack dots where values fall together; draw bars when the stacks get high."""
    size = 6.0
    bins: Counter[int] = Counter(int((x(value) - x.start) // size) for value in values)
    highest = max(bins.values(), default=0)
    height = size * min(highest, _DOTS) + 4
    marks = []
    for place, count in bins.items():
        left = x.start + place * size
        if highest > _DOTS:
            tall = max((height - 2) * count / highest, 1)
            marks.append(rect(left + 0.5, height - tall, size - 1, tall, f"bar {kind}"))
        else:
            dots = (height - size * (number + 0.5) - 1 for number in range(count))
            marks += [circle(left + size / 2, dot, 2.6, kind) for dot in dots]
    return "".join(marks), max(height, 12.0)


def _whisker(ends: tuple[float, float, float] | None, x: Axis, kind: str) -> tuple[str, float]:
    if ends is None or not usable(ends[:1]):
        return "", 0
    value, low, high = ends
    at, y = x(value), 7.0
    marks = ""
    if len(usable([low, high])) == 2:
        left, right = x(low), x(high)
        marks = line(left, y, right, y, kind)
        marks += line(left, y - 3, left, y + 3, kind) + line(right, y - 3, right, y + 3, kind)
    corners = [(at - 5, y), (at, y - 5), (at + 5, y), (at, y + 5)]
    return marks + path(corners, f"{kind} diamond", closed=True), 14.0


def curves(name: str, runs: Sequence[tuple[Floats, Floats]]) -> str:
    """Plot training curves: median, quartiles and extremes over seeds.

    Args:
        name: of the quantity.
        runs: steps, ascending, and values of each seed, all finite.
    """
    runs = [(s, v) for s, v in runs if s.size and usable(s) == list(s) and usable(v) == list(v)]
    if not runs:
        return ""
    ends = [float(end) for steps, _ in runs for end in (steps[0], steps[-1])]
    grid = np.linspace(min(ends), max(ends), _GRID)
    table = np.array([np.interp(grid, *run, left=np.nan, right=np.nan) for run in runs])
    # A seed of few steps may lie between two grid points, and a grid point between two seeds.
    covered = ~np.isnan(table).all(axis=0)
    grid, table = grid[covered], table[:, covered]
    if not grid.size:
        return ""
    levels = np.nanpercentile(table, (0, 25, 50, 75, 100), axis=0)
    bottom, top = 140.0, 20.0
    x = axis(ends, _LEFT, _RIGHT)
    y = axis([float(levels.min()), float(levels.max())], bottom, top)
    at = [x(float(step)) for step in grid]
    lowest, lower, middle, upper, highest = (
        list(zip(at, (y(float(value)) for value in level), strict=True)) for level in levels
    )
    body = y.vertical(_LEFT, _RIGHT) + x.horizontal(bottom, bottom)
    body += path([*lowest, *highest[::-1]], "extremes", closed=True)
    body += path([*lower, *upper[::-1]], "band", closed=True)
    body += path(middle, "line")
    body += text(_RIGHT, bottom + 27, "steps", "tick end")
    note = f"median, quartiles, extremes; {len(runs)} {'seed' if len(runs) == 1 else 'seeds'}"
    last = ", ".join(f"{format_value(float(level))}" for level in levels[1:4, -1])
    summary = f"{name} over training steps; at the end quartiles and median are {last}"
    return figure(f"{name} in training", summary, body, height=bottom + 30, note=note)


def latencies(name: str, samples: Histogram) -> str:
    """Plot the distribution of per-step samples on a logarithmic axis, with the deadline."""
    buckets = np.array(sorted(samples.counts), dtype=np.int64)
    values = bucket_value(buckets) if buckets.size else np.empty(0)
    counts = np.array([samples.counts[int(bucket)] for bucket in buckets], dtype=float)
    seen = (values > 0) & (values < 1e300)
    values, counts = values[seen], counts[seen]
    if not values.size:
        return ""
    bottom, top = 130.0, 34.0
    limit = usable([samples.limit])
    limit = limit if limit and limit[0] > 0 else []
    ends = [float(values[0]), float(values[-1]), *limit]
    x = axis(ends, _LEFT, _RIGHT, samples.unit, log=True)
    bins = min(60, max(1, values.size))
    place = np.array([int((x(float(value)) - _LEFT) / (_RIGHT - _LEFT) * bins) for value in values])
    heights = np.bincount(np.minimum(place, bins - 1), weights=counts, minlength=bins)
    y = Axis(0, float(heights.max()) / samples.count * 100, bottom, top, "%")
    width = (_RIGHT - _LEFT) / bins
    body = y.vertical(_LEFT, _RIGHT) + x.horizontal(top, bottom)
    for number, height in enumerate(heights):
        if height:
            at = y(float(height) / samples.count * 100)
            body += rect(_LEFT + number * width, at, width - 0.5, bottom - at, "bar dot")
    quantiles = [(f"p{q:g}", samples.quantile(q / 100)) for q in (50, 95, 99)]
    for _, value in quantiles:
        if value > 0:
            body += line(x(value), top - 4, x(value), bottom, "mark")
    for at in limit:
        anchor = "start" if x(at) < 200 else "end"
        body += line(x(at), top - 16, x(at), bottom, "limit")
        label = f"deadline {format_value(at, samples.unit)}"
        body += text(x(at), top - 20, label, f"limit-text {anchor}")
    figures = ", ".join(f"{q} {format_value(value, samples.unit)}" for q, value in quantiles)
    note = f"{samples.count} samples; lines: {figures}"
    if samples.limit is not None:
        note += f"; {samples.over_limit} over the deadline"
    return figure(name, f"{name}: {note}", body, height=bottom + 30, note=note)


def over_time(name: str, unit: str, points: Sequence[tuple[float, float]], note: str = "") -> str:
    """Plot a reading of each trial over the time at which the trial began.

    Args:
        name: of the reading.
        unit: base unit.
        points: seconds since the beginning of the run, and reading.
        note: e.g. its source.
    """
    points = sorted((t, v) for t, v in points if len(usable([t, v])) == 2)
    if not points:
        return ""
    bottom, top = 130.0, 22.0
    values = [value for _, value in points]
    x = axis([0.0, *(t for t, _ in points)], _LEFT, _RIGHT, "s")
    y = axis([0.0, *values] if min(values) >= 0 else values, bottom, top, unit)
    body = y.vertical(_LEFT, _RIGHT) + x.horizontal(bottom, bottom)
    if len(points) <= _MARKS:
        body += "".join(circle(x(t), y(v), 2.6, "dot") for t, v in points)
    else:
        size = math.ceil(len(points) / _GRID)
        groups = [points[start : start + size] for start in range(0, len(points), size)]
        at = [x(group[len(group) // 2][0]) for group in groups]
        levels = np.array(
            [np.percentile([value for _, value in group], (0, 50, 100)) for group in groups]
        )
        low, middle, high = (
            list(zip(at, map(y, map(float, level)), strict=True)) for level in levels.T
        )
        body += path([*low, *high[::-1]], "band", closed=True) + path(middle, "line")
        note = f"{note}; median and extremes of {size} trials each".removeprefix("; ")
    ends = f"{format_value(min(values), unit)} to {format_value(max(values), unit)}"
    summary = f"{name} of {len(points)} trials over time: {ends}"
    return figure(name, summary, body, height=bottom + 30, note=note)


def history(series: Series) -> str:
    """Plot a metric over runs, with its intervals and the steps that were found."""
    points = [point for point in series.points if usable([point.value])]
    if not points:
        return ""
    bottom, top = 140.0, 22.0
    ends = [v for p in points for v in usable([p.value, p.low, p.high])]
    y = axis(ends, bottom, top, series.unit)
    gap = (_RIGHT - _LEFT) / len(points)
    body = y.vertical(_LEFT, _RIGHT)
    bounds = [0, *(step.index for step in series.steps), len(points)]
    for first, last in pairwise(bounds):
        level = y(float(np.median([point.value for point in points[first:last]])))
        body += line(_LEFT + gap * first, level, _LEFT + gap * last, level, "level")
    for number, point in enumerate(points):
        at = _LEFT + gap * (number + 0.5)
        if len(usable([point.low, point.high])) == 2:
            body += line(at, y(point.low), at, y(point.high), "estimate")
        body += circle(at, y(point.value), 2.6, "dot", format_point(point, series.unit))
    for number, step in enumerate(series.steps):
        at = _LEFT + gap * step.index
        body += line(at, top - 8, at, bottom, "step")
        body += text(at, top - 10, f"step {number + 1}", "limit-text middle")
    for point, place, anchor in ((points[0], _LEFT, "start"), (points[-1], _RIGHT, "end")):
        if anchor == "end" or len(points) > 1:
            when = point.started[:16].replace("T", " ")
            body += text(place, bottom + 14, when, f"tick {anchor}")
            body += text(place, bottom + 27, point.commit, f"tick {anchor}")
    found = "; ".join(
        f"step {number + 1}: {describe_step(step, series)}"
        for number, step in enumerate(series.steps)
    )
    note = f"{series.where}, {len(points)} runs" + (f". {found}" if found else ", no step found")
    return figure(series.metric, f"{series.metric}: {note}", body, height=bottom + 30, note=note)
