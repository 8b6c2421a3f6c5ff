"""Episodes of a model in an environment of texts, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from .model import NanoLM
from .sample import Sampling, Writer

__all__ = ["Environment", "Episode", "Questions", "rollout"]


class Environment(Protocol):
    """What a model talks to."""

    def reset(self, task: int) -> str:
        """Begin an episode of some task, and return what the model reads first."""

    def step(self, text: str) -> tuple[str, float, bool]:
        """Return what the model reads next, a reward, and whether the episode is over.

        Args:
            text: what the model has written, without the stop character.
        """


@dataclass(slots=True)
class Episode:
    """What came of a task.

    Attributes:
        task: as the environment knows it.
        turns: what the model has read and written in turns, stop characters included.
        reward: sum of all rewards.
        cut: whether it ended for want of turns or of context.
    """

    task: int
    turns: list[str] = field(default_factory=list)
    reward: float = 0.0
    cut: bool = False

    @property
    def steps(self) -> int:
        """How often the model has written."""
        return len(self.turns) // 2


class Questions:
    """An environment of one step: a prompt, a reply, and a verifier's reward.

    Args:
        prompts: by task.
        reward: of a reply, without its stop character, to the prompt of some number.
    """

    def __init__(self, prompts: Sequence[str], reward: Callable[[int, str], float]) -> None:
        self._prompts = prompts
        self._reward = reward
        self._task = 0

    def reset(self, task: int) -> str:
        """Return the prompt."""
        self._task = task
        return self._prompts[task]

    def step(self, text: str) -> tuple[str, float, bool]:
        """Return the reward."""
        return "", self._reward(self._task, text), True


def rollout(
    model: NanoLM,
    make: Callable[[], Environment],
    tasks: Sequence[int],
    options: Sampling | None = None,
    *,
    turns: int = 1,
    seed: int | torch.Generator = 0,
) -> list[Episode]:
    """Play an episode of each task, all at once.

    Args:
        model: that plays.
        make: returns an environment; each episode has one of its own.
        tasks: for `Environment.reset`; one that stands there n times is played n times.
        options: see `Sampling`.
        turns: how often the model writes at most.
        seed: of what is drawn.

    Raises:
        ModelError: a prompt is too long, or a text has characters that the model lacks.
    """
    options = options or Sampling()
    generator = torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed
    environments = [make() for _ in tasks]
    episodes = [
        Episode(task, [environment.reset(task)])
        for task, environment in zip(tasks, environments, strict=True)
    ]
    writer = Writer(model, [episode.turns[0] for episode in episodes])
    live = list(range(len(tasks)))
    for turn in range(turns):
        replies, rooms = writer.write(options, generator), writer.room
        kept, seen = [], []
        for row, (number, reply, room) in enumerate(zip(live, replies, rooms, strict=True)):
            text = reply.removesuffix(options.stop)
            observation, reward, done = environments[number].step(text)
            episode = episodes[number]
            episode.turns.append(reply)
            episode.reward += reward
            if done:
                continue
            if turn + 1 == turns or len(observation) >= room:
                episode.cut = True
                continue
            episode.turns.append(observation)
            kept.append(row)
            seen.append(observation)
        if not kept:
            break
        live = [live[row] for row in kept]
        writer.keep(kept)
        writer.read(seen)
    return episodes
