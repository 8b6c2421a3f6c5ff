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


class Sb3Agent:
    """A ``.zip`` model, run deterministically.

    ``agent_options``: ``algorithm`` (default: as far as the file tells), ``deterministic``,
    ``device``.
    """

    batched = True

    def __init__(self, path: Path, context: AgentContext) -> None:
        options = dict(context.options)
        algorithm = str(options.pop("algorithm", "") or _algorithm(path))
        self._deterministic = bool(options.pop("deterministic", True))
        device = str(options.pop("device", "auto"))
        if options:
            raise AgentError(f"agent {path.name!r}: unknown agent_options {sorted(options)}")
        if algorithm not in _ALGORITHMS:
            raise AgentError(
                f"agent {path.name!r}: unknown algorithm {algorithm!r}"
                f"{did_you_mean(algorithm, _ALGORITHMS)}; set agent_options.algorithm"
            )
        try:
            import stable_baselines3
        except ModuleNotFoundError as error:
            raise AgentError(
                f"agent {path.name!r} needs Stable-Baselines3: pip install 'pytest-a2perf[train]'"
            ) from error
        try:
            self._model: Any = getattr(stable_baselines3, algorithm).load(path, device=device)
        except Exception as error:
            raise AgentError(
                f"agent {path.name!r} cannot be loaded as {algorithm}: {error}"
            ) from error

    def act(self, observation: Any) -> Any:
        """Return the model's action for an observation or a batch of them."""
        return self._model.predict(observation, deterministic=self._deterministic)[0]


def _algorithm(path: Path) -> str:
    """Tell the algorithm from the settings that only it saves."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise AgentError(
            f"agent {path.name!r} is no model of Stable-Baselines3: {error}"
        ) from error
    if "target_policy_noise" in data:
        return "TD3"
    for key, name in (
        ("target_entropy", "SAC"),
        ("exploration_rate", "DQN"),
        ("clip_range", "PPO"),
    ):
        if key in data:
            return name
    return "A2C" if "gae_lambda" in data else ""
