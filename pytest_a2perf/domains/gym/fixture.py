"""The fixture ``rollout``: a domain's rollout inside a test of one's own."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from pytest_a2perf.domains.gym.domain import GymOptions, make_env, run_episodes

if TYPE_CHECKING:
    from pytest_a2perf.runs.record import Episode
    from pytest_a2perf.trials.trial import Trial

__all__ = ["Rollout"]


class Rollout:
    """Call it to roll out an agent; everything enters the trial's record."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def __call__(
        self, env: Any, *, agent: Any = None, episodes: int | None = None, **options: Any
    ) -> list[Episode]:
        """Run episodes and return them.

        Args:
            env: a Gymnasium id, or an environment, which the caller closes.
            agent: an object, a function of the observation, or what a scenario file would say;
                default: the scenario's.
            episodes: how many; default: the scenario's.
            **options: the options of the domain ``gym``, e.g. ``num_envs=4``, ``max_steps=100``.

        Raises:
            AgentError, InfraError: see `pytest_a2perf.domains.gym.rollout.roll_out`.
        """
        trial = self._trial
        settings = GymOptions.model_validate(options)
        spec = trial.scenario.agent if agent is None else agent
        before = len(trial.record.episodes)
        if not isinstance(env, str):
            run_episodes(trial, env, spec, settings, episodes=episodes)
        else:
            made = make_env(env, settings)
            with closing(made):
                run_episodes(trial, made, spec, settings, episodes=episodes)
        return trial.record.episodes[before:]
