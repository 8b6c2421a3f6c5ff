"""The report at the end of a run: a table for each scenario, then its gates."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from pytest_a2perf.gates.verdict import Verdict
from pytest_a2perf.metrics.base import Estimate, Metric
from pytest_a2perf.reports.export import Metrics, Verdicts
from pytest_a2perf.reports.flakiness import flaky_lines, flaky_scenarios
from pytest_a2perf.reports.verdict import format_estimate
from pytest_a2perf.runs.record import OUTCOMES, Record
from pytest_a2perf.trials.plan import PlannedGate

__all__ = ["write_summary"]

_NAME = 38
_VALUE = 22
_INDENT = 14
_COLOURS = {
    "pass": "green", "fail": "red", "undecided": "yellow", "skip": "yellow", "new": "yellow",
}  # fmt: skip


def write_summary(
    reporter: pytest.TerminalReporter,
    records: Mapping[str, Sequence[Record]],
    verdicts: Verdicts,
    metrics: Metrics,
    *,
    waiting: Sequence[str],
    notes: Sequence[str],
    problems: Sequence[str],
    summary: Sequence[str] = (),
) -> None:
    """Write the report; nothing at all for a run without trials.

    Args:
        reporter: pytest's terminal reporter.
        records: by scenario.
        verdicts: by node id of the gate.
        metrics: see `Metrics`.
        waiting: gates that were not judged because the run was stopped.
        notes: what else should be known.
        problems: what makes the run incomplete.
        summary: lines of the domains' own.
    """
    if not (records or verdicts or waiting or notes or problems):
        return
    count = sum(len(trials) for trials in records.values())
    scenarios = len(records)
    reporter.write_sep(
        "=", f"a2perf: {_plural(scenarios, 'scenario')}, {_plural(count, 'trial')}", bold=True
    )
    by_scenario: dict[str, list[tuple[PlannedGate, Verdict]]] = {}
    for gate, verdict in verdicts.values():
        by_scenario.setdefault(gate.scenario_id, []).append((gate, verdict))
    quiet = reporter.config.get_verbosity() < 0
    for scenario_id in sorted({*records, *by_scenario}):
        trials = records.get(scenario_id, [])
        gates = by_scenario.get(scenario_id, [])
        if not gates and quiet:
            continue
        reporter.write_line(scenario_id, bold=True)
        reporter.write_line(f"  {_describe(trials, gates)}")
        if not quiet:
            _write_metrics(reporter, metrics.get(scenario_id, ()))
        _write_gates(reporter, gates)
        reporter.write_line("")
    if flaky := flaky_scenarios(records):
        reporter.write_line("flaky", bold=True)
        for line in flaky_lines(flaky):
            _write(reporter, line)
        reporter.write_line("")
    for line in () if quiet else summary:
        _write(reporter, line)
    for nodeid in waiting:
        reporter.write_line(f"not judged, the run was stopped: {nodeid}", yellow=True)
    for note in notes:
        reporter.write_line(f"a2perf: {note}")
    for problem in problems:
        reporter.write_line(f"a2perf: {problem}", red=True, bold=True)


def _describe(trials: Sequence[Record], gates: Sequence[tuple[PlannedGate, Verdict]]) -> str:
    planned = {nodeid for gate, _ in gates for nodeid in gate.trials}
    recorded = {record.nodeid for record in trials}
    counts: Counter[str] = Counter(record.outcome for record in trials)
    counts["not_run"] += len(planned - recorded)
    parts = [f"{counts[name]} {name.replace('_', ' ')}" for name in OUTCOMES if counts[name]]
    total = len(planned | recorded)
    devices = sorted({record.device for record in trials if record.device})
    where = f" on {', '.join(devices)}" if devices else ""
    return f"{_plural(total, 'trial')}{where}: {', '.join(parts) or 'none run'}"


def _write_metrics(
    reporter: pytest.TerminalReporter, metrics: Sequence[tuple[Metric, Estimate]]
) -> None:
    group = ""
    for metric, estimate in metrics:
        if metric.group != group:
            group = metric.group
            reporter.write_line(f"  {group}")
        line = f"    {metric.name:<{_NAME}} {format_estimate(estimate):<{_VALUE}}"
        mark = "" if estimate.quality == "measured" else estimate.quality
        _write(reporter, f"{line} {mark}".rstrip())
    sources = {
        f"  {estimate.quality}: {estimate.source}"
        for _, estimate in metrics
        if estimate.quality != "measured"
    }
    for source in sorted(sources):
        for part in textwrap.wrap(source, 76, initial_indent="  ", subsequent_indent="    "):
            _write(reporter, part)


def _write_gates(
    reporter: pytest.TerminalReporter, gates: Sequence[tuple[PlannedGate, Verdict]]
) -> None:
    if gates:
        reporter.write_line("  gates")
    width = reporter._tw.fullwidth  # noqa: SLF001 - has no public name
    for gate, verdict in gates:
        reporter.write(f"    {verdict.name.upper():<9} ", **{_COLOURS[verdict.name]: True})
        line = f"{gate.metric} {verdict.condition}"
        details = [] if verdict.estimate is None else [f"got {format_estimate(verdict.estimate)}"]
        if details and _INDENT + len(line) + 2 + len(details[0]) <= width:
            line += f"  {details.pop()}"
        _write(reporter, line)
        if verdict.name != "pass":
            details.append(verdict.reason)
        for detail in details:
            for part in textwrap.wrap(detail, width - _INDENT):
                _write(reporter, " " * _INDENT + part)


def _write(reporter: pytest.TerminalReporter, line: str) -> None:
    """Write a line, in ASCII where the terminal cannot do better."""
    encoding = getattr(reporter._tw._file, "encoding", None) or "ascii"  # noqa: SLF001
    try:
        line.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        line = line.replace("±", "+-").replace("µ", "u").encode("ascii", "replace").decode()
    reporter.write_line(line)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
