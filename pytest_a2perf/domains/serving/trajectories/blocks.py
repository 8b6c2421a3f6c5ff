"""Inputs made up for traces that hold no texts but only identifiers of blocks.

A block is a run of tokens that a prefix cache keeps as one, named by a hash of it and of all that
stands before. Equal names give equal texts, so that what the recorded requests had in common,
those that are replayed have in common too. A token is four bytes, as in `tokens`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

from pytest_a2perf.domains.serving.trajectories.build import common
from pytest_a2perf.domains.serving.trajectories.form import Record
from pytest_a2perf.domains.serving.trajectories.models import Message
from pytest_a2perf.domains.serving.trajectories.tokens import BYTES_A_TOKEN, MESSAGE_TOKENS

__all__ = ["Blocks", "blocks_of", "inputs_of"]

_MOST_TOKENS = 10_000_000  # of an input; more is not believed
_REPLY = 32  # tokens at the beginning of what is new that count as the assistant's
_LEAST = 40  # tokens of a pair of messages
_WORDS = [f"{a}{b}{c} " for a in "bdfgklmn" for b in "aeio" for c in "prstvxyz"]  # one a byte
_Place = tuple[int, int, str]
"""First token of a message, the one after its last, and its role."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The input of a request.

    Attributes:
        names: of its blocks, in order; the last one may be only partly filled.
        tokens: length of the input; what is longer than its blocks goes on from the last one.
        size: tokens of a block.
        scope: names mean the same text only within the same scope.
    """

    names: tuple[str, ...]
    tokens: int
    size: int
    scope: str = ""

    @property
    def full(self) -> tuple[str, ...]:
        """Names of the blocks that are filled."""
        return self.names[: self.tokens // self.size]

    def text(self, first: int, last: int) -> str:
        """Return the text of the tokens from ``first`` up to ``last``."""
        begin, end = first // self.size, -(-last // self.size)
        text = "".join(self._block(number) for number in range(begin, end))
        offset = begin * self.size
        return text[(first - offset) * BYTES_A_TOKEN : (last - offset) * BYTES_A_TOKEN]

    def shared(self, other: Blocks) -> int:
        """Return how many tokens at the beginning are the same."""
        same = common(self.names, other.names)
        return min(same * self.size, self.tokens, other.tokens)

    def _block(self, number: int) -> str:
        known = len(self.names)
        name = self.names[number] if number < known else f"{self.names[-1:]} and {number}"
        return _text_of(f"{self.scope}/{name}", self.size)


def blocks_of(request: Record, length: str, size: int, scope: str) -> Blocks:
    """Return the input of a recorded request, whose blocks are its ``hash_ids``.

    Args:
        request: what was recorded.
        length: member that says how many tokens there are.
        size: tokens of a block.
        scope: see `Blocks`.

    Raises:
        TrajectoryError: the length is missing or absurd, or a name is neither number nor text.
    """
    tokens, names = request.count(length), request.items("hash_ids")
    if tokens is None or tokens > _MOST_TOKENS:
        raise request.error(f"{length!r} is {tokens}: expected at most {_MOST_TOKENS} tokens")
    if not all(isinstance(name, str | int) for name in names):
        raise request.error("'hash_ids' are not all numbers or texts")
    return Blocks(tuple(map(str, names[: -(-tokens // size)])), tokens, size, scope)


@lru_cache(maxsize=4096)
def _text_of(name: str, tokens: int) -> str:
    code = hashlib.shake_128(name.encode("utf-8", "surrogatepass"))
    return "".join(map(_WORDS.__getitem__, code.digest(tokens)))


def inputs_of(requests: Sequence[Blocks]) -> Iterator[list[Message]]:
    """Return the messages of each request of a session.

    Messages begin where requests part from one another, and by turns belong to the user and to the
    assistant, so that what requests share they share as whole messages. Together with the tokens
    that a template puts around messages, they are as long as the request.
    """
    shared = [one.shared(other) for one, other in pairwise(requests)]
    sent: dict[_Place, Message] = {}
    for number, request in enumerate(requests):
        # The least of neighbours' shares on the way to another request is what is shared with it.
        before = accumulate(reversed(shared[:number]), min)
        cuts = sorted({*before, *accumulate(shared[number:], min)})
        known = shared[number - 1] if number else 0
        kept = {place: message for place, message in sent.items() if place[1] <= known}
        places = _places(cuts, request.tokens)
        sent = {place: kept.get(place) or _message(request, *place) for place in places}
        yield list(sent.values())


def _places(cuts: Sequence[int], tokens: int) -> Iterator[_Place]:
    starts = [0]
    for cut in cuts:
        if cut - starts[-1] >= _LEAST and tokens - cut >= _LEAST:
            starts.append(cut)
    for start, end in pairwise([*starts, tokens]):
        reply = start + _REPLY if start else 0
        if reply:
            yield start, reply, "assistant"
        yield reply, end, "user"


def _message(request: Blocks, first: int, last: int, role: str) -> Message:
    first += MESSAGE_TOKENS
    return {"role": role, "content": request.text(first, max(last, first + 1))}
