"""Reinforcement learning: of several replies to a prompt, those above their mean are reinforced.

Group relative policy optimisation: the advantage of an episode is its reward less the mean of its
group, divided by the group's standard deviation. No value network is needed, and groups of equal
rewards teach nothing and cost nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .model import NanoLM
from .rollout import Environment, Episode, Questions, rollout
from .sample import Sampling
from .turns import likelihoods, optimiser, tokens_of

__all__ = ["GrpoOptions", "grpo", "grpo_episodes"]

_ROWS = 256  # that are computed at once, for the memory's sake
_NOTHING = 1e-3  # an advantage that is a rounding error, which the optimiser would blow up


@dataclass(frozen=True, slots=True)
class GrpoOptions:
    """How a model learns from rewards.

    Attributes:
        steps: batches of episodes.
        tasks: different ones in each batch.
        group: episodes of each task.
        turns: how often the model writes in an episode at most.
        epochs: updates of the weights for each batch.
        rate: learning rate.
        clip: how far a ratio of probabilities may lie from 1 before it counts no more.
        kl: weight of the distance to the model as it was at the start; 0: it may go anywhere.
        decay: of weights.
        sampling: see `Sampling`.
        seed: of tasks and samples.
    """

    steps: int = 100
    tasks: int = 32
    group: int = 16
    turns: int = 1
    epochs: int = 1
    rate: float = 1e-3
    clip: float = 0.2
    kl: float = 0.0
    decay: float = 0.0
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0


def grpo(
    model: NanoLM,
    prompts: Sequence[str],
    reward: Callable[[int, str], float],
    options: GrpoOptions | None = None,
    watch: Callable[[int, float], object] | None = None,
) -> list[float]:
    """Train a model with a verifier, in place, and return the mean reward of each step.

    Args:
        model: to train.
        prompts: to choose from.
        reward: of a reply to the prompt of some number; the reply has no stop character.
        options: see `GrpoOptions`.
        watch: see `grpo_episodes`.

    Raises:
        ModelError: a prompt is too long, or has characters that the model lacks.
    """

    def make() -> Environment:
        return Questions(prompts, reward)

    return grpo_episodes(model, make, range(len(prompts)), options, watch)


def grpo_episodes(
    model: NanoLM,
    make: Callable[[], Environment],
    tasks: Sequence[int],
    options: GrpoOptions | None = None,
    watch: Callable[[int, float], object] | None = None,
) -> list[float]:
    """Train a model in an environment, in place, and return the mean reward of each step.

    Args:
        model: to train.
        make: returns an environment; each episode has one of its own.
        tasks: to choose from.
        options: see `GrpoOptions`.
        watch: is called with the number of steps done and the mean reward of the last after each;
            if it returns something true, training ends.

    Raises:
        ModelError: a prompt is too long, or a text has characters that the model lacks.
    """
    options = options or GrpoOptions()
    generator = torch.Generator().manual_seed(options.seed)
    start = copy.deepcopy(model).requires_grad_(False) if options.kl else None
    trainer = optimiser(model, options.rate, options.decay)
    means: list[float] = []
    for step in range(options.steps):
        chosen = torch.randperm(len(tasks), generator=generator)[: options.tasks].tolist()
        episodes = rollout(
            model,
            make,
            [tasks[number] for number in chosen for _ in range(options.group)],
            options.sampling,
            turns=options.turns,
            seed=generator,
        )
        _learn(model, start, trainer, episodes, options)
        means.append(sum(episode.reward for episode in episodes) / len(episodes))
        if watch is not None and watch(step + 1, means[-1]):
            break
    return means


def advantages(rewards: Tensor) -> Tensor:
    """Return the advantage of each episode; groups are rows."""
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred / (rewards.std(dim=1, correction=0, keepdim=True) + 1e-4)


def _learn(
    model: NanoLM,
    start: NanoLM | None,
    trainer: torch.optim.Optimizer,
    episodes: Sequence[Episode],
    options: GrpoOptions,
) -> None:
    rewards = torch.tensor([episode.reward for episode in episodes])
    gains = advantages(rewards.view(-1, options.group)).flatten()
    useful = [
        row for row, gain in enumerate(gains.tolist()) if abs(gain) > _NOTHING or start is not None
    ]
    if not useful:
        return
    # Texts of like length together need little padding.
    useful.sort(key=lambda row: sum(map(len, episodes[row].turns)))
    parts = []
    for begin in range(0, len(useful), _ROWS):
        rows = useful[begin : begin + _ROWS]
        tokens, written = tokens_of(model, [episodes[row].turns for row in rows])
        parts.append((tokens, written, gains[rows, None].expand(written.shape)[written]))
    total = sum(len(gain) for _, _, gain in parts)
    heat = options.sampling.temperature or 1.0
    before: list[Tensor] = []
    for epoch in range(options.epochs):
        trainer.zero_grad()
        for number, (tokens, written, gain) in enumerate(parts):
            chances = likelihoods(model, tokens, written, heat)
            if epoch == 0:
                before.append(chances.detach())
            ratio = (chances - before[number]).exp()
            clipped = ratio.clamp(1 - options.clip, 1 + options.clip)
            loss = -torch.minimum(ratio * gain, clipped * gain)
            if start is not None:
                ahead = likelihoods(start, tokens, written, heat) - chances
                loss = loss + options.kl * (ahead.exp() - ahead - 1)
            (loss.sum() / total).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        trainer.step()
