# ruff: noqa: INP001
"""Call an agent that is a Python function: ``python -m call MODULE:FUNCTION [ARGUMENTS_AS_JSON]``.

It is called with a `grader.Run` and the arguments, by name; or with the arguments alone, if it
takes none by position.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

import grader  # type: ignore[import-not-found]  # in the box

__all__ = ["main"]

_BY_POSITION = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


def main(spec: str, arguments: dict[str, Any]) -> None:
    """Import and call; what the function raises ends the process with a traceback."""
    module, _, path = spec.partition(":")
    function: Any = importlib.import_module(module)
    for name in path.split("."):
        function = getattr(function, name)
    if isinstance(function, type):
        function = function()
    if _takes_run(function, arguments):
        function(grader.Run(), **arguments)
    else:
        function(**arguments)


def _takes_run(function: Callable[..., Any], arguments: dict[str, Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C, without a signature
        return True
    return any(one.kind in _BY_POSITION and one.name not in arguments for one in parameters)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
