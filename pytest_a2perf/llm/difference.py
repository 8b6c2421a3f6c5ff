"""In what a request differs from those that were recorded."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_a2perf.llm.tape import Call, Request, Tape

__all__ = ["difference"]

_AROUND = 40  # characters shown on either side of where two texts part
_MORE = 60


def difference(request: Request, call: Call, tapes: Sequence[Tape]) -> str:
    """Say in what a request differs from the nearest recorded one.

    Args:
        request: what is asked.
        call: the same, by ids.
        tapes: all that is recorded.
    """
    recorded = [(tape, other) for tape in tapes for other in tape.calls.values()]
    if not recorded:
        return "nothing is recorded"
    same = [other for _, other in recorded if other.id == call.id]
    times = sum(other.attempt == call.attempt for other in same)
    if times:
        return f"it is asked for the {call.occurrence + 1}. time, and recorded {times} times"
    if same:
        attempts = ", ".join(str(each) for each in sorted({other.attempt for other in same}))
        return f"it is asked in attempt {call.attempt}, and recorded in {attempts}"
    tape, nearest = max(recorded, key=lambda each: _nearness(call, each[1]))
    found = []
    if call.model != nearest.model:
        found.append(f"model {call.model!r}, recorded was {nearest.model!r}")
    for name in sorted({*call.parameters, *nearest.parameters}):
        here, there = call.parameters.get(name), nearest.parameters.get(name)
        if here != there:
            found.append(f"{name} = {here!r}, recorded was {there!r}")
    if call.tools != nearest.tools:
        found.append(_tools(request.tools, tape.contents.get(nearest.tools) or []))
    if call.messages != nearest.messages:
        found.append(_messages(request, call, tape, nearest))
    return "; ".join(found)


def _nearness(call: Call, other: Call) -> tuple[int, int, int]:
    common = _common(call.messages, other.messages)
    same = (call.model == other.model) + (call.parameters == other.parameters)
    return (
        common,
        same + (call.tools == other.tools),
        -abs(len(call.messages) - len(other.messages)),
    )


def _common(here: Sequence[Any], there: Sequence[Any]) -> int:
    pairs = zip(here, there, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _tools(here: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> str:
    ours, theirs = ({tool["function"]["name"]: tool for tool in tools} for tools in (here, there))
    parts = {
        "new": sorted(ours.keys() - theirs.keys()),
        "gone": sorted(theirs.keys() - ours.keys()),
        "changed": sorted(name for name in ours.keys() & theirs if ours[name] != theirs[name]),
    }
    said = [f"{what}: {', '.join(names)}" for what, names in parts.items() if names]
    return f"other tools ({'; '.join(said) or 'in another order'})"


def _messages(request: Request, call: Call, tape: Tape, nearest: Call) -> str:
    index = _common(call.messages, nearest.messages)
    number = f"message {index + 1}"
    if index == len(call.messages):
        return f"the recorded conversation goes on after {index} messages"
    here = request.messages[index]
    if index == len(nearest.messages):
        return f"{number} ({here.get('role')}) is new: {_text(here)[:_MORE]!r}"
    ours, theirs = _text(here), _text(tape.contents.get(nearest.messages[index]))
    start = max(0, _common(ours, theirs) - _AROUND)
    part = slice(start, start + 2 * _AROUND)
    return f"{number} ({here.get('role')}) has {ours[part]!r}, recorded was {theirs[part]!r}"


def _text(message: Any) -> str:
    if isinstance(message, Mapping) and set(message) == {"role", "content"}:
        return str(message["content"])
    return json.dumps(message, ensure_ascii=False)
