"""Records that scenarios give to apps: dictionaries of a known form, checked by pydantic."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pytest_a2perf.domains.assistant.errors import TraceError

__all__ = ["Number", "records"]

Number = int | float
"""A number as it was written: results show ``5`` and ``5.0`` as they stand in the scenario."""


def records(kind: Any, state: Mapping[str, Any], key: str) -> Any:
    """Return what a state has under a key, as a type.

    Args:
        kind: the type, e.g. ``dict[str, Product]`` with a dataclass.
        state: of the app.
        key: must be there.

    Raises:
        TraceError: it is missing or of another form; names the key.
    """
    if key not in state:
        raise TraceError(f"{key} is missing: say what the app holds, if only an empty value")
    try:
        return _adapter(kind).validate_python(state[key])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in (key, *first["loc"]))
        raise TraceError(f"{place}: {first['msg']}, got {first['input']!r:.60}") from None


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
