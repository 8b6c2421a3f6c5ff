"""What spans say that models were sent and replied, as OpenAI's chat messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pytest_a2perf.domains.serving.trajectories.form import Record, parse
from pytest_a2perf.domains.serving.trajectories.formats.chat import (
    answer,
    assistant,
    call,
    calls_of,
    function,
    joined,
)
from pytest_a2perf.domains.serving.trajectories.formats.otel_spans import Event, Span
from pytest_a2perf.domains.serving.trajectories.models import Message

__all__ = ["input_of", "output_of", "tools_of"]

_INPUT = "gen_ai.input.messages"
_OUTPUT = "gen_ai.output.messages"
_INSTRUCTIONS = "gen_ai.system_instructions"
_TOOLS = "gen_ai.tool.definitions"
# Before there were these attributes, each message was an event.
_SAID = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CHOICE = "gen_ai.choice"
_ROLES = {"human": "user", "ai": "assistant", "model": "assistant"}


def input_of(span: Span) -> list[Message]:
    """Return what was sent; empty where it was not recorded.

    Raises:
        TrajectoryError: it is not as it should be.
    """
    messages = [message for raw in _listed(span, _INPUT) for message in _messages(raw)]
    if not messages:
        messages = [
            _event_message(body, _SAID[event.name])
            for event in span.events
            if event.name in _SAID and (body := _body(event)).data
        ]
    instructions = joined(_text(part) for part in _listed(span, _INSTRUCTIONS))
    if instructions and messages:
        messages.insert(0, {"role": "system", "content": instructions})
    return messages


def output_of(span: Span) -> Message:
    """Return the first reply; an empty one where it was not recorded.

    Raises:
        TrajectoryError: it is not as it should be.
    """
    for raw in _listed(span, _OUTPUT):
        for message in _messages(Record(raw.data | {"role": "assistant"}, raw.where)):
            return message
    for event in span.events:
        if event.name == _CHOICE:
            body = _body(event)
            return _event_message(
                body.record("message") if "message" in body.data else body, "assistant"
            )
    return assistant("")


def tools_of(span: Span) -> list[dict[str, Any]]:
    """Return the declarations of tools in OpenAI's form.

    Raises:
        TrajectoryError: they are not as they should be.
    """
    return [
        tool.data
        if isinstance(tool.data.get("function"), dict)
        else function(
            tool.text("name", ""), tool.text("description", ""), tool.data.get("parameters")
        )
        for tool in _listed(span, _TOOLS)
    ]


def _listed(span: Span, key: str) -> list[Record]:
    """Return a list that stands in an attribute of a span or of its events, as JSON or as text."""
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        value = attributes.data.get(key)
        if isinstance(value, str):
            if not value.lstrip().startswith("["):
                return [Record({"type": "text", "content": value}, attributes.where)]
            value = parse(value, f"{attributes.where}, {key}")
        if value is not None:
            return Record({key: value}, attributes.where).records(key)
    return []


def _messages(raw: Record) -> Iterator[Message]:
    """Return the message that parts make, after one for each result of a tool among them."""
    role = raw.text("role").lower()
    role = _ROLES.get(role, role)
    rest: list[Record] = []
    results = False
    for part in raw.records("parts"):
        if part.data.get("type") == "tool_call_response":
            results = True
            value = part.data.get("response", part.data.get("result"))
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield answer(part.text("id", ""), text)
        else:
            rest.append(part)
    if role == "assistant":
        yield _reply(rest)
    elif rest or not results:
        yield {"role": "user" if role == "tool" else role, "content": _content(rest)}


def _reply(parts: list[Record]) -> Message:
    texts, thoughts, calls = [], [], []
    for part in parts:
        match part.data.get("type"):
            case "tool_call":
                calls.append(
                    call(part.text("id", ""), part.text("name", ""), part.data.get("arguments"))
                )
            case "reasoning" | "thinking":
                thoughts.append(_text(part))
            case _:
                texts.append(_text(part))
    return assistant(joined(texts), calls, joined(thoughts))


def _content(parts: list[Record]) -> Any:
    images = [part for part in parts if _url(part)]
    if not images:
        return joined(_text(part) for part in parts)
    return [
        {"type": "image_url", "image_url": {"url": url}}
        if (url := _url(part))
        else {"type": "text", "text": _text(part)}
        for part in parts
    ]


def _url(part: Record) -> str:
    """Return where an image can be got from, or nothing."""
    if part.data.get("modality") != "image":
        return ""
    if part.data.get("type") == "blob":
        kind = part.text("mime_type", "image/png")
        return f"data:{kind};base64,{part.text('content', '')}"
    return part.text("uri", "")


def _text(part: Record) -> str:
    kind = part.data.get("type", "text")
    if kind in ("text", "reasoning", "thinking") or isinstance(part.data.get("content"), str):
        return part.text("content", "")
    return f"[{kind}]"


def _body(event: Event) -> Record:
    """Return an event's message: the body of a log, or attributes, perhaps one as JSON."""
    if event.body.data:
        return event.body
    text = event.attributes.data.get("gen_ai.event.content")
    if isinstance(text, str):
        value = parse(text, f"{event.attributes.where}, gen_ai.event.content")
        return Record(value if isinstance(value, dict) else {}, event.attributes.where)
    return event.attributes if "content" in event.attributes.data else Record({}, event.body.where)


def _event_message(body: Record, role: str) -> Message:
    value = body.data.get("content")
    text = value if isinstance(value, str) else json.dumps(value) if value is not None else ""
    if role == "tool":
        return answer(body.text("id", ""), text)
    if role != "assistant":
        return {"role": role, "content": text}
    return assistant(text, calls_of(body))
