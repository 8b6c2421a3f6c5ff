"""A prefix cache as engines keep it: blocks of tokens, found by the hash of all that is before."""

from __future__ import annotations

from collections import OrderedDict

from pytest_a2perf.domains.serving.trajectories.tokens import BYTES_A_TOKEN

__all__ = ["PrefixCache"]


class PrefixCache:
    """Remembers whole blocks of prompts; the least recently used go first, ends before beginnings.

    A prompt enters when its request is admitted. Nothing is held for requests in service, and
    replies do not enter: agents send the recorded ones.

    Args:
        capacity: tokens that it holds.
        block: tokens of a block.
    """

    def __init__(self, capacity: int, block: int) -> None:
        self._block = block
        self._most = capacity // block
        self._blocks: OrderedDict[int, None] = OrderedDict()
        self.queries = 0
        self.hits = 0

    @property
    def usage(self) -> float:
        """Share of the capacity that is in use."""
        return len(self._blocks) / self._most if self._most else 0.0

    def take(self, prompt: bytes) -> int:
        """Return how many of a prompt's tokens are there, and keep all of its whole blocks.

        At least its last token is always computed, since the reply starts from it.

        Args:
            prompt: four bytes a token, see `request.prompt_of`.
        """
        tokens = len(prompt) // BYTES_A_TOKEN
        size = self._block * BYTES_A_TOKEN
        keys: list[int] = []
        known = key = 0
        for start in range(0, tokens // self._block * size, size):
            key = hash((key, prompt[start : start + size]))
            if len(keys) == known and key in self._blocks:
                known += 1
            keys.append(key)
        for key in reversed(keys[: self._most]):
            self._blocks[key] = None
            self._blocks.move_to_end(key)
        while len(self._blocks) > self._most:
            self._blocks.popitem(last=False)
        cached = min(known, (tokens - 1) // self._block) * self._block if tokens else 0
        self.queries += tokens
        self.hits += cached
        return cached
