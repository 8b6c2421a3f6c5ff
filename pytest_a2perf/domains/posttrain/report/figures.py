"""The plots of a run, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from pytest_a2perf.domains.posttrain.report.data import Entry, Report
from pytest_a2perf.reports.html.svg import (
    WIDTH,
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
from pytest_a2perf.units import format_value

__all__ = ["resource_figures", "trajectory", "trajectory_file"]

_LEFT, _RIGHT = 46.0, 350.0
_BOTTOM, _TOP = 160.0, 24.0
_Z = 1.96
_STYLE = (
    "svg{background:#fff}text{font:11px sans-serif;fill:#55606c}.middle{text-anchor:middle}"
    ".end{text-anchor:end}.grid{stroke:#d4d9df}.dot{fill:#2563a8}.line{fill:none;stroke:#2563a8;"
    "stroke-width:2}.hollow{fill:none;stroke:#8a5a00;stroke-width:1.2}.baseline{stroke:#8a5a00;"
    "stroke-width:2}.band{fill:#2563a833}.estimate{stroke:#2563a8;stroke-width:2}.diamond{"
    "fill:#f6f7f9}.mark{stroke:#1b1f24}"
)


def trajectory(report: Report) -> str:
    """Plot the public scores over time, with baseline, its noise, and the private score."""
    body, summary, note = _trajectory(report)
    return figure("Score trajectory", summary, body, height=_BOTTOM + 30, note=note)


def trajectory_file(report: Report) -> str:
    """Return the same plot as a file of its own."""
    body, _, _ = _trajectory(report)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_BOTTOM + 30:g}">'
        f"<style>{_STYLE}</style>{body}</svg>\n"
    )


def _trajectory(report: Report) -> tuple[str, str, str]:
    """Return the plot's marks, what it shows in words, and its legend."""
    base = _base(report)
    scored = [entry for entry in report.timeline if entry.public is not None]
    values = usable([entry.public for entry in scored])
    noise = report.run.get("noise") or 0.0
    private = report.gain.chosen if report.gain is not None else None
    shown = [*values, *usable([base, private])]
    if base is not None and noise:
        shown += [base - _Z * noise, base + _Z * noise]
    if not shown:
        middle = text(WIDTH / 2, _BOTTOM / 2, "no submission has a score", "tick middle")
        return middle, "no submission has a score", ""
    ends = [entry.at for entry in report.timeline]
    x = axis([0.0, *ends, report.run.get("seconds") or 0.0], _LEFT, _RIGHT, "s")
    y = axis(shown, _BOTTOM, _TOP)
    parts = [y.vertical(_LEFT, _RIGHT), x.horizontal(_BOTTOM, _BOTTOM)]
    if base is not None:
        if noise:
            high, low = y(base + _Z * noise), y(base - _Z * noise)
            parts.append(rect(_LEFT, high, _RIGHT - _LEFT, low - high, "band"))
        parts.append(line(_LEFT, y(base), _RIGHT, y(base), "baseline"))
    parts.append(path([(x(e.at), y(e.public or 0.0)) for e in scored], "line"))
    parts += [_mark(entry, x, y) for entry in report.timeline]
    best = next((entry for entry in scored if entry.best), None)
    if private is not None and best is not None:
        at, level = x(best.at), y(private)
        corners = [(at - 5, level), (at, level - 5), (at + 5, level), (at, level + 5)]
        parts.append(path(corners, "estimate diamond", closed=True))
    legend = ["dots: public scores"]
    legend += ["line across: base model"] if base is not None else []
    legend += ["band: its evaluation noise"] if noise and base is not None else []
    legend += ["diamond: private score of the best"] if private is not None else []
    ends_in_words = f" from {values[0]:.1f} to {values[-1]:.1f}" if values else ""
    summary = f"{len(values)} scored submissions{ends_in_words}"
    summary += f", base model {base:.1f}" if base is not None else ""
    return "".join(parts), summary, "; ".join(legend)


def _mark(entry: Entry, x: Axis, y: Axis) -> str:
    at = x(entry.at)
    if entry.public is None:
        label = f"<title>{entry.number}: {entry.status}</title>"
        cross = line(at - 3, _BOTTOM - 6, at + 3, _BOTTOM, "mark")
        return f"<g>{label}{cross}{line(at - 3, _BOTTOM, at + 3, _BOTTOM - 6, 'mark')}</g>"
    label = f"submission {entry.number}: {entry.public:.2f}, {entry.route.label}"
    kind = "dot hollow" if entry.repeated else "dot"
    return circle(at, y(entry.public), 4.0 if entry.best else 2.6, kind, label)


def _base(report: Report) -> float | None:
    found = report.run.get("base_public")
    return float(found["value"]) if found else None


def resource_figures(report: Report) -> Iterator[str]:
    """Yield plots of busy cores, memory, disk, power and GPU over time."""
    samples = report.samples
    rates: tuple[tuple[str, str, Callable[[Mapping[str, Any]], float | None]], ...] = (
        ("Memory", "B", lambda sample: sample.get("memory")),
        ("Processes", "", lambda sample: sample.get("processes")),
        ("Disk", "B", lambda sample: sample.get("disk")),
        ("GPU in use", "", lambda sample: sample.get("gpu", {}).get("utilization")),
        ("GPU power", "W", lambda sample: sample.get("gpu", {}).get("watts")),
    )
    yield _over_time("CPU in use, in cores", "", _slope(samples, "cpu"))
    yield _over_time("CPU power", "W", _slope(samples, "joules"))
    for title, unit, of in rates:
        found = [(sample["clock"], of(sample)) for sample in samples]
        yield _over_time(title, unit, [(at, float(v)) for at, v in found if v is not None])


def _slope(samples: Any, name: str) -> list[tuple[float, float]]:
    """Return how fast a counter grew up to each sample."""
    points = []
    for before, after in pairwise(samples):
        seconds = after["clock"] - before["clock"]
        if seconds > 0 and name in before and name in after:
            points.append((after["clock"], max(0.0, after[name] - before[name]) / seconds))
    return points


def _over_time(title: str, unit: str, points: list[tuple[float, float]]) -> str:
    points = [point for point in points if usable(point) == list(point)]
    if len(points) < 2:
        return ""
    bottom, top = 100.0, 22.0
    x = axis([0.0, *(at for at, _ in points)], _LEFT, _RIGHT, "s")
    y = axis([0.0, *(value for _, value in points)], bottom, top, unit)
    body = y.vertical(_LEFT, _RIGHT) + x.horizontal(bottom, bottom)
    body += path([(x(at), y(value)) for at, value in points], "line")
    peak = max(value for _, value in points)
    summary = f"{title} over time, at most {format_value(peak, unit)}"
    return figure(title, summary, body, height=bottom + 30)
