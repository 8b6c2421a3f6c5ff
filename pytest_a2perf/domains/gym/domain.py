"""The domain ``gym``: a scenario's agent in a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_a2perf.domains.gym.options import GymOptions
from pytest_a2perf.errors import A2PerfError, AgentFailure
from pytest_a2perf.gates.condition import parse_condition

if TYPE_CHECKING:
    from pytest_a2perf.scenarios.models import Scenario, Strict
    from pytest_a2perf.trials.trial import Trial

__all__ = ["GymDomain", "run_episodes"]


class GymDomain:
    """Any Gymnasium environment, single or vectorised."""

    name = "gym"
    phases = frozenset({"inference", "generalization", "train", "collect"})
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
        yield from _check_learning(scenario, options)
        if options.num_envs == 1 and options.vectorization == "async":
            yield "options.vectorization", "needs num_envs of 2 or more"

    def prepare(self) -> None:
        """Import Gymnasium and the rollout."""
        from pytest_a2perf.domains.gym import environment, rollout, vector, warmup

        del environment, rollout, vector, warmup

    def watch(self, trial: Trial) -> Callable[[dict[str, Any], bool], None] | None:
        """Return what is told of each step, to report more; for domains that derive from this one.

        It gets the step's info, and whether the episode is over. Asked for once for each task.
        """
        del trial
        return None

    def run(self, trial: Trial) -> None:
        """Run the trial's episodes, in each of its tasks; or its training.

        Raises:
            AgentError: see `pytest_a2perf.domains.gym.rollout.roll_out` and `make_agents`.
            InfraError: see `roll_out` and `make_env`.
            AgentFailure: episodes were not solved.
        """
        from pytest_a2perf.domains.gym.environment import closing_env, make_env, watched

        scenario = trial.scenario
        options = GymOptions.model_validate(scenario.options)
        if scenario.phase == "train":
            from pytest_a2perf.training.phase import train

            train(trial, options)
            return
        if scenario.phase == "collect":
            from pytest_a2perf.datasets.collect import collect

            collect(trial, options)
            return
        several = scenario.phase == "generalization"
        if options.references:
            trial.note(references=options.references)
        for task in (scenario.task, *options.tasks):
            env = watched(make_env(task, options, trial.root), self.watch(trial))
            with closing_env(env):
                run_episodes(trial, env, scenario.agent, options, task=task if several else "")
        judged = [episode for episode in trial.record.episodes if episode.success is not None]
        failed = sum(not episode.success for episode in judged)
        if failed:
            criterion = f" (success: return {options.success})" if options.success else ""
            raise AgentFailure(f"{failed} of {len(judged)} episodes not solved{criterion}")


def _check_learning(scenario: Scenario, options: GymOptions) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the keys of the phases ``train`` and ``collect``."""
    learns, collects = scenario.phase == "train", scenario.phase == "collect"
    if scenario.dataset is not None and not (learns or collects):
        yield "dataset", f"means nothing in phase {scenario.phase!r}; use 'train' or 'collect'"
    if collects and scenario.dataset is None:
        yield "dataset", "phase 'collect' needs the id of the data set that it writes"
    if collects:
        from pytest_a2perf.datasets.collect import check_collect

        yield from check_collect(scenario, options)
    if learns and scenario.agent == "random":
        yield "agent", "phase 'train' needs an agent that can be trained"
    if (learns or collects) and scenario.energy.repeat_until is not None:
        yield "energy.repeat_until", f"phase {scenario.phase!r} runs once"
    needs = {"curves": "train", "data_cost": "train", "collect": "collect"}
    for name, phase in needs.items():
        if name in options.model_fields_set and scenario.phase != phase:
            yield f"options.{name}", f"needs phase = {phase!r}"


def run_episodes(
    trial: Trial,
    env: Any,
    agent: Any,
    options: GymOptions,
    *,
    task: str = "",
    episodes: int | None = None,
) -> None:
    """Make the agent, warm up, and run episodes inside the meters' window.

    Args:
        trial: gets the episodes and samples, also those before an error.
        env: single or vectorised; the caller closes it.
        agent: what `make_agent` takes.
        options: of the domain.
        task: written into the episodes.
        episodes: how many; default: the scenario's.

    Raises:
        AgentError: see `roll_out` and `make_agents`.
        InfraError: see `roll_out`.
    """
    from pytest_a2perf.agents.base import AgentContext
    from pytest_a2perf.agents.registry import closing_agents, make_agents
    from pytest_a2perf.domains.gym.rollout import Rollout, episode_seeds, roll_out, seed_everything
    from pytest_a2perf.domains.gym.vector import roll_out_vector
    from pytest_a2perf.domains.gym.warmup import warm_up

    scenario = trial.scenario
    vector = hasattr(env, "num_envs")
    seed_everything(env, trial.seed)
    context = AgentContext(
        env,
        trial.seed,
        trial.root,
        scenario.agent_options,
        trial.run_folder,
        trial.record.scenario,
        trial.note,
        trial.report,
    )
    seeds = episode_seeds(trial.seed, episodes or scenario.episodes)
    condition = None if options.success is None else parse_condition(options.success)
    settings: dict[str, Any] = {
        "seeds": seeds,
        "success": None if condition is None else condition.holds,
        "on_progress": trial.progress,
        "task": task,
    }
    first = Rollout()

    def work() -> None:
        # A repetition inside the meters' window is the same work again, and is not recorded.
        into = Rollout() if first.episodes else first
        seed_everything(env, trial.seed)
        if vector:
            roll_out_vector(env, agents, **settings, into=into)
        else:
            roll_out(env, agents[0], **settings, into=into)

    try:
        made = make_agents(agent, context, env.num_envs if vector else 1)
        with closing_agents(made, agent) as agents:
            warm_up(env, agents, options.warmup_steps, trial.seed)
            trial.measured(work)
    finally:
        trial.record.episodes += first.episodes
        if first.decisions:
            trial.sample("latency", first.latency, limit=scenario.deadline)
        if first.steps:
            trial.sample("env_step", first.env_step)
