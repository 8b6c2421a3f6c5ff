"""Judge a gate: pass, fail, undecided or skip, with the reason and the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.gates.condition import Condition, GateSpec, Tolerance
from pytest_a2perf.metrics.base import Definition, Estimate, Request
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.quantities import QUALITIES
from pytest_a2perf.runs.record import Record
from pytest_a2perf.trials.plan import PlannedGate
from pytest_a2perf.units import format_value

__all__ = ["Verdict", "VerdictName", "estimate_json", "judge", "spec_of", "withheld"]

VerdictName = Literal["pass", "fail", "undecided", "skip", "new"]
_MOST_SEEDS = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a gate.

    Attributes:
        name: ``pass``, ``fail``, ``undecided``, ``skip``, or ``new`` where there is no baseline.
        reason: in words.
        estimate: the figure it rests on, if there is one.
        condition: the limit, printed with its unit.
        seeds_needed: if undecided, about how many seeds would decide it; None if unknown.
        baseline: of a regression gate, what it was compared with and how, as JSON scalars.
    """

    name: VerdictName
    reason: str
    condition: str
    estimate: Estimate | None = None
    seeds_needed: int | None = None
    baseline: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON scalars."""
        data: dict[str, Any] = {
            "verdict": self.name,
            "reason": self.reason,
            "condition": self.condition,
        }
        if self.seeds_needed is not None:
            data["seeds_needed"] = self.seeds_needed
        if self.estimate is not None:
            data |= estimate_json(self.estimate)
        if self.baseline is not None:
            data["baseline"] = self.baseline
        return data


def estimate_json(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON scalars; what is not a number is null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name in Estimate.__slots__
        if (value := getattr(estimate, name)) != ""
    }


def spec_of(plan: PlannedGate) -> GateSpec:
    """Return a gate's conditions, which a plan carries as JSON."""
    conditions = tuple(Condition(**condition) for condition in plan.spec["conditions"])
    allowed = plan.spec.get("tolerance")
    tolerance = None if allowed is None else Tolerance(**allowed)
    return GateSpec.model_validate({**plan.spec, "conditions": conditions, "tolerance": tolerance})


def judge(plan: PlannedGate, records: Sequence[Record]) -> Verdict:
    """Judge a gate over the records of its scenario.

    A gate without ``confidence`` is decided by the point estimate. With it, the bound of the
    interval at that one-sided confidence must clear the limit; an interval that holds the limit is
    undecided. So is a limit inside of the bracket that a search has left, with confidence or
    without. A pass needs all trials: where some have no result, it is undecided, while a fail
    stands.
    """
    spec = spec_of(plan)
    metric = resolve(plan.metric)
    confidence = 0.95 if spec.confidence is None else 2 * spec.confidence - 1
    request = Request(
        confidence=confidence,
        definition=cast("Definition", plan.definition),
        exact=spec.confidence is not None,
    )
    text = spec.text(metric.unit)
    try:
        estimate = metric.estimate(records, request)
    except UnsupportedSampleError as error:
        return Verdict("undecided", f"no value: {error}", text)
    text = spec.text(estimate.unit)
    if math.isnan(estimate.value):
        return Verdict("undecided", "the value is not a number", text, estimate)
    if QUALITIES.index(estimate.quality) > QUALITIES.index(spec.quality):
        reason = (
            f"only {estimate.quality} here ({estimate.source}), the gate asks for {spec.quality}"
        )
        return Verdict("skip", reason, text, estimate)
    decide = _by_point if spec.confidence is None else _by_interval
    if estimate.method == "bracket":
        decide = _by_bracket
    parts = [decide(condition, estimate, text) for condition in spec.conditions]
    verdict = min(parts, key=lambda part: ("fail", "undecided", "pass").index(part.name))
    return withheld(verdict, plan, records)


def _by_point(condition: Condition, estimate: Estimate, text: str) -> Verdict:
    if condition.holds(estimate.value):
        return Verdict("pass", "the value meets the limit", text, estimate)
    side = "below" if condition.operator in (">=", ">") else "above"
    side = "not at" if condition.operator == "==" else side
    gap = format_value(abs(estimate.value - condition.limit), estimate.unit)
    return Verdict("fail", f"{gap} {side} the limit", text, estimate)


def _by_interval(condition: Condition, estimate: Estimate, text: str) -> Verdict:
    one_sided = f"{(1 + estimate.confidence) / 2:.4g}"
    if not estimate.has_interval:
        note = f": {estimate.note}" if estimate.note else ""
        reason = f"{estimate.n} trials support no interval{note}"
        return Verdict("undecided", reason, text, estimate, seeds_needed=max(5, 2 * estimate.n))
    ends = (condition.holds(estimate.low), condition.holds(estimate.high))
    if all(ends):
        return Verdict(
            "pass", f"the interval meets the limit (confidence {one_sided})", text, estimate
        )
    limit = condition.limit
    inside = estimate.low <= limit <= estimate.high
    if not any(ends) and not (condition.operator == "==" and inside):
        return Verdict(
            "fail", f"the interval misses the limit (confidence {one_sided})", text, estimate
        )
    needed = _seeds_needed(estimate, limit)
    more = f"about {needed} seeds would decide it" if needed else "more seeds may not decide it"
    return Verdict("undecided", f"the interval holds the limit; {more}", text, estimate, needed)


def _by_bracket(condition: Condition, estimate: Estimate, text: str) -> Verdict:
    low, high = (
        format_value(estimate.low, estimate.unit),
        format_value(estimate.high, estimate.unit),
    )
    if math.isinf(estimate.high):
        bracket = f"{low} and more"
    else:
        bracket = low if low == high else f"{low}..{high}"
    ends = (condition.holds(estimate.low), condition.holds(estimate.high))
    if all(ends):
        return Verdict("pass", f"what the search found meets the limit: {bracket}", text, estimate)
    inside = estimate.low <= condition.limit <= estimate.high
    if not any(ends) and not (condition.operator == "==" and inside):
        return Verdict("fail", f"what the search found misses the limit: {bracket}", text, estimate)
    note = f": {estimate.note}" if estimate.note else ""
    return Verdict("undecided", f"the search left {bracket} open{note}", text, estimate)


def _seeds_needed(estimate: Estimate, limit: float) -> int | None:
    """Scale the half-width towards the limit by 1/sqrt(n) until it clears the limit."""
    distance = abs(estimate.value - limit)
    reach = (
        estimate.value - estimate.low if limit < estimate.value else estimate.high - estimate.value
    )
    if distance == 0 or not math.isfinite(reach):
        return None
    needed = math.ceil(max(estimate.n + 1, estimate.n * (reach / distance) ** 2))
    return needed if needed <= _MOST_SEEDS else None


def withheld(verdict: Verdict, plan: PlannedGate, records: Sequence[Record]) -> Verdict:
    """Withhold a pass when trials have no result."""
    if verdict.name != "pass":
        return verdict
    have = {record.nodeid for record in records if record.has_result}
    lost = len(set(plan.trials) - have)
    if lost == 0:
        return verdict
    reason = f"{lost} of {len(plan.trials)} trials have no result, so this is not a pass"
    return replace(verdict, name="undecided", reason=reason)
