"""What a request to a model asks, whichever interface it speaks, as messages of OpenAI's chat."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.build import as_message, clean
from pytest_a2perf.domains.serving.trajectories.form import Record
from pytest_a2perf.domains.serving.trajectories.formats.chat import (
    answer,
    call,
    content_of,
    function,
    joined,
    text_of,
)
from pytest_a2perf.domains.serving.trajectories.models import Message

__all__ = ["SESSION_HEADER", "Call", "Interface", "Key", "call_of", "interface_of", "messages_of"]

SESSION_HEADER = "X-A2Perf-Session"
"""Header that says which session a request is of."""

Interface = Literal["chat", "completions", "responses", "messages"]
_INTERFACES: dict[str, Interface] = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/responses": "responses",
    "/messages": "messages",
}
Key = Literal["", "header", "session", "cache"]
"""Where the key of a session comes from: none is known; `SESSION_HEADER`; another header or
metadata, which sub-agents share; or a key for the prompt cache, which sessions may share."""

_SESSION_HEADERS = ("x-session-id", "session-id", "session_id", "x-conversation-id")
_SESSION_FIELDS = ("session_id", "conversation_id", "thread_id", "trace_id")
_IN_USER = re.compile(r"session(?:_id)?[\"':_ ]+([\w-]{8,})")


@dataclass(slots=True)
class Call:
    """One request.

    Attributes:
        interface: that it speaks.
        model: that it names.
        messages: its input.
        tools: declarations in OpenAI's form.
        key: of its session, as far as it says; a digest, except of `SESSION_HEADER`.
        kind: where the key comes from.
        follows: id of the response that it goes on from; its messages are only what is new.
    """

    interface: Interface
    model: str = ""
    messages: list[Message] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    key: str = ""
    kind: Key = ""
    follows: str = ""


def interface_of(method: str, path: str) -> Interface | None:
    """Return the interface that a request to a path speaks, or None for anything else."""
    if method != "POST":
        return None
    path = path.partition("?")[0].rstrip("/")
    return next((found for end, found in _INTERFACES.items() if path.endswith(end)), None)


def call_of(interface: Interface, body: bytes, headers: Mapping[str, str]) -> Call:
    """Return what a request asks.

    Args:
        interface: that it speaks.
        body: of the request.
        headers: only those that name a session are looked at.

    Raises:
        TrajectoryError: it cannot be read.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise TrajectoryError("the body of a request is no JSON") from None
    if not isinstance(data, dict):
        raise TrajectoryError("the body of a request is no JSON object")
    record = Record(clean(data), f"a request of {interface}")
    messages, tools = _READERS[interface](record)
    if not messages:
        raise record.error("there are no messages")
    key, kind = _key_of(record, headers)
    return Call(
        interface,
        record.text("model", ""),
        [as_message(message) for message in messages],
        tools,
        key,
        kind,
        record.text("previous_response_id", "") if interface == "responses" else "",
    )


def messages_of(interface: Interface, items: list[Any]) -> list[Message]:
    """Return messages out of those of the interface ``messages``, or items of ``responses``.

    Raises:
        TrajectoryError: they cannot be read.
    """
    records = Record({"items": items}, interface).records("items")
    return _anthropic(records) if interface == "messages" else _items(records)


_Read = tuple[list[Any], list[dict[str, Any]]]


def _chat(body: Record) -> _Read:
    messages = []
    for message in body.records("messages"):
        content = message.data.get("content")
        if isinstance(content, list):
            # Marks for the prompt cache wander from turn to turn.
            content = [_without_marks(part) for part in content]
        messages.append(message.data | {"content": content})
    return messages, body.tools()


def _completions(body: Record) -> _Read:
    prompt = body.data.get("prompt")
    if isinstance(prompt, list):
        prompt = prompt[0] if len(prompt) == 1 else None
    if not isinstance(prompt, str):
        raise body.error("the prompt is no text")
    return [{"role": "user", "content": prompt}], []


