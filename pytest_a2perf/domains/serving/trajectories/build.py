"""From the messages of each turn to a session in the internal form."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.models import Message, Session, Turn

__all__ = ["SessionBuilder", "as_message", "calls_of", "clean", "common", "usage_of"]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_TEXTS = ("name", "tool_call_id", "reasoning_content")
_MOST = 2**63
_USAGE = {
    "output_tokens": ("completion_tokens", "output_tokens"),
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
}


class SessionBuilder:
    """Collects the turns of a session; each message is kept once.

    Messages are checked and cleaned by `as_message`. Those that were given are kept, so they must
    not be changed afterwards.

    Args:
        id: of the session.
        source: name of the format.
        model: that was recorded.
        tools: declarations in OpenAI's form.
        parent: id of the session that started this one.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - the name of the field
        *,
        source: str,
        model: str = "",
        tools: Sequence[Mapping[str, Any]] = (),
        parent: str = "",
    ) -> None:
        self.id = id
        self.source = source
        self.model = model
        self.tools: Sequence[Mapping[str, Any]] = tools
        self.parent = parent
        self._pool: list[Message] = []
        self._places: dict[bytes, int] = {}
        self._turns: list[Turn] = []
        self._last: list[tuple[Any, int]] = []

    def __len__(self) -> int:
        return len(self._turns)

    def turn(self, messages: Sequence[Any], **of_turn: Any) -> None:
        """Add a turn.

        Args:
            messages: its whole input.
            **of_turn: the other fields of `Turn`.

        Raises:
            TrajectoryError: there are none, or something in them is no message.
        """
        if not messages:
            raise TrajectoryError("a turn has no messages")
        places = []
        for number, message in enumerate(messages):
            # Most turns repeat the one before, and to compare is much quicker than to encode.
            last, place = self._last[number] if number < len(self._last) else (None, 0)
            if message is not last and message != last:
                place = self._place(message, number)
            places.append(place)
        self._last = list(zip(messages, places, strict=True))
        self._turns.append(Turn(messages=tuple(places), **of_turn))

    def pause(self, seconds: float, *, person: bool) -> None:
        """Add to the time after the last turn's reply; before the first turn it is of no use.

        Args:
            seconds: how much; less than nothing counts as nothing.
            person: whether a person took it (think time), or tools.
        """
        if self._turns and seconds > 0:
            last = self._turns[-1]
            self._turns[-1] = (
                replace(last, think_time=last.think_time + seconds)
                if person
                else replace(last, tool_delay=last.tool_delay + seconds)
            )

    def conversation(self, messages: Sequence[Any]) -> None:
        """Add a turn for each reply of a conversation; its input is what stands before it.

        What comes after the last reply was never answered, so that it is left out; but if nothing
        was answered at all, everything is the input of one turn. A reply may say its ``usage``.

        Raises:
            TrajectoryError: something is no message.
        """
        before = None
        for number, message in enumerate(messages):
            role = message.get("role") if isinstance(message, Mapping) else None
            if role == "assistant" and before not in (None, "assistant"):
                self.turn(messages[:number], calls=calls_of(message), **usage_of(message))
            before = role
        if not self._turns:
            self.turn(messages)

    def session(self) -> Session:
        """Return the session.

        Raises:
            TrajectoryError: it has no turn, or a tool is no object.
        """
        if not self._turns:
            raise TrajectoryError(f"session {self.id!r} has no turns")
        return Session(
            id=clean(self.id),
            messages=tuple(self._pool),
            turns=tuple(self._turns),
            tools=tuple(_as_tool(tool) for tool in self.tools),
            model=clean(self.model),
            source=self.source,
            parent=clean(self.parent),
        )

    def _place(self, raw: Any, number: int) -> int:
        try:
            message = as_message(raw)
        except TrajectoryError as error:
            raise TrajectoryError(f"message {number + 1}: {error}") from None
        text = json.dumps(message, ensure_ascii=False, sort_keys=True)
        key = hashlib.blake2b(text.encode(), digest_size=16).digest()
        place = self._places.setdefault(key, len(self._pool))
        if place == len(self._pool):
            self._pool.append(message)
        return place


