"""What a trial is made of, before anything of it runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pytest_a2perf.caches import cache_folder
from pytest_a2perf.domains.posttrain.agents import Agent, Surroundings, resolve_agent
from pytest_a2perf.domains.posttrain.devices import device_files, gpus_to_use
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.config import Place, Plan
from pytest_a2perf.domains.posttrain.info import RunInfo
from pytest_a2perf.domains.posttrain.options import PosttrainOptions
from pytest_a2perf.domains.posttrain.proxy import LlmProxy
from pytest_a2perf.domains.posttrain.sandbox import choose
from pytest_a2perf.domains.posttrain.sandbox.spec import Limits, Sandbox
from pytest_a2perf.domains.posttrain.tasks.base import SPLITS, Budget, Materials, Task
from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.posttrain.tasks.registry import get_task
from pytest_a2perf.errors import InfraError

if TYPE_CHECKING:
    from pytest_a2perf.trials.trial import Trial

__all__ = ["CACHE", "Setting", "make_setting", "service_command"]

CACHE = "posttrain"
"""Folder of base models, data and scores of base models in the cache."""
_REPEATS = 5
_EVALUATION = Limits(memory=4 << 30, processes=64, wall=600.0)
"""Of tasks with tiny models."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A trial that could begin.

    Attributes:
        trial: see `Trial`.
        options: of the scenario.
        task: see `Task`.
        budget: of the agent.
        sandbox: for the agent, and for evaluations.
        files: of the run.
        materials: of the task.
        plan: of evaluations, see `Plan`.
        agent: see `Agent`.
        devices: device files of the agent.
        gpus: of the agent, as ``CUDA_VISIBLE_DEVICES`` has them; empty: not told.
        repeats: evaluations that decide.
    """

    trial: Trial
    options: PosttrainOptions
    task: Task
    budget: Budget
    sandbox: Sandbox
    files: RunFiles
    materials: Materials
    plan: Plan
    agent: Agent
    devices: tuple[str, ...]
    gpus: tuple[str, ...]
    repeats: int

    @property
    def mounted(self) -> bool:
        """Whether the sandbox shows paths of its own, and not those of the host."""
        return self.sandbox.name not in ("landlock", "none")

    def info(self) -> RunInfo:
        """Return what the run is, as far as it is known before it begins."""
        return RunInfo(
            task=self.task.name,
            level=self.task.level,
            stands_for=self.task.stands_for,
            metric=self.task.metric,
            noise=self.task.noise,
            agent=self.trial.scenario.agent,
            driver=self.agent.driver,
            mode=self.options.mode,
            seed=self.trial.seed,
            budget=asdict(self.budget),
            sandbox={"name": self.sandbox.name, **self.sandbox.details},
            isolated=self.sandbox.isolated,
            base_name=self.materials.base_name,
        )


def make_setting(trial: Trial, stack: ExitStack) -> Setting:
    """Prepare a trial: sandbox, agent, model and data.

    Args:
        trial: see `Trial`.
        stack: ends what is started for it.

    Raises:
        AgentError: there is no such agent, or it cannot run here.
        InfraError: there is no sandbox, or model and data cannot be made or found.
    """
    options = PosttrainOptions.model_validate(trial.scenario.options)
    task = get_task(trial.scenario.task, options.task_options)
    around = Surroundings(
        root=trial.root,
        task=task.name,
        pass_env=options.pass_env,
        network=options.network,
        proxied=options.llm is not None,
    )
    agent = resolve_agent(trial.scenario.agent, trial.scenario.agent_options, around)
    sandbox = choose(options.sandbox, allow_unisolated=options.allow_unisolated)
    trial.progress(f"{task.name}: base model and data")
    materials = task.materials(cache_folder() / CACHE)
    files = _new_files(trial)
    return Setting(
        trial=trial,
        options=options,
        task=task,
        budget=options.budget.over(task.budget),
        sandbox=sandbox,
        files=files,
        materials=materials,
        plan=_plan(task, materials, sandbox=sandbox, options=options, files=files, stack=stack),
        agent=agent,
        devices=device_files(options.devices),
        gpus=gpus_to_use(options.gpus, options.devices),
        repeats=options.repeats or (_REPEATS if task.noise else 1),
    )


def service_command(task: Task, options: PosttrainOptions) -> tuple[str, ...]:
    """Return the argument list of the program that answers the calls of a task's services."""
    import json

    if not task.services:
        return ()
    module = f"{__package__}.service"
    return (sys.executable, "-m", module, task.name, json.dumps(options.task_options))


def _new_files(trial: Trial) -> RunFiles:
    """Return a new folder for a trial that may have run before: what was recorded stays."""
    number = 1
    while (root := trial.folder / f"attempt-{number}").exists():
        number += 1
    root.mkdir()
    # Programs in a box that copy a set-gid folder would be refused: see `sandbox.seccomp`.
    root.chmod(root.stat().st_mode & 0o777)
    return RunFiles(root)


def _plan(
    task: Task,
    materials: Materials,
    *,
    sandbox: Sandbox,
    options: PosttrainOptions,
    files: RunFiles,
    stack: ExitStack,
) -> Plan:
    """Return how submissions are evaluated; the proxy of a judge is started for it."""
    requests: dict[str, Mapping[str, Any]] = {split: task.evaluator(split, 0) for split in SPLITS}
    if not isinstance(task, ConfiguredTask):
        place = Place(sandbox.name, options.allow_unisolated, _EVALUATION)
        return Plan(materials.hidden, requests, place=place)
    judge = None
    if task.options.judge is not None:
        if sandbox.name == "landlock":
            raise InfraError(
                f"{task.name}: a judge is asked over a unix socket, which Landlock's boxes do not "
                "have: install bubblewrap"
            )
        folder = files.root / "judge"
        folder.mkdir()
        llm = task.options.judge.llm()
        judge = stack.enter_context(LlmProxy(llm, files.calls, folder, kind="judge")).socket
    place = task.place(sandbox=sandbox.name, allow_unisolated=options.allow_unisolated, judge=judge)
    return Plan(materials.hidden, requests, task.command, place)
