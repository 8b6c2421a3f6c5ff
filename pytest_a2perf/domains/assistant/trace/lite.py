"""The lite form of a trace: who said what to the model, and what that took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.trace.read import schema_error

__all__ = ["LiteTrace", "Message", "ModelCall", "Usage", "lite_of", "read_lite"]


@dataclass(frozen=True)
class ModelCall:
    """One call of a model; None where the endpoint did not tell.

    Attributes:
        prompt_tokens: how many it read.
        completion_tokens: how many it wrote.
        reasoning_tokens: how many of these were thoughts.
        seconds: how long it took, in seconds of real time.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    seconds: float | None = None


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class Message(_Part):
    """What was said; ``timestamp`` is simulated, in seconds since 1970."""

    role: str
    content: Any = None
    attachments: list[Any] | None = None
    timestamp: float | None = None


class Usage(_Part):
    """What the calls of one agent took: a value for each call; times in seconds."""

    total_llm_calls: int = 0
    prompt_tokens: list[int | None] = Field(default_factory=list)
    completion_tokens: list[int | None] = Field(default_factory=list)
    total_tokens: list[int | None] = Field(default_factory=list)
    reasoning_tokens: list[int | None] = Field(default_factory=list)
    completion_duration: list[float | None] = Field(default_factory=list)

    @classmethod
    def of(cls, calls: Iterable[ModelCall]) -> Usage:
        """Return what calls took."""
        known = list(calls)
        return cls(
            total_llm_calls=len(known),
            prompt_tokens=[call.prompt_tokens for call in known],
            completion_tokens=[call.completion_tokens for call in known],
            total_tokens=[_sum(call.prompt_tokens, call.completion_tokens) for call in known],
            reasoning_tokens=[call.reasoning_tokens for call in known],
            completion_duration=[call.seconds for call in known],
        )


class LiteTrace(_Part):
    """The lite form of a trace; ``run_duration`` is in seconds of real time."""

    scenario_id: str
    model_id: str | None = None
    main_agent_type: str | None = None
    validation_decision: str | None = None
    validation_rationale: str | None = None
    run_duration: float | None = None
    per_agent_interaction_histories: dict[str, list[Message]] = Field(default_factory=dict)
    per_agent_llm_usage_stats: dict[str, Usage] = Field(default_factory=dict)


def lite_of(
    trace: Trace,
    *,
    seconds: float | None,
    histories: Mapping[str, Sequence[Mapping[str, Any]]],
    calls: Mapping[str, Iterable[ModelCall]],
) -> LiteTrace:
    """Return the lite form of the trace of a run.

    Args:
        trace: what `trace_of` returned.
        seconds: how long the run took, in real time.
        histories: messages (role, content, attachments, timestamp) by the name of the agent.
        calls: what the agent's calls took, by its name.
    """
    metadata = trace.metadata
    return LiteTrace(
        scenario_id=metadata.definition.scenario_id,
        model_id=metadata.simulation.model_id if metadata.simulation else None,
        main_agent_type=metadata.simulation.agent_id if metadata.simulation else None,
        validation_decision=metadata.annotation.validation_decision
        if metadata.annotation
        else None,
        validation_rationale=metadata.annotation.comment if metadata.annotation else None,
        run_duration=seconds,
        per_agent_interaction_histories={
            f"agent_{name}": [Message(**message) for message in messages]
            for name, messages in histories.items()
        },
        per_agent_llm_usage_stats={
            f"agent_{name}": Usage.of(own_calls) for name, own_calls in calls.items()
        },
    )


def read_lite(text: str | bytes, name: str) -> LiteTrace:
    """Read the lite form of a trace.

    Args:
        text: JSON.
        name: of the file, for messages.

    Raises:
        TraceError: it is none; names everything that is wrong.
    """
    try:
        return LiteTrace.model_validate_json(text)
    except ValidationError as error:
        raise schema_error(error, text, name) from None


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
