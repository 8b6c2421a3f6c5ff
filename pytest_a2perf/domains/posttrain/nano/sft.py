"""Supervised fine-tuning: the model learns to write what demonstrations have written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .model import ModelError, NanoLM
from .turns import Turns, likelihoods, optimiser, tokens_of

__all__ = ["SftOptions", "sft"]


@dataclass(frozen=True, slots=True)
class SftOptions:
    """How a model learns from demonstrations.

    Attributes:
        steps: updates of the weights.
        batch: texts for each.
        rate: the highest learning rate; it rises from 0 and falls to a tenth as a cosine.
        warmup: steps on which it rises.
        decay: of weights.
        whole: learn all of each text, as for a first training; not just what the model writes.
        stop: is put at the end of what the model writes, where it is missing.
        seed: of the texts' order.
    """

    steps: int = 300
    batch: int = 64
    rate: float = 2e-3
    warmup: int = 20
    decay: float = 0.01
    whole: bool = False
    stop: str = "\n"
    seed: int = 0


def sft(
    model: NanoLM,
    texts: Sequence[Turns],
    options: SftOptions | None = None,
    watch: Callable[[int, float], object] | None = None,
) -> list[float]:
    """Train a model, in place, and return the loss of each step.

    Args:
        model: to train.
        texts: turns, e.g. ``(prompt, reply)``.
        options: see `SftOptions`.
        watch: is called with the number of steps done and the loss of the last after each; if it
            returns something true, training ends.

    Raises:
        ModelError: there are no texts, one is too long, or has characters that the model lacks.
    """
    options = options or SftOptions()
    if not texts:
        raise ModelError("there is nothing to learn from: no texts")
    tokens, written = tokens_of(model, [_stopped(turns, options.stop) for turns in texts])
    lengths = (tokens.shape[1] - written.flip(1).long().argmax(dim=1)).tolist()
    if options.whole:
        written = torch.arange(tokens.shape[1]) < torch.tensor(lengths)[:, None]
    if not bool(written[:, 1:].any(dim=1).all()):
        raise ModelError("there is nothing to learn from: a text has no turn of the model's")
    generator = torch.Generator().manual_seed(options.seed)
    trainer = optimiser(model, options.rate, options.decay)
    order: list[int] = []
    losses: list[float] = []
    for step in range(options.steps):
        while len(order) < options.batch:
            order += torch.randperm(len(texts), generator=generator).tolist()
        rows, order = order[: options.batch], order[options.batch :]
        longest = max(lengths[row] for row in rows)
        loss = -likelihoods(model, tokens[rows, :longest], written[rows, :longest]).mean()
        for group in trainer.param_groups:
            group["lr"] = options.rate * _share(step, options)
        trainer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        trainer.step()
        losses.append(loss.item())
        if watch is not None and watch(step + 1, losses[-1]):
            break
    return losses


def _stopped(turns: Turns, stop: str) -> list[str]:
    return [
        turn + stop if number % 2 and not turn.endswith(stop) else turn
        for number, turn in enumerate(turns)
    ]


def _share(step: int, options: SftOptions) -> float:
    """Return the share of the highest learning rate."""
    if step < options.warmup:
        return (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return 0.55 + 0.45 * math.cos(math.pi * done)
