"""The groups of runs that make up Gaia2: standard, with agents before the apps, with noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from pytest_a2perf.domains.assistant.options import (
    AgentToAgentOptions,
    AssistantOptions,
    NoiseOptions,
)
from pytest_a2perf.domains.assistant.sources.cases import CAPABILITIES

if TYPE_CHECKING:
    from pytest_a2perf.domains.assistant.sources import CaseRef
    from pytest_a2perf.scenarios.models import Scenario
    from pytest_a2perf.trials.trial import Trial

T = TypeVar("T")

__all__ = [
    "AGENT2AGENT", "GROUPS", "NOISE", "PHASE", "STANDARD", "config_name", "group_of",
    "in_groups", "note_case", "options_for", "wrong_for_suite",
]  # fmt: skip

PHASE = "gaia2"
"""The phase of scenarios that runs all groups."""

STANDARD, AGENT2AGENT, NOISE = "standard", "agent2agent", "noise"
GROUPS = (STANDARD, AGENT2AGENT, NOISE)
_SUFFIXES = {STANDARD: "", AGENT2AGENT: "_a2a", NOISE: "_noise"}


def config_name(config: str, group: str) -> str:
    """Return what a submission calls a configuration of a group, e.g. ``mini_a2a``."""
    return config + _SUFFIXES.get(group, f"_{group}")


def in_groups(found: Mapping[str, T], subset: Mapping[str, T]) -> dict[str, T]:
    """Return the scenarios of all groups, by names that tell the group.

    Args:
        found: scenarios of the group standard, by name.
        subset: those of the other groups.
    """
    members = {STANDARD: found, AGENT2AGENT: subset, NOISE: subset}
    return {f"{group}-{name}": members[group][name] for group in GROUPS for name in members[group]}


def group_of(scenario: Scenario, case: str) -> str:
    """Return the group of a case; empty in phases that have none."""
    return case.partition("-")[0] if scenario.phase == PHASE else ""


def wrong_for_suite(scenario: Scenario, options: AssistantOptions) -> Iterator[tuple[str, str]]:
    """Yield key and message of what keeps a scenario from running all groups."""
    import importlib.util

    own = options.agent_to_agent and options.agent_to_agent.model
    if own is None and "model" not in scenario.agent_options:
        yield (
            "options.agent_to_agent.model",
            f"missing: which model do the apps' agents have in the group {AGENT2AGENT}?",
        )
    if options.backend != "native":
        yield "options.backend", f"phase {PHASE!r} needs backend = 'native'"
    if options.judge.kind == "none":
        yield "options.judge.kind", f"phase {PHASE!r} needs a judge"
    if options.traces not in ("hf", "both"):
        yield "options.traces", f"phase {PHASE!r} submits traces; make it 'hf' or 'both'"
    if importlib.util.find_spec("pyarrow") is None:
        yield "phase", f"{PHASE!r} writes Parquet: pip install 'pytest-a2perf[parquet]'"


def options_for(scenario: Scenario, case: str) -> AssistantOptions:
    """Return the options of one trial, which in phase ``gaia2`` its case decides.

    Args:
        scenario: its scenario.
        case: id of its case.
    """
    options = AssistantOptions.model_validate(scenario.options)
    group = group_of(scenario, case)
    if not group:
        return options
    noise = options.noise or NoiseOptions()
    experts = _with_model(scenario, options.agent_to_agent or AgentToAgentOptions())
    return options.model_copy(
        update={
            "noise": noise if group == NOISE else None,
            "agent_to_agent": experts if group == AGENT2AGENT else None,
        }
    )


def note_case(trial: Trial, ref: CaseRef) -> None:
    """Record of which capability, configuration and group a trial is.

    Noted are ``row``, which is what its results are summed up with, and its parts ``part`` and
    ``group``; ``scenario``, ``capability``, ``config`` and ``split`` as they were found; the
    group's settings; the trial's folder; the agent's model if it is named.
    """
    scenario = trial.scenario
    options = options_for(scenario, trial.case)
    noise, experts = options.noise, options.agent_to_agent
    if scenario.phase == "judge":
        group = ref.phase or STANDARD
    else:
        parts = [AGENT2AGENT] * (experts is not None) + [NOISE] * (noise is not None)
        group = "_".join(parts) or STANDARD
    base = ref.config.removesuffix(_SUFFIXES.get(group, f"_{group}"))
    # Mini mixes capabilities: with noise it is a configuration of its own, else it is taken apart.
    mixed = base not in CAPABILITIES and group != STANDARD
    name = (base if mixed else ref.capability) or ref.capability or base or "all"
    trial.note(
        row=config_name(name, group),
        scenario=ref.id,
        capability=ref.capability,
        config=ref.config,
        split=ref.split,
        part=name,
        group=group,
        experts=0.0 if experts is None else experts.share,
        app_noise=noise is not None and (noise.failures > 0 or noise.renames),
        world_noise=noise is not None and noise.events_per_minute > 0,
        folder=trial.folder.name,
    )
    if ref.run_number is not None:
        trial.note(run_number=ref.run_number)
    if isinstance(model := scenario.agent_options.get("model"), str):
        trial.note(model=model)


def _with_model(scenario: Scenario, experts: AgentToAgentOptions) -> AgentToAgentOptions:
    """Give apps' agents the model of the agent under test, unless they have their own."""
    if experts.model is not None:
        return experts
    from pytest_a2perf.domains.assistant.agents.usage import Limits

    limits = {field.name for field in dataclasses.fields(Limits)}
    options = {k: v for k, v in scenario.agent_options.items() if k not in limits and k != "model"}
    update = {
        "model": scenario.agent_options.get("model"),
        "model_options": {**options, **experts.model_options},
    }
    return experts.model_copy(update=update)
