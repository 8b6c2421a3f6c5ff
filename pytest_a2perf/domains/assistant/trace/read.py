"""Reading a scenario or trace, so that whatever is wrong with it is said at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.trace.graph import is_answer, topological, trigger_turn
from pytest_a2perf.domains.assistant.trace.models import VERSION, Trace
from pytest_a2perf.domains.assistant.trace.rules import problems_of

__all__ = ["NOISE", "check_trace", "parse_trace", "schema_error"]

_SPELLED_OUT = ("event_time", "event_relative_time", "dependencies")
"""Keys that ARE does not read a file without."""
NOISE = "env_expansion"
"""Part of the ids of events that ARE adds to a run to disturb; they are not of the scenario."""
_CHECK = re.compile(r"-CHECK_\d+$")


def parse_trace(text: str | bytes, name: str) -> Trace:
    """Read a scenario or trace.

    Args:
        text: JSON of the format ``are_simulation_v1``.
        name: of the file, for messages.

    Raises:
        TraceError: it is no JSON, not of this format, or breaks a rule; names everything that is
            wrong, a line each, with the event and what to do.
    """
    try:
        trace = Trace.model_validate_json(text)
    except ValidationError as error:
        raise schema_error(error, text, name) from None
    problems = list(_left_out(trace))
    if problems:
        raise _error(problems, name)
    trace.events = [event for event in trace.events if NOISE not in event.event_id]
    _restore_turns(trace)
    check_trace(trace, name)
    return trace


def check_trace(trace: Trace, name: str) -> None:
    """Check the rules that events must keep.

    Raises:
        TraceError: some are broken; says which, a line each, with the event and what to do.
    """
    if problems := [*problems_of(trace), *_logs(trace)]:
        raise _error(problems, name)


def schema_error(error: ValidationError, text: str | bytes, name: str) -> TraceError:
    """Return what is wrong with a JSON text that does not fit a model."""
    problems = []
    content: Any = None
    for one in error.errors(include_url=False):
        if one["type"] == "json_invalid":
            problems.append(f"no JSON: {one['ctx']['error']}")
            continue
        content = json.loads(text) if content is None else content
        where, found = _where(one["loc"], content)
        if one["loc"] == ("version",):
            problems.append(f"version is {found!r}, but only {VERSION!r} is known")
        elif one["type"] == "missing":
            problems.append(f"{where}: it is missing")
        else:
            reason = one["msg"].replace("Input should be", "should be")
            problems.append(f"{where}: {reason}, got {found!r:.80}")
    return _error(problems, name)


def _error(problems: list[str], name: str) -> TraceError:
    return TraceError("\n".join(f"{name}: {problem}" for problem in problems))


def _where(loc: tuple[int | str, ...], content: Any) -> tuple[str, Any]:
    """Return the path of a key in words, and what stands there."""
    words: list[str] = []
    for step in loc:
        try:
            content = content[step]
        except (LookupError, TypeError):
            content = None
        if isinstance(step, int):
            known = content if isinstance(content, dict) else {}
            label = known.get("event_id") or known.get("name")
            words[-1] += f"[{step}]" + (f" ({label!r})" if label else "")
        else:
            words.append(str(step))
    return ", ".join(words) or "the file", content


def _left_out(trace: Trace) -> Iterator[str]:
    if "version" not in trace.model_fields_set:
        yield f'version: it is missing; add "version": "{VERSION}"'
    for event in trace.events:
        for key in _SPELLED_OUT:
            if key not in event.model_fields_set:
                nothing = "[]" if key == "dependencies" else "null"
                yield f"event {event.event_id!r}: {key} is missing; write {nothing} if it has none"


def _logs(trace: Trace) -> Iterator[str]:
    for index, log in enumerate(trace.world_logs):
        try:
            known = "log_type" in json.loads(log)
        except (ValueError, TypeError):
            known = False
        if not known:
            yield f"world_logs[{index}]: no JSON object with a log_type; remove it"


def _restore_turns(trace: Trace) -> None:
    """Undo what ARE does to scenarios of several turns when it runs them.

    It puts a CONDITION event in the place of the agent's last message of a turn, renames it at each
    check, and cannot read its own traces any more. Only with the original dependencies can such a
    trace be judged again. A trace without events of the agent keeps its CONDITION events.
    """
    triggers = {
        _unchecked(event.event_id): event
        for event in trace.events
        if trigger_turn(event) is not None
    }
    if not triggers:
        return
    names = {plain: event.event_id for plain, event in triggers.items()}
    for event in trace.events:
        event.dependencies = [names.get(_unchecked(key), key) for key in event.dependencies]
    ends = _ends_of_turns(trace)
    if not ends:
        return
    ended = {
        event.event_id: ends.get((trigger_turn(event) or 0) - 1) for event in triggers.values()
    }
    for event in trace.events:
        event.dependencies = [ended.get(key) or key for key in event.dependencies]
    trace.events = [event for event in trace.events if not ended.get(event.event_id)]


def _ends_of_turns(trace: Trace) -> dict[int, str]:
    """Return the agent's last message of each turn, where CONDITION events separate turns."""
    events = {event.event_id: event for event in trace.events}
    turn: dict[str, int] = {}
    ends: dict[int, str] = {}
    for key in topological({key: event.dependencies for key, event in events.items()}):
        event = events[key]
        known = (turn.get(parent, 0) for parent in event.dependencies)
        turn[key] = max(trigger_turn(event) or 0, *known, 0)
        if is_answer(event):
            ends[turn[key]] = key
    return ends


def _unchecked(event_id: str) -> str:
    return _CHECK.sub("", event_id)
