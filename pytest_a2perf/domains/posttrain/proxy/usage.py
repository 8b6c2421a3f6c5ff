"""How many tokens a call took, as its answer says, or as well as can be told without it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pytest_a2perf.domains.serving.recorder.calls import Interface
from pytest_a2perf.domains.serving.recorder.replies import reply_of

__all__ = ["Tokens", "tokens_of"]

# Quotes within a string of JSON have a backslash before them, so that these are keys; the last one
# is that of the totals.
_CACHED = re.compile(rb'(?<!\\)"(?:cached_tokens|cache_read_input_tokens)"\s*:\s*(\d{1,12})\b')
_WRITTEN = re.compile(rb'(?<!\\)"cache_creation_input_tokens"\s*:\s*(\d{1,12})\b')
_BYTES = 4  # of a token, about


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a call.

    Attributes:
        input: all of them.
        output: with those of reasoning.
        cached: of the input, those read from a cache.
        written: of the input, those written to one.
        estimated: whether the server did not say.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        """In and out."""
        return self.input + self.output


def tokens_of(interface: Interface, asked: bytes, heard: bytes, kind: str) -> Tokens:
    """Return the tokens of a call.

    What the server does not say is estimated: a token for four bytes, or for each event of a
    stream. So a client that hangs up before the end is charged all the same.

    Args:
        interface: of the request.
        asked: body of the request.
        heard: body of the response, as far as it came.
        kind: its content type.
    """
    reply = reply_of(interface, heard, (kind, ""))
    known = reply.prompt_tokens is not None and reply.output_tokens is not None
    # The first event of Anthropic's streams has a count that the last one replaces.
    if known and (reply.complete or interface != "messages"):
        assert reply.prompt_tokens is not None
        assert reply.output_tokens is not None
        cached = min(_last(_CACHED, heard), reply.prompt_tokens)
        written = min(_last(_WRITTEN, heard), reply.prompt_tokens - cached)
        return Tokens(reply.prompt_tokens, reply.output_tokens, cached, written)
    events = heard.count(b"data:")
    output = events or math.ceil(len(heard) / _BYTES)
    counted = reply.prompt_tokens or math.ceil(len(asked) / _BYTES)
    return Tokens(counted, max(output, reply.output_tokens or 0), estimated=True)


def _last(pattern: re.Pattern[bytes], text: bytes) -> int:
    found = pattern.findall(text)
    return int(found[-1]) if found else 0
