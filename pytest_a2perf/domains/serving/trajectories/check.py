"""Whether sessions can be sent to an endpoint as they are; says all that is wrong with them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.models import Message, Session, Turn

__all__ = ["check_sessions", "problems_of"]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_OPENING = ("system", "developer", "user")
_SHOWN = 20


def check_sessions(sessions: Iterable[Session], name: str) -> None:
    """Refuse a workload that endpoints would not take.

    Args:
        sessions: all of the workload; only their ids are kept, so that it may be an iterator.
        name: of the workload, for the message.

    Raises:
        TrajectoryError: there are no sessions, or something is wrong with some; the message has a
            line for each of the first problems, and the number of all.
    """
    shown: list[str] = []
    count = 0
    ids: Counter[str] = Counter()
    for session in sessions:
        ids[session.id] += 1
        found = problems_of(session)
        if ids[session.id] == 2:
            found.append("another session has the same id")
        count += len(found)
        shown += [f"session {session.id!r}: {text}" for text in found[: _SHOWN - len(shown)]]
    if not ids:
        raise TrajectoryError(f"{name}: there are no sessions")
    if count == 1:
        raise TrajectoryError(f"{name}: {shown[0]}")
    if count:
        rest = [f"and {count - len(shown)} more"] if count > len(shown) else []
        raise TrajectoryError("\n  ".join([f"{name}: {count} problems:", *shown, *rest]))


def problems_of(session: Session) -> list[str]:
    """Return what is wrong with a session, in words; turns and messages are counted from 1.

    What is wrong in the history is said once, for the first turn that sends it.
    """
    if not session.turns:
        return ["it has no turns"]
    everything: tuple[Any, ...] = session.messages
    for number, message in enumerate(everything):
        if not isinstance(message, dict):
            return [f"message number {number} (from 0) is no object"]
    problems = dict(_declared(session.tools))
    wrong = {index: list(_of_message(message)) for index, message in enumerate(session.messages)}
    sent: set[int] = set()
    for number, turn in enumerate(session.turns, 1):
        sent.update(turn.messages)
        for key, text in (*_figures(turn), *_of_input(session, turn, wrong)):
            # Later turns send the same history again.
            problems.setdefault(key or f"turn {number}: {text}", f"turn {number}: {text}")
    unused = len(session.messages) - len(sent & set(range(len(session.messages))))
    if unused:
        problems["unused"] = f"{unused} of its {len(session.messages)} messages are sent by no turn"
    return list(problems.values())


def _declared(tools: Iterable[Any]) -> Iterator[tuple[str, str]]:
    names: Counter[str] = Counter()
    for number, tool in enumerate(tools, 1):
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or not name or tool.get("type") != "function":
            text = 'it is not {"type": "function", "function": {"name": ...}}'
            yield f"tool {number}", f"tool {number}: {text}"
        else:
            names[name] += 1
    for name, count in names.items():
        if count > 1:
            yield f"tool {name}", f"tool {name!r} is declared {count} times"


def _figures(turn: Turn) -> Iterator[tuple[str, str]]:
    seconds = {"tool_delay": turn.tool_delay, "think_time": turn.think_time}
    if turn.duration is not None:
        seconds["duration"] = turn.duration
    for name, value in seconds.items():
        if not 0 <= value < math.inf:
            yield "", f"{name} is {value}: seconds of at least 0 are needed"
    for name, count in (
        ("output_tokens", turn.output_tokens),
        ("prompt_tokens", turn.prompt_tokens),
    ):
        if count is not None and count < 0:
            yield "", f"{name} is {count}: a number of at least 0 is needed"


def _of_input(
    session: Session, turn: Turn, wrong: dict[int, list[str]]
) -> Iterator[tuple[str, str]]:
    """Return problems of what a turn sends, each with a key that is the same in later turns."""
    if not turn.messages:
        yield "", "it sends no messages"
        return
    outside = [index for index in turn.messages if not 0 <= index < len(session.messages)]
    if outside:
        text = f"it sends message number {outside[0]} of {len(session.messages)} (from 0)"
        yield "", text
        return
    messages = session.input_of(turn)
    if messages[0].get("role") not in _OPENING:
        text = f"the first message is of role {messages[0].get('role')!r}, not system or user"
        yield f"first {turn.messages[0]}", text
    if messages[-1].get("role") == "assistant":
        yield "", "the last message is the assistant's: there is nothing to reply to"
    open_calls: dict[str, int] = {}  # id of a call without a result -> number of its message
    for number, (index, message) in enumerate(zip(turn.messages, messages, strict=True), 1):
        for text in wrong[index]:
            yield f"{index} {text}", f"message {number}: {text}"
        if message.get("role") == "tool":
            key = str(message.get("tool_call_id", ""))
            if open_calls.pop(key, None) is None:
                text = f"the result of call {key!r}, which waits for none"
                yield f"{index} orphan", f"message {number}: {text}"
            continue
        yield from _unanswered(open_calls, turn.messages)
        open_calls = dict.fromkeys(_call_ids(message), number)
    if messages[-1].get("role") == "tool":
        yield from _unanswered(open_calls, turn.messages)


def _unanswered(open_calls: dict[str, int], indexes: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    for key, number in open_calls.items():
        text = f"message {number}: its tool call {key!r} has no result"
        yield f"{indexes[number - 1]} {key} open", text


def _of_message(message: Message) -> Iterator[str]:
    role = message.get("role")
    if role not in _ROLES:
        yield f"unknown role {role!r}: {', '.join(_ROLES)} are known"
        return
    content = message.get("content")
    calls = message.get("tool_calls") or []
    if not isinstance(content, str | list | None):
        yield f"the content is neither a text nor a list of parts, but {type(content).__name__}"
    elif role == "assistant":
        if not (content or calls or message.get("reasoning_content")):
            yield "the assistant says nothing and calls nothing"
    elif content is None or (not content and role != "tool"):
        # A tool may well return nothing.
        yield "the content is empty"
    if calls and role != "assistant":
        yield f"a message of role {role!r} makes tool calls"
    seen: set[str] = set()
    for call in calls if isinstance(calls, list) else []:
        yield from _of_call(call, seen)


def _of_call(call: Any, seen: set[str]) -> Iterator[str]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not function.get("name"):
        yield "a tool call names no function"
        return
    key = call.get("id")
    name = function["name"]
    if not isinstance(key, str) or not key:
        yield f"the call of {name!r} has no id"
    elif key in seen:
        yield f"two of its tool calls have the id {key!r}"
    else:
        seen.add(key)
    arguments = function.get("arguments")
    if not isinstance(arguments, str) or not _is_json(arguments):
        yield f"the arguments of the call of {name!r} are no JSON text"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _call_ids(message: Message) -> list[str]:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return []
    return [str(call.get("id", "")) for call in calls if isinstance(call, dict)]
