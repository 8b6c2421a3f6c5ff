"""What is known of one request once its stream has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Answer", "Counted", "Failure"]

Failure = Literal["", "connect", "status", "stalled", "cut", "malformed", "refused", "cancelled"]
"""Why a request failed: no connection; an HTTP status of 400 and more; silence for longer than
allowed; the connection closed early; events that cannot be read; an error inside the stream; ended
by us."""

Counted = Literal["", "server", "tokenizer", "chunks"]
"""Who counted the tokens: the server's ``usage``, a tokenizer, or nobody: one a chunk."""


@dataclass(slots=True)
class Answer:
    """One reply; times are of the monotonic clock, in seconds.

    Attributes:
        sent: the request was handed to the socket; connecting is not part of it.
        first, last: first and last read that held a visible part of the reply (text, reasoning, a
            tool's name or arguments); 0 where there was none.
        ended: the stream was over, or given up.
        connecting: seconds that a connection took to be made for it; 0 where one was open.
        gaps: seconds between successive reads that held visible parts.
        chunks: events with a visible part.
        prompt_tokens, cached_tokens, output_tokens, reasoning_tokens: -1 where unknown; reasoning
            is part of the output.
        accepted_tokens, rejected_tokens: predicted tokens, where speculation is reported; else -1.
        counted: see `Counted`.
        finish: reason that the server gives, e.g. ``stop``, ``length``, ``tool_calls``.
        failure: see `Failure`; empty if all went well.
        error: in words, without keys.
        status: of HTTP; 0 where there was none.
    """

    sent: float = 0.0
    first: float = 0.0
    last: float = 0.0
    ended: float = 0.0
    connecting: float = 0.0
    gaps: list[float] = field(default_factory=list)
    chunks: int = 0
    prompt_tokens: int = -1
    cached_tokens: int = -1
    output_tokens: int = -1
    reasoning_tokens: int = -1
    accepted_tokens: int = -1
    rejected_tokens: int = -1
    counted: Counted = ""
    finish: str = ""
    failure: Failure = ""
    error: str = ""
    status: int = 0
