"""From trials to A2Perf's tables: estimates become cells, sources and notes become footnotes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from pytest_a2perf.errors import A2PerfError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Definition, Direction, Estimate, Request
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.reports.a2perf.columns import Column, Part, Run, columns_of
from pytest_a2perf.reports.a2perf.rows import ROWS, Row
from pytest_a2perf.reports.a2perf.table import Cell, Line, Table
from pytest_a2perf.units import UNITS

__all__ = ["tables_of"]

_OTHER_MACHINES = "not compared: the algorithms ran on different machines"
_COST = "data_cost"


def tables_of(runs: Sequence[Run], definition: Definition = "default") -> list[Table]:
    """Return a table for each domain and task of some runs, in alphabetical order.

    Raises:
        A2PerfError: the runs hold different versions of a scenario, or nothing that has a task; a
            number is in a unit that its row cannot show.
    """
    return [_table(*key, columns, definition) for key, columns in columns_of(runs).items()]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A cell before it is compared with its row.

    Attributes:
        estimate: in base units.
        spread: in base units.
        factor: of the base unit to the row's.
    """

    estimate: Estimate
    spread: float
    factor: float


class _Notes:
    """Footnotes: each text once, lettered in the order of first use."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def mark(self, text: str) -> str:
        number = len(self._letters)
        letter = ascii_lowercase[number % 26] * (number // 26 + 1)
        return self._letters.setdefault(text, letter)

    def listed(self) -> tuple[tuple[str, str], ...]:
        return tuple((letter, text) for text, letter in self._letters.items())


def _table(domain: str, task: str, columns: Sequence[Column], definition: Definition) -> Table:
    notes = _Notes()
    lines: list[Line] = []
    costs = any(_has_cost(column) for column in columns)
    for row in ROWS:
        if row.metrics == ("energy.total_with_data",) and not costs:
            continue  # it would repeat the energy
        line = _line(row, columns, definition, notes)
        if line is not None:
            lines.append(line)
    sources = tuple(
        f"{column.algorithm}: {'; '.join(map(str, column.parts.values()))}" for column in columns
    )
    algorithms = tuple(column.algorithm for column in columns)
    return Table(domain, task, definition, algorithms, tuple(lines), notes.listed(), sources)


def _has_cost(column: Column) -> bool:
    part = column.parts.get("train")
    return part is not None and any(_COST in record.reported for record in part.records)


def _line(
    row: Row, columns: Sequence[Column], definition: Definition, notes: _Notes
) -> Line | None:
    """Return a row of the table, or None where no algorithm has data for it."""
    parts = [column.parts.get(row.phase) for column in columns]
    candidates = [
        (name, [_entry(row, name, part, definition) for part in parts]) for name in row.metrics
    ]
    name, entries = max(candidates, key=lambda pair: sum(entry is not None for entry in pair[1]))
    used = [part for part, entry in zip(parts, entries, strict=True) if part and entry]
    if not used:
        return None
    direction = resolve(name).direction
    alike = row.category != "System" or len({frozenset(part.machines) for part in used}) == 1
    best = _best(entries, direction) if alike else None
    cells = [
        None if entry is None else _cell(entry, notes, best=entry is best) for entry in entries
    ]
    marks = () if alike else (notes.mark(_OTHER_MACHINES),)
    label = row.label.format(episodes=_episodes(used))
    return Line(row.category, row.phase_label, label, direction, tuple(cells), marks)


def _entry(row: Row, name: str, part: Part | None, definition: Definition) -> _Entry | None:
    if part is None:
        return None
    try:
        estimate = resolve(name).estimate(part.records, Request(definition=definition))
    except UnsupportedSampleError:
        return None
    base, factor = UNITS[row.unit]
    found, own = UNITS.get(estimate.unit, ("", math.nan))
    if found != base or math.isnan(own):
        raise A2PerfError(
            f"{part.scenario}: {name} is in {estimate.unit or 'no unit'!r}, which A2Perf's table "
            f"cannot show in {row.unit or 'no unit'!r}; report it in {base or 'no unit'!r}"
        )
    try:
        spread = math.nan if row.spread is None else row.spread(name, part.records, definition)
    except UnsupportedSampleError:
        spread = math.nan
    return _Entry(estimate, spread, own / factor)


def _cell(entry: _Entry, notes: _Notes, *, best: bool) -> Cell:
    estimate = entry.estimate
    texts = [f"{estimate.quality}: {estimate.source}"] if estimate.source else []
    texts += [estimate.note] if estimate.note else []
    marks = tuple(notes.mark(text) for text in texts)
    return Cell(estimate.value * entry.factor, entry.spread * entry.factor, marks, best)


def _best(entries: Sequence[_Entry | None], direction: Direction) -> _Entry | None:
    """Return the best, or None where its interval overlaps another, or one has no interval.

    Intervals that lie apart claim a difference less often than a test of it at 5 % would (Schenker
    and Gentleman, "On Judging the Significance of Differences by Examining the Overlap Between
    Confidence Intervals", 2001): too little rather than too much.
    """
    found = [entry for entry in entries if entry is not None]
    if len(found) < 2 or not all(entry.estimate.has_interval for entry in found):
        return None
    sign = 1 if direction == "higher" else -1
    best, *others = sorted(found, key=lambda entry: -sign * entry.estimate.value)
    low = min(sign * best.estimate.low, sign * best.estimate.high)
    highest = max(sign * end for o in others for end in (o.estimate.low, o.estimate.high))
    return best if low > highest else None


def _episodes(parts: Sequence[Part]) -> str:
    """Return the episodes that a trial has of each task, if all have the same number."""
    counts = set()
    for part in parts:
        for record in part.records:
            tasks = {episode.task for episode in record.episodes}
            counts |= {len(record.episodes) / len(tasks)} if tasks else set()
    return f"{counts.pop():g} " if len(counts) == 1 else ""
