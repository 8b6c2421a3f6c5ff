"""What the synthetic coding agent is told at its start, and the tools that it has."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_a2perf.domains.serving.trajectories.texts import (
    CODE,
    DIFF,
    LISTING,
    LOG,
    MATCHES,
    PROSE,
    path,
    text,
    word,
)

__all__ = ["TOOLS", "Tool", "declarations", "system_prompt"]

_SYSTEM_BYTES = 15_200
_TOOL_BYTES = 450
_SEED = "a2perf/coding/1"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: how often it is called, how long it takes, what it returns.

    Attributes:
        weight: share of calls.
        delay: median seconds of a call.
        result: kind of text that it returns, see `texts`.
        size: median bytes of a result.
        spread: sigma of the logarithm of a result's size.
        written: share of the reply that stands in the call's arguments, as new code.
        arguments: makes them, out of a generator and the bytes of new code.
        summary: what its declaration says first.
        parameters: names and JSON types.
    """

    weight: float
    delay: float
    result: tuple[str, ...]
    size: int
    spread: float
    written: float
    arguments: Callable[[random.Random, int], dict[str, Any]]
    summary: str
    parameters: dict[str, str]


TOOLS = {
    "bash": Tool(
        0.34, 1.8, LOG, 500, 1.2, 0.0,
        lambda rng, _: {"command": f"python -m pytest -q tests/test_{word(rng)}.py -k {word(rng)}"},
        "Run a command in the repository's root and return what it prints.",
        {"command": "string", "timeout": "integer"},
    ),
    "read": Tool(
        0.26, 0.6, CODE, 1_900, 1.0, 0.0,
        lambda rng, _: {"path": path(rng), "first": rng.randrange(400), "lines": 200},
        "Read a file of the repository.",
        {"path": "string", "first": "integer", "lines": "integer"},
    ),
    "edit": Tool(
        0.17, 0.8, DIFF, 260, 0.6, 0.7,
        lambda rng, size: {
            "path": path(rng), "old": text(rng, CODE, size // 3), "new": text(rng, CODE, size),
        },
        "Replace a piece of a file, which must occur in it exactly once, by another one.",
        {"path": "string", "old": "string", "new": "string"},
    ),
    "grep": Tool(
        0.13, 1.1, MATCHES, 400, 1.1, 0.0,
        lambda rng, _: {"pattern": f"{word(rng)}_{word(rng)}", "path": "src"},
        "Search the files below a folder for a regular expression.",
        {"pattern": "string", "path": "string"},
    ),
    "list": Tool(
        0.06, 0.4, LISTING, 420, 0.9, 0.0,
        lambda rng, _: {"path": f"src/{word(rng)}"},
        "List the files below a folder, with their sizes.",
        {"path": "string"},
    ),
    "write": Tool(
        0.04, 0.7, MATCHES, 70, 0.3, 0.9,
        lambda rng, size: {"path": path(rng), "content": text(rng, CODE, size)},
        "Write a file, whether it exists or not.",
        {"path": "string", "content": "string"},
    ),
}  # fmt: skip
"""Tools by name; weights sum to one."""


@lru_cache(maxsize=8)
def system_prompt(scale: float) -> str:
    """Return what every session begins with; the same for all seeds."""
    rng = random.Random(_SEED)
    begin = "You are a coding agent. You resolve the issue that you are given in a repository.\n\n"
    return begin + text(rng, PROSE, int(_SYSTEM_BYTES * scale))


@lru_cache(maxsize=8)
def declarations(scale: float) -> tuple[dict[str, Any], ...]:
    """Return the tools as OpenAI's interface declares them; the same for all seeds."""
    rng = random.Random(_SEED)
    return tuple(
        {
            "type": "function",
            "function": {
                "name": name,
                "description": f"{tool.summary} {text(rng, PROSE, int(_TOOL_BYTES * scale))}",
                "parameters": {
                    "type": "object",
                    "properties": {key: {"type": kind} for key, kind in tool.parameters.items()},
                    "required": list(tool.parameters)[:1],
                },
            },
        }
        for name, tool in TOOLS.items()
    )
