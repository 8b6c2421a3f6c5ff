"""The journal of a recording: a line for each new message and each request, written as it ends.

A recording that is killed leaves it behind, and ``python -m pytest_a2perf trajectories convert``
reads it as any other format. Keys, headers and addresses are not in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.recorder.calls import Call
from pytest_a2perf.domains.serving.recorder.replies import Reply
from pytest_a2perf.domains.serving.trajectories.form import Record
from pytest_a2perf.domains.serving.trajectories.models import Message

__all__ = ["Entry", "Journal", "is_journal", "read_journal"]

_HEAD = {"journal": "a2perf recording", "schema": 1}


@dataclass(slots=True)
class Entry:
    """A request that has ended.

    Attributes:
        call: what was asked.
        reply: what came back.
        begun, ended: seconds of a monotonic clock.
        status: of HTTP; 0 where there was none.
        failure: in a word; empty if all went well.
    """

    call: Call
    reply: Reply = field(default_factory=Reply)
    begun: float = 0.0
    ended: float = 0.0
    status: int = 0
    failure: str = ""


class Journal:
    """A journal that is being written; `close` it.

    Args:
        path: of a file that must not exist.

    Raises:
        FileExistsError: it does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("x", encoding="utf-8")
        self._places: dict[bytes, int] = {}
        self.entries = 0
        self._write(_HEAD)

    def add(self, entry: Entry) -> None:
        """Write a request, so that it outlives this process."""
        call, reply = _members(entry.call), _members(entry.reply)
        call["messages"] = [self._place("message", message) for message in entry.call.messages]
        call["tools"] = [self._place("tool", tool) for tool in entry.call.tools]
        reply["message"] = self._place("message", entry.reply.message) if reply["message"] else None
        data = {"call": call, "reply": reply, "begun": entry.begun, "ended": entry.ended}
        self._write(data | {"status": entry.status, "failure": entry.failure})
        self.entries += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _place(self, kind: str, value: dict[str, Any]) -> int:
        text = json.dumps(value, sort_keys=True)
        key = hashlib.blake2b(f"{kind}{text}".encode(), digest_size=16).digest()
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self._places)
            self._write({kind: value, "number": place})
        return place

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        self._file.flush()


def is_journal(first: Any) -> bool:
    """Whether the first line of a file is that of a journal."""
    return isinstance(first, dict) and first.get("journal") == _HEAD["journal"]


def read_journal(path: Path) -> Iterator[Entry]:
    """Return the requests of a journal, in the order in which they ended.

    The last line may be cut off, as a killed process leaves it.

    Raises:
        TrajectoryError: something else is wrong; the message names file and line.
    """
    pool: dict[int, dict[str, Any]] = {}
    for record in _lines(path):
        if "number" in record.data:
            number = record.count("number") or 0
            pool[number] = record.data.get("message") or record.data.get("tool") or {}
        elif "call" in record.data:
            try:
                yield _entry(record.data, pool)
            except (KeyError, TypeError) as error:
                raise record.error(f"no entry of a journal: {error!r}") from None


def _members(value: Call | Reply) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}:{number}"
            try:
                data = json.loads(line)
            except ValueError as error:
                if line.endswith(b"\n"):
                    raise Record({}, where).error(f"not JSON: {error}") from None
                return
            if not isinstance(data, dict):
                raise Record({}, where).error("expected an object")
            yield Record(data, where)


def _entry(data: dict[str, Any], pool: dict[int, Message]) -> Entry:
    call, reply = dict(data["call"]), dict(data["reply"])
    # The same message is the same object everywhere, so that inputs are compared quickly.
    call["messages"] = [pool[number] for number in call["messages"]]
    call["tools"] = [pool[number] for number in call["tools"]]
    reply["message"] = {} if reply["message"] is None else pool[reply["message"]]
    return Entry(
        Call(**call),
        Reply(**reply),
        float(data["begun"]),
        float(data["ended"]),
        int(data["status"]),
        str(data["failure"]),
    )
