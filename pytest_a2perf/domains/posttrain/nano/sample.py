"""Texts that a model continues, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .model import Cache, ModelError, NanoLM, pad

__all__ = ["Sampling", "Writer", "complete"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a model writes.

    Attributes:
        length: characters of a reply at most, its stop included.
        temperature: 0 takes the likeliest character always.
        stop: the character that ends a reply.
    """

    length: int = 32
    temperature: float = 1.0
    stop: str = "\n"


def complete(
    model: NanoLM,
    prompts: Sequence[str],
    options: Sampling | None = None,
    *,
    seed: int = 0,
    batch: int = 512,
) -> list[str]:
    """Return a reply to each prompt, without the stop character.

    Args:
        model: that writes.
        prompts: of different lengths, if need be.
        options: see `Sampling`.
        seed: of what is drawn.
        batch: prompts at once.

    Raises:
        ModelError: a prompt is too long, or has characters that the model lacks.
    """
    options = options or Sampling()
    generator = torch.Generator().manual_seed(seed)
    replies: list[str] = []
    for start in range(0, len(prompts), batch):
        writer = Writer(model, prompts[start : start + batch])
        replies += writer.write(options, generator)
    return [reply.removesuffix(options.stop) for reply in replies]


class Writer:
    """Texts that are read and continued turn by turn; what was read is not computed again.

    Args:
        model: that writes.
        texts: how they begin; none may be empty.

    Raises:
        ModelError: a text is empty or too long, or has characters that the model lacks.
    """

    def __init__(self, model: NanoLM, texts: Sequence[str]) -> None:
        self._model = model
        different = list(dict.fromkeys(texts))
        self._cache = Cache(model.config, len(different))
        self._lengths = torch.zeros(len(different), dtype=torch.long)
        self._unread: list[list[int]] = [[] for _ in different]
        self.read(different)
        if not all(self._unread):
            raise ModelError("a prompt is empty")
        if len(different) < len(texts):  # a group of rollouts reads its prompt once
            last = [unread.pop() for unread in self._unread]
            if any(self._unread):
                with torch.no_grad():
                    self._advance()
            self._unread = [[token] for token in last]
            row_of = {text: row for row, text in enumerate(different)}
            self._choose([row_of[text] for text in texts])

    @property
    def room(self) -> list[int]:
        """Characters that still fit into the model's context, for each text."""
        lengths = self._lengths.tolist()
        return [
            self._model.config.context - length - len(unread)
            for length, unread in zip(lengths, self._unread, strict=True)
        ]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these texts only, in this order."""
        if list(rows) != list(range(len(self._unread))):
            self._choose(rows)

    def read(self, texts: Sequence[str]) -> None:
        """Append to each text.

        Raises:
            ModelError: a text becomes too long, or has characters that the model lacks.
        """
        for unread, text, room in zip(self._unread, texts, self.room, strict=True):
            if len(text) > room:
                raise ModelError(
                    f"a text is longer than the model's context of {self._model.config.context}"
                )
            unread.extend(self._model.encode(text))

    def write(self, options: Sampling, generator: torch.Generator) -> list[str]:
        """Append a reply to each text, and return it.

        A reply ends with the stop character unless it was cut off, at its greatest length or where
        the context ends.
        """
        if max(self.room, default=0) <= 0:
            return ["" for _ in self._unread]
        with torch.no_grad():
            rows = self._written(options, generator)
        replies = [[token for token in row if token >= 0] for row in rows]
        self._unread = [reply[-1:] for reply in replies]  # drawn, but not yet seen by the model
        return [self._model.decode(reply) for reply in replies]

    def _written(self, options: Sampling, generator: torch.Generator) -> list[list[int]]:
        """Return the tokens of each reply, filled up with -1 where it has ended."""
        context = self._model.config.context
        stop = self._model.encode(options.stop)[0]
        logits = self._advance()
        going = self._lengths < context
        drawn: list[Tensor] = []
        tokens = torch.empty(0)
        while len(drawn) < options.length and bool(going.any()):
            if drawn:
                logits = self._model(tokens[:, None], self._lengths[:, None], self._cache)[:, 0]
                self._lengths += going
            tokens = _drawn(logits, options.temperature, generator)
            drawn.append(torch.where(going, tokens, -1))
            going = going & (tokens != stop) & (self._lengths + 1 < context)
        if not drawn:
            return [[] for _ in self._unread]
        return [list(row) for row in torch.stack(drawn, dim=1).tolist()]

    def _choose(self, rows: Sequence[int]) -> None:
        index = torch.tensor(rows, dtype=torch.long)
        self._cache.keep(index)
        self._lengths = self._lengths[index]
        self._unread = [list(self._unread[row]) for row in rows]

    def _advance(self) -> Tensor:
        """Have the model read what it has not; return logits for what follows in each text."""
        counts = torch.tensor([len(unread) for unread in self._unread])
        tokens = pad(self._unread)
        places = self._lengths[:, None] + torch.arange(tokens.shape[1])
        logits = self._model(tokens, places, self._cache)
        self._lengths = self._lengths + counts
        self._unread = [[] for _ in self._unread]
        return logits[torch.arange(len(counts)), (counts - 1).clamp(min=0)]


def _drawn(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits.argmax(dim=-1)
    shares = (logits / temperature).softmax(dim=-1)
    # The least of exponential times is that of a character with its share as probability.
    times = torch.empty_like(shares).exponential_(generator=generator)
    return (shares / times).argmax(dim=-1)
