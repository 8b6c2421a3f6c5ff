"""The fixture ``rollout``: the domain's rollout inside a test of one's own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pytest_a2perf.domains.gym.domain import run_episodes
from pytest_a2perf.domains.gym.options import GymOptions
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.suggest import did_you_mean

if TYPE_CHECKING:
    from pytest_a2perf.runs.record import Episode
    from pytest_a2perf.trials.trial import Trial

__all__ = ["Rollout"]

_OF_IDS = ("env", "modules", "num_envs", "vectorization")
_OF_SCENARIOS = ("tasks",)


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
            agent: an object, a class, a function of the observation, or what a scenario file would
                say; default: the scenario's.
            episodes: how many; default: the scenario's.
            **options: the options of the domain ``gym``, e.g. ``num_envs=4``, ``max_steps=100``.
                Keyword arguments of the environment itself need an environment made with them.

        Raises:
            AgentError: see `pytest_a2perf.domains.gym.rollout.roll_out`.
            InfraError: see `roll_out`.
        """
        from gymnasium.wrappers import TimeLimit

        from pytest_a2perf.domains.gym.environment import closing_env, make_env

        settings = _settings(options)
        trial = self._trial
        before = len(trial.record.episodes)
        with contextlib.ExitStack() as stack:
            if isinstance(env, str):
                env = make_env(env, settings, trial.root)
                stack.enter_context(closing_env(env))
            else:
                given = [name for name in _OF_IDS if name in settings.model_fields_set]
                if given:
                    raise A2PerfError(f"rollout: {given[0]} needs an environment's id, not {env}")
                if settings.max_steps is not None:
                    env = TimeLimit(env, settings.max_steps)
            spec = trial.scenario.agent if agent is None else agent
            run_episodes(trial, env, spec, settings, episodes=episodes)
        return trial.record.episodes[before:]


def _settings(options: dict[str, Any]) -> GymOptions:
    valid = [name for name in GymOptions.model_fields if name not in _OF_SCENARIOS]
    for name in options:
        if name not in valid:
            raise A2PerfError(f"rollout has no option {name!r}{did_you_mean(name, valid)}")
    try:
        return GymOptions.model_validate(options)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        name = ".".join(map(str, detail["loc"]))
        raise A2PerfError(f"rollout: {name}={detail['input']!r}: {detail['msg']}") from None
