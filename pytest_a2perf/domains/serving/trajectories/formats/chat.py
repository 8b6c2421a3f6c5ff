"""Pieces of OpenAI's chat messages, and how other ways to write content become them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pytest_a2perf.domains.serving.trajectories.form import Record
from pytest_a2perf.domains.serving.trajectories.models import Message

__all__ = [
    "answer",
    "assistant",
    "call",
    "call_names",
    "calls_of",
    "content_of",
    "function",
    "joined",
    "paired",
    "reply_of",
    "text_of",
]

_TEXTS = ("text", "input_text", "output_text")


def call(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    """Return a tool call; arguments that are no text become one, in JSON."""
    if not isinstance(arguments, str):
        arguments = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def calls_of(message: Record) -> list[dict[str, Any]]:
    """Return the tool calls of a message in OpenAI's form, or nearly so."""
    calls = []
    for raw in message.records("tool_calls"):
        called = raw.record("function")
        calls.append(
            call(raw.text("id", ""), called.text("name", ""), called.data.get("arguments"))
        )
    return calls


def assistant(text: str, calls: Sequence[dict[str, Any]] = (), reasoning: str = "") -> Message:
    """Return a reply."""
    message: Message = {"role": "assistant", "content": text or (None if calls else "")}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = list(calls)
    return message


def reply_of(message: Record) -> Message:
    """Return a reply that is in OpenAI's form, or nearly so."""
    reasoning = message.text("reasoning_content", "")
    return assistant(text_of(message, "content"), calls_of(message), reasoning)


def answer(call_id: str, text: str) -> Message:
    """Return a tool's result."""
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def function(name: str, description: str = "", parameters: Any = None) -> dict[str, Any]:
    """Return a tool's declaration; parameters that are no schema are left out."""
    declared: dict[str, Any] = {"name": name}
    if description:
        declared["description"] = description
    if isinstance(parameters, dict):
        declared["parameters"] = parameters
    return {"type": "function", "function": declared}


def call_names(message: Message) -> tuple[str, ...]:
    """Return the names of the tools that a reply calls, as far as they are texts."""
    calls = message.get("tool_calls")
    functions = [item.get("function") for item in calls or () if isinstance(item, dict)]
    names = [item.get("name") for item in functions if isinstance(item, dict)]
    return tuple(name for name in names if isinstance(name, str))


def content_of(record: Record, key: str) -> Any:
    """Return content as OpenAI has it: a text, or a list of parts where there are images.

    Takes a text, or parts of OpenAI's, Anthropic's or ATIF's kind. Parts that can be sent nowhere
    without their files leave their kind in brackets.
    """
    if isinstance(record.data.get(key), str):
        return record.text(key)
    parts = [part for raw in record.records(key) for part in _parts(raw)]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def text_of(record: Record, key: str) -> str:
    """Return content as a text, which is all that a tool's result may be: images are named."""
    content = content_of(record, key)
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "[image]") for part in content)


def joined(texts: Iterable[str]) -> str:
    """Return the texts that are not empty, each on lines of its own."""
    return "\n".join(text for text in texts if text)


def paired(messages: Sequence[Message]) -> list[Message]:
    """Return messages without calls that have no result, and results that have no call.

    Agents do the same before they send, because endpoints refuse the rest: it stays behind where
    a run was interrupted, and where history was cut.
    """
    answered = {message["tool_call_id"] for message in messages if "tool_call_id" in message}
    asked: set[Any] = set()
    kept: list[Message] = []
    for message in messages:
        if calls := message.get("tool_calls"):
            complete = [item for item in calls if item["id"] in answered]
            asked.update(item["id"] for item in complete)
            if len(complete) == len(calls):
                kept.append(message)
            elif complete:
                kept.append(message | {"tool_calls": complete})
            elif message.get("content"):
                kept.append({key: item for key, item in message.items() if key != "tool_calls"})
        elif "tool_call_id" not in message or message["tool_call_id"] in asked:
            kept.append(message)
    return kept


def _parts(part: Record) -> list[dict[str, Any]]:
    kind = part.text("type", "text")
    if kind in _TEXTS:
        return [{"type": "text", "text": part.text("text", "")}]
    if kind == "image_url":
        return [dict(part.data)]
    if kind == "image":
        urls = part.items("image_urls") or [_image(part.record("source"))]
        if all(isinstance(url, str) and url for url in urls):
            return [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"type": "text", "text": f"[{kind}]"}]


def _image(source: Record) -> str | None:
    if data := source.text("data", ""):
        return f"data:{source.text('media_type', 'image/png')};base64,{data}"
    url = source.text("url", "") or source.text("path", "")
    return url if url.startswith(("https://", "http://", "data:")) else None
