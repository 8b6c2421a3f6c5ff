"""A finished run as plain JSON: metrics and verdicts by scenario."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.gates.verdict import Verdict, estimate_json
from pytest_a2perf.metrics.base import Estimate, Metric, Request
from pytest_a2perf.metrics.registry import report_metrics, resolve
from pytest_a2perf.reports.flakiness import flaky_scenarios
from pytest_a2perf.runs.record import Record
from pytest_a2perf.trials.plan import PlannedGate

__all__ = ["Metrics", "Verdicts", "estimate_all", "run_summary"]

Verdicts = Mapping[str, tuple[PlannedGate, Verdict]]
Metrics = Mapping[str, Sequence[tuple[Metric, Estimate]]]
"""What is worth showing of each scenario, in report order."""


def estimate_all(records: Mapping[str, Sequence[Record]]) -> Metrics:
    """Estimate the metrics that are worth showing, by scenario."""
    return {scenario_id: _estimates(trials) for scenario_id, trials in records.items()}


def _estimates(records: Sequence[Record]) -> list[tuple[Metric, Estimate]]:
    found = []
    for name in report_metrics(records):
        metric = resolve(name)
        try:
            estimate = metric.estimate(records, Request())
        except UnsupportedSampleError:
            continue
        if math.isfinite(estimate.value):
            found.append((metric, estimate))
    return found


def run_summary(
    records: Mapping[str, Sequence[Record]], verdicts: Verdicts, metrics: Metrics
) -> dict[str, Any]:
    """Return outcomes, metrics and gates of every scenario as JSON scalars."""
    scenarios = {}
    for scenario_id, trials in sorted(records.items()):
        scenarios[scenario_id] = {
            "outcomes": dict(Counter(record.outcome for record in trials)),
            "devices": sorted({record.device for record in trials if record.device}),
            "metrics": {
                metric.name: estimate_json(estimate) | {"group": metric.group}
                for metric, estimate in metrics[scenario_id]
            },
            "gates": {
                gate.metric: verdict.to_json()
                for gate, verdict in verdicts.values()
                if gate.scenario_id == scenario_id
            },
        }
    flaky = [scenario.to_json() for scenario in flaky_scenarios(records)]
    return {"scenarios": scenarios, "flaky": flaky}
