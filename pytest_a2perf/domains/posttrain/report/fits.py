"""Whether JSON says what was once written: files of a run may be broken, or tampered with."""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

__all__ = ["fits", "misfits"]

_hints = cache(get_type_hints)  # there are many lines of a type
_LARGEST = 1e300  # beyond which whole numbers cannot be calculated with


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value of JSON is of a type; fields of a table may be missing.

    Args:
        value: plain; lists may be tuples.
        hint: a dataclass, a ``TypedDict``, or what their fields are annotated with.
    """
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind is UnionType:
        return any(fits(value, part) for part in parts)
    if kind is Any:
        return True
    if kind is Literal:
        return value in parts
    if kind in (int, float):
        types = (int,) if kind is int else (int, float)
        return type(value) in types and abs(value) < _LARGEST  # which NaN is not
    if is_dataclass(kind) or is_typeddict(kind):
        return isinstance(value, dict) and not misfits(value, kind)
    if kind is dict:
        return isinstance(value, dict) and all(fits(part, parts[1]) for part in value.values())
    if kind is tuple and Ellipsis not in parts:
        return (
            isinstance(value, list | tuple)
            and len(value) == len(parts)
            and all(map(fits, value, parts))
        )
    if kind in (list, tuple):
        return isinstance(value, list | tuple) and all(fits(part, parts[0]) for part in value)
    return type(value) is kind


def misfits(data: dict[str, Any], kind: type) -> list[str]:
    """Return the keys of a table whose values are not of their types.

    Args:
        data: the table; what the type does not know of is passed over.
        kind: a dataclass or a ``TypedDict``.
    """
    hints = _hints(kind)
    return [name for name, value in data.items() if name in hints and not fits(value, hints[name])]
