"""One trial: an agent post-trains a model, and what it submitted is judged."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from pytest_a2perf.domains.posttrain.agents import prepare
from pytest_a2perf.domains.posttrain.baseline import base_scores
from pytest_a2perf.domains.posttrain.devices import CUDA
from pytest_a2perf.domains.posttrain.grading.artefact import Rules
from pytest_a2perf.domains.posttrain.grading.client import GradingService
from pytest_a2perf.domains.posttrain.grading.config import Config
from pytest_a2perf.domains.posttrain.grading.submission import Score, Submission
from pytest_a2perf.domains.posttrain.proxy import LlmProxy
from pytest_a2perf.domains.posttrain.recording import Monitor, ShadowRepository
from pytest_a2perf.domains.posttrain.report import write_reports
from pytest_a2perf.domains.posttrain.result import Result
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Running
from pytest_a2perf.domains.posttrain.session import run_agent, undisturbed, wall_limit
from pytest_a2perf.domains.posttrain.setting import Setting, make_setting, service_command
from pytest_a2perf.domains.posttrain.tasks.base import Split
from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.posttrain.workspace import (
    agent_box,
    agent_env,
    build_workspace,
    services_offered,
)
from pytest_a2perf.domains.posttrain.workspace.names import AGENT, LLM_PORT, WORKSPACE
from pytest_a2perf.errors import A2PerfError, InfraError

if TYPE_CHECKING:
    from pytest_a2perf.trials.trial import Trial

__all__ = ["play"]


def play(trial: Trial) -> None:
    """Run one trial, and record what came of it whatever happens.

    Raises:
        AgentFailure: the model did not become better, or nothing was submitted.
        AgentError: there is no such agent, or it crashed before it submitted anything.
        InfraError: sandbox, grader or proxy broke, or the base model cannot be evaluated.
    """
    with contextlib.ExitStack() as stack:
        setting = make_setting(trial, stack)
        base = base_scores(setting)
        session = _Session(setting, base, stack)
        try:
            trial.measured(session.run)
            session.decide()
        finally:
            with undisturbed():
                result = session.close()
                result.keep(trial)
    result.conclude()


class _Session:
    """The run of an agent beside its grader, from an empty workspace to the reports.

    Args:
        setting: see `Setting`.
        base: scores of the base model.
        stack: ends what is started.
    """

    def __init__(
        self, setting: Setting, base: dict[Split, Score], stack: contextlib.ExitStack
    ) -> None:
        files = setting.files
        self._setting = setting
        self._base = base
        self._stack = stack
        self._shadow = ShadowRepository(files.shadow, files.workspace)
        self._info = setting.info()
        self._info.base_public = asdict(base["public"])
        self._info.base_private = asdict(base["private"])
        self._service: GradingService | None = None
        self._proxy: LlmProxy | None = None
        self._monitor: Monitor | None = None
        self._running: Running | None = None
        self._chosen: Submission | None = None
        self._decided = False
        self._begun = 0.0

    def run(self) -> None:
        """Run the agent until it ends, or its budget does."""
        setting, files = self._setting, self._setting.files
        self._build()
        started = (time.time(), time.monotonic())
        self._begun = started[1]
        self._service = GradingService(self._config(started), self._moment)
        with self._service as service:
            setting.trial.progress(f"{setting.task.name}: {self._info.agent} at work")
            run_agent(
                setting.sandbox,
                self._box(started[1]),
                files,
                setting.budget,
                self._info,
                grading=service,
                started=started,
                watch=self._watch,
            )
        if self._proxy is not None and self._proxy.broken:
            raise InfraError(f"the proxy of language models is gone: {self._proxy.broken}")

    def decide(self) -> None:
        """Measure the best submission on the private split."""
        assert self._service is not None
        self._setting.trial.progress(f"{self._setting.task.name}: the score that decides")
        self._chosen = self._service.final(self._setting.repeats)
        self._decided = True

    def close(self) -> Result:
        """Write all down: events, energy, the last revision, the reports."""
        info, files, service = self._info, self._setting.files, self._service
        submissions: list[Submission] = []
        self._shadow.commit("end")
        if service is not None:
            info.events += [(round(at, 3), f"{kind}: {text}") for at, kind, text in service.notes]
            try:
                submissions = service.submissions()
            except (A2PerfError, OSError) as error:
                self._note(f"the log of submissions: {error}")
        if self._monitor is not None:
            info.energy = self._monitor.energy
            info.events += [(round(info.clock, 3), text) for text in self._monitor.problems]
        for text in self._shadow.notes:
            self._note(text)
        info.events.sort()
        report = None
        try:
            info.write(files.about)
            report = write_reports(files)
        except Exception as error:  # noqa: BLE001 - it reads what the agent wrote, and decides nothing
            self._setting.trial.note(report_failed=f"{type(error).__name__}: {error}")
        return Result(
            self._setting, info, self._base, submissions, self._chosen, self._decided, report
        )

    def _build(self) -> None:
        setting, files = self._setting, self._setting.files
        task = setting.task
        build_workspace(
            files,
            setting.materials,
            task_name=task.name,
            budget=setting.budget,
            expose=getattr(task, "expose", ()),
            mode=setting.options.mode,
            services=services_offered(task.services, setting.options.mode),
            mounted=setting.mounted,
            network=setting.options.network,
            llm=setting.options.llm is not None,
        )
        for mount in setting.agent.mounts:
            if mount.target == AGENT:  # as it was at this run
                shutil.copytree(mount.source, files.root / "agent", ignore=_NOT_CODE)
        self._info.revision = self._shadow.commit("start")

    def _config(self, started: tuple[float, float]) -> Config:
        setting, options, budget = self._setting, self._setting.options, self._setting.budget
        task, public = setting.task, self._base["public"]
        return Config(
            root=setting.files.root,
            plan=setting.plan,
            task=task.name,
            base=setting.materials.base,
            base_name=setting.materials.base_name,
            baseline=public.value,
            items=len(public.items),
            inside=WORKSPACE if setting.mounted else str(setting.files.workspace),
            started=started,
            timeout=budget.wall,
            patience=wall_limit(budget),
            cpu=budget.cpu,
            submissions=budget.submissions,
            calls=budget.calls,
            per_minute=options.per_minute,
            cool_down=options.cool_down or 0.0,
            queue=options.queue,
            rules=task.rules if isinstance(task, ConfiguredTask) else Rules(size=_TINY),
            services=services_offered(task.services, options.mode),
            service=service_command(task, options),
            gpus=setting.gpus,
        )

    def _box(self, begun: float) -> Box:
        setting, options, files = self._setting, self._setting.options, self._setting.files
        agent = prepare(setting.agent, files)
        env = agent_env(
            setting.task.name,
            base_name=setting.materials.base_name,
            budget=setting.budget,
            seed=setting.trial.seed,
            pass_env=options.pass_env,
            defaults=agent.env if options.llm is None else {**_LLM_ENV, **agent.env},
            given=setting.trial.scenario.agent_options.get("env"),
            path=agent.path,
        )
        if setting.gpus:
            env[CUDA] = ",".join(setting.gpus)
        llm = None
        if options.llm is not None:
            folder = files.root / "llm"
            folder.mkdir()
            self._proxy = LlmProxy(options.llm, files.calls, folder, begun=begun)
            llm = self._stack.enter_context(self._proxy).socket
        return agent_box(
            files,
            setting.materials,
            agent.command,
            env,
            setting.budget,
            mounts=agent.mounts,
            devices=setting.devices,
            network=options.network,
            llm=llm,
        )

    @contextlib.contextmanager
    def _watch(self, running: Running) -> Iterator[None]:
        self._running = running
        gpus = None if self._setting.devices else ()
        self._monitor = Monitor(self._setting.files, running, gpus=gpus, started=self._begun)
        with self._monitor:
            yield

    def _moment(self, message: str) -> tuple[float, str]:
        """Return the agent's CPU seconds and, for a submission, a commit of its workspace."""
        cpu = 0.0 if self._running is None else self._running.usage().cpu
        return cpu, self._shadow.commit(message) if message else ""

    def _note(self, text: str) -> None:
        self._info.events.append((round(self._info.clock, 3), text))


_LLM_ENV = {
    "OPENAI_BASE_URL": f"http://127.0.0.1:{LLM_PORT}/v1",
    "OPENAI_API_KEY": "of-the-harness",
    "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{LLM_PORT}",
    "ANTHROPIC_API_KEY": "of-the-harness",
}
_TINY = 64 << 20  # bytes of a submission, where the base model has a few hundred thousand weights
_NOT_CODE = shutil.ignore_patterns("__pycache__", "*.pyc", ".git", ".venv", "node_modules")
