"""Writing the trace of a run, so that we and ARE can read and judge it again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from pytest_a2perf.domains.assistant.trace.graph import execution_of
from pytest_a2perf.domains.assistant.trace.models import (
    Action,
    Annotation,
    Argument,
    CompletedEvent,
    Event,
    Metadata,
    Outcome,
    Simulation,
    Trace,
)
from pytest_a2perf.domains.assistant.trace.values import encode
from pytest_a2perf.domains.assistant.world.happening import Happening

__all__ = ["decision_word", "to_json", "trace_of"]


def trace_of(
    scenario: Trace,
    happenings: Sequence[Happening],
    *,
    decision: bool | None,
    rationale: str,
    agent: str,
    model: str,
    error: BaseException | None = None,
    run_number: int | None = None,
) -> Trace:
    """Return the trace of a run: its scenario, what happened, and what was made of it.

    Args:
        scenario: what was run; it is not changed.
        happenings: the world's log.
        decision: of the judge; None: there is none.
        rationale: of the judge.
        agent: name of the agent.
        model: name of its model; may be empty.
        error: what ended the run before its time.
        run_number: which run of the scenario this is, from 1.
    """
    definition = scenario.metadata.definition.model_copy(
        update={
            "run_number": run_number,
            "has_exception": error is not None,
            "exception_type": type(error).__name__ if error is not None else None,
            "exception_message": str(error) if error is not None else None,
        }
    )
    metadata = Metadata(
        definition=definition,
        simulation=Simulation(agent_id=agent, model_id=model or None),
        annotation=Annotation(
            validation_decision=decision_word(decision), comment=rationale or None, date=time.time()
        ),
        execution=execution_of(scenario),
    )
    planned = {event.event_id: event for event in scenario.events}
    return Trace(
        metadata=metadata,
        # Without a class, ARE does not find the app of what has happened.
        apps=[
            app.model_copy(update={"class_name": app.class_name or app.name})
            for app in scenario.apps
        ],
        events=scenario.events,
        completed_events=[_completed(happening, planned) for happening in happenings],
        augmentation=scenario.augmentation,
    )


def decision_word(decision: bool | None) -> str | None:
    """Return the word that traces have for a judge's decision."""
    return None if decision is None else "Valid" if decision else "Invalid"


def to_json(content: BaseModel) -> str:
    """Return a trace, or the lite form of one, as JSON.

    Halves of characters, which models sometimes write and JSON's readers refuse, become ``?``.
    """
    text = json.dumps(content.model_dump(mode="python"), ensure_ascii=False, default=str)
    return text.encode("utf-8", errors="replace").decode()


def _completed(happening: Happening, planned: Mapping[str, Event]) -> CompletedEvent:
    plan = planned.get(happening.id)
    action = Action(
        action_id=f"{happening.app_class}.{happening.function}-{happening.id}",
        app=happening.app,
        function=happening.function,
        operation_type="WRITE" if happening.write else "READ",
        args=[_argument(name, value) for name, value in happening.arguments.items()],
    )
    value, value_type = encode(happening.result)
    return CompletedEvent(
        class_name="CompletedEvent",
        event_type=happening.kind,
        event_id=happening.id,
        event_time=happening.time,
        event_relative_time=plan.event_relative_time if plan else None,
        dependencies=plan.dependencies if plan else [],
        action=action,
        metadata=Outcome(
            return_value=value, return_value_type=value_type, exception=happening.error
        ),
    )


def _argument(name: str, value: Any) -> Argument:
    text, value_type = encode(value)
    return Argument(name=name, value=text, value_type=value_type)
