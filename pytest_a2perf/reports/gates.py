"""Verdicts as pytest's test reports: they show, count and stand in JUnit like any test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from pytest_a2perf.gates.verdict import Verdict
from pytest_a2perf.reports.verdict import failure_text, gate_properties
from pytest_a2perf.trials.plan import PlannedGate

__all__ = ["UNDECIDED", "gate_reports"]

UNDECIDED = "a2perf_undecided"
"""Attribute of a passed report whose gate is undecided."""


def gate_reports(
    gate: PlannedGate, verdict: Verdict, undecided: Literal["fail", "warn", "pass"]
) -> Iterator[pytest.TestReport]:
    """Yield the reports of a gate: its call and its tear-down.

    Args:
        gate: what was judged.
        verdict: what became of it.
        undecided: what an undecided gate does.
    """
    path, *names = gate.nodeid.split("::")
    skipped = verdict.name in ("skip", "new")
    failed = verdict.name == "fail" or (verdict.name == "undecided" and undecided == "fail")
    longrepr: Any = None
    if failed:
        longrepr = failure_text(gate, verdict)
    elif skipped:
        longrepr = (path, 0, f"Skipped: {verdict.reason}")
    phases: tuple[Literal["call", "teardown"], ...] = ("call", "teardown")
    for when in phases:
        call = when == "call"
        outcome = "failed" if failed else "skipped" if skipped else "passed"
        report = pytest.TestReport(
            nodeid=gate.nodeid,
            location=(path, None, ".".join(names)),
            keywords={gate.metric: 1},
            outcome=outcome if call else "passed",  # type: ignore[arg-type]
            longrepr=longrepr if call else None,
            when=when,
        )
        if call and verdict.name == "undecided" and undecided == "warn":
            setattr(report, UNDECIDED, verdict.reason)
        report.user_properties += gate_properties(gate, verdict)
        yield report
