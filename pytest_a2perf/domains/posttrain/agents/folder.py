"""Agents in upstream's layout: a folder with ``start.sh`` and, if need be, ``config.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_a2perf.domains.posttrain.agents.agent import Agent, AgentOptions
from pytest_a2perf.domains.posttrain.sandbox.spec import Mount
from pytest_a2perf.domains.posttrain.workspace.names import AGENT
from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["START", "folder_agent", "read_config", "reference_agent"]

START = "start.sh"
"""Name of the command that starts an agent, unless its configuration says otherwise."""

_CONFIG = "config.yaml"
_MODEL = ("_MODEL", "_LLM")


def folder_agent(name: str, folder: Path, options: AgentOptions) -> Agent:
    """Return the agent in a folder, which it sees read-only as ``/agent``.

    Args:
        name: as the scenario has it.
        folder: of the agent.
        options: of the scenario.

    Raises:
        AgentError: there is no such folder, or its files are not as they must be.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        others = [path.name for path in folder.parent.glob("*/") if (path / START).is_file()]
        near = did_you_mean(folder.name, others)
        raise AgentError(f"agent {name!r}: there is no folder {folder}{near}")
    config = read_config(folder / _CONFIG)
    start = str(config.get("start") or START)
    if not (folder / start).is_file():
        raise AgentError(f"agent {name!r}: {folder} has no {start}, the command that starts it")
    env = {key: _text(value) for key, value in (config.get("env_vars") or {}).items()}
    known = {**env, **options.env}
    named = [value for key, value in known.items() if key.endswith(_MODEL) and value]
    return Agent(
        name=name,
        command=("bash", f"{AGENT}/{start}"),
        mounts=(Mount(folder, AGENT),),
        env=env,
        driver=options.driver or options.model or next(iter(named), ""),
        description=str(config.get("description") or config.get("name") or ""),
    )


def reference_agent(task: str, folder: Path, options: AgentOptions) -> Agent:
    """Return the reference solution of a task: a script, seen with its neighbours as ``/agent``.

    Raises:
        AgentError: the task has none.
    """
    script = f"{task.rpartition('/')[2]}.py"
    if not (folder / script).is_file():
        known = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
        raise AgentError(
            f"agent 'reference': task {task!r} has no reference solution; there are some for "
            f"{', '.join(known) or 'no task'}"
        )
    return Agent(
        name="reference",
        command=("python3", f"{AGENT}/{script}"),
        mounts=(Mount(folder, AGENT),),
        driver=options.driver,
        description=f"the reference solution of {task}",
    )


def read_config(path: Path) -> dict[str, Any]:
    """Read a ``config.yaml``; an empty one if it is not there.

    Raises:
        AgentError: it cannot be read; the message names the line.
    """
    if not path.is_file():
        return {}
    try:
        import yaml  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise AgentError(f"{path}: reading it needs PyYAML: pip install pyyaml") from None
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AgentError(f"{path}: {error}") from None
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise AgentError(f"{path}: expected keys such as name, start and env_vars")
    variables = config.get("env_vars")
    if not (variables is None or isinstance(variables, dict)):
        raise AgentError(f"{path}: env_vars: expected variables and their values")
    start = config.get("start")
    if start is not None and (not isinstance(start, str) or ".." in Path(start).parts):
        raise AgentError(f"{path}: start: expected the name of a file in the folder")
    return config


def _text(value: object) -> str:
    """Return a value as a shell has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
