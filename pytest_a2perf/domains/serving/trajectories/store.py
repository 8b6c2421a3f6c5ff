"""The internal form on disk: JSON lines, a session each.

Turns name messages by number, runs of them as ``[first, last]``: a session of 200 turns that all
begin with the turn before stays as small as its last one. What has its default is left out. This
module is used by the processes that make load: it imports nothing heavy.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.models import Session, Turn

__all__ = ["SCHEMA", "SessionFile", "data_of", "read_sessions", "session_of", "write_sessions"]

SCHEMA = 1
_loads: Callable[[bytes], Any]
try:
    import orjson

    _loads = orjson.loads
except ImportError:
    _loads = json.loads

_ALWAYS = ("id", "messages")
_BLOCK = 1 << 20


def write_sessions(path: Path | str, sessions: Iterable[Session]) -> int:
    """Write sessions and return how many there were."""
    count = 0
    with Path(path).open("wb") as file:
        for session in sessions:
            line = json.dumps(data_of(session), ensure_ascii=False, separators=(",", ":"))
            file.write(line.encode("utf-8", "replace") + b"\n")
            count += 1
    return count


def read_sessions(path: Path | str) -> Iterator[Session]:
    """Read the sessions of a file in order.

    Raises:
        TrajectoryError: a line is no session; the message names file and line.
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _read_line(line, f"{path}:{number}")


class SessionFile:
    """Sessions of a file, read when they are asked for.

    Only where lines begin is kept in memory, so that a workload may be larger than it.

    Args:
        path: file that `write_sessions` wrote.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._ends = array("Q", [0])
        with self.path.open("rb") as file:
            begin = 0
            while block := file.read(_BLOCK):
                at = block.find(b"\n")
                while at >= 0:
                    self._ends.append(begin + at + 1)
                    at = block.find(b"\n", at + 1)
                begin += len(block)
        if self._ends[-1] < begin:
            self._ends.append(begin)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[Session]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Session:
        """Read a session.

        Raises:
            IndexError: there are not so many.
            TrajectoryError: the line is no session.
        """
        if not 0 <= number < len(self):
            raise IndexError(number)
        begin, end = self._ends[number], self._ends[number + 1]
        with self.path.open("rb") as file:
            file.seek(begin)
            return _read_line(file.read(end - begin), f"{self.path}:{number + 1}")


def data_of(session: Session) -> dict[str, Any]:
    """Return a session as JSON."""
    data = {
        "schema": SCHEMA,
        "id": session.id,
        "messages": session.messages,
        "tools": session.tools,
        "model": session.model,
        "source": session.source,
        "parent": session.parent,
        "turns": [_turn_data(turn) for turn in session.turns],
    }
    return {key: value for key, value in data.items() if value not in ("", ()) or key in _ALWAYS}


def session_of(data: Any) -> Session:
    """Return the session that JSON describes.

    Raises:
        TrajectoryError: it describes none.
    """
    try:
        if data["schema"] != SCHEMA:
            raise TrajectoryError(
                f"schema {data['schema']!r} is not known: this version reads {SCHEMA}"
            )
        messages, turns = _objects(data["messages"]), _objects(data["turns"])
        if not turns:
            raise TrajectoryError("a session has no turns")
        return Session(
            id=_text(data["id"]),
            messages=messages,
            turns=tuple(_turn_of(turn, len(messages)) for turn in turns),
            tools=_objects(data.get("tools", ())),
            model=_text(data.get("model", "")),
            source=_text(data.get("source", "")),
            parent=_text(data.get("parent", "")),
        )
    except KeyError as error:
        raise TrajectoryError(f"no session: {error} is missing") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise TrajectoryError(f"no session: {error}") from None


def _read_line(line: bytes, where: str) -> Session:
    try:
        return session_of(_loads(line))
    except (ValueError, RecursionError) as error:
        raise TrajectoryError(f"{where}: not JSON: {error}") from None
    except TrajectoryError as error:
        raise TrajectoryError(f"{where}: {error}") from None


def _turn_data(turn: Turn) -> dict[str, Any]:
    data = {
        "messages": _runs_of(turn.messages),
        "output_tokens": turn.output_tokens,
        "tool_delay": turn.tool_delay or None,
        "think_time": turn.think_time or None,
        "prompt_tokens": turn.prompt_tokens,
        "duration": turn.duration,
        "calls": turn.calls or None,
    }
    return {key: value for key, value in data.items() if value is not None}


def _turn_of(data: Any, messages: int) -> Turn:
    return Turn(
        messages=_indexes_of(data["messages"], messages),
        output_tokens=_count(data.get("output_tokens")),
        tool_delay=_seconds(data.get("tool_delay", 0.0)),
        think_time=_seconds(data.get("think_time", 0.0)),
        prompt_tokens=_count(data.get("prompt_tokens")),
        duration=None if data.get("duration") is None else _seconds(data["duration"]),
        calls=tuple(map(_text, data.get("calls", ()))),
    )


def _runs_of(indexes: Sequence[int]) -> list[int | list[int]]:
    runs: list[list[int]] = []
    for index in indexes:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return [first if first == last else [first, last] for first, last in runs]


def _indexes_of(runs: Any, messages: int) -> tuple[int, ...]:
    indexes: list[int] = []
    for run in runs:
        first, last = (run, run) if isinstance(run, int) else run
        if not 0 <= first <= last < messages:
            raise ValueError(f"a turn names messages {run}, but there are {messages}")
        indexes.extend(range(first, last + 1))
    return tuple(indexes)


def _objects(values: Any) -> tuple[dict[str, Any], ...]:
    for value in values:
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is no object")
    return tuple(values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise TypeError(f"{value!r} is no whole number of at least 0")
    return value


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise TypeError(f"{value!r} is no time of at least 0")
    return float(value)
