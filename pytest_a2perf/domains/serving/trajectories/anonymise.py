"""Sessions without what tells who recorded them, as long as before and with the same structure.

Replaced are paths, names of files and users, mail addresses, URLs, hosts, addresses of networks,
UUIDs, keys and whatever looks like one. Source code and prose stay otherwise; with ``filler`` every
word is replaced. Replacements are as long as what they stand for and always the same for the same
key, so that lengths stay, and so do the beginnings that inputs have in common.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

from pytest_a2perf.domains.serving.trajectories.models import Message, Session
from pytest_a2perf.domains.serving.trajectories.names import Pseudonyms
from pytest_a2perf.domains.serving.trajectories.redact import Redactor, user_names

__all__ = ["Content", "anonymise", "names_in"]

Content = Literal["kept", "filler"]
"""What becomes of prose and code in which nothing tells who wrote it."""

_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)
_ID_LENGTH = 12
_INTERFACE = frozenset({"name", "type", "required", "enum", "const"})


def names_in(sessions: Iterable[Session]) -> set[str]:
    """Return the names of users that the home folders in sessions tell."""
    return {name for session in sessions for text in _texts(session) for name in user_names(text)}


def anonymise(
    session: Session,
    *,
    key: bytes,
    names: Iterable[str] | None = None,
    content: Content = "kept",
) -> Session:
    """Return a session without what tells who recorded it.

    Members of messages that are not of OpenAI's interface are left out; parts that are no text
    (images, sounds, files) become a text that says so. Names of tools and of their parameters, the
    model's and the delays stay; ids become others.

    Args:
        session: to be anonymised.
        key: decides all replacements. Whoever knows it can find out by trying what was replaced.
        names: of people, machines and projects to be replaced wherever they stand; None: those of
            `names_in` this session. Sessions of one workload should be given the same ones.
        content: keep prose and code, or replace every word by ``filler``.

    Raises:
        ValueError: the key is shorter than 16 bytes.
    """
    if len(key) < 16:
        raise ValueError("the key needs at least 16 bytes")
    pseudonyms = Pseudonyms(key)
    redactor = Redactor(pseudonyms, names_in([session]) if names is None else names)
    redact = redactor.redact
    change = pseudonyms.words if content == "filler" else redact
    messages = tuple(_message(message, pseudonyms, redact, change) for message in session.messages)
    return replace(
        session,
        id=f"session-{pseudonyms.digest(session.id)}",
        parent=f"session-{pseudonyms.digest(session.parent)}" if session.parent else "",
        messages=messages,
        tools=tuple(_walk(tool, change) for tool in session.tools),
    )


_Change = Callable[[str], str]


def _message(message: Message, pseudonyms: Pseudonyms, redact: _Change, change: _Change) -> Message:
    changed: Message = {"role": message["role"]}
    if "content" in message:
        content = message["content"]
        parts = isinstance(content, list)
        changed["content"] = (
            [_part(part, change) for part in content]
            if parts
            else (change(content) if isinstance(content, str) else content)
        )
    if "reasoning_content" in message:
        changed["reasoning_content"] = change(message["reasoning_content"])
    if "tool_calls" in message:
        changed["tool_calls"] = [
            {
                "id": _call_id(call["id"], pseudonyms),
                "type": "function",
                "function": {
                    "name": call["function"]["name"],
                    "arguments": _arguments(call["function"]["arguments"], redact, change),
                },
            }
            for call in message["tool_calls"]
        ]
    if "tool_call_id" in message:
        changed["tool_call_id"] = _call_id(message["tool_call_id"], pseudonyms)
    if "name" in message:
        # A tool's result carries the tool's name.
        of_tool = message["role"] == "tool"
        changed["name"] = message["name"] if of_tool else pseudonyms.words(message["name"])
    return changed


def _part(part: Any, change: _Change) -> dict[str, Any]:
    text = part.get("text")
    if isinstance(text, str):
        return {"type": part.get("type", "text"), "text": change(text)}
    return {"type": "text", "text": f"[{part.get('type', 'part')} left out]"}


def _call_id(text: str, pseudonyms: Pseudonyms) -> str:
    # Short ones are counters: they tell nothing, and must stay apart.
    return pseudonyms.characters(text) if len(text) >= _ID_LENGTH else text


def _arguments(text: str, redact: _Change, change: _Change) -> str:
    """Change the texts in a JSON text, whose layout stays as it is."""

    def literal(match: re.Match[str]) -> str:
        colon = match[2] or ""
        # Names of parameters are the tool's; only what tells something is replaced in them.
        edit = redact if colon else change
        try:
            value = json.loads(f'"{match[1]}"', strict=False)
        except ValueError:  # an escape that JSON does not have
            return f'"{edit(match[1])}"{colon}'
        edited = edit(value)
        if edited == value:
            return match[0]
        return json.dumps(edited, ensure_ascii=match[1].isascii()) + colon

    return _LITERAL.sub(literal, text)


def _walk(value: Any, change: _Change) -> Any:
    """Change the texts of a tool's declaration, less those that make its interface."""
    if isinstance(value, dict):
        return {
            key: item if key in _INTERFACE and not isinstance(item, dict) else _walk(item, change)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_walk(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _texts(session: Session) -> Iterable[str]:
    for message in session.messages:
        content = message.get("content")
        yield from (
            part.get("text") or ""
            for part in (content if isinstance(content, list) else [{"text": content}])
        )
        yield message.get("reasoning_content") or ""
        for call in message.get("tool_calls") or ():
            yield call["function"]["arguments"]
    yield json.dumps(session.tools)
