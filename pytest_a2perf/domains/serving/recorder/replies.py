"""What a model replied, whichever interface it speaks, streamed or not."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.recorder.calls import Interface, messages_of
from pytest_a2perf.domains.serving.trajectories.build import as_message, usage_of
from pytest_a2perf.domains.serving.trajectories.models import Message

__all__ = ["Reply", "reply_of"]

_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")

_UNREADABLE = (
    *(zlib.error, ValueError, RecursionError, TrajectoryError),
    *(AttributeError, LookupError, TypeError),  # other types of JSON than the interface has
)


@dataclass(slots=True)
class Reply:
    """One reply, as far as it is known.

    Attributes:
        message: that the model said; empty where it is not known.
        output_tokens: as the server counts.
        prompt_tokens: as the server counts, with cached ones.
        id: by which the next request may refer to it.
        complete: whether it came to its end.
        error: whether the server reported an error in the middle of it.
    """

    message: Message = field(default_factory=dict)
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    id: str = ""
    complete: bool = False
    error: bool = False


def reply_of(interface: Interface, content: bytes, headers: tuple[str, str] = ("", "")) -> Reply:
    """Return what a body says; what cannot be read of it is left out.

    Args:
        interface: that the request spoke.
        content: of the response.
        headers: its ``Content-Type`` and ``Content-Encoding``.
    """
    kind, encoding = headers
    try:
        if encoding in {"gzip", "deflate"}:
            content = zlib.decompressobj(wbits=47).decompress(content)
        text = content.decode("utf-8", "replace")
        if "event-stream" in kind or text.startswith(("data:", "event:")):
            reply = _streamed(interface, _events(text))
        else:
            reply = _whole(interface, json.loads(text))
        if reply.message:
            reply.message = as_message(reply.message)
    except _UNREADABLE:
        # An unusual reply must not cost the recording; its length is unknown then.
        return Reply()
    return reply


def _whole(interface: Interface, data: dict[str, Any]) -> Reply:
    reply = Reply(id=str(data.get("id") or ""), complete=True, error=bool(data.get("error")))
    _count(reply, data)
    match interface:
        case "chat" if data.get("choices"):
            reply.message = data["choices"][0]["message"]
        case "completions" if data.get("choices"):
            text = data["choices"][0].get("text") or ""
            reply.message = {"role": "assistant", "content": text}
        case "responses" if isinstance(data.get("output"), list):
            reply.message = _last(messages_of(interface, data["output"]))
        case "messages" if isinstance(data.get("content"), list):
            said = {"role": "assistant", "content": data["content"]}
            reply.message = _last(messages_of(interface, [said]))
    return reply


def _streamed(interface: Interface, events: Iterable[dict[str, Any]]) -> Reply:
    match interface:
        case "responses":
            return _of_response(events)
        case "messages":
            return _of_message(events)
    return _of_chunks(events)


def _of_chunks(events: Iterable[dict[str, Any]]) -> Reply:
    reply = Reply()
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        reply.error |= bool(event.get("error"))
        reply.complete |= event is _DONE
        reply.id = str(event.get("id") or reply.id)
        _count(reply, event)
        for choice in event.get("choices") or ():
            if choice.get("index"):
                continue  # an alternative: the agent goes on from the first
            reply.complete |= bool(choice.get("finish_reason"))
            delta = choice.get("delta") or {"content": choice.get("text")}
            texts["content"].append(delta.get("content") or "")
            thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
            texts["reasoning_content"].append(thought)
            for part in delta.get("tool_calls") or ():
                made = calls.setdefault(
                    part.get("index") or 0,
                    {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
                )
                made["id"] = part.get("id") or made["id"]
                for key, value in (part.get("function") or {}).items():
                    made["function"][key] = made["function"].get(key, "") + (value or "")
    reply.message = {"role": "assistant", **{key: "".join(text) for key, text in texts.items()}}
    if not reply.message["reasoning_content"]:
        del reply.message["reasoning_content"]
    if calls:
        reply.message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return reply


def _of_response(events: Iterable[dict[str, Any]]) -> Reply:
    reply = Reply()
    items: list[Any] = []
    for event in events:
        kind = event.get("type")
        if kind == "response.output_item.done":
            items.append(event.get("item"))
        elif kind in {"response.completed", "response.incomplete"}:
            whole = _whole("responses", event.get("response") or {})
            if whole.message or not items:
                return whole
            whole.message = _last(messages_of("responses", items))
            return whole
        reply.error |= kind in {"error", "response.failed"}
    reply.message = _last(messages_of("responses", items))
    return reply


def _of_message(events: Iterable[dict[str, Any]]) -> Reply:
    reply = Reply()
    blocks: dict[int, dict[str, Any]] = {}
    usage: dict[str, Any] = {}
    for event in events:
        match event.get("type"):
            case "message_start":
                usage |= event["message"].get("usage") or {}
                reply.id = str(event["message"].get("id") or "")
            case "content_block_start":
                blocks[event["index"]] = dict(event["content_block"], json="")
            case "content_block_delta":
                delta = event["delta"]
                block = blocks[event["index"]]
                for key in ("text", "thinking"):
                    if key in delta:
                        block[key] = block.get(key, "") + delta[key]
                block["json"] += delta.get("partial_json", "")
            case "message_delta":
                usage |= event.get("usage") or {}
            case "message_stop":
                reply.complete = True
            case "error":
                reply.error = True
    content = []
    for _, block in sorted(blocks.items()):
        written = block.pop("json")
        content.append(block | {"input": json.loads(written)} if written else block)
    _count(reply, {"usage": usage})
    if content:
        said = {"role": "assistant", "content": content}
        reply.message = _last(messages_of("messages", [said]))
    return reply


_DONE: dict[str, Any] = {}


def _events(text: str) -> Iterator[dict[str, Any]]:
    for event in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line[5:].strip() for line in event.split("\n") if line.startswith("data:")]
        data = "\n".join(lines)
        if data == "[DONE]":
            yield _DONE
        elif data:
            try:
                value = json.loads(data)
            except ValueError:
                continue  # cut off in its middle
            if isinstance(value, dict):
                yield value


def _count(reply: Reply, holder: dict[str, Any]) -> None:
    found = usage_of(holder)
    if "output_tokens" in found:
        reply.output_tokens = found["output_tokens"]
    if "prompt_tokens" in found:
        usage = holder["usage"]
        # Anthropic counts what came from its cache apart.
        cached = sum(usage.get(name) or 0 for name in _CACHED)
        reply.prompt_tokens = found["prompt_tokens"] + cached


def _last(messages: list[Message]) -> Message:
    return messages[-1] if messages and messages[-1]["role"] == "assistant" else {}
