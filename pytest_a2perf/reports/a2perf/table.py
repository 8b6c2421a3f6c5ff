"""A2Perf's table of a task, ready to be written in any format."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_a2perf.metrics.base import Definition, Direction

__all__ = ["LEGEND", "MISSING", "Cell", "Line", "Table", "format_number"]

LEGEND = (
    "Mean ± standard deviation. ↑: higher is better, ↓: lower. Bold: the best, where its 95 % "
    "interval lies apart from those of all others."
)
MISSING = "\N{EN DASH}"
"""Stands where an algorithm has no data."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of the table.

    Attributes:
        value: in the row's unit.
        spread: standard deviation; NaN where there is none.
        marks: letters of its footnotes.
        best: whether it is the row's best beyond doubt.
    """

    value: float
    spread: float = math.nan
    marks: tuple[str, ...] = ()
    best: bool = False

    @property
    def numbers(self) -> tuple[str, ...]:
        """The value, and the standard deviation where there is one, as printed."""
        value = format_number(self.value)
        return (value,) if math.isnan(self.spread) else (value, format_number(self.spread))


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table.

    Attributes:
        category, phase, label: what it is, the label with its unit.
        direction: which way is better.
        cells: one for each algorithm; None where there are no data.
        marks: letters of footnotes to the row.
    """

    category: str
    phase: str
    label: str
    direction: Direction
    cells: tuple[Cell | None, ...]
    marks: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """The label with an arrow towards what is better."""
        return f"{self.label} {'↑' if self.direction == 'higher' else '↓'}"


@dataclass(frozen=True, slots=True)
class Table:
    """The table of a task.

    Attributes:
        domain, task: its subject.
        definition: of the metrics.
        algorithms: heads of the columns.
        lines: its rows.
        notes: footnotes by letter.
        sources: what each column rests on.
    """

    domain: str
    task: str
    definition: Definition
    algorithms: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[tuple[str, str], ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """What it shows."""
        own = ", by A2Perf's own definitions" if self.definition == "a2perf" else ""
        return f"{self.domain}: {self.task}{own}"

    def grouped(self) -> list[tuple[str, str, Line]]:
        """Return the lines with category and phase, both empty where the line above has them."""
        found = []
        before = ("", "")
        for line in self.lines:
            category = line.category if line.category != before[0] else ""
            phase = line.phase if category or line.phase != before[1] else ""
            found.append((category, phase, line))
            before = line.category, line.phase
        return found


def format_number(value: float) -> str:
    """Print a number as A2Perf does: two decimals, scientific below 0.01 (and from 10⁷ on)."""
    size = abs(value)
    if size == 0 or 0.01 <= size < 1e7 or not math.isfinite(value):
        return f"{value:.2f}"
    return f"{value:.2e}"
