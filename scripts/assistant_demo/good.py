"""A good agent for the demo, as a script: what an oracle did, with a look at the clock first."""

from __future__ import annotations

import json
from typing import Any

from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.trace.read import parse_trace
from pytest_a2perf.domains.assistant.world.oracle import run_oracle

__all__ = ["script_of"]

_CLOCK = {"tool": "SystemApp__get_current_time", "arguments": {}}


def script_of(text: str) -> list[list[dict[str, Any]]]:
    """Return the calls of each turn of a scenario, with the seconds to wait before each."""
    turns: list[list[dict[str, Any]]] = [[]]
    free = 0.0  # since when the agent could have made its next call
    trace = parse_trace(text, "demo")
    for happening in run_oracle(trace, trace.metadata.definition.seed or 0).log:
        if happening.kind != "AGENT":
            if not turns[-1]:
                free = happening.time
                turns[-1].append(_CLOCK)
            continue
        call: dict[str, Any] = {
            "tool": f"{happening.app}__{happening.function}",
            "arguments": {
                name: plain(value)
                for name, value in happening.arguments.items()
                if value is not None
            },
        }
        if happening.time > free:
            call["wait"] = happening.time - free
        free = happening.time
        turns[-1].append(call)
        if happening.function == "send_message_to_user":
            turns.append([])
    return turns[:-1]


def to_json(scripts: dict[str, list[list[dict[str, Any]]]]) -> str:
    """Return the file that ``assistant-scripted`` reads."""
    return json.dumps(scripts, indent=1, ensure_ascii=False) + "\n"
