"""A metric over runs, on a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.metrics.base import Estimate
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.reports.verdict import format_estimate
from pytest_a2perf.runs.history import Point, Series, Step
from pytest_a2perf.units import format_number, format_value

__all__ = ["ascii_only", "describe_step", "format_point", "history_lines"]

_WIDTH = 80
_PLOT = 29


def history_lines(series: Sequence[Series]) -> Iterator[str]:
    """Yield the lines of a report: a block for each series, a line for each run."""
    for number, one in enumerate(series):
        if number:
            yield ""
        yield one.scenario
        yield f"  {one.metric}, {one.where}"
        yield from _block(one)


def _block(series: Series) -> Iterator[str]:
    points = series.points
    ends = [v for p in points for v in (p.value, p.low, p.high) if math.isfinite(v)]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    steps = {step.index: step for step in series.steps}
    for number, point in enumerate(points):
        if number in steps:
            words = f" step: {describe_step(steps[number], series)} "
            yield f"  {words:─^{_WIDTH - 2}}"
        when = point.started[:16].replace("T", " ")
        value = format_estimate(_estimate(point, series.unit))
        yield f"  {when} {point.commit:<9} {_dot(point, low, high)} {value}"[:_WIDTH].rstrip()
    if not series.steps:
        yield f"  no step in {len(series.points)} runs"


def _dot(point: Point, low: float, high: float) -> str:
    """Draw a value and its interval on a line of text."""

    def place(value: float) -> int:
        share = 0.5 if high <= low else (value / 2 - low / 2) / (high / 2 - low / 2)
        return round(share * (_PLOT - 1))

    cells = [" "] * _PLOT
    if math.isfinite(point.low) and math.isfinite(point.high):
        for cell in range(place(point.low), place(point.high) + 1):
            cells[cell] = "─"
    if math.isfinite(point.value):
        cells[place(point.value)] = "●"
    return f"│{''.join(cells)}│"


def describe_step(step: Step, series: Series) -> str:
    """Say from where to where, by how much, whether that is better, and how sure it is."""
    before, after = (format_value(value, series.unit) for value in (step.before, step.after))
    share = (step.after - step.before) / abs(step.before) if step.before else math.inf
    change = f" ({100 * share:+.3g} %)" if math.isfinite(share) else ""
    try:
        direction = resolve(series.metric).direction
    except UnknownNameError:  # of an extension that is not there
        direction = "none"
    judgement = ""
    if direction != "none":
        better = (step.after > step.before) == (direction == "higher")
        judgement = ", better" if better else ", worse"
    return f"{before} -> {after}{change}{judgement}, p = {format_number(step.p)}"


def format_point(point: Point, unit: str) -> str:
    """Print a run's value with when and on what it was reached."""
    value = format_estimate(_estimate(point, unit))
    return f"{point.started[:16].replace('T', ' ')} {point.commit}: {value}, {point.n} trials"


def _estimate(point: Point, unit: str) -> Estimate:
    return Estimate(point.value, unit, low=point.low, high=point.high)


def ascii_only(line: str) -> str:
    """Replace what a terminal without Unicode cannot show."""
    for sign, plain in {"±": "+-", "µ": "u", "─": "-", "●": "o", "│": "|"}.items():
        line = line.replace(sign, plain)
    return line.encode("ascii", "replace").decode()
