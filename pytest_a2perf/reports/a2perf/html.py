"""A2Perf's tables as a page of HTML: one file, without scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from pytest_a2perf.reports.a2perf.table import LEGEND, MISSING, Cell, Line, Table

__all__ = ["html"]

_STYLE = """
:root {
  color-scheme: light dark;
  --back: #fff; --panel: #f6f7f9; --ink: #1b1f24; --soft: #55606c; --edge: #d4d9df; --link: #0a58b5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171b; --panel: #1c2127; --ink: #e6e9ed; --soft: #a5afba; --edge: #38414b;
    --link: #7db6ff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--back); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif;
}
h1 { margin: 0 0 1rem; font-size: 1.5rem; }
section { margin: 0 0 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
caption { padding: .5rem 0; text-align: left; font-size: 1.1rem; font-weight: 600; }
th, td { padding: .3rem .8rem; text-align: left; vertical-align: top; white-space: nowrap; }
th { font-weight: normal; }
thead th, tbody th[scope=rowgroup] { font-weight: 600; }
thead th { background: var(--panel); border-bottom: 2px solid var(--edge); }
tbody { border-bottom: 1px solid var(--edge); }
th.phase { color: var(--soft); }
td, th.algorithm { text-align: right; font-variant-numeric: tabular-nums; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
sup { line-height: 0; }
@media (max-width: 45rem) {
  th, td { padding: .3rem .4rem; }
  tbody th { min-width: 5rem; white-space: normal; }
}
.notes, footer { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
.notes ul { margin: .5rem 0; padding-left: 1.2rem; }
"""


def html(tables: Sequence[Table], provenance: Sequence[str]) -> str:
    """Return a page that holds all it needs.

    Args:
        tables: at least one.
        provenance: lines that say where the numbers come from.
    """
    sections = "\n".join(_section(table, number) for number, table in enumerate(tables))
    footer = "".join(f"<p>{escape(line)}</p>\n" for line in provenance)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>A2Perf's table</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>A2Perf's table</h1>
<p>{escape(LEGEND)}</p>
{sections}
</main>
<footer>
{footer}</footer>
</body>
</html>
"""


def _section(table: Table, number: int) -> str:
    heads = [f'<th scope="col">{head}</th>' for head in ("Category", "Phase", "Metric")]
    heads += [f'<th scope="col" class="algorithm">{escape(name)}</th>' for name in table.algorithms]
    bodies = "".join(
        f"<tbody>\n{''.join(_rows(category, list(lines), number))}</tbody>\n"
        for category, lines in groupby(table.lines, key=lambda line: line.category)
    )
    notes = "".join(
        f'<li id="note-{number}-{letter}"><sup>{letter}</sup> {escape(text)}</li>\n'
        for letter, text in table.notes
    )
    sources = "".join(f"<li>{escape(text)}</li>\n" for text in table.sources)
    caption = escape(table.caption)
    return (
        f'<section><div class="scroll" role="region" aria-label="{caption}" tabindex="0">\n'
        f"<table><caption>{caption}</caption>\n<thead><tr>{''.join(heads)}</tr></thead>\n{bodies}"
        f'</table></div>\n<div class="notes"><ul>\n{notes}{sources}</ul></div></section>'
    )


def _rows(category: str, lines: Sequence[Line], number: int) -> Iterator[str]:
    """Yield the rows of a category; its head, and those of the phases, span theirs."""
    first = f'<th scope="rowgroup" rowspan="{len(lines)}">{escape(category)}</th>'
    for phase, group in groupby(lines, key=lambda line: line.phase):
        of_phase = list(group)
        second = f'<th scope="row" class="phase" rowspan="{len(of_phase)}">{escape(phase)}</th>'
        for line in of_phase:
            heading = f"{escape(line.heading)}{_marks(line.marks, number)}"
            cells = "".join(f"<td>{_cell(cell, number)}</td>" for cell in line.cells)
            yield f'<tr>{first}{second}<th scope="row">{heading}</th>{cells}</tr>\n'
            first = second = ""


def _cell(cell: Cell | None, number: int) -> str:
    if cell is None:
        return MISSING
    numbers = " ± ".join(cell.numbers)
    text = f"<strong>{numbers}</strong>" if cell.best else numbers
    return text + _marks(cell.marks, number)


def _marks(letters: Sequence[str], number: int) -> str:
    links = ",".join(f'<a href="#note-{number}-{letter}">{letter}</a>' for letter in letters)
    return f"<sup>{links}</sup>" if letters else ""
