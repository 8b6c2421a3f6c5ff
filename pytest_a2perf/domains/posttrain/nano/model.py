"""The model: a decoder over characters that computes in float32."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - everybody's name for it

__all__ = ["Cache", "Config", "ModelError", "NanoLM", "pad"]

_LARGEST = {"width": 1024, "layers": 32, "heads": 64, "context": 8192}


class ModelError(ValueError):
    """A model, or a text for it, is not what it should be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Config:
    """The shape of a model.

    Attributes:
        chars: its vocabulary; each character is a token.
        width: of the residual stream.
        layers: number of blocks.
        heads: of attention in each block.
        context: characters at most.
        positions: ``learned`` for texts whose parts stand at fixed places, ``rotary`` for others.

    Raises:
        ModelError: a value is out of range.
    """

    chars: str
    width: int = 64
    layers: int = 1
    heads: int = 4
    context: int = 64
    positions: str = "learned"

    def __post_init__(self) -> None:
        if type(self.chars) is not str or not 2 <= len(self.chars) <= 1000:
            raise ModelError("chars must be a string of 2 to 1000 characters")
        if len(set(self.chars)) != len(self.chars):
            raise ModelError("chars: a character stands twice")
        for name, largest in _LARGEST.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= largest:
                raise ModelError(f"{name} must be a whole number from 1 to {largest}")
        if self.width % (2 * self.heads):
            raise ModelError("width must be a multiple of twice the heads")
        if self.positions not in ("learned", "rotary"):
            raise ModelError("positions must be 'learned' or 'rotary'")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Config:
        """Inverse of `to_json`.

        Raises:
            ModelError: it is something else.
        """
        if not isinstance(data, dict) or not set(data) <= set(cls.__slots__) or "chars" not in data:
            raise ModelError(f"a config needs chars, and may have {', '.join(cls.__slots__[1:])}")
        return cls(**data)


class Cache:
    """Keys and values of texts of different lengths; slot i of a row is its character i.

    What is written beyond a row's end is never seen: a character sees no slot after its own, and
    the next one that is read overwrites the slot. So rows need no padding.

    Args:
        config: of the model.
        rows: number of texts.
    """

    def __init__(self, config: Config, rows: int) -> None:
        shape = (rows, config.heads, 0, config.width // config.heads)
        self.layers = [(torch.empty(shape), torch.empty(shape)) for _ in range(config.layers)]

    def grow(self, length: int) -> None:
        """Make room for texts of some length."""
        room = self.layers[0][0].shape[2]
        if length > room:
            more = max(length, 2 * room, 32) - room
            self.layers = [
                (F.pad(keys, (0, 0, 0, more)), F.pad(values, (0, 0, 0, more)))
                for keys, values in self.layers
            ]

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows; one that is named twice is copied."""
        self.layers = [(keys[rows], values[rows]) for keys, values in self.layers]


class _Block(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm_in = nn.LayerNorm(config.width)
        self.attend = nn.Linear(config.width, 3 * config.width, bias=False)
        self.mix = nn.Linear(config.width, config.width, bias=False)
        self.norm_out = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, 4 * config.width)
        self.down = nn.Linear(4 * config.width, config.width)

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor] | None,
        kept: tuple[Tensor, Tensor] | None,
        places: Tensor,
        where: Tensor | None,
    ) -> Tensor:
        rows, length, width = x.shape
        joined = self.attend(self.norm_in(x)).view(rows, length, 3, self.heads, -1)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        if turn is not None:
            query, key = _turned(query, *turn), _turned(key, *turn)
        if kept is None:
            seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            keys, values = kept
            at = (torch.arange(rows)[:, None], slice(None), places)
            keys[at], values[at] = key.transpose(1, 2), value.transpose(1, 2)
            until = int(places.max()) + 1
            mask = torch.arange(until) <= places[:, None, :, None]
            seen = F.scaled_dot_product_attention(
                query, keys[:, :, :until], values[:, :, :until], attn_mask=mask
            )
        seen = seen.transpose(1, 2).reshape(rows, length, width)
        if where is not None:
            x, seen = x[where], seen[where]
        x = x + self.mix(seen)
        return x + self.down(F.relu(self.up(self.norm_out(x))))


class NanoLM(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """The model. Input and output embeddings are the same.

    Args:
        config: see `Config`.
        seed: of the first weights.
    """

    def __init__(self, config: Config, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(len(config.chars), config.width)
        self.place = None
        if config.positions == "learned":
            self.place = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self._ids = {char: number for number, char in enumerate(config.chars)}
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                spread = 0.02 if "embed" in name or "place" in name else weight.shape[1] ** -0.5
                nn.init.normal_(weight, std=spread, generator=generator)
            elif "norm" not in name:
                nn.init.zeros_(weight)

    def forward(
        self,
        tokens: Tensor,
        places: Tensor | None = None,
        cache: Cache | None = None,
        where: Tensor | None = None,
    ) -> Tensor:
        """Return logits for what follows each character.

        Args:
            tokens: (rows, length).
            places: of the characters in their texts, of the same shape; None: from 0.
            cache: of what was read before; needs places, and is added to.
            where: after which characters it matters what follows, of the same shape as tokens;
                logits are then returned for these alone, in one row, and much is not computed.
        """
        if places is None:
            places = torch.arange(tokens.shape[1]).expand(tokens.shape)
        x = self.embed(tokens)
        if cache is not None:
            cache.grow(int(places.max()) + 1)
        turn = None
        if self.place is not None:
            x = x + self.place(places.clamp(max=self.config.context - 1))
        else:
            turn = _turn(places, self.config.width // self.config.heads)
        for number, block in enumerate(self.blocks):
            kept = None if cache is None else cache.layers[number]
            last = number + 1 == len(self.blocks)
            x = block(x, turn, kept, places, where if last else None)
        return F.linear(self.norm(x), self.embed.weight)

    def encode(self, text: str) -> list[int]:
        """Return a text's tokens.

        Raises:
            ModelError: the vocabulary lacks one of its characters.
        """
        try:
            return [self._ids[char] for char in text]
        except KeyError as error:
            raise ModelError(
                f"the model has no character {error.args[0]!r}; it has {self.config.chars!r}"
            ) from None

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.config.chars[token] for token in tokens)


def pad(rows: Sequence[Sequence[int]], filler: int = 0) -> Tensor:
    """Return rows of different lengths as one tensor, filled up at their ends."""
    longest = max(map(len, rows), default=0)
    return torch.tensor(
        [[*row, *[filler] * (longest - len(row))] for row in rows], dtype=torch.long
    )


def _turn(places: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of rotary positions, of shape (rows, 1, length, width)."""
    rates = 1000.0 ** (-torch.arange(0, width, 2) / width)
    angles = places[:, None, :, None] * rates
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def _turned(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cosines + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sines
