"""An environment that is made once more, in another process."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.errors import InfraError

__all__ = ["Blueprint"]

_OF_VECTORS = ("num_envs", "vectorization_mode", "vector_kwargs")


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What it takes to make an environment again; of a vectorised one, a sub-environment.

    Attributes:
        spec: its ``EnvSpec`` as JSON; empty where it has none that can be written so.
        spaces: its observation and action space, pickled: reading them imports Gymnasium.
        action_shape: of one action; None if it has no shape.
    """

    spec: str
    spaces: bytes
    action_shape: tuple[int, ...] | None

    @classmethod
    def of(cls, env: Any) -> Blueprint:
        """Describe an environment."""
        actions = getattr(env, "single_action_space", None) or env.action_space
        observations = getattr(env, "single_observation_space", None) or env.observation_space
        return cls(_spec(env), pickle.dumps((observations, actions)), actions.shape)

    @property
    def observation_space(self) -> Any:
        """The space of one observation."""
        return pickle.loads(self.spaces)[0]  # noqa: S301 - our own

    def make(self) -> Any:
        """Make the environment; without a ``spec``, a stand-in that only has its spaces.

        Raises:
            InfraError: it cannot be made.
        """
        import gymnasium

        if not self.spec:
            stand_in: gymnasium.Env[Any, Any] = gymnasium.Env()
            stand_in.observation_space, stand_in.action_space = pickle.loads(self.spaces)  # noqa: S301 - our own
            return stand_in
        try:
            return gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(self.spec))
        except Exception as error:
            raise InfraError(
                "the environment cannot be made again in the submission's process: "
                f"{type(error).__name__}: {error}"
            ) from error


def _spec(env: Any) -> str:
    spec = env.spec
    if spec is None:
        return ""
    settings = {name: value for name, value in spec.kwargs.items() if name not in _OF_VECTORS}
    steps = settings.pop("max_episode_steps", spec.max_episode_steps)
    # Wrappers that do not tell how they were made, such as our own, cannot be made again.
    wrappers = tuple(one for one in spec.additional_wrappers if one.kwargs is not None)
    whole = dataclasses.replace(
        spec, kwargs=settings, max_episode_steps=steps, additional_wrappers=wrappers
    )
    try:
        return str(whole.to_json())
    except (TypeError, ValueError):  # its entry point or an argument is an object
        return ""
