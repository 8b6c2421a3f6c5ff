"""What scenarios say that apps hold, read with errors that name the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytest_a2perf.domains.assistant.errors import ToolError, TraceError

__all__ = ["at", "part"]


def part(state: Mapping[str, Any], key: str, default: Any) -> Any:
    """Return what a state has under a key, or the default, whose type it must have.

    Raises:
        TraceError: it has another type.
    """
    value = state.get(key, default)
    kind = type(default)
    if not isinstance(value, kind):
        raise TraceError(f"{key}: should be {kind.__name__}, not {value!r:.60}")
    return value


@contextmanager
def at(key: str) -> Iterator[None]:
    """Name a key in the error that its value raises.

    Raises:
        TraceError: reading the value raised; says where and why.
    """
    try:
        yield
    except TraceError as error:
        raise TraceError(f"{key}.{error}") from None
    except KeyError as error:
        raise TraceError(f"{key}: {error} is missing or unknown") from None
    except (ToolError, AttributeError, TypeError, ValueError) as error:
        raise TraceError(f"{key}: {error}") from None
