"""Early stopping: look at a scenario's gates after each seed, and keep what a look decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_a2perf.gates.regression import is_regression
from pytest_a2perf.gates.sequential import (
    Plan,
    agreement_decides,
    look_confidence,
    looks,
    rate_confidence,
)
from pytest_a2perf.gates.verdict import Verdict, judge, spec_of
from pytest_a2perf.metrics.success import attempts_of
from pytest_a2perf.runs.record import Record
from pytest_a2perf.trials.plan import PlannedGate

__all__ = ["CONFIDENCE", "EarlyStopping"]

CONFIDENCE = 0.95
"""One-sided confidence of gates that name none, in a scenario that may stop early."""


class EarlyStopping:
    """The gates of scenarios with ``seeds = {min, max}``, and what is decided of them.

    A look takes the first seeds in their order, once all of them are in, whatever else has
    finished; a decided gate keeps its verdict. See `pytest_a2perf.gates.sequential`.
    """

    def __init__(self) -> None:
        self._gates: dict[str, list[PlannedGate]] = {}
        self._looked: dict[str, int] = {}
        self._verdicts: dict[str, Verdict] = {}

    def expect(self, gates: Iterable[PlannedGate]) -> None:
        """Take note of the gates of a run."""
        for gate in gates:
            if gate.seeds is not None:
                self._gates.setdefault(gate.scenario_id, []).append(gate)

    def decided(self, scenario_id: str) -> bool:
        """Whether every gate of a scenario is decided, so that it needs no more seeds."""
        gates = self._gates.get(scenario_id, ())
        return bool(gates) and all(gate.nodeid in self._verdicts for gate in gates)

    def verdict(self, gate: PlannedGate) -> Verdict | None:
        """Return what a look has decided, if one has."""
        return self._verdicts.get(gate.nodeid)

    def look(self, scenario_id: str, records: Sequence[Record]) -> None:
        """Look at a scenario's gates if enough seeds are in."""
        gates = self._gates.get(scenario_id)
        if not gates:
            return
        newest = {record.nodeid: record for record in records}
        ready = 0
        while ready < len(gates[0].trials) and gates[0].trials[ready] in newest:
            ready += 1
        for n in range(self._looked.get(scenario_id, 0) + 1, ready + 1):
            for gate in gates:
                if gate.nodeid not in self._verdicts and not is_regression(gate):
                    verdict = look(gate, n, newest)
                    if verdict is not None and verdict.name in ("pass", "fail", "skip"):
                        self._verdicts[gate.nodeid] = verdict
        self._looked[scenario_id] = max(ready, self._looked.get(scenario_id, 0))

    def last(self, gate: PlannedGate, records: Sequence[Record]) -> Verdict:
        """Judge a gate that no look has decided, with all the seeds there are."""
        newest = {record.nodeid: record for record in records}
        verdict = look(gate, len(gate.trials), newest)
        return verdict or judge(_at(gate, len(gate.trials), CONFIDENCE), records)


def look(gate: PlannedGate, n: int, records: Mapping[str, Record]) -> Verdict | None:
    """Judge a gate by its first ``n`` trials, as one look of several.

    Returns:
        None where that number of trials is no look, or may not decide.
    """
    assert gate.seeds is not None
    spec = spec_of(gate)
    plan = Plan(*gate.seeds, alpha=1 - (spec.confidence or CONFIDENCE))
    if n not in looks(plan):
        return None
    sample = [records[nodeid] for nodeid in gate.trials[:n] if nodeid in records]
    for_pass, for_fail = _confidences(gate, plan, n, sample)
    verdict: Verdict | None = None
    for confidence, name in ((for_pass, "pass"), (for_fail, "fail")):
        if confidence is None:
            continue
        verdict = judge(_at(gate, n, confidence), sample)
        if verdict.name in (name, "skip"):
            break
    if verdict is None:
        return None
    estimate = verdict.estimate
    agree = estimate is not None and estimate.has_interval and estimate.low == estimate.high
    if verdict.name in ("pass", "fail") and agree and not agreement_decides(plan, n):
        return replace(verdict, name="undecided", reason=f"{n} trials agree; more may not")
    if n < plan.maximum and verdict.name in ("pass", "fail"):
        return replace(verdict, reason=f"{verdict.reason}, after {n} of up to {plan.maximum} seeds")
    return verdict


def _at(gate: PlannedGate, n: int, confidence: float) -> PlannedGate:
    """Return the gate as it stands at a look."""
    spec = {**gate.spec, "confidence": confidence}
    return replace(gate, spec=spec, trials=gate.trials[:n])


def _confidences(
    gate: PlannedGate, plan: Plan, n: int, sample: Sequence[Record]
) -> tuple[float | None, float | None]:
    """Return the one-sided confidences that a pass and a fail need at a look."""
    conditions = spec_of(gate).conditions
    single = gate.metric == "success.rate" and len(conditions) == 1
    if single and all(len(attempts_of(record) or ()) == 1 for record in sample):
        low, high = rate_confidence(plan, n, conditions[0].limit)
        return (low, high) if conditions[0].operator in (">=", ">") else (high, low)
    confidence = look_confidence(plan, n)
    return confidence, confidence
