"""The report as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pytest_a2perf.domains.assistant.gaia2.statistics import (
    CONFIDENCE,
    Figures,
    Mean,
    Pass,
    Rate,
    Report,
)
from pytest_a2perf.domains.assistant.gaia2.usage import Usage
from pytest_a2perf.units import format_number, format_value

__all__ = ["report_lines", "success_lines"]

_UNKNOWN, _NONE = "?", "-"
_COUNTED = {"error": "error (of the agent's code)", "timeout": "timeout"}
_NOT_COUNTED = {
    "infra": "infra (scenario, judge or server out of order)",
    "not_run": "not run",
    "unjudged": "not judged",
}


def report_lines(report: Report) -> Iterator[str]:
    """Yield the whole report."""
    yield from success_lines(report)
    rows = _rows(report)
    yield ""
    yield from _pass_lines(rows, "@", lambda row: row.pass_at)
    yield from _pass_lines(rows, "^", lambda row: row.pass_all)
    yield ""
    yield from _cost_lines(rows)


def success_lines(report: Report) -> Iterator[str]:
    """Yield what is needed to see how well it went, and what was not counted."""
    overall = report.overall
    yield f"{report.name} ({report.phase or 'unknown phase'})"
    said = [f"{name} {value}" for name, value in report.facts.items() if value]
    yield f"  {', '.join([*said, f'{overall.cases} cases, {report.tries} attempts at each'])}"
    columns = ["solved", "failed", *_shown(overall)]
    head = ["success", "cases", *(name.replace("_", " ") for name in columns), "rate"]
    percent = format_number(100 * CONFIDENCE)
    table = [[*head, "± s.e.", f"{percent} % interval"]]
    for row in _rows(report):
        counts = [str(row.counts[name]) for name in columns]
        name = "all (micro)" if row is overall else row.name
        table.append([name, str(row.cases), *counts, *_rate_cells(row.success)])
    if len(report.rows) > 1:
        empty = [""] * (len(columns) + 1)
        table.append(["mean of rows (macro)", *empty, *_rate_cells(report.macro)])
    yield from _table(table)
    yield from _sums("counted as failures", overall, _COUNTED)
    yield from _sums("not counted", overall, _NOT_COUNTED)
    if overall.cached:
        yield f"  {overall.cached} results are from the cache: no durations, no energy"


def _rows(report: Report) -> list[Figures]:
    """Return the rows that say something: a single one is the same as all."""
    return [*report.rows, report.overall] if len(report.rows) > 1 else list(report.rows)


def _shown(overall: Figures) -> list[str]:
    return [name for name in (*_COUNTED, *_NOT_COUNTED) if overall.counts[name]]


def _sums(what: str, figures: Figures, names: dict[str, str]) -> Iterator[str]:
    said = [f"{figures.counts[name]} {names[name]}" for name in names if figures.counts[name]]
    if said:
        yield f"  {what}: {', '.join(said)}"


def _rate_cells(rate: Rate | None) -> list[str]:
    if rate is None:
        return [_NONE, "", ""]
    error = "" if rate.error is None else f"{100 * rate.error:.1f}"
    return [f"{100 * rate.value:.1f} %", error, f"[{100 * rate.low:.1f}, {100 * rate.high:.1f}]"]


def _pass_lines(
    rows: Sequence[Figures], sign: str, passes: Callable[[Figures], Sequence[Pass]]
) -> Iterator[str]:
    ks = [one.k for one in passes(rows[-1])]
    yield from _table(
        [
            [f"pass{sign}k", *(f"k = {k}" for k in ks)],
            *(
                [row.name, *(_NONE if p.rate is None else _with_error(p.rate) for p in passes(row))]
                for row in rows
            ),
        ]
    )
    for one in passes(rows[-1]):
        if one.left_out:
            yield (
                f"  pass{sign}{one.k}: left out are {one.left_out} cases with fewer than {one.k} "
                "counted attempts"
            )


def _with_error(rate: Rate) -> str:
    error = "" if rate.error is None else f" ± {100 * rate.error:.1f}"
    return f"{100 * rate.value:.1f}{error} %"


def _cost_lines(rows: Sequence[Figures]) -> Iterator[str]:
    columns: list[tuple[str, Callable[[Figures], str]]] = [
        ("duration", lambda row: _mean(row.duration)),
        ("simulated", lambda row: _mean(row.simulated)),
        ("calls", lambda row: _sum(row.agent, "calls")),
        ("tokens", lambda row: _sum(row.agent, "tokens")),
        ("USD", lambda row: _sum(row.agent, "cost")),
        ("apps' agents USD", lambda row: _sum(row.experts, "cost")),
        ("USD/solved", _dollars),
        ("judge USD", lambda row: _sum(row.judge, "cost")),
        ("J/solved", _energy),
    ]
    cells = {head: [show(row) for row in rows] for head, show in columns}
    shown = {head: found for head, found in cells.items() if set(found) != {_NONE}}
    names = ["it took", *(row.name for row in rows)]
    columns_shown = [[head, *found] for head, found in shown.items()]
    yield from _table(list(zip(names, *columns_shown, strict=True)))
    for name, part in (
        ("agent", rows[-1].agent), ("apps' agents", rows[-1].experts), ("judge", rows[-1].judge),
    ):  # fmt: skip
        for what, unit in (("tokens", ""), ("cost", "USD")):
            found = getattr(part, what)
            if part.trials and found.missing:
                yield (
                    f"  {what} of the {name}: unknown of {found.missing} of {part.trials} trials; "
                    f"the others: {format_value(found.known, unit)}"
                )
    energy = rows[-1].energy
    if energy is not None and energy.quality != "measured":
        yield f"  J: {energy.quality}, {energy.source}"


def _mean(values: Mean | None) -> str:
    if values is None:
        return _NONE
    spread = "" if values.deviation is None else f" (sd {format_value(values.deviation, 's')})"
    return format_value(values.value, "s") + spread


def _sum(usage: Usage, what: str) -> str:
    if not usage.trials:
        return _NONE
    total = getattr(usage, what).total
    return _UNKNOWN if total is None else format_number(total)


def _dollars(row: Figures) -> str:
    value = row.dollars_per_solved()
    if value is not None:
        return format_number(value)
    return _UNKNOWN if row.agent.trials or row.experts.trials else _NONE


def _energy(row: Figures) -> str:
    return _UNKNOWN if row.energy is None else format_number(row.energy.value)


def _table(cells: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        first, *rest = line
        others = "".join(f"  {cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
        yield f"  {first:<{widths[0]}}{others}".rstrip()