def _responses(body: Record) -> _Read:
    given = body.data.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else body.items("input")
    messages = messages_of("responses", items)
    if instructions := body.text("instructions", ""):
        messages.insert(0, {"role": "system", "content": instructions})
    tools = [
        function(tool.text("name"), tool.text("description", ""), tool.data.get("parameters"))
        for tool in body.records("tools")
        if tool.data.get("name")
    ]
    return messages, tools


def _messages(body: Record) -> _Read:
    messages = messages_of("messages", body.items("messages"))
    if system := content_of(body, "system") if body.data.get("system") else "":
        messages.insert(0, {"role": "system", "content": system})
    tools = [
        function(tool.text("name"), tool.text("description", ""), tool.data.get("input_schema"))
        for tool in body.records("tools")
    ]
    return messages, tools


_READERS: dict[Interface, Callable[[Record], _Read]] = {
    "chat": _chat,
    "completions": _completions,
    "responses": _responses,
    "messages": _messages,
}


def _anthropic(records: Iterable[Record]) -> list[Message]:
    messages: list[Message] = []
    for record in records:
        role = record.text("role")
        if isinstance(record.data.get("content"), str):
            messages.append({"role": role, "content": record.text("content")})
            continue
        blocks = record.records("content")
        kinds = [block.text("type", "") for block in blocks]
        messages += [
            answer(block.text("tool_use_id"), text_of(block, "content"))
            for block, kind in zip(blocks, kinds, strict=True)
            if kind == "tool_result"
        ]
        said = [
            block.data
            for block, kind in zip(blocks, kinds, strict=True)
            if kind not in {"tool_result", "tool_use", "thinking", "redacted_thinking"}
        ]
        calls = [
            call(block.text("id"), block.text("name"), block.data.get("input"))
            for block, kind in zip(blocks, kinds, strict=True)
            if kind == "tool_use"
        ]
        thought = joined(block.text("thinking", "") for block in blocks)
        if said or calls or thought:
            content = content_of(Record({"content": said}, record.where), "content")
            message: Message = {"role": role, "content": content}
            if thought:
                message["reasoning_content"] = thought
            if calls:
                message["tool_calls"] = calls
            messages.append(message)
    return messages


def _items(records: Iterable[Record]) -> list[Message]:
    messages: list[Message] = []

    def reply() -> Message:
        """Return the message of the assistant that items go on with."""
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant", "content": ""})
        return messages[-1]

    for item in records:
        match item.text("type", "message"):
            case "message" if item.data.get("role") == "assistant":
                reply()["content"] += text_of(item, "content")
            case "message":
                content = content_of(item, "content")
                messages.append({"role": item.text("role"), "content": content})
            case "reasoning":
                parts = [*item.records("summary"), *item.records("content")]
                if thought := joined(part.text("text", "") for part in parts):
                    message = reply()
                    message["reasoning_content"] = joined(
                        [message.get("reasoning_content", ""), thought]
                    )
            case "function_call" | "custom_tool_call" as kind:
                given = item.data.get("arguments")
                if kind == "custom_tool_call":
                    given = {"input": item.text("input", "")}
                made = call(item.text("call_id"), item.text("name"), given)
                reply().setdefault("tool_calls", []).append(made)
            case "function_call_output" | "custom_tool_call_output":
                messages.append(answer(item.text("call_id"), text_of(item, "output")))
    return messages


def _key_of(body: Record, headers: Mapping[str, str]) -> tuple[str, Key]:
    if given := headers.get(SESSION_HEADER):
        return given, "header"
    found: Any = next((headers[name] for name in _SESSION_HEADERS if headers.get(name)), None)
    metadata = body.data.get("metadata")
    if not found and isinstance(metadata, dict):
        found = next((metadata[name] for name in _SESSION_FIELDS if metadata.get(name)), None)
        if not found and (in_user := _IN_USER.search(str(metadata.get("user_id", "")))):
            found = in_user[1]
    if found:
        return _digest(found), "session"
    cache = body.data.get("prompt_cache_key")
    return (_digest(cache), "cache") if cache else ("", "")


def _digest(key: Any) -> str:
    return hashlib.sha256(str(key).encode()).hexdigest()[:16]


def _without_marks(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {key: value for key, value in part.items() if key != "cache_control"}
