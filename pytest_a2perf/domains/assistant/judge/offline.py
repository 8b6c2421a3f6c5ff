"""Judging runs that have been recorded, ours and ARE's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.judge.base import Judge
from pytest_a2perf.domains.assistant.judge.graph import GraphJudge
from pytest_a2perf.domains.assistant.judge.verdict import Verdict
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.trace.outputs import happenings
from pytest_a2perf.domains.assistant.world.happening import Happening

__all__ = ["MakeJudge", "judge_trace", "recorded_log"]

MakeJudge = Callable[[Trace, Sequence[Happening]], Judge]
"""Makes a judge of a scenario and its oracle's log; `functools.partial` sets the options."""


def judge_trace(
    scenario: Trace,
    trace: Trace,
    *,
    make: MakeJudge = GraphJudge,
    oracle_log: Sequence[Happening] | None = None,
) -> Verdict:
    """Judge a recorded run, whatever was made of it when it ran.

    Args:
        scenario: what was run; a trace holds its own scenario, and can be given here as well.
        trace: of the run.
        make: makes the judge.
        oracle_log: what happened when the oracle ran; None: it runs now.

    Raises:
        TraceError: the trace is of another scenario or holds no run, or the scenario cannot be
            judged.
        InfraError: see `Judge.judge_turn`.
    """
    log = recorded_log(scenario, trace)
    return make(scenario, oracle_log or oracle_log_of(scenario)).judge(log)


def recorded_log(scenario: Trace, trace: Trace) -> list[Happening]:
    """Return what happened in a recorded run, in order of time.

    Traces of ARE's call apps by their names or, written again, by their classes, and leave the
    apps out where the scenario came from the Hub; the scenario knows both.

    Raises:
        TraceError: the trace is of another scenario or holds no run.
    """
    name = scenario.metadata.definition.scenario_id
    if (other := trace.metadata.definition.scenario_id) != name:
        raise TraceError(f"{other}: a trace of that cannot be judged as one of {name}")
    if not trace.completed_events:
        raise TraceError(f"{name}: the trace holds no run: completed_events is empty")
    known = {app.name: app for app in (*scenario.apps, *trace.apps)}
    return happenings(trace.model_copy(update={"apps": list(known.values())}))


def oracle_log_of(scenario: Trace) -> list[Happening]:
    """Return what happens when the oracle runs.

    Raises:
        TraceError: the oracle cannot run; names the event.
    """
    from pytest_a2perf.domains.assistant.world.oracle import run_oracle

    return run_oracle(scenario).log
