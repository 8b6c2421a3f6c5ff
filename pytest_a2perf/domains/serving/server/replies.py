"""The bytes of replies: events of the three interfaces, and whole replies without a stream.

A token is four bytes of text, so that counting them as `trajectories.tokens` does agrees with the
usage that is told.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.domains.serving.server.request import Ask

__all__ = ["DONE", "STREAM_HEAD", "CompletionsWriter", "Part", "Usage", "Writer", "event", "framed"]

WORD = " tok"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)

Part = str
"""What tokens are: ``text``, ``reasoning`` or ``call``."""


@dataclass(slots=True)
class Usage:
    """Tokens of a request."""

    prompt: int
    cached: int
    output: int
    reasoning: int
    accepted: int
    rejected: int


def framed(data: bytes) -> bytes:
    """Return a chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: Any, name: str = "") -> bytes:
    """Return a server-sent event as a chunk of HTTP."""
    head = f"event: {name}\n" if name else ""
    return framed(f"{head}data: {json.dumps(value, separators=(',', ':'))}\n\n".encode())


DONE = framed(b"data: [DONE]\n\n")


class Writer:
    """Writes one reply; the chat interface, of which the others differ.

    Args:
        ask: the request.
        number: of the request, for ids.
        model: name of the server's model, for requests without one.
    """

    def __init__(self, ask: Ask, number: int, model: str) -> None:
        self._ask = ask
        self._id = f"{number:08x}"
        self._model = ask.model or model
        self._created = int(time.time())
        self._made: dict[tuple[Part, int], bytes] = {}
        self._called = False

    def opening(self) -> bytes:
        """Return events that hold nothing visible yet."""
        return self._chunk({"role": "assistant", "content": ""})

    def tokens(self, part: Part, count: int) -> bytes:
        """Return events of some tokens; the same object where they are the same bytes."""
        if part == "call" and not self._called:
            self._called = True
            function = {"name": self._ask.tool, "arguments": '{"text":"' + WORD * count}
            call = {"index": 0, "id": f"call_{self._id}", "type": "function", "function": function}
            return self._chunk({"tool_calls": [call]})
        made = self._made.get((part, count))
        if made is None:
            made = self._made[part, count] = self._chunk(self._delta(part, WORD * count))
        return made

    def closing(self, finish: str, usage: Usage | None) -> bytes:
        """Return the last events."""
        data = b""
        if self._called:
            data = self._chunk(self._delta("call", '"}'))
        data += self._chunk({}, finish)
        if usage is not None:
            data += event(self._envelope([]) | {"usage": usage_of(usage)})
        return data + DONE

    def whole(self, parts: list[tuple[Part, int]], finish: str, usage: Usage | None) -> Any:
        """Return a reply without a stream."""
        texts = {part: WORD * count for part, count in parts}
        message: dict[str, Any] = {"role": "assistant", "content": texts.get("text")}
        if "reasoning" in texts:
            message["reasoning_content"] = texts["reasoning"]
        if "call" in texts:
            function = {"name": self._ask.tool, "arguments": f'{{"text":"{texts["call"]}"}}'}
            message["tool_calls"] = [
                {"id": f"call_{self._id}", "type": "function", "function": function}
            ]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        reply = self._envelope([choice]) | {"object": "chat.completion"}
        return reply | ({"usage": usage_of(usage)} if usage else {})

    def _delta(self, part: Part, text: str) -> dict[str, Any]:
        if part == "reasoning":
            return {"reasoning_content": text}
        if part == "call":
            return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        return {"content": text}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(self._envelope([choice]))

    def _envelope(self, choices: list[Any]) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._id}",
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


class CompletionsWriter(Writer):
    """Writes a reply of the completions interface: text alone."""

    def opening(self) -> bytes:
        """Return nothing: there is no such event."""
        return b""

    def whole(self, parts: list[tuple[Part, int]], finish: str, usage: Usage | None) -> Any:
        """Return a reply without a stream."""
        text = "".join(WORD * count for _, count in parts)
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        return self._envelope([choice]) | ({"usage": usage_of(usage)} if usage else {})

    def _delta(self, part: Part, text: str) -> dict[str, Any]:  # noqa: ARG002 - text alone
        return {"text": text}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "text": "", **delta, "logprobs": None, "finish_reason": finish}
        return event(self._envelope([choice]))

    def _envelope(self, choices: list[Any]) -> dict[str, Any]:
        return super()._envelope(choices) | {
            "id": f"cmpl-{self._id}",
            "object": "text_completion",
        }


def usage_of(usage: Usage) -> dict[str, Any]:
    """Return usage as the chat and completions interfaces tell it."""
    told: dict[str, Any] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
    if usage.accepted or usage.rejected:
        told["completion_tokens_details"] |= {
            "accepted_prediction_tokens": usage.accepted,
            "rejected_prediction_tokens": usage.rejected,
        }
    return told