def as_message(raw: Any) -> Message:
    """Return a message as it is sent: checked, cleaned, and with no members but those of `Message`.

    ``reasoning`` becomes ``reasoning_content``, calls of functions those of tools, and arguments
    that are objects text.

    Raises:
        TrajectoryError: its shape is not that of a message.
    """
    if not isinstance(raw, Mapping):
        raise TrajectoryError("expected an object")
    given = {key: value for key, value in clean(dict(raw)).items() if value is not None}
    role, content = given.get("role"), given.get("content")
    if role == "function":
        role = "tool"
        given.setdefault("tool_call_id", f"call_{given.pop('name', '')}")
    if role not in _ROLES:
        raise TrajectoryError(f"its role is {raw.get('role')!r}, not one of {', '.join(_ROLES)}")
    message: Message = {"role": role}
    if isinstance(content, list):
        content = [_as_part(part) for part in content]
    elif not isinstance(content, str | None):
        raise TrajectoryError("its content is neither a text nor a list of parts")
    given.setdefault("reasoning_content", given.get("reasoning", ""))
    for key in _TEXTS:
        value = given.get(key, "")
        if not isinstance(value, str):
            raise TrajectoryError(f"its {key} is no text")
        if value:
            message[key] = value
    if calls := _as_calls(given):
        message["tool_calls"] = calls
    message["content"] = "" if content is None and not calls else content
    return message


def calls_of(message: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the tools that a message calls; calls without a name are left out."""
    names = []
    old = {"function": message.get("function_call")}
    for call in [*_listed(message.get("tool_calls")), old]:
        function = call.get("function") if isinstance(call, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if isinstance(name, str):
            names.append(clean(name))
    return tuple(names)


def common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return how many items at the beginning are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def usage_of(holder: Mapping[str, Any]) -> dict[str, int]:
    """Return fields of `Turn` that a ``usage`` states: lengths of input and output."""
    usage = holder.get("usage")
    found = {}
    if isinstance(usage, Mapping):
        for field, names in _USAGE.items():
            value = next((usage[name] for name in names if usage.get(name) is not None), None)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST:
                found[field] = value
    return found


def clean(value: Any) -> Any:
    """Return a JSON value that every endpoint takes.

    Lone surrogates, which UTF-8 cannot write, become U+FFFD, and whole numbers of more than 64
    bits floats.

    Raises:
        TrajectoryError: a number is not finite, or something is not of JSON.
    """
    match value:
        case str():
            return value if value.isascii() else _without_surrogates(value)
        case None | bool():
            return value
        case int() if -_MOST <= value < 2 * _MOST:
            return value
        case int() | float():
            try:
                value = float(value)
            except OverflowError:
                value = math.inf
            if math.isfinite(value):
                return value
            raise TrajectoryError("a number is not finite")
        case list() | tuple():
            return [clean(item) for item in value]
        case dict():
            return {clean(str(key)): clean(item) for key, item in value.items()}
    raise TrajectoryError(f"a value is of type {type(value).__name__}, which JSON has not")


def _without_surrogates(text: str) -> str:
    # A pair of surrogates that were escaped one by one is joined on the way.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _as_part(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise TrajectoryError("a part of its content is no object with a type")
    return {key: value for key, value in part.items() if value is not None}


def _as_calls(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = given.get("tool_calls", [])
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise TrajectoryError("its tool calls are no list of objects")
    if isinstance(function := given.get("function_call"), dict):
        calls = [*calls, {"id": f"call_{function.get('name', '')}", "function": function}]
    return [_as_call(call) for call in calls]


def _as_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise TrajectoryError("a tool call has no function with a name")
    arguments = function.get("arguments") or {}
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {
        "id": str(call.get("id") or f"call_{function['name']}"),
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_tool(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise TrajectoryError("a tool's declaration is no object")
    tool: dict[str, Any] = clean(dict(raw))
    return tool
