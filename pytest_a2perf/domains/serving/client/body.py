"""Bodies of requests, put together from messages that are encoded once.

A turn of 100 kB repeats nearly all of the turn before. So each message of a session becomes bytes
when it is first sent, agents that are at the same session share them, and a body is a join.

The members of a body: the messages; ``model``, ``tools``, ``stream``, ``stream_options``; what the
endpoint's ``sampling`` says, which may replace any of these; then the length. Two members of
``sampling`` are for us: ``reasoning_content = true`` sends the reasoning of recorded messages,
which servers otherwise take from the live reply only; and ``max_completion_tokens = true`` names
the length so, as some models of the chat interface demand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_a2perf.domains.serving.client.codec import dumps
from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.client.items import (
    chat_message,
    prompt_of,
    response_items,
    response_tool,
    with_prefix,
)
from pytest_a2perf.domains.serving.trajectories.models import Message, Session, Turn

__all__ = ["BodyMaker", "Script"]

_LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_OURS = (*_LENGTHS, "reasoning_content")


class Script:
    """A session as an endpoint takes it; shared by all agents that are at it.

    Args:
        endpoint: that it is for.
        session: which need not be kept.

    Attributes:
        turns: of the session.
        size: characters of its messages, roughly.
    """

    def __init__(self, endpoint: Endpoint, session: Session) -> None:
        self.turns = session.turns
        self.size = sum(len(str(message.get("content", ""))) for message in session.messages)
        self._messages: list[Message | None] = list(session.messages)
        self._parts: list[bytes] = [b""] * len(session.messages)
        # Those that may get a prefix are kept as they are, the others only until they are encoded.
        self._firsts = {turn.messages[0] for turn in session.turns if turn.messages}
        self._encode = _encoder(endpoint)
        self._begin, self._between, self._end = _FRAMES[endpoint.api]
        if endpoint.api == "completions" and session.tools:
            self._begin += dumps(f"tools: {dumps(session.tools).decode()}\n\n")[1:-1]
        self._end += _members(endpoint, session)

    def part(self, index: int) -> bytes:
        """Return a message, encoded."""
        if (message := self._messages[index]) is not None and not self._parts[index]:
            self._parts[index] = self._encode(message)
            if index not in self._firsts:
                self._messages[index] = None
        return self._parts[index]

    def prefixed(self, index: int, prefix: str) -> bytes:
        """Return the first message of a turn, with a prefix to its text."""
        message = self._messages[index]
        assert message is not None, index
        return self._encode(with_prefix(message, prefix))

    def joined(self, parts: list[bytes], end: bytes) -> bytes:
        """Return a body, whose end are further members, each after a comma, and the brace."""
        messages = self._between.join(filter(None, parts))
        return b"".join((self._begin, messages, self._end, end))


class BodyMaker:
    """Makes the bodies of one agent's run through a session.

    Args:
        endpoint: that they are for.
        session: or what agents share of it.
        nonce: begins the text of each turn's first message; empty: nothing is added.
    """

    def __init__(self, endpoint: Endpoint, session: Session | Script, nonce: str = "") -> None:
        self._script = session if isinstance(session, Script) else Script(endpoint, session)
        self._nonce = nonce
        self._prefixed: dict[int, bytes] = {}
        self._length = _length_name(endpoint)
        self._forces = endpoint.ignore_eos

    def body(self, turn: Turn, wanted: int, force: bool = False) -> bytes:
        """Return a turn's body.

        Args:
            turn: of the session.
            wanted: most tokens of the reply; below 1: the server's own limit.
            force: the reply has exactly so many, where the endpoint understands that.
        """
        script = self._script
        parts = [script.part(index) for index in turn.messages]
        if self._nonce and parts:
            parts[0] = self._first(turn.messages[0])
        length = b',"%s":%d' % (self._length, wanted) if wanted >= 1 else b""
        if length and force and self._forces:
            length += b',"min_tokens":%d,"ignore_eos":true' % wanted
        return script.joined(parts, length + b"}")

    def _first(self, index: int) -> bytes:
        if index not in self._prefixed:
            self._prefixed[index] = self._script.prefixed(index, self._nonce)
        return self._prefixed[index]


_FRAMES = {
    "chat": (b'{"messages":[', b",", b"]"),
    "litellm": (b'{"messages":[', b",", b"]"),
    "completions": (b'{"prompt":"', b"", b'assistant:"'),
    "responses": (b'{"input":[', b",", b"]"),
}


def _encoder(endpoint: Endpoint) -> Callable[[Message], bytes]:
    if endpoint.api == "completions":
        return lambda message: dumps(prompt_of(message))[1:-1]
    if endpoint.api == "responses":
        return lambda message: b",".join(map(dumps, response_items(message)))
    reasoning = bool(endpoint.sampling.get("reasoning_content"))
    return lambda message: dumps(chat_message(message, reasoning))


def _members(endpoint: Endpoint, session: Session) -> bytes:
    """Return what all bodies of a session share, beginning with a comma."""
    members: dict[str, Any] = {"model": endpoint.model, "stream": True}
    if endpoint.api == "responses":
        members["store"] = False
        tools = [response_tool(tool) for tool in session.tools]
    else:
        members["stream_options"] = {"include_usage": True}
        tools = [] if endpoint.api == "completions" else list(session.tools)
    if tools:
        members["tools"] = tools
    members |= {name: value for name, value in endpoint.sampling.items() if name not in _OURS}
    if not members["stream"]:
        members.pop("stream_options", None)
    return b"," + dumps(members)[1:-1]


def _length_name(endpoint: Endpoint) -> bytes:
    if endpoint.api == "responses":
        return b"max_output_tokens"
    if endpoint.api in ("chat", "litellm") and "max_completion_tokens" in endpoint.sampling:
        return b"max_completion_tokens"
    return b"max_tokens"
