"""The box of an agent: what it sees, and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.sockets import NAME
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Limits, Mount
from pytest_a2perf.domains.posttrain.tasks.base import Budget, Materials
from pytest_a2perf.domains.posttrain.workspace.build import toolkit_seen
from pytest_a2perf.domains.posttrain.workspace.names import (
    GRADER,
    LLM,
    LLM_PORT,
    PORT,
    TOOLKIT,
    WORKSPACE,
)
from pytest_a2perf.domains.posttrain.workspace.withheld import data_seen

__all__ = ["agent_box"]

_SPARE = 1.1
_SPARE_SECONDS = 5.0


def agent_box(
    files: RunFiles,
    materials: Materials,
    command: Sequence[str],
    env: Mapping[str, str],
    budget: Budget,
    *,
    mounts: Sequence[Mount] = (),
    hidden: Sequence[Path] = (),
    devices: Sequence[str] = (),
    network: bool = False,
    llm: Path | None = None,
) -> Box:
    """Return the box that an agent runs in.

    The session ends an agent at its budget, and gently; the sandbox's own limit of CPU seconds
    lies a little above it, for agents that do not end then. The wall is the session's alone, as
    evaluations do not count.

    Args:
        files: of the run, with its workspace built.
        materials: of the task.
        command: argument list.
        env: see `agent_env`.
        budget: of the agent.
        mounts: of the agent itself.
        hidden: further paths of the host that must not be seen.
        devices: device files that are passed on.
        network: whether the host's network is reachable.
        llm: socket of the language model's proxy, if there is one.
    """
    forward = {PORT: f"{GRADER}/{NAME}"}
    seen = [
        Mount(files.workspace, WORKSPACE, writable=True),
        Mount(materials.base, f"{WORKSPACE}/models/{materials.base_name}"),
        Mount(data_seen(files, materials), f"{WORKSPACE}/data"),
        Mount(toolkit_seen(files), TOOLKIT),
        Mount(files.socket, GRADER),
        *mounts,
    ]
    if llm is not None:
        seen.append(Mount(llm.parent, LLM))
        forward[LLM_PORT] = f"{LLM}/{llm.name}"
    cpu = None if budget.cpu is None else budget.cpu * _SPARE + _SPARE_SECONDS
    return Box(
        command=command,
        mounts=seen,
        env=env,
        folder=WORKSPACE,
        limits=Limits(cpu=cpu, memory=budget.memory, processes=budget.processes, disk=budget.disk),
        network=network,
        hidden=[materials.hidden, files.grading, files.shadow, *hidden],
        devices=devices,
        forward=forward,
    )
