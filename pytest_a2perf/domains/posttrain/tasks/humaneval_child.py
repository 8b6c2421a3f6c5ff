"""The process of a function that a model wrote; it runs alone, with the standard library.

It reads the program, then calls, a line of JSON each, and answers each call with a line. What the
function prints goes nowhere.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

__all__ = ["decode", "encode", "main"]


def encode(value: Any) -> Any:
    """Return plain values as JSON that tells lists from tuples, and so on.

    Raises:
        TypeError: it is no plain value.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return ["int", hex(int(value))]
    if isinstance(value, float):
        return ["float", float(value)]
    if isinstance(value, str):
        return ["str", str(value)]
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return [kind.__name__, [encode(part) for part in value]]
    if isinstance(value, dict):
        return ["dict", [[encode(key), encode(part)] for key, part in dict(value).items()]]
    raise TypeError(f"{type(value).__name__} is no plain value")


def decode(value: Any) -> Any:
    """Inverse of `encode`; what comes out are plain values, whoever wrote it.

    Raises:
        ValueError, TypeError, LookupError: it is something else.
    """
    if value is None or isinstance(value, bool):
        return value
    name, content = value
    if name == "int":
        return int(content, 16)
    if name in ("float", "str"):
        return {"float": float, "str": str}[name](content)
    if name == "dict":
        return {decode(key): decode(part) for key, part in content}
    kinds = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
    return kinds[name]([decode(part) for part in content])


def main() -> None:
    """Define the function, and answer calls."""
    calls = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    told = json.loads(calls.readline())
    scope: dict[str, Any] = {"__name__": "candidate"}
    exec(told["program"], scope)  # noqa: S102 - what this process is for
    function = scope[told["entry_point"]]
    for line in calls:
        call = json.loads(line)
        try:
            value = function(*decode(call["arguments"]), **decode(call["named"]))
            answer = json.dumps({"value": encode(value)})
        except Exception:  # noqa: BLE001 - the tests see that it raised
            answer = "{}"
        answers.write(answer + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.setrecursionlimit(5000)
    main()
