"""What the HTML report shows of a run, aggregated so that its size hardly grows with the trials."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import numpy as np

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.gates.verdict import Verdict
from pytest_a2perf.metrics.base import Definition, Metric, Request
from pytest_a2perf.metrics.curves import runs_of
from pytest_a2perf.metrics.evidence import Floats, usable
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.reports.export import Verdicts
from pytest_a2perf.reports.html.plots import Spread
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.history import Series, series_of
from pytest_a2perf.runs.record import Curve, Record
from pytest_a2perf.trials.plan import PlannedGate

__all__ = [
    "Failure", "Report", "failures", "histories", "learning", "meters", "samples", "spreads",
    "trial_table",
]  # fmt: skip

_MOST_FAILURES = 30
_MOST_HISTORIES = 100
_MOST_TRACEBACK = 6000
_METERS = ("energy", "gpu.power.mean", "memory.peak", "gpu.memory.peak", "gpu.temperature")


@dataclass(frozen=True)
class Report:
    """A run as it is to be reported.

    Attributes:
        run: as ``run.json`` has it.
        records: by scenario.
        verdicts: by node id of the gate.
        waiting: gates that were not judged.
        problems: what makes the run incomplete.
        runs: this run and earlier ones, the oldest first.
    """

    run: Mapping[str, Any]
    records: Mapping[str, Sequence[Record]]
    verdicts: Verdicts
    waiting: Sequence[str] = ()
    problems: Sequence[str] = ()
    runs: Sequence[Mapping[str, Any]] = ()

    def gates(self, scenario: str) -> list[tuple[PlannedGate, Verdict]]:
        """Return the gates of a scenario with their verdicts."""
        return [pair for pair in self.verdicts.values() if pair[0].scenario_id == scenario]

    def scenarios(self) -> list[str]:
        """Return the ids of all scenarios."""
        gated = {gate.scenario_id for gate, _ in self.verdicts.values()}
        return sorted({*self.records, *gated})


def spreads(report: Report, scenario: str) -> Iterator[Spread]:
    """Yield what each gate of a scenario judges, or its return where it has no gate."""
    records = usable(report.records.get(scenario, ()))
    gates = report.gates(scenario)
    for gate, verdict in gates:
        data = verdict.to_json()
        request = Request(definition=cast("Definition", gate.definition))
        conditions = gate.spec.get("conditions") or ()
        yield Spread(
            gate.metric,
            verdict.name.upper(),
            data.get("unit", ""),
            _each(resolve(gate.metric), records, request),
            [(c["operator"], float(c["limit"])) for c in conditions],
            _ends(data),
            _ends(data.get("baseline") or {}),
            _numbers(data.get("baseline_values")),
        )
    if not gates:
        data = report.run.get("scenarios", {}).get(scenario, {}).get("metrics", {})
        name = "return.mean"
        if name in data:
            values = _each(resolve(name), records, Request())
            yield Spread(name, "no gate", "", values, estimate=_ends(data[name]))


def _ends(estimate: Any) -> tuple[float, float, float] | None:
    """Return value, low and high of a mapping; None where it has no value."""
    found = [estimate.get(name) for name in ("value", "low", "high")]
    if not isinstance(found[0], int | float):
        return None
    value, low, high = (v if isinstance(v, int | float) else math.nan for v in found)
    return value, low, high


def _numbers(values: Any) -> list[float]:
    listed = values if isinstance(values, list | tuple) else ()
    return [float(value) for value in listed if isinstance(value, int | float)]


def _each(metric: Metric, records: Sequence[Record], request: Request) -> list[float]:
    """Return a metric of each trial by itself; nothing where it takes several trials."""
    values = []
    for record in records:
        try:
            value = metric.estimate([record], request).value
        except UnsupportedSampleError:
            continue
        if math.isfinite(value):
            values.append(value)
    return values


def learning(records: Sequence[Record]) -> Iterator[tuple[str, list[tuple[Floats, Floats]]]]:
    """Yield the training curves of a scenario by name, as steps and values of each seed."""
    records = usable(records)
    for name in sorted({name for record in records for name in record.curves}):
        finite = [_finite(record.curves[name]) for record in records if name in record.curves]
        yield name, runs_of(finite)


def _finite(curve: Curve) -> Curve:
    steps, values = (np.asarray(part, dtype=float) for part in (curve.step, curve.value))
    size = min(len(steps), len(values))
    steps, values = steps[:size], values[:size]
    kept = np.isfinite(steps) & np.isfinite(values) & (np.abs(values) < 1e100)
    return Curve(steps[kept].tolist(), values[kept].tolist())


def samples(records: Sequence[Record]) -> Iterator[tuple[str, Histogram]]:
    """Yield the per-step samples of all trials by name, those of one unit and deadline together."""
    found: dict[tuple[str, str, float | None], list[Histogram]] = {}
    for record in usable(records):
        for name, histogram in record.samples.items():
            found.setdefault((name, histogram.unit, histogram.limit), []).append(histogram)
    for key in sorted(found, key=str):
        yield key[0], Histogram.merge(found[key])


def meters(
    records: Sequence[Record],
) -> Iterator[tuple[str, str, list[tuple[float, float]], str]]:
    """Yield name, unit, points and source of the meters' readings over the time of the run."""
    begun = [(record, time) for record in records if (time := _seconds(record.started))]
    first = min((time for _, time in begun), default=0.0)
    power = []
    for name in _METERS:
        readings = [
            (time - first, record.quantities[name])
            for record, time in begun
            if name in record.quantities
        ]
        for unit in sorted({reading.unit for _, reading in readings}):
            of_unit = [(time, reading) for time, reading in readings if reading.unit == unit]
            sources = sorted({f"{r.source}, {r.quality}" for _, r in of_unit})
            note = "; ".join(sources)
            yield name, unit, [(time, reading.value) for time, reading in of_unit], note
            if name == "energy" and unit == "J":
                power = [(t, r.value / r.window) for t, r in of_unit if r.window]
        if power:
            yield "power", "W", power, "energy by its window"
            power = []


