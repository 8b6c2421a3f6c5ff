"""Axes and marks of the report's plots, as SVG text that takes its colours from the style sheet.

A plot is 360 units wide, the width of a phone, so that its text is as large there as elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from pytest_a2perf.units import printed_unit

__all__ = ["WIDTH", "Axis", "axis", "circle", "figure", "line", "path", "rect", "text", "usable"]

WIDTH = 360
_LARGEST = 1e300  # beyond, differences of two numbers may be infinite
_MANTISSAS = (1.0, 2.0, 5.0, 10.0)


def usable(values: Iterable[float | None]) -> list[float]:
    """Return the values that can be drawn."""
    return [v for v in values if v is not None and math.isfinite(v) and abs(v) < _LARGEST]


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to positions.

    Attributes:
        low, high: the values at its ends, ``low < high``.
        start, end: their positions.
        unit: printed unit.
        factor: of the printed unit.
        log: whether it is logarithmic; then ``low > 0``.
    """

    low: float
    high: float
    start: float
    end: float
    unit: str = ""
    factor: float = 1.0
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the position of a value; those outside are put on the border."""
        low, high, value = (self._scaled(v) for v in (self.low, self.high, value))
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return self.start + share * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log(max(value, self.low)) if self.log else value

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return round values on the axis with their labels."""
        low, high = self.low / self.factor, self.high / self.factor
        if self.log and high / low >= 10:
            return self._log_ticks(low, high, most)
        rough = (high - low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in _MANTISSAS if m * power >= rough * 0.999)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        values = [number * step for number in range(first, last + 1)]
        plain = decimals <= 5 and max(map(abs, values), default=0) < 1e6
        style = f".{decimals}f" if plain else ".4g"
        return [(value * self.factor, f"{value + 0.0:{style}}") for value in values]

    def _log_ticks(self, low: float, high: float, most: int) -> list[tuple[float, str]]:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        mantissas = (1.0, 2.0, 5.0) if len(decades) <= 3 else (1.0,)
        values = [m * 10.0**decade for decade in decades for m in mantissas]
        shown = [value for value in values if low <= value <= high]
        every = math.ceil(len(shown) / (most + 1))
        return [(value * self.factor, f"{value:.6g}") for value in shown[::every]]

    def horizontal(self, top: float, bottom: float) -> str:
        """Draw it below a plot, with grid lines upwards; the unit stands at its end."""
        parts = []
        for value, label in self.ticks():
            x = self(value)
            parts += [line(x, top, x, bottom, "grid"), text(x, bottom + 13, label, "tick middle")]
        if self.unit:
            parts.append(text(WIDTH - 2, bottom + 27, self.unit, "tick end"))
        return "".join(parts)

    def vertical(self, left: float, right: float) -> str:
        """Draw it left of a plot, with grid lines to the right; the unit stands above it."""
        parts = []
        for value, label in self.ticks(4):
            y = self(value)
            parts += [line(left, y, right, y, "grid"), text(left - 4, y + 4, label, "tick end")]
        if self.unit:
            parts.append(text(left - 4, self.end - 8, self.unit, "tick end"))
        return "".join(parts)


def axis(
    values: Sequence[float], start: float, end: float, unit: str = "", *, log: bool = False
) -> Axis:
    """Return an axis that holds values, with some room around them.

    Args:
        values: to be shown; at least one, all `usable`, and positive where ``log``.
        start: position of its low end.
        end: position of its high end.
        unit: base unit.
        log: whether it is to be logarithmic.
    """
    low, high = min(values), max(values)
    if log:
        low, high = low / 1.15, high * 1.15
    else:
        room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        low = 0.0 if low >= 0 and low - room < 0 else low - room
        high += room
    name, factor = printed_unit(max(abs(low), abs(high)), unit)
    return Axis(low, high, start, end, name, factor, log)


def figure(title: str, summary: str, body: str, *, height: float, note: str = "") -> str:
    """Wrap a plot: a caption, and a summary in words for those who do not see it."""
    small = f" <small>{escape(note)}</small>" if note else ""
    return (
        f"<figure><figcaption>{escape(title)}{small}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(summary)}">'
        f"{body}</svg></figure>\n"
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Draw a line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Draw a rectangle."""
    size = f'width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" {size}/>'


def circle(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    """Draw a dot, with a tooltip."""
    mark = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"'
    return f"{mark}><title>{escape(title)}</title></circle>" if title else f"{mark}/>"


def path(points: Iterable[tuple[float, float]], kind: str, *, closed: bool = False) -> str:
    """Draw straight lines through points."""
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{kind}" d="M{steps}{"Z" * closed}"/>' if steps else ""


def text(x: float, y: float, words: str, kind: str) -> str:
    """Write words."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'
