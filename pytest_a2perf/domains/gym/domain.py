"""The domain ``gym``: a scenario's agent in a Gymnasium environment."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.errors import A2PerfError, AgentFailure, InfraError
from pytest_a2perf.gates.condition import parse_condition
from pytest_a2perf.scenarios.models import Strict
from pytest_a2perf.suggest import did_you_mean

if TYPE_CHECKING:
    from pytest_a2perf.scenarios.models import Scenario
    from pytest_a2perf.trials.trial import Trial

__all__ = ["GymDomain", "GymOptions", "run_episodes"]


class GymOptions(Strict):
    """``[scenario.options]`` of the domain ``gym``."""

    env: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments for gymnasium.make"
    )
    modules: tuple[str, ...] = Field(
        (), description="modules to import first, so that they register their environments"
    )
    num_envs: int = Field(1, ge=1, description="sub-environments of a vectorised environment")
    vectorization: Literal["sync", "async", "vector_entry_point"] = "sync"
    max_steps: int | None = Field(None, ge=1, description="truncate episodes here")
    warmup_steps: int = Field(0, ge=0, description="steps before the measurement")
    success: str | None = Field(
        None, description="condition on an episode's return; default: the environment's own word"
    )
    tasks: tuple[str, ...] = Field(
        (), description="environments of a generalization scenario, beside its task"
    )


class GymDomain:
    """Any Gymnasium environment, single or vectorised."""

    name = "gym"
    phases = frozenset({"inference", "generalization"})
    options: type[Strict] = GymOptions

    def check(self, scenario: Scenario) -> Iterable[tuple[str, str]]:
        """Yield what is wrong with the options; environments are looked up when they are made."""
        options = GymOptions.model_validate(scenario.options)
        if options.success is not None:
            try:
                parse_condition(options.success)
            except A2PerfError as error:
                yield "options.success", str(error)
        if options.tasks and scenario.phase != "generalization":
            yield "options.tasks", "several tasks need phase = 'generalization'"
        if scenario.phase == "generalization" and not options.tasks:
            yield "phase", "phase 'generalization' needs options.tasks, the other environments"

    def run(self, trial: Trial) -> None:
        """Run the trial's episodes in each of its tasks.

        Raises:
            AgentError, InfraError: see `roll_out` and `make_agent`.
            AgentFailure: episodes were not solved.
        """
        scenario = trial.scenario
        options = GymOptions.model_validate(scenario.options)
        for module in options.modules:
            with _importable(str(trial.root)):
                importlib.import_module(module)
        for task in (scenario.task, *options.tasks):
            env = make_env(task, options)
            with closing(env):
                run_episodes(trial, env, scenario.agent, options, task=task)
        judge_success(trial, options)


def run_episodes(
    trial: Trial,
    env: Any,
    agent_spec: Any,
    options: GymOptions,
    *,
    task: str = "",
    episodes: int | None = None,
) -> None:
    """Make the agent, warm up, and run a trial's episodes inside the meters' window."""
    from pytest_a2perf.agents.registry import make_agent
    from pytest_a2perf.domains.gym.rollout import episode_seeds, roll_out, seed_everything
    from pytest_a2perf.domains.gym.vector import roll_out_vector
    from pytest_a2perf.meters.torch_cuda import cuda, synchronize

    scenario = trial.scenario
    seed_everything(env, trial.seed)
    context = AgentContext(env, trial.seed, trial.root, scenario.agent_options)
    agent = make_agent(agent_spec, context)
    vector = hasattr(env, "num_envs")
    condition = None if options.success is None else parse_condition(options.success)
    run = roll_out_vector if vector else roll_out
    seeds = episode_seeds(trial.seed, episodes or scenario.episodes)
    if options.warmup_steps:
        _warm_up(env, agent, options.warmup_steps, trial.seed)
        seed_everything(env, trial.seed)

    def work() -> None:
        result = run(
            env,
            agent,
            seeds=seeds,
            success=None if condition is None else condition.holds,
            synchronize=synchronize if cuda() is not None else None,
            on_progress=trial.progress,
            task=task,
        )
        trial.record.episodes += result.episodes
        trial.sample("latency", result.latency, limit=scenario.deadline)
        trial.sample("env_step", result.env_step)

    trial.measured(work)


def judge_success(trial: Trial, options: GymOptions) -> None:
    """Raise if episodes were not solved.

    Raises:
        AgentFailure: says how many.
    """
    judged = [episode for episode in trial.record.episodes if episode.success is not None]
    failed = sum(not episode.success for episode in judged)
    if failed:
        criterion = f" (success: return {options.success})" if options.success else ""
        raise AgentFailure(f"{failed} of {len(judged)} episodes not solved{criterion}")


def make_env(task: str, options: GymOptions) -> Any:
    """Make the environment, single or vectorised.

    Raises:
        InfraError: it is unknown, a package is missing, or its constructor raised.
    """
    import gymnasium
    from gymnasium import error

    try:
        if options.num_envs > 1:
            return gymnasium.make_vec(
                task,
                num_envs=options.num_envs,
                vectorization_mode=options.vectorization,
                max_episode_steps=options.max_steps,  # type: ignore[call-arg]
                **options.env,
            )
        return gymnasium.make(task, max_episode_steps=options.max_steps, **options.env)
    except error.DependencyNotInstalled as problem:
        raise InfraError(f"environment {task!r} needs a package: {problem}") from problem
    except (error.UnregisteredEnv, error.NamespaceNotFound, error.NameNotFound) as problem:
        hint = did_you_mean(task, gymnasium.registry)
        raise InfraError(f"unknown environment {task!r}{hint}") from problem
    except ModuleNotFoundError as problem:
        raise InfraError(f"environment {task!r}: {problem}") from problem


def _warm_up(env: Any, agent: Any, steps: int, seed: int) -> None:
    """Take steps that nobody records, so that caches and just-in-time compilers are warm."""
    agent.reset(seed)
    observation, _ = env.reset(seed=seed)
    vector = hasattr(env, "num_envs")
    for _ in range(steps):
        if vector:
            action = (
                agent.act(observation)
                if getattr(agent, "batched", False)
                else env.action_space.sample()
            )
            observation, *_ = env.step(action)
            continue
        observation, _, terminated, truncated, _ = env.step(agent.act(observation))
        if terminated or truncated:
            observation, _ = env.reset()


@contextlib.contextmanager
def _importable(folder: str) -> Iterator[None]:
    """Let modules of the user's project be imported."""
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added:
            sys.path.remove(folder)
