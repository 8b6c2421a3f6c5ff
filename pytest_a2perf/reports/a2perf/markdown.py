"""A2Perf's tables in Markdown, as GitHub and MkDocs render it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_a2perf.reports.a2perf.table import LEGEND, MISSING, Cell, Table

__all__ = ["markdown"]


def markdown(tables: Sequence[Table], provenance: Sequence[str]) -> str:
    """Return the tables, one below the other.

    Args:
        tables: at least one.
        provenance: lines that say where the numbers come from.
    """
    parts = ["\n".join(_table(table)) for table in tables]
    parts.append("\n".join([_escape(LEGEND), "", *(f"- {_escape(line)}" for line in provenance)]))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> Iterator[str]:
    yield f"**{_escape(table.caption)}**"
    yield ""
    yield _row("Category", "Phase", "Metric", *map(_escape, table.algorithms))
    yield "|---|---|---|" + "---:|" * len(table.algorithms)
    for category, phase, line in table.grouped():
        heading = _escape(line.heading) + _marks(line.marks)
        yield _row(category, phase, heading, *map(_cell, line.cells))
    if table.notes or table.sources:
        yield ""
    for letter, text in table.notes:
        yield f"- <sup>{letter}</sup> {_escape(text)}"
    for text in table.sources:
        yield f"- {_escape(text)}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return MISSING
    numbers = " ± ".join(cell.numbers)
    return (f"**{numbers}**" if cell.best else numbers) + _marks(cell.marks)


def _marks(letters: Sequence[str]) -> str:
    return f"<sup>{','.join(letters)}</sup>" if letters else ""


def _escape(text: str) -> str:
    """Keep text from being Markdown or HTML; a line break becomes a blank."""
    return re.sub(r"([\\`*_\[\]<>|~&$])", r"\\\1", " ".join(text.split()))
