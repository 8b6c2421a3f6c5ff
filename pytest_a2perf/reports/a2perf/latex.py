"""A2Perf's tables in LaTeX; they need the package ``booktabs``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_a2perf.reports.a2perf.table import LEGEND, MISSING, Cell, Table

__all__ = ["latex"]

_SIGNS = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", MISSING: "--",
    **{sign: f"\\{sign}" for sign in "#$%&_{}"},
}  # fmt: skip
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))


def latex(tables: Sequence[Table], provenance: Sequence[str]) -> str:
    r"""Return a ``table`` environment for each table, to be read by ``\input``.

    Args:
        tables: at least one.
        provenance: lines that say where the numbers come from; they become comments.
    """
    lines = [r"% needs \usepackage{booktabs}"]
    lines += [f"% {' '.join(line.split())}" for line in provenance]
    for table in tables:
        lines += _table(table)
    return "\n".join(lines) + "\n"


def _table(table: Table) -> Iterator[str]:
    yield ""
    yield r"\begin{table}[htbp]"
    yield r"  \centering"
    yield f"  \\caption{{{_escape(table.caption)}}}"
    yield f"  \\begin{{tabular}}{{lll{'r' * len(table.algorithms)}}}"
    yield r"    \toprule"
    yield _row("Category", "Phase", "Metric", *map(_escape, table.algorithms))
    yield r"    \midrule"
    for place, (category, phase, line) in enumerate(table.grouped()):
        if category and place:
            yield r"    \addlinespace"
        heading = _escape(line.heading) + _marks(line.marks)
        yield _row(category, phase, heading, *map(_cell, line.cells))
    yield r"    \bottomrule"
    yield r"  \end{tabular}"
    yield ""
    yield r"  \medskip"
    notes = [f"{_marks([letter])}{_escape(text)}." for letter, text in table.notes]
    texts = [_escape(LEGEND), *notes, *(f"{_escape(text)}." for text in table.sources)]
    yield "  {\\footnotesize\\raggedright " + "\n    ".join(texts) + "\\par}"
    yield r"\end{table}"


def _row(*cells: str) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return _SIGNS[MISSING]
    numbers = r" \pm ".join(map(_number, cell.numbers))
    return (f"$\\mathbf{{{numbers}}}$" if cell.best else f"${numbers}$") + _marks(cell.marks)


def _number(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    if not e:
        return f"\\mathrm{{{text}}}" if text.lstrip("-").isalpha() else text
    return f"{mantissa} \\times 10^{{{int(exponent)}}}"


def _marks(letters: Sequence[str]) -> str:
    return f"\\textsuperscript{{{','.join(letters)}}}" if letters else ""


def _escape(text: str) -> str:
    return _SIGN.sub(lambda found: _SIGNS[found[0]], " ".join(text.split()))
