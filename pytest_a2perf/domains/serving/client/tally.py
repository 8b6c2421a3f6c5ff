"""What the events of a stream, read one after the other, amount to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_a2perf.domains.serving.client.answer import Answer
from pytest_a2perf.domains.serving.client.codec import dumps
from pytest_a2perf.domains.serving.client.endpoint import Api

__all__ = ["READERS", "RefusedError", "Tally", "message_of"]

_SHOWN = 300  # characters of a server's message


class RefusedError(Exception):
    """The server says inside the stream that it failed."""


class Tally:
    """Counts the visible parts of a reply, and notes what else its events tell.

    Args:
        answer: that is filled in.
        texts: whether visible text is kept, for a tokenizer.

    Attributes:
        done: the server said that this was all.
        usage: as the server tells it; the last counts.
        keep: whether visible text is kept.
        texts: that were kept.
        text: of the last visible part.
    """

    __slots__ = ("answer", "done", "keep", "text", "texts", "usage")

    def __init__(self, answer: Answer, texts: bool) -> None:
        self.answer = answer
        self.keep = texts
        self.texts: list[str] = []
        self.text: Any = ""
        self.usage: dict[str, Any] = {}
        self.done = False

    def visible(self, at: float, text: Any) -> None:
        """Count an event with a visible part."""
        answer, self.text = self.answer, text
        answer.chunks += 1
        if answer.chunks == 1:
            answer.first = at
        elif at > answer.last:
            answer.gaps.append(at - answer.last)
        answer.last = at
        if self.keep:
            self.texts.append(text if isinstance(text, str) else dumps(text).decode())

    def finish(self, count: Callable[[str], int] | None) -> None:
        """Fill in the counts of tokens."""
        answer, usage = self.answer, self.usage
        of_prompt = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
        of_output = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
        of_output = of_output or {}
        answer.prompt_tokens = _number(usage, "prompt_tokens", "input_tokens")
        answer.cached_tokens = _number(of_prompt, "cached_tokens")
        if answer.cached_tokens < 0:
            answer.cached_tokens = _number(usage, "prompt_cache_hit_tokens")
        answer.reasoning_tokens = _number(of_output, "reasoning_tokens")
        answer.accepted_tokens = _number(of_output, "accepted_prediction_tokens")
        answer.rejected_tokens = _number(of_output, "rejected_prediction_tokens")
        tokens = _number(usage, "completion_tokens", "output_tokens")
        if tokens > 0 or (tokens == 0 and not answer.chunks):
            answer.output_tokens, answer.counted = tokens, "server"
        elif count is not None:
            answer.output_tokens, answer.counted = count("".join(self.texts)), "tokenizer"
        else:
            answer.output_tokens, answer.counted = answer.chunks, "chunks"


def read_chat(tally: Tally, event: dict[str, Any], at: float) -> None:
    """Take in an event, or a whole reply, of the chat or the completions interface.

    Raises:
        RefusedError: it is an error.
        AttributeError, TypeError: it is no such event.
    """
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or choice.get("message") or choice
        if part := delta.get("content") or _part_of(delta):
            tally.visible(at, part)
        if finish := choice.get("finish_reason"):
            tally.answer.finish = str(finish)
    if usage := event.get("usage"):
        tally.usage = {**usage}
    if event.get("error") or event.get("object") == "error":
        raise RefusedError(message_of(event))


def read_response(tally: Tally, event: dict[str, Any], at: float) -> None:
    """Take in an event, or a whole reply, of the responses interface.

    A finish ``max_output_tokens`` is called ``length``, as in the other interfaces.

    Raises:
        RefusedError: it is an error.
        AttributeError, TypeError: it is no such event.
    """
    kind = event.get("type") or ""
    if kind.endswith(".delta"):
        if delta := event.get("delta"):
            tally.visible(at, delta)
    elif kind == "response.output_item.added":
        if name := (event.get("item") or {}).get("name"):
            tally.visible(at, name)
    elif event.get("object") == "response":
        if output := event.get("output"):
            tally.visible(at, output)
        _finish_response(tally, event)
    elif kind in ("response.completed", "response.incomplete", "response.failed"):
        _finish_response(tally, event.get("response") or {})
    if kind in ("error", "response.failed") or event.get("error"):
        raise RefusedError(message_of(event.get("response") or event))


READERS: dict[Api, Callable[[Tally, dict[str, Any], float], None]] = {
    "chat": read_chat,
    "completions": read_chat,
    "responses": read_response,
    "litellm": read_chat,
}


def message_of(data: Any) -> str:
    """Return what an error says, on a line."""
    found: Any = data
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(name):
            found = found[name]
    text = found if isinstance(found, str) else dumps(found).decode(errors="replace")
    return " ".join(text.split())[:_SHOWN]


def _part_of(delta: dict[str, Any]) -> Any:
    """Return what of a delta without content can be seen, if anything."""
    for name in ("reasoning_content", "reasoning", "text", "refusal"):
        if part := delta.get(name):
            return part
    calls = delta.get("tool_calls") or ()
    functions = [call.get("function") or {} for call in calls] + [delta.get("function_call") or {}]
    return "".join(
        (function.get("name") or "") + (function.get("arguments") or "") for function in functions
    )


def _finish_response(tally: Tally, response: dict[str, Any]) -> None:
    tally.done = True
    if usage := response.get("usage"):
        tally.usage = {**usage}
    finish = (response.get("incomplete_details") or {}).get("reason") or response.get("status")
    tally.answer.finish = "length" if finish == "max_output_tokens" else str(finish or "")


def _number(data: Any, *names: str) -> int:
    for name in names:
        value = data.get(name) if isinstance(data, dict) else None
        if isinstance(value, int) and value >= 0:
            return value
    return -1
