"""Arguments and results in a trace: always text, which a type says how to read."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["decode", "encode", "placeholders", "resolve"]

_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}\n?")
_FIRST_TYPE = re.compile(r"Optional\[(.*)\]|\b(\w+)\b")
_ANY_JSON = "dict | str"
"""Type of a value that is read as JSON whatever it is: ``str`` cannot be empty."""


def decode(value: str | None, value_type: str | None) -> Any:
    """Return the value that a text stands for.

    Of a union counts the first member. An empty text is None where the type allows that. Lists and
    dictionaries are JSON, or Python's own notation, which ARE sometimes writes. A placeholder
    stays as it is, whatever its type; see `resolve`.

    Args:
        value: the text.
        value_type: ``int``, ``str``, ``float``, ``bool``, ``list``, ``dict``, one of these with
            ``| None``, or ``Optional[...]`` of it.

    Raises:
        ValueError: the text is not of that type, or there is no such type; says why.
    """
    if value_type is None:
        if value is None or _PLACEHOLDER.fullmatch(value):
            return value
        raise ValueError("it has a value but no type; set 'value_type'")
    if not value:
        if _allows_none(value_type):
            return None
        raise ValueError(f"its type {value_type!r} does not allow it to be empty")
    if _PLACEHOLDER.fullmatch(value):
        return value
    match = _FIRST_TYPE.match(value_type)
    base = (match[1] or match[2]) if match else value_type
    if not (reader := _READERS.get(base)):
        raise ValueError(f"unknown type {value_type!r}; valid: {', '.join(_READERS)}")
    try:
        return reader(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r:.80} is no {base}") from None


def encode(value: Any) -> tuple[str | None, str | None]:
    """Return text and type from which `decode` makes the value again.

    Only what JSON knows comes back as it was; of anything else its text does.
    """
    if value is None:
        return None, None
    if value == "":
        return '""', _ANY_JSON
    for simple in (bool, int, float, str):
        if isinstance(value, simple):
            return str(value), simple.__name__
    if isinstance(value, dict):
        return json.dumps(value, default=str), "dict"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else list(value)
        return json.dumps(items, default=str), "list"
    return str(value), "str"


def placeholders(value: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Return the events that a value stands for, with the keys to follow in what they returned.

    Only a whole argument can be a placeholder, so there is at most one.
    """
    match = _PLACEHOLDER.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        return []
    event_id, *keys = match[1].split(".")
    return [(event_id, tuple(keys))]


def resolve(value: Any, results: Mapping[str, Any]) -> Any:
    """Return what an earlier event returned if the value is a placeholder for it.

    Args:
        value: any argument; ``"{{event_id}}"`` and ``"{{event_id.key}}"`` are placeholders.
        results: what events have returned, by id.

    Returns:
        The result; the value itself if it is no placeholder, or nothing is known by that name.
    """
    for event_id, keys in placeholders(value):
        if event_id not in results:
            return value
        result = results[event_id]
        for key in keys:
            if not isinstance(result, dict) or key not in result:
                return value
            result = result[key]
        return result
    return value


def _allows_none(value_type: str) -> bool:
    if re.fullmatch(r"Optional\[.*\]", value_type):
        return True
    outer = value_type
    while outer != (outer := re.sub(r"\[[^\[\]]*\]", "", outer)):
        pass
    members = [member.strip() for member in outer.split("|")]
    return len(members) > 1 and "None" in members


def _structure(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(text) from None


_READERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "str": str,
    "float": float,
    "bool": lambda text: text.lower() in {"true", "1", "t", "y", "yes"},
    "list": _structure,
    "dict": _structure,
}
