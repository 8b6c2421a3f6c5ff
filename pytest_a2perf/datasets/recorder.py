"""An environment that records its episodes in Minari's storage.

Minari's own collector needs JAX, checks every step against its spaces, and takes ten times as long
as a step of CartPole, which would count as energy of the agent. This one keeps episodes in memory
and writes many at once, as a rule when the rollout is over.
"""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from pytest_a2perf.datasets.store import minari_path
from pytest_a2perf.errors import InfraError

__all__ = ["Recorder"]

_AT_ONCE = 1 << 26
"""Bytes of observations and actions that are kept before they are written."""


class _Undescribed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that does not say how it was made."""

    spec = None


def _describable(env: Any) -> Any:
    """Hide a specification that JSON cannot hold, such as one with a class as its entry point."""
    try:
        env.spec.to_json()
    except Exception:  # noqa: BLE001 - of whatever the user registered
        return _Undescribed(env)
    return env


class Recorder(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Records the episodes of a single environment.

    Args:
        env: the environment, which `close` closes.
        name: id of the data set.
        folder: is made for the recorder and emptied first.
    """

    def __init__(self, env: Any, name: str, folder: Path) -> None:
        super().__init__(env)
        self._name = name
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._dataset: minari.MinariDataset | None = None
        self._episodes: list[EpisodeBuffer] = []
        self._count = self._bytes = 0
        self._begin(None, None)

    def _begin(self, seed: int | None, options: dict[str, Any] | None) -> None:
        self._seed, self._options = seed, options
        self._observations: list[Any] = []
        self._steps: list[tuple[Any, float, bool, bool]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self._end()
        self._begin(seed, options)
        observation, info = self.env.reset(seed=seed, options=options)
        self._observations.append(copy.deepcopy(observation))
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Make a step, and keep copies of what others may change afterwards."""
        action_before = copy.deepcopy(action)
        result = self.env.step(action)
        observation, reward, terminated, truncated, _ = result
        self._observations.append(copy.deepcopy(observation))
        self._steps.append((action_before, float(reward), bool(terminated), bool(truncated)))
        return result

    def _end(self) -> None:
        """Keep the episode, if there is one; one that was cut off counts as truncated."""
        if not self._steps:
            return
        actions, rewards, terminations, truncations = map(list, zip(*self._steps, strict=True))
        truncations[-1] = truncations[-1] or not terminations[-1]
        episode = EpisodeBuffer(
            id=self._count,
            seed=self._seed,
            options=self._options,
            observations=_columns(self.observation_space, self._observations),
            actions=_columns(self.action_space, actions),
            rewards=rewards,
            terminations=terminations,
            truncations=truncations,
        )
        self._episodes.append(episode)
        self._count += 1
        self._bytes += _size(episode.observations) + _size(episode.actions)
        if self._bytes > _AT_ONCE:
            self._write()

    def _write(self) -> None:
        episodes, self._episodes, self._bytes = self._episodes, [], 0
        if self._dataset is not None:
            self._dataset.update_dataset_from_buffer(episodes)
            return
        with minari_path(self._folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks for authors, who are added at the end
            self._dataset = minari.create_dataset_from_buffers(
                self._name, episodes, env=_describable(self.env), jpeg_encoding=False
            )

    def save(self, data: Path) -> None:
        """Move what was recorded to the folder ``data`` of a Minari data set.

        Args:
            data: does not exist.

        Raises:
            InfraError: there is no step.
        """
        self._end()
        self._begin(None, None)
        if not self._count:
            raise InfraError(f"data set {self._name!r}: no step was recorded")
        if self._episodes:
            self._write()
        (self._folder / self._name / "data").replace(data)

    def close(self) -> None:
        """Close the environment and remove what was not saved."""
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _columns(space: spaces.Space[Any], values: Sequence[Any]) -> Any:
    """Return a list of values of a space as the space's structure, with lists for leaves."""
    if isinstance(space, spaces.Dict):
        return {
            name: _columns(part, [value[name] for value in values])
            for name, part in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple):
        return tuple(
            _columns(part, [value[place] for value in values])
            for place, part in enumerate(space.spaces)
        )
    if isinstance(space, spaces.Box):
        return [np.asarray(value, dtype=space.dtype) for value in values]
    return list(values)


def _size(columns: Any) -> int:
    """Return the bytes of what `_columns` returned, more or less."""
    if isinstance(columns, dict):
        return sum(map(_size, columns.values()))
    if isinstance(columns, tuple):
        return sum(map(_size, columns))
    return len(columns) * int(getattr(columns[0], "nbytes", 32)) if columns else 0
