"""What ``[scenario.options]`` may say in the domain ``assistant``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pytest_a2perf.domains.assistant.world.notifications import Verbosity
from pytest_a2perf.scenarios.models import Duration, Strict

__all__ = [
    "AgentToAgentOptions", "AssistantOptions", "CassetteOptions", "JudgeOptions", "NoiseOptions",
]  # fmt: skip

Share = Annotated[float, Field(ge=0, le=1)]


def _switch(value: object) -> object:
    """Let ``true`` stand for the defaults, and ``false`` for none."""
    return {} if value is True else None if value is False else value


class JudgeOptions(Strict):
    """Who decides whether the agent did what it should."""

    kind: Literal["graph", "in-context", "none"] = Field(
        "graph", description="compare call by call, or ask a model once a turn, or do not judge"
    )
    model: str | None = Field(None, description="compares free texts, by litellm's name")
    model_options: dict[str, Any] = Field(
        default_factory=dict, description="arguments of the model, e.g. api_base, temperature"
    )
    votes: int = Field(
        1, ge=1, description="how often the model is asked; odd, the majority counts"
    )
    script: str | None = Field(
        None,
        description="JSON file with checks by scenario, event and argument, instead of a model",
    )
    hard_only: bool = Field(False, description="free texts do not count")


class NoiseOptions(Strict):
    """What disturbs the agent."""

    failures: Share = Field(0.1, description="probability that a call fails")
    renames: bool = Field(True, description="tools get other names, where the scenario has some")
    events_per_minute: float = Field(10.0, ge=0, description="further events in the world")
    seed: int = Field(0, ge=0, description="of the noise; the trial's seed is added")


class AgentToAgentOptions(Strict):
    """Apps behind agents of their own."""

    share: Share = Field(1.0, description="of the apps that can only be reached through an agent")
    model: str | None = Field(None, description="of these agents, by litellm's name")
    model_options: dict[str, Any] = Field(
        default_factory=dict, description="arguments of the model, e.g. api_base, temperature"
    )
    max_steps: int = Field(50, ge=1, description="calls of the model for one task")


class CassetteOptions(Strict):
    """Answers of models, recorded once and replayed without a key."""

    path: str = Field(description="a folder, or a file ending in .jsonl")
    mode: Literal["off", "replay", "record", "new"] = Field(
        "replay", description="'new' replays what is there and records the rest"
    )


class AssistantOptions(Strict):
    """Options of the domain ``assistant``."""

    config: str | None = Field(None, description="configuration (subfolder) of the data set")
    split: str | None = Field(None, description="split of the data set")
    revision: str | None = Field(None, description="branch, tag or commit of a data set on the Hub")
    ids: tuple[str, ...] = Field((), description="only these scenarios")
    tags: tuple[str, ...] = Field((), description="only scenarios with one of these tags")
    limit: int | None = Field(None, ge=1, description="at most so many scenarios of each config")
    judge: JudgeOptions = JudgeOptions()
    noise: Annotated[NoiseOptions | None, BeforeValidator(_switch)] = Field(
        None, description="true, or a table: what disturbs the agent"
    )
    agent_to_agent: Annotated[AgentToAgentOptions | None, BeforeValidator(_switch)] = Field(
        None, description="true, or a table: apps behind agents of their own"
    )
    cassette: CassetteOptions | None = Field(None, description="recorded answers of models")
    cache: bool = Field(False, description="take a result that the same trial has left before")
    verbosity: Verbosity = Field("medium", description="how much the agent is told of the world")
    generation_time: Literal["measured"] | Duration = Field(
        "measured", description="simulated time that a decision takes: as it did, or always this"
    )
    duration: Duration | None = Field(
        None, description="simulated time until the end; default: the scenario's, or Gaia2's"
    )
    files: str | None = Field(
        None, description="folder with the contents of files that scenarios only name"
    )
    scenarios: str | None = Field(
        None,
        description="phase 'judge': where the scenarios are that traces do not hold themselves",
    )
    traces: Literal["both", "hf", "lite", "none"] = Field(
        "hf", description="what is written of each trial, in ARE's formats"
    )
    backend: Literal["native", "are"] = Field(
        "native", description="our own world and judge, or those of Meta's package"
    )
    subset: str = Field(
        "mini", description="phase 'gaia2': config of the groups agent2agent and noise"
    )
