"""Models that Stable-Baselines3 saved."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Sb3Agent"]

_ALGORITHMS = ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3")
_OPTIONS = ("algorithm", "deterministic", "device")

# A setting that only this algorithm saves; DDPG is saved as the TD3 that it is.
_TRAITS = {
    "target_policy_noise": "TD3",
    "target_entropy": "SAC",
    "exploration_rate": "DQN",
    "clip_range": "PPO",
    "gae_lambda": "A2C",
}


class Sb3Agent:
    """A ``.zip`` model, run deterministically.

    ``agent_options``: ``algorithm`` (default: as the file tells), ``deterministic`` (true),
    ``device`` (``auto``).
    """

    batched = True

    def __init__(self, path: Path, context: AgentContext) -> None:
        options = dict(context.options)
        for name in options:
            if name not in _OPTIONS:
                raise AgentError(
                    f"agent {path.name!r} has no option {name!r}{did_you_mean(name, _OPTIONS)}"
                )
        algorithm = options.get("algorithm") or _algorithm(path)
        if algorithm not in _ALGORITHMS:
            raise AgentError(
                f"agent {path.name!r}: unknown algorithm {algorithm!r}"
                f"{did_you_mean(str(algorithm), _ALGORITHMS)}"
            )
        try:
            import stable_baselines3
        except ModuleNotFoundError:
            raise AgentError(
                f"agent {path.name!r} needs Stable-Baselines3: pip install 'pytest-a2perf[train]'"
            ) from None
        self._deterministic = bool(options.get("deterministic", True))
        try:
            self._model: Any = getattr(stable_baselines3, algorithm).load(
                path, device=options.get("device", "auto")
            )
        except Exception as error:
            raise AgentError(
                f"agent {path.name!r} cannot be loaded as {algorithm}: {error}"
            ) from error

    def load(self, env: Any) -> None:
        """Compare the model's spaces with the environment's.

        Raises:
            AgentError: the model was trained for other observations or actions.
        """
        for name in ("observation_space", "action_space"):
            ours, theirs = getattr(self._model, name), getattr(env, f"single_{name}", None)
            theirs = theirs or getattr(env, name)
            if (ours.shape, getattr(ours, "n", None)) != (theirs.shape, getattr(theirs, "n", None)):
                raise AgentError(
                    f"the model was trained with {name} {ours}, the environment has {theirs}"
                )

    def act(self, observation: Any) -> Any:
        """Return the model's action for an observation, or its actions for a batch of them."""
        return self._model.predict(observation, deterministic=self._deterministic)[0]


def _algorithm(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise AgentError(f"agent {path.name!r} is no model of Stable-Baselines3: {error}") from None
    for trait, algorithm in _TRAITS.items():
        if trait in data:
            return algorithm
    raise AgentError(
        f"agent {path.name!r} does not tell its algorithm; set agent_options.algorithm to one of "
        f"{', '.join(_ALGORITHMS)}"
    )
