"""Texts of turns, as tokens: which characters the model has written, and learns from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - everybody's name for it

from .model import ModelError, NanoLM, pad

__all__ = ["Turns", "likelihoods", "tokens_of"]

Turns = Sequence[str]
"""What is read, what the model writes, what is read ..., in turns."""


def tokens_of(model: NanoLM, texts: Sequence[Turns]) -> tuple[Tensor, Tensor]:
    """Return tokens, and which of them the model writes; both of shape (texts, longest).

    Raises:
        ModelError: a text is longer than the model's context, or has characters that it lacks.
    """
    rows, written = [], []
    for turns in texts:
        rows.append(model.encode("".join(turns)))
        written.append([number % 2 for number, turn in enumerate(turns) for _ in turn])
    tokens = pad(rows)
    if tokens.shape[-1] > model.config.context:
        raise ModelError(
            f"a text has {tokens.shape[1]} characters: the model's context is"
            f" {model.config.context}"
        )
    return tokens, pad(written).bool()


def likelihoods(model: NanoLM, tokens: Tensor, written: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the logarithm of the probability of each written character after those before it.

    Args:
        model: that is asked.
        tokens: see `tokens_of`.
        written: see `tokens_of`; what it says of the first character does not count.
        temperature: of sampling.
    """
    written = written[:, 1:]
    logits = model(tokens[:, :-1], where=written) / temperature
    return -F.cross_entropy(logits, tokens[:, 1:][written], reduction="none")


def optimiser(model: NanoLM, rate: float, decay: float) -> torch.optim.Optimizer:
    """Return AdamW that lets only matrices decay."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)
