"""ShareGPT: conversations of ``from`` and ``value``, as a list in one document or one a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder
from pytest_a2perf.domains.serving.trajectories.form import (
    Form,
    Record,
    first_object,
    parse,
    records_of,
)
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["FORM"]

_CONVERSATION = ("conversations", "conversation")
_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant"),
    "system": "system",
    "function_call": "call",
    **dict.fromkeys(("tool", "observation", "function_response", "function"), "result"),
}


def _detect(_: Path, head: bytes) -> bool:
    first = first_object(head)
    messages = next((first[key] for key in _CONVERSATION if key in first), None)
    return isinstance(messages, list) and all(
        isinstance(message, dict) and "role" not in message for message in messages
    )


def _read(path: Path) -> Iterator[Session]:
    for number, record in enumerate(records_of(path), 1):
        key = next((key for key in _CONVERSATION if key in record.data), _CONVERSATION[0])
        messages = _messages_of(record.records(key))
        if system := record.text("system", ""):
            messages.insert(0, {"role": "system", "content": system})
        if not messages:
            continue  # the well-known file has conversations with nothing in them
        builder = SessionBuilder(
            record.text("id", f"{path.stem}-{number}"),
            source=FORM.name,
            model=record.text("model", ""),
            tools=record.tools(),
        )
        with record.here():
            builder.conversation(messages)
            yield builder.session()


def _messages_of(entries: list[Record]) -> list[Message]:
    messages: list[Message] = []
    called = ""
    for entry in entries:
        text = entry.text("value", "")
        match _ROLES.get(entry.text("from").lower()):
            case None:
                raise entry.error(
                    f"'from' is {entry.text('from')!r}, not one of {', '.join(_ROLES)}"
                )
            case "call":
                function = _function_of(text)
                called = f"call_{len(messages)}" if function else ""
                call = {"id": called, "type": "function", "function": function}
                message: Message = {"role": "assistant", "content": None if called else text}
                messages.append(message | ({"tool_calls": [call]} if called else {}))
            case "result" if called:
                messages.append({"role": "tool", "tool_call_id": called, "content": text})
                called = ""
            case "result":  # its call stands in the text of a reply: it has nothing to refer to
                messages.append({"role": "user", "content": text})
            case role:
                messages.append({"role": role, "content": text})
                called = ""
    return messages


def _function_of(text: str) -> dict[str, Any] | None:
    """Return the call that a text says as JSON, or None where it is not one call."""
    try:
        call = parse(text, "")
    except TrajectoryError:
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    return {"name": call["name"], "arguments": call.get("arguments")}


FORM = Form("sharegpt", _detect, _read)
