"""From the name in a scenario to an agent, checked as far as that is cheap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.posttrain.agents.agent import (
    Agent,
    AgentOptions,
    Surroundings,
    read_options,
)
from pytest_a2perf.domains.posttrain.agents.cli import ADAPTERS, cli_agent
from pytest_a2perf.domains.posttrain.agents.folder import START, folder_agent, reference_agent
from pytest_a2perf.domains.posttrain.agents.function import function_agent, stage_sources
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.copies import write_copy
from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["REFERENCE", "builtin_agents", "prepare", "resolve_agent"]

REFERENCE = "reference"
_HERE = Path(__file__).parent


def builtin_agents() -> list[str]:
    """Return the names of the agents that come along."""
    return sorted([REFERENCE, *(path.parent.name for path in _HERE.glob(f"*/{START}"))])


def resolve_agent(spec: str, options: Mapping[str, Any], around: Surroundings) -> Agent:
    """Return the agent that a scenario names.

    Args:
        spec: the name of one that comes along; the path of a folder with ``start.sh``;
            ``module:function``; or ``cli:NAME``.
        options: ``agent_options`` of the scenario, see `AgentOptions`.
        around: see `Surroundings`.

    Raises:
        AgentError: there is none, or it cannot run here.
    """
    read = read_options(spec, options)
    if spec.startswith("cli:"):
        return cli_agent(spec, read, around)
    _check_unused(spec, read)
    if spec == REFERENCE:
        agent = reference_agent(around.task, _HERE / REFERENCE, read)
    elif spec in builtin_agents():
        agent = folder_agent(spec, _HERE / spec, read)
    elif "/" in spec or (around.root / spec / START).is_file():
        agent = folder_agent(spec, around.root / Path(spec).expanduser(), read)
    elif ":" in spec:
        agent = function_agent(spec, around.root, read)
    else:
        known = [*builtin_agents(), *(f"cli:{name}" for name in ADAPTERS)]
        raise AgentError(
            f"unknown agent {spec!r}{did_you_mean(spec, known)} (an agent is one of "
            f"{', '.join(known)}, a folder with {START}, or 'module:function')"
        )
    return agent.with_paths(read.paths, around.root)


def prepare(agent: Agent, files: RunFiles) -> Agent:
    """Put into a run's folder what an agent needs there; the workspace is built by then.

    Returns:
        The agent with all of its mounts.

    Raises:
        InfraError: that cannot be done.
    """
    for name, text in agent.documents.items():
        write_copy(files.workspace, name, text)
    return replace(agent, mounts=(*agent.mounts, *stage_sources(agent, files)))


def _check_unused(spec: str, options: AgentOptions) -> None:
    """Refuse what only other kinds of agents take."""
    for key in ("command", "prompt"):
        if getattr(options, key):
            raise AgentError(f"agent {spec!r}: agent_options.{key} is for agents 'cli:NAME' alone")
    if options.arguments and ":" not in spec:
        raise AgentError(
            f"agent {spec!r}: agent_options.arguments is for agents 'module:function' alone"
        )
