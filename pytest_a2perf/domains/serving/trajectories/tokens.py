"""How long texts are where no tokenizer is at hand: a rule that is the same everywhere.

A token is taken as four bytes of UTF-8, rounded up, which is near what tokenizers make of English
and of code. The reference server counts by the same rule. Figures that a server reports always
come before these. Read by the processes that make load: the standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pytest_a2perf.domains.serving.trajectories.models import Message, Session, Turn

__all__ = [
    "MESSAGE_TOKENS",
    "estimate_tokens",
    "input_tokens",
    "message_tokens",
    "text_of",
    "tools_text",
    "tools_tokens",
]

BYTES_A_TOKEN = 4
MESSAGE_TOKENS = 4
"""What a chat template puts around each message."""


def estimate_tokens(text: str) -> int:
    """Return the length of a text: its bytes in UTF-8 divided by four, rounded up."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // BYTES_A_TOKEN)


def text_of(message: Message) -> str:
    """Return what a model reads of a message: reasoning, content, and tool calls as JSON.

    Of a content in parts, it is the text; images and sounds count as nothing.
    """
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "".join(_part(part) for part in content)
    text = str(message.get("reasoning_content") or "") + content
    calls = message.get("tool_calls")
    return text + _compact(calls) if calls else text


def message_tokens(message: Message) -> int:
    """Return the length of `text_of` a message, and 4 for what stands around it."""
    return estimate_tokens(text_of(message)) + MESSAGE_TOKENS


def tools_text(tools: Iterable[dict[str, Any]]) -> str:
    """Return what a model reads of declared tools: compact JSON, or nothing at all."""
    declared = list(tools)
    return _compact(declared) if declared else ""


def tools_tokens(tools: Iterable[dict[str, Any]]) -> int:
    """Return the length of `tools_text`."""
    return estimate_tokens(tools_text(tools))


def input_tokens(session: Session, turn: Turn) -> int:
    """Return the length of what a turn sends: its messages, and the session's tools."""
    return tools_tokens(session.tools) + sum(map(message_tokens, session.input_of(turn)))


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
