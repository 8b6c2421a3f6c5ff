"""A scenario, or the trace of a run: the JSON format ``are_simulation_v1``, field by field.

What the models do not know is kept, so that nothing is lost between reading and writing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "VERSION", "Action", "Annotation", "App", "Argument", "Augmentation", "CompletedEvent",
    "Dataset", "Definition", "Event", "Execution", "Hint", "Metadata", "Outcome", "Placeholder",
    "Simulation", "Trace",
]  # fmt: skip

VERSION: Literal["are_simulation_v1"] = "are_simulation_v1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class Argument(_Part):
    """An argument: always text, which its type says how to read; see `values`."""

    name: str
    value: str | None = None
    value_type: str | None = None


class Action(_Part):
    """A call of an app's function."""

    action_id: str
    app: str | None = None
    function: str | None = None
    operation_type: Literal["READ", "WRITE"] | None = None
    args: list[Argument] | None = None


class Event(_Part):
    """What is to happen, or (``OracleEvent``) what the agent should do.

    Attributes:
        class_name: ``Event``, ``OracleEvent``, ``ConditionCheckEvent``, ...
        event_type: ``AGENT``, ``USER``, ``ENV``, ``CONDITION``.
        event_time: absolute, in seconds since 1970; None: when its dependencies have happened.
        event_relative_time: seconds after the last of its dependencies.
        event_time_comparator: how an agent's time is compared with the oracle's.
    """

    class_name: str
    event_type: str
    event_id: str
    event_time: float | None = None
    event_relative_time: float | None = None
    dependencies: list[str] = Field(default_factory=list)
    action: Action | None = None
    event_time_comparator: Literal["LESS_THAN", "GREATER_THAN", "EQUAL"] | None = None


class Outcome(_Part):
    """What became of a completed event."""

    return_value: str | None = None
    return_value_type: str | None = None
    exception: str | None = None
    exception_stack_trace: str | None = None


class CompletedEvent(Event):
    """What has happened in a run."""

    metadata: Outcome | None = None


class App(_Part):
    """An app: the name of the instance, its class, and what it holds."""

    name: str
    class_name: str | None = None
    app_state: dict[str, Any] | None = None


class Hint(_Part):
    """What an author notes about an event."""

    hint_type: Literal["TASK_HINT", "ENVIRONMENT_HINT"]
    content: str
    associated_event_id: str


class Dataset(_Part):
    """Where a scenario comes from on the Hub; its apps may have to be fetched from there."""

    dataset: str
    split: str
    revision: str | None = None


class Definition(_Part):
    """What identifies a scenario, and how it runs. Times are in seconds."""

    scenario_id: str
    seed: int | None = None
    duration: float | None = None
    time_increment_in_seconds: int | None = None
    start_time: float | None = None
    run_number: int | None = None
    hints: list[Hint] = Field(default_factory=list)
    config: str | None = None
    has_a2a_augmentation: bool = False
    has_tool_augmentation: bool = False
    has_env_events_augmentation: bool = False
    has_exception: bool = False
    exception_type: str | None = None
    exception_message: str | None = None
    tags: list[str] | None = None
    hf_metadata: Dataset | None = None


class Simulation(_Part):
    """Who ran it."""

    agent_id: str | None = None
    model_id: str | None = None


class Annotation(_Part):
    """What was made of it."""

    annotation_id: str | None = None
    annotator: str | None = None
    validation_decision: str | None = None
    comment: str | None = None
    date: float = 0.0


class Placeholder(_Part):
    """An argument that stands for what an earlier event returns, possibly of an earlier turn."""

    parent_tool_name: str
    parent_turn_idx: int
    parent_event_id: str
    placeholder_turn_idx: int
    placeholder_event_id: str


class Execution(_Part):
    """What a run of several turns needs to know of placeholders."""

    has_placeholder_conflicts: bool = False
    placeholders: list[Placeholder] = Field(default_factory=list)


class Metadata(_Part):
    """All that is about the scenario, not in it."""

    definition: Definition
    simulation: Simulation | None = None
    annotation: Annotation | None = None
    execution: Execution | None = None
    runner_config: dict[str, Any] | None = None


class Augmentation(_Part):
    """What noise is made of: data for events, other names and descriptions of tools."""

    apps: list[App] | None = None
    tool_names_mapping: dict[str, str] | None = None
    tool_descriptions_mapping: dict[str, str] | None = None


class Trace(_Part):
    """A scenario, or the trace of its run."""

    metadata: Metadata
    apps: list[App] = Field(default_factory=list)
    events: list[Event] = Field(default_factory=list)
    completed_events: list[CompletedEvent] = Field(default_factory=list)
    world_logs: list[str] = Field(default_factory=list)
    version: Literal["are_simulation_v1"] = VERSION
    context: str | None = None
    augmentation: Augmentation | None = None
