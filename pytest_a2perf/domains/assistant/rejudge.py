"""Phase ``judge``: recorded runs are judged again, without an agent."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pytest_a2perf.domains.assistant.agents.usage import report_usage
from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.judge.lite import judge_lite
from pytest_a2perf.domains.assistant.judge.offline import judge_trace
from pytest_a2perf.domains.assistant.judging import make_judge
from pytest_a2perf.domains.assistant.play import setting_of
from pytest_a2perf.domains.assistant.trace.lite import read_lite
from pytest_a2perf.errors import AgentFailure, InfraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_a2perf.domains.assistant.judge.base import Judge
    from pytest_a2perf.domains.assistant.sources import CaseRef
    from pytest_a2perf.domains.assistant.trace.models import Trace
    from pytest_a2perf.domains.assistant.world.happening import Happening
    from pytest_a2perf.trials.trial import Trial

__all__ = ["rejudge_case"]


def rejudge_case(trial: Trial, ref: CaseRef, scenario: CaseRef | None) -> None:
    """Judge a recorded run again.

    Args:
        trial: gets the verdict.
        ref: where the trace was found.
        scenario: what was run; None: the trace holds it itself.

    Raises:
        AgentFailure: the judge rejects a turn.
        InfraError: the trace cannot be judged, or the judge is out of order.
    """
    setting = setting_of(trial, scenario or ref)
    options, model = setting.options, setting.judge

    def make(scenario: Trace, oracle_log: Sequence[Happening]) -> Judge:
        judge = make_judge(options.judge, scenario, oracle_log, model=model, root=trial.root)
        assert judge is not None  # checked at collection
        return judge

    calls = 0
    try:
        if ref.lite:
            lite = read_lite(ref.text, ref.origin)
            decision = lite.validation_decision
            verdict = trial.measured(lambda: judge_lite(setting.trace, lite, make=make))
        else:
            trace = setting.trace if scenario is None else ref.trace()
            annotation = trace.metadata.annotation
            decision = None if annotation is None else annotation.validation_decision
            calls = sum(event.event_type == "AGENT" for event in trace.completed_events)
            verdict = trial.measured(lambda: judge_trace(setting.trace, trace, make=make))
    except TraceError as error:
        raise InfraError(f"the trace cannot be judged: {error}") from error.__cause__
    finally:
        counted = functools.partial(trial.report, source="the model's server")
        report_usage(counted, "judge_", None if model is None else model.totals)
    trial.note(rationale=verdict.rationale, notes=list(verdict.notes), recorded_decision=decision)
    if decision is not None:
        agrees = (decision == "Valid") == verdict.success
        trial.report("agrees", float(agrees), source="the trace")
    solved = verdict.success
    trial.episode(float(solved), calls, success=solved, task=setting.ref.capability)
    if not solved:
        raise AgentFailure(verdict.rationale)
