"""The agent's environment: what the task says, and of the host's what is listed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from pytest_a2perf.domains.posttrain.sandbox import search_path
from pytest_a2perf.domains.posttrain.tasks.base import Budget
from pytest_a2perf.domains.posttrain.workspace.build import HOME
from pytest_a2perf.domains.posttrain.workspace.names import PORT, PROJECT, TOOLKIT, WORKSPACE
from pytest_a2perf.errors import AgentError, InfraError

__all__ = ["agent_env", "check_variables"]

_OURS = frozenset(
    {
        *("TASK", "BASE_MODEL", "WORKSPACE", "MODEL_PATH", "DATA_PATH", "OUTPUT_DIR"),
        *("GRADING_SERVER_URL", "SEED", "HOME", "PATH", "PYTHONPATH", "TMPDIR"),
        *("LD_PRELOAD", "LD_AUDIT"),
    }
)
_OURS_TOO = ("BUDGET_", "A2PERF_", "PYTEST_")


def agent_env(
    task: str,
    *,
    base_name: str,
    budget: Budget,
    seed: int,
    pass_env: Iterable[str] = (),
    defaults: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
    path: Iterable[str] = (),
) -> dict[str, str]:
    """Return the whole environment of the agent.

    Later ones win: the agent's own defaults, listed variables of the host, those that the scenario
    gives, and the harness's own.

    Args:
        task: its name.
        base_name: of the base model.
        budget: of the agent.
        seed: of the trial.
        pass_env: names of the host's variables that are passed on.
        defaults: of the agent, e.g. ``env_vars`` of its ``config.yaml``.
        given: by the scenario.
        path: folders for ``PATH``, before the system's.

    Raises:
        AgentError: a variable that is given or listed is the harness's own.
        InfraError: a listed variable is not set here.
    """
    names, given = list(pass_env), dict(given or {})
    check_variables(names, "pass_env")
    check_variables(given, "agent_options.env")
    if missing := [name for name in names if name not in os.environ]:
        raise InfraError(
            f"pass_env lists {', '.join(missing)}, which is not set in the environment here: set "
            "it, or take it off the list"
        )
    limits = {
        "BUDGET_CPU_SECONDS": budget.cpu,
        "BUDGET_WALL_SECONDS": budget.wall,
        "BUDGET_SUBMISSIONS": budget.submissions,
        "BUDGET_CALLS": budget.calls,
    }
    return {
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PYTHONUNBUFFERED": "1",  # a process that is killed flushes nothing
        "OMP_NUM_THREADS": "1",  # budgets are CPU seconds; agents may set it
        **(defaults or {}),
        **{name: os.environ[name] for name in names},
        **given,
        "TASK": task,
        "BASE_MODEL": base_name,
        "WORKSPACE": WORKSPACE,
        "MODEL_PATH": f"{WORKSPACE}/models/{base_name}",
        "DATA_PATH": f"{WORKSPACE}/data",
        "OUTPUT_DIR": f"{WORKSPACE}/output",
        "GRADING_SERVER_URL": f"http://127.0.0.1:{PORT}",
        "SEED": str(seed),
        **{name: str(limit) for name, limit in limits.items() if limit is not None},
        "PATH": ":".join([*path, search_path()]),
        "PYTHONPATH": f"{TOOLKIT}:{PROJECT}",
        "HOME": f"{WORKSPACE}/{HOME}",
        "TMPDIR": "/tmp",  # noqa: S108 - inside
    }


def check_variables(names: Iterable[str], key: str) -> None:
    """Check that variables may be set for an agent.

    Args:
        names: of the variables.
        key: of the scenario, for the message.

    Raises:
        AgentError: one is the harness's own.
    """
    for name in names:
        if name in _OURS or name.startswith(_OURS_TOO):
            raise AgentError(f"{key}: {name} is set by the harness and cannot be given")
