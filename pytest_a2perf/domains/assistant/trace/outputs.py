"""What runs have left behind: what happened in a trace, and ARE's lists and statistics."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.trace.graph import is_answer
from pytest_a2perf.domains.assistant.trace.models import CompletedEvent, Trace
from pytest_a2perf.domains.assistant.trace.read import NOISE, schema_error
from pytest_a2perf.domains.assistant.trace.values import decode
from pytest_a2perf.domains.assistant.world.happening import Happening, Kind

__all__ = [
    "RunMetadata", "RunResult", "Statistics", "happenings", "read_output", "read_statistics",
    "result_of",
]  # fmt: skip

_KINDS: dict[str, Kind] = {"AGENT": "AGENT", "USER": "USER", "ENV": "ENV"}


def happenings(trace: Trace) -> list[Happening]:
    """Return what happened in a trace's run, in order of time; ARE's checks of turns are left out.

    What cannot be decoded, such as objects of which ARE writes only a description, stays text.

    Raises:
        TraceError: something happened that nobody can have done; names it.
    """
    classes = {app.name: app.class_name or app.name for app in trace.apps}
    found: list[Happening] = []
    turn = 0
    # Sorting is stable, as is the judge's.
    for event in sorted(trace.completed_events, key=lambda event: event.event_time or 0.0):
        if event.event_type == "CONDITION":
            continue
        happening = _happening(event, classes, turn, trace.metadata.definition.scenario_id)
        found.append(happening)
        turn += is_answer(event) and not happening.failed
    return found


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class RunMetadata(_Part):
    """How a run ended: ``success``, ``failed``, ``exception`` or ``no_validation``."""

    scenario_id: str
    run_number: int | None = None
    status: str | None = None
    has_exception: bool = False
    exception_type: str | None = None
    exception_message: str | None = None
    rationale: str | None = None


class RunResult(_Part):
    """A line of ARE's ``output.jsonl``.

    Attributes:
        task_id: the scenario's id.
        trace_id: path of the trace, if there is one.
        score: 1 or 0; None: nobody judged.
        metadata: how it ended.
    """

    task_id: str
    trace_id: str | None = None
    score: float | None = None
    metadata: RunMetadata

    @property
    def success(self) -> bool | None:
        """Whether the judge accepted the run; None: nobody judged."""
        return None if self.score is None else self.score >= 1


class Statistics(_Part):
    """ARE's ``benchmark_stats.json``: figures by name, of each capability and of all."""

    class Figures(_Part):
        """The tables."""

        model_config = ConfigDict(extra="allow", populate_by_name=True)

        per_capability: dict[str, dict[str, float | str | None]] = Field(default_factory=dict)
        overall: dict[str, float | str | None] = Field(default_factory=dict, alias="global")

    metadata: dict[str, Any] = Field(default_factory=dict)
    statistics: Figures
    run_configurations: list[dict[str, Any]] = Field(default_factory=list)


def read_output(text: str, name: str) -> list[RunResult]:
    """Read ARE's ``output.jsonl``, in its order.

    Args:
        text: what the file holds.
        name: of the file, for messages.

    Raises:
        TraceError: a line is no such result; names it.
    """
    results = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                results.append(RunResult.model_validate_json(line))
            except ValidationError as error:
                raise schema_error(error, line, f"{name}:{number}") from None
    return results


def read_statistics(text: str, name: str) -> Statistics:
    """Read ARE's ``benchmark_stats.json``.

    Args:
        text: what the file holds.
        name: of the file, for messages.

    Raises:
        TraceError: it holds something else; names everything that is wrong.
    """
    try:
        return Statistics.model_validate_json(text)
    except ValidationError as error:
        raise schema_error(error, text, name) from None


def result_of(trace: Trace, path: str | None = None) -> RunResult:
    """Return what a trace says about how its run ended.

    Args:
        trace: of the run.
        path: where it lies.
    """
    definition, annotation = trace.metadata.definition, trace.metadata.annotation
    decision = annotation.validation_decision if annotation else None
    score = {"Valid": 1.0, "Invalid": 0.0}.get(decision or "")
    status = {1.0: "success", 0.0: "failed"}.get(-1.0 if score is None else score)
    return RunResult(
        task_id=definition.scenario_id,
        trace_id=path,
        score=score,
        metadata=RunMetadata(
            scenario_id=definition.scenario_id,
            run_number=definition.run_number,
            status=status or ("exception" if definition.has_exception else "no_validation"),
            has_exception=definition.has_exception,
            exception_type=definition.exception_type,
            exception_message=definition.exception_message,
            rationale=annotation.comment if annotation else None,
        ),
    )


def _happening(
    event: CompletedEvent, classes: dict[str, str], turn: int, scenario_id: str
) -> Happening:
    action, outcome = event.action, event.metadata
    kind = _KINDS.get(event.event_type)
    if kind is None:
        raise TraceError(
            f"{scenario_id}: completed event {event.event_id!r}: unknown event_type"
            f" {event.event_type!r}; valid: AGENT, USER, ENV, CONDITION"
        )
    if not action or not action.app or not action.function:
        raise TraceError(
            f"{scenario_id}: completed event {event.event_id!r}: it says not what happened; its"
            " action has no app or function"
        )
    return Happening(
        id=event.event_id,
        kind=kind,
        time=event.event_time or 0.0,
        app=action.app,
        app_class=classes.get(action.app, action.app),
        function=action.function,
        write=action.operation_type == "WRITE",
        arguments={
            argument.name: _lenient(argument.value, argument.value_type)
            for argument in action.args or []
        },
        result=_lenient(outcome.return_value, outcome.return_value_type) if outcome else None,
        error=outcome.exception if outcome else None,
        turn=turn,
        noise=NOISE in event.event_id,
    )


def _lenient(value: str | None, value_type: str | None) -> Any:
    try:
        return decode(value, value_type)
    except ValueError:
        return value