def _seconds(started: str) -> float:
    try:
        return datetime.fromisoformat(started).timestamp()
    except (ValueError, OverflowError):
        return 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Trials that ended the same way.

    Attributes:
        outcome: of the trials.
        kind: type of the error.
        message: that of the first of them.
        traceback: of one of them.
        trials: their node ids.
    """

    outcome: str
    kind: str
    message: str
    traceback: str
    trials: tuple[str, ...]


def failures(records: Mapping[str, Sequence[Record]]) -> list[Failure]:
    """Group trials by error, the most frequent first."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in (record for trials in records.values() for record in trials):
        if record.error is not None:
            message = record.error.get("message", "")
            # Seeds, steps and times differ; that does not make it another error.
            key = (record.outcome, record.error.get("type", ""), re.sub(r"\d+", "#", message))
            groups.setdefault(key, []).append(record)
    common = sorted(groups.items(), key=lambda group: -len(group[1]))[:_MOST_FAILURES]
    return [
        Failure(
            outcome,
            kind,
            (trials[0].error or {}).get("message", "")[:_MOST_TRACEBACK],
            ((trials[0].error or {}).get("traceback") or "")[-_MOST_TRACEBACK:],
            tuple(record.nodeid for record in trials),
        )
        for (outcome, kind, _), trials in common
    ]


def histories(report: Report) -> list[Series]:
    """Return the metrics that gates judge over this and earlier runs on the same machine.

    Of many gates those that did not pass come first, and a hundred are shown.
    """
    pairs = [
        (gate.scenario_id, gate.metric)
        for gate, _ in sorted(report.verdicts.values(), key=lambda pair: pair[1].name == "pass")
    ]
    gated = {scenario for scenario, _ in pairs}
    pairs += [(scenario, "return.mean") for scenario in report.records if scenario not in gated]
    wanted = set(list(dict.fromkeys(pairs))[:_MOST_HISTORIES])
    current = report.run.get("id")
    return [
        series
        for series in series_of(report.runs, wanted)
        if len(series.points) > 1 and any(point.run == current for point in series.points)
    ]


Column = tuple[str, str, str, Callable[[Record], Any]]
"""Heading, kind (``text``, ``number``), unit, and how to read it from a record."""


def trial_table(records: Mapping[str, Sequence[Record]]) -> dict[str, Any]:
    """Return the trials by column; columns that would tell nothing are left out."""
    trials = [record for _, part in sorted(records.items()) for record in part]
    columns = []
    for title, kind, unit, read in _COLUMNS:
        values = [_cell(read(record)) for record in trials]
        differ = set(values) - {None, ""}
        if differ and (len(differ) > 1 or title not in _WHERE):
            column: dict[str, Any] = {"title": title, "kind": kind, "unit": unit, "values": values}
            if kind == "text":  # most texts come often
                words = {word: number for number, (word, _) in enumerate(Counter(values).items())}
                column |= {"words": list(words), "values": [words[value] for value in values]}
            columns.append(column)
    return {"count": len(trials), "columns": columns}


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _return(record: Record) -> float | None:
    totals = [episode.total for episode in record.episodes]
    try:
        return math.fsum(totals) / len(totals) if totals else None
    except (OverflowError, ValueError):
        return None


def _p95(record: Record) -> float | None:
    return record.samples["latency"].quantile(0.95) if "latency" in record.samples else None


def _reading(name: str) -> Callable[[Record], float | None]:
    return lambda record: record.quantities[name].value if name in record.quantities else None


def _message(record: Record) -> str:
    error = record.error or {}
    parts = [part for part in (error.get("type"), error.get("message")) if part]
    return ": ".join(parts)[:300]


_WHERE = ("Device", "Host")  # the same for all trials, as a rule
_COLUMNS: tuple[Column, ...] = (
    ("Outcome", "text", "", lambda record: record.outcome.replace("_", " ")),
    ("Scenario", "text", "", lambda record: record.scenario),
    ("Case", "text", "", lambda record: record.case),
    ("Seed", "number", "", lambda record: record.seed),
    ("Return", "number", "", _return),
    ("Latency p95", "number", "s", _p95),
    ("Energy", "number", "J", _reading("energy")),
    ("Peak memory", "number", "B", _reading("memory.peak")),
    ("Duration", "number", "s", lambda record: record.duration),
    ("Started", "text", "", lambda record: record.started[:19].replace("T", " ")),
    ("Device", "text", "", lambda record: record.device),
    ("Host", "text", "", lambda record: record.host),
    ("Message", "text", "", _message),
)
