"""Agents of this domain: from what a scenario names to a command in a box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_a2perf.domains.posttrain.sandbox.spec import Mount
from pytest_a2perf.errors import AgentError

__all__ = ["Agent", "AgentOptions", "Surroundings", "read_options"]


class AgentOptions(BaseModel):
    """What a scenario may set as ``agent_options``.

    Attributes:
        model: language model of a command-line agent, as its ``--model`` has it.
        driver: language model behind the agent, for the record; by default ``model``.
        command: argument list of a command-line agent, in place of the one that comes along;
            ``{prompt}``, ``{workspace}``, ``{model}`` and ``{llm}`` (base URL of the proxy) are
            filled in.
        prompt: first message for a command-line agent, in place of the one that comes along.
        env: variables for the agent.
        paths: files and folders of the host that it needs, seen read-only at the same place.
        arguments: for an agent that is a function, by name.
    """

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    model: str = ""
    driver: str = ""
    command: list[str] = []
    prompt: str = ""
    env: dict[str, str] = {}
    paths: list[str] = []
    arguments: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides whether an agent can run at all.

    Attributes:
        root: the project's folder.
        task: name of the task.
        pass_env: the host's variables that are passed on.
        network: whether the agent has one.
        proxied: whether there is a proxy for language models.
    """

    root: Path
    task: str
    pass_env: Sequence[str] = ()
    network: bool = False
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class Agent:
    """What runs in the box.

    Attributes:
        name: as the scenario names it.
        command: argument list, inside.
        mounts: what it needs besides workspace and toolkit.
        env: defaults of its own.
        path: folders for ``PATH``.
        driver: language model behind it; empty if there is none, or it is not known.
        description: in a line.
        documents: files for the workspace: name -> text.
        sources: Python sources to be seen as ``/project``, copied for the run.
    """

    name: str
    command: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    driver: str = ""
    description: str = ""
    documents: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Path, ...] = ()

    def with_paths(self, paths: Sequence[str], root: Path) -> Agent:
        """Return the agent with further files of the host.

        Raises:
            AgentError: one is not there.
        """
        mounts = []
        for name in paths:
            path = (root / Path(name).expanduser()).absolute()
            if not path.exists():
                raise AgentError(f"agent {self.name!r}: agent_options.paths: there is no {path}")
            mounts.append(Mount(path, str(path)))
        return replace(self, mounts=(*self.mounts, *mounts))


def read_options(name: str, options: Mapping[str, Any]) -> AgentOptions:
    """Check what a scenario sets for an agent.

    Raises:
        AgentError: a key is unknown or its value wrong; the message names it.
    """
    from pytest_a2perf.domains.posttrain.workspace.environment import check_variables
    from pytest_a2perf.suggest import did_you_mean

    try:
        read = AgentOptions.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        near = did_you_mean(key, AgentOptions.model_fields) if "extra" in first["type"] else ""
        raise AgentError(
            f"agent {name!r}: agent_options.{key}: {first['msg'].lower()}{near}"
        ) from None
    check_variables(read.env, "agent_options.env")
    return read
