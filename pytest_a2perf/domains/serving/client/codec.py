"""JSON as bytes: by orjson where it is installed, else by the standard library."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

__all__ = ["dumps", "loads"]


def _slow_dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


loads: Callable[[bytes], Any]
"""Parse JSON; raises ValueError or RecursionError."""

try:
    import orjson

    loads = orjson.loads

    def dumps(value: Any) -> bytes:
        """Return compact JSON."""
        try:
            return orjson.dumps(value)
        except TypeError:  # lone surrogates, whole numbers beyond 64 bits
            return _slow_dumps(value)

except ImportError:
    loads = json.loads
    dumps = _slow_dumps
