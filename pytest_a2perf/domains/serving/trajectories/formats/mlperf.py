"""MLPerf's multi-turn data sets for endpoints: a row for each message."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder, calls_of
from pytest_a2perf.domains.serving.trajectories.form import Form, Record, first_object, records_of
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["FORM"]

_ROW = {"conversation_id", "turn", "role"}


def _detect(_: Path, head: bytes) -> bool:
    return first_object(head).keys() >= _ROW


def _read(path: Path) -> Iterator[Session]:
    names = set()
    for name, group in groupby(records_of(path), key=lambda row: row.text("conversation_id")):
        rows = list(group)
        if name in names:
            raise rows[0].error(f"rows of conversation {name!r} do not stand together")
        for before, row in pairwise(rows):
            if (row.number("turn") or 0) <= (before.number("turn") or 0):
                raise row.error("'turn' is not after that of the row before")
        names.add(name)
        yield _session_of(name, rows)


def _session_of(name: str, rows: list[Record]) -> Session:
    builder = SessionBuilder(name, source=FORM.name)
    messages: list[Message] = []
    for number, row in enumerate(rows):
        builder.model = builder.model or row.text("model", "")
        builder.tools = builder.tools or row.tools()
        if not messages and (system := row.text("system", "")):
            messages.append({"role": "system", "content": system})
        if row.text("role") != "assistant" and (delay := row.seconds("delay_seconds")):
            builder.pause(delay, person=row.text("role") == "user")
        messages += _messages_of(row)
        last = number + 1 == len(rows)
        reply = row if last else rows[number + 1]
        if row.text("role") != "assistant" and (last or reply.text("role") == "assistant"):
            with row.here():
                builder.turn(messages, calls=calls_of(reply.data))
    with rows[0].here():
        return builder.session()


def _messages_of(row: Record) -> list[Message]:
    """Return the message of a row; a row of results is one for each."""
    results = [
        {
            "role": "tool",
            "tool_call_id": result.text("tool_call_id"),
            "content": result.data.get("content"),
        }
        for result in row.records("tool_results")
    ]
    return results or [row.data]


FORM = Form("mlperf", _detect, _read)
