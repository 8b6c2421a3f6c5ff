"""Recorded messages in the form that each interface of OpenAI's takes."""

from __future__ import annotations

from typing import Any

from pytest_a2perf.domains.serving.client.codec import dumps
from pytest_a2perf.domains.serving.trajectories.models import Message

__all__ = ["chat_message", "prompt_of", "response_items", "response_tool", "with_prefix"]


def chat_message(message: Message, reasoning: bool) -> Message:
    """Return a message of the chat interface, with or without its reasoning."""
    if reasoning or "reasoning_content" not in message:
        return message
    return {name: value for name, value in message.items() if name != "reasoning_content"}


def prompt_of(message: Message) -> str:
    """Return a message as plain text: ``role: content``, a line for each call, an empty line."""
    lines = [f"{message.get('role', 'user')}: {_text(message.get('content'))}"]
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        lines.append(f"call {function.get('name', '')}: {function.get('arguments', '')}")
    return "\n".join(lines) + "\n\n"


def response_items(message: Message) -> list[dict[str, Any]]:
    """Return a message as input items of the responses interface; reasoning is left out."""
    role, content = message.get("role", "user"), message.get("content")
    if role == "tool":
        call = message.get("tool_call_id", "")
        return [{"type": "function_call_output", "call_id": call, "output": _text(content)}]
    items: list[dict[str, Any]] = []
    if role == "assistant":
        if text := _text(content):
            items.append({"role": role, "content": text})
    else:
        parts = [_input_part(part) for part in content] if isinstance(content, list) else content
        items.append({"role": role, "content": parts or ""})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        items.append(
            {
                "type": "function_call",
                "call_id": call.get("id", ""),
                "name": function.get("name", ""),
                "arguments": function.get("arguments", ""),
            }
        )
    return items


def response_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a declaration of the chat interface in the flat form of the responses interface."""
    if not isinstance(function := tool.get("function"), dict):
        return tool
    return {"type": "function", "strict": False, **function}


def with_prefix(message: Message, prefix: str) -> Message:
    """Return a message whose text begins with a line of its own."""
    content = message.get("content")
    if not isinstance(content, list):
        return {**message, "content": f"{prefix}\n{content or ''}"}
    parts = list(content)
    for index, part in enumerate(parts):
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            parts[index] = {**part, "text": f"{prefix}\n{part['text']}"}
            break
    else:
        parts.insert(0, {"type": "text", "text": prefix})
    return {**message, "content": parts}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_part_text(part) for part in content)
    return "" if content is None else dumps(content).decode()


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def _input_part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part.get("type") == "text":
        return {"type": "input_text", "text": part.get("text", "")}
    if part.get("type") == "image_url":
        image = part.get("image_url")
        return {
            "type": "input_image",
            "image_url": image.get("url", "") if isinstance(image, dict) else image,
        }
    return part
