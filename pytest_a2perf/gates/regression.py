"""Judge regression gates: how much worse than the baseline, over all gates of a run at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.gates.condition import GateSpec, Tolerance
from pytest_a2perf.gates.paired_ratio import compare_by_process, compare_ratios
from pytest_a2perf.gates.permutation import Change, compare, holm
from pytest_a2perf.gates.verdict import Verdict, VerdictName, judge, spec_of, withheld
from pytest_a2perf.metrics.base import Definition, Estimate, Metric, Request
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.runs.baseline import Baseline, Entry, seed_values
from pytest_a2perf.runs.record import Record
from pytest_a2perf.trials.plan import PlannedGate
from pytest_a2perf.units import format_number, format_value

__all__ = ["Reference", "is_regression", "judge_regressions"]

_OF_THE_MACHINE = ("s", "J", "W", "1/s", "Hz", "g", "tok/s", "tok/J")
"""Units of what another machine would change."""
_OF_THE_PROCESS = (*_OF_THE_MACHINE, "B")
"""Units of what the same code does not do alike in two processes."""
_ORDER = ("fail", "undecided", "new", "skip", "pass")


@dataclass(frozen=True, slots=True)
class Reference:
    """What regression gates are compared with.

    Attributes:
        baseline: None where none was named or found.
        missing: why there is none, in words.
        machine: of this run.
        any_machine: compare time and energy with another machine's, too.
        required: fail where there is no baseline.
        alpha: chance of any false alarm among all regression gates of the run.
        side_by_side: whether the baseline's trials ran in turns with those of this run.
    """

    baseline: Baseline | None
    missing: str
    machine: Mapping[str, Any]
    any_machine: bool = False
    required: bool = False
    alpha: float = 0.05
    side_by_side: bool = False


@dataclass(frozen=True, slots=True)
class _Case:
    plan: PlannedGate
    spec: GateSpec
    tolerance: Tolerance
    metric: Metric
    estimate: Estimate
    change: Change
    baseline: dict[str, Any]


def is_regression(plan: PlannedGate) -> bool:
    """Whether a gate compares with a baseline, and so waits for all other gates of the run."""
    return plan.spec.get("tolerance") is not None


def judge_regressions(
    plans: Sequence[PlannedGate],
    records: Mapping[str, Sequence[Record]],
    reference: Reference,
) -> dict[str, Verdict]:
    """Judge all regression gates of a run.

    A gate fails if its metric is proven worse than the tolerance allows, at an error that holds
    for all gates together (`holm`). It passes if it is proven not to be, at that error for itself,
    or if every seed gave what it gave before. Anything else is undecided.

    Returns:
        Verdicts by the gate's node id.
    """
    verdicts: dict[str, Verdict] = {}
    cases: dict[str, _Case] = {}
    for plan in plans:
        found = _case(plan, records.get(plan.scenario_id, ()), reference)
        if isinstance(found, Verdict):
            verdicts[plan.nodeid] = found
        else:
            cases[plan.nodeid] = found
    adjusted = holm({nodeid: case.change.p_worse for nodeid, case in cases.items()})
    for nodeid, case in cases.items():
        verdicts[nodeid] = _decide(case, adjusted[nodeid], reference.alpha)
    for plan in plans:
        trials = records.get(plan.scenario_id, ())
        if plan.spec["conditions"]:
            parts = (verdicts[plan.nodeid], judge(plan, trials))
            worst = min(parts, key=lambda part: _ORDER.index(part.name))
            verdicts[plan.nodeid] = replace(worst, baseline=parts[0].baseline)
        else:
            verdicts[plan.nodeid] = withheld(verdicts[plan.nodeid], plan, trials)
    return verdicts


def _case(plan: PlannedGate, records: Sequence[Record], reference: Reference) -> _Case | Verdict:
    """Collect what a gate is judged by, or say why it cannot be."""
    spec, metric = spec_of(plan), resolve(plan.metric)
    tolerance = spec.tolerance
    assert tolerance is not None
    definition = cast("Definition", plan.definition)
    text = spec.text(metric.unit)
    try:
        estimate = metric.estimate(records, Request(definition=definition))
    except UnsupportedSampleError as error:
        return Verdict("undecided", f"no value: {error}", text)
    text = spec.text(estimate.unit)
    absent: VerdictName = "fail" if reference.required else "new"
    if reference.baseline is None:
        return Verdict(absent, reference.missing, text, estimate)
    name = reference.baseline.name
    entry = reference.baseline.entries.get(plan.scenario_id)
    old = None if entry is None else entry.metrics.get(plan.metric)
    if entry is None or not old:
        what = "scenario" if entry is None else "metric"
        return Verdict(absent, f"baseline {name!r} does not have this {what}", text, estimate)
    refusal = _refusal(entry, records, estimate.unit, reference)
    if refusal is not None:
        return Verdict("skip", f"baseline {name!r} {refusal}", text, estimate)
    new = seed_values(metric, records, definition)
    worse: Literal["higher", "lower"] = "higher"
    if (spec.better or metric.direction) == "higher":
        worse = "lower"
    amount, relative, alpha = tolerance.amount, tolerance.relative, reference.alpha
    change = None
    if reference.side_by_side and estimate.unit in _OF_THE_PROCESS:
        processes = {record.unit: record.context.get("process", "") for record in records}
        if relative and estimate.unit in _OF_THE_MACHINE:
            change = compare_ratios(old, new, processes, worse=worse, tolerance=amount, alpha=alpha)
        if change is None:
            change = compare_by_process(
                old, new, processes, worse=worse, tolerance=amount, relative=relative, alpha=alpha
            )
    else:
        change = compare(old, new, worse=worse, tolerance=amount, relative=relative, alpha=alpha)
    if change is None:
        reason = "too few seeds to compare, or a baseline of zero: give the tolerance as an amount"
        if estimate.is_open or (estimate.method == "bracket" and len(new) < estimate.n):
            reason = f"the searches of {estimate.n - len(new)} of {estimate.n} seeds left it open"
        return Verdict("undecided", reason, text, estimate)
    described = {
        "name": name,
        "commit": entry.commit,
        "value": math.fsum(old.values()) / len(old),
        "n": len(old),
        "paired": change.paired,
        "processes": change.processes,
        "change": change.value,
        "change_low": change.low if math.isfinite(change.low) else None,
        "change_high": change.high if math.isfinite(change.high) else None,
        "relative": tolerance.relative,
    }
    return _Case(plan, spec, tolerance, metric, estimate, change, described)


def _refusal(
    entry: Entry, records: Sequence[Record], unit: str, reference: Reference
) -> str | None:
    digest = next((record.digest for record in records if record.digest), "")
    if entry.digest and digest and entry.digest != digest:
        return "is of another version of this scenario; update it with --a2perf-update-baseline"
    if unit not in _OF_THE_MACHINE or reference.any_machine or not entry.machine:
        return None
    differing = [
        f"{key} {entry.machine.get(key)!r}, here {reference.machine.get(key)!r}"
        for key in {**entry.machine, **reference.machine}
        if entry.machine.get(key) != reference.machine.get(key)
    ]
    if not differing:
        return None
    return (
        f"is of another machine ({differing[0]}), which says nothing about {unit}; "
        "--a2perf-any-machine compares all the same"
    )


def _decide(case: _Case, adjusted: float, alpha: float) -> Verdict:
    change = case.change
    text = case.spec.text(case.estimate.unit)
    described = case.baseline | {"p": change.p_worse, "p_holm": adjusted}
    seeds = f"{change.n} {'paired ' if change.paired else ''}seed{'' if change.n == 1 else 's'}"
    if change.processes:
        seeds += f" in {change.processes} pair{'' if change.processes == 1 else 's'} of processes"
    what = f"{_amount(case)} than {case.baseline['name']!r} over {seeds}"
    if adjusted <= alpha:
        return Verdict("fail", f"{what} (p {adjusted:.2g})", text, case.estimate, None, described)
    if change.identical:
        reason = f"equal to {case.baseline['name']!r} on {seeds}"
        return Verdict("pass", reason, text, case.estimate, None, described)
    if change.p_within <= alpha:
        return Verdict("pass", what, text, case.estimate, None, described)
    needed = change.seeds_needed
    if change.processes == 1 and change.n > 1:
        reason = f"{what}, which cannot decide it: run the trials anew"
        return Verdict("undecided", reason, text, case.estimate, None, described)
    more = f"about {needed} seeds would decide it" if needed else "more seeds may not decide it"
    return Verdict("undecided", f"{what}; {more}", text, case.estimate, needed, described)


def _amount(case: _Case) -> str:
    """Put a change into words, with its interval, as more or less of what is worse."""
    change, relative = case.change, case.tolerance.relative

    def number(value: float) -> str:
        if relative:
            return f"{format_number(100 * value)} %"
        return format_value(value, case.estimate.unit)

    way = "worse" if change.value >= 0 else "better"
    text = f"{number(abs(change.value))} {way}"
    if math.isfinite(change.low) and math.isfinite(change.high):
        text += f" [{number(change.low)}, {number(change.high)}]"
    return text
