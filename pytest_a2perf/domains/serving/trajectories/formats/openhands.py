"""Events of OpenHands, of both generations.

Up to 0.x an event has an ``action`` or an ``observation``, with ``tool_call_metadata`` that holds
the model's whole response; since 1.0 (the agent SDK) it has a ``kind``. Either way one response
may stand in several events, and a condensation takes events out of what is sent from then on.
Events come as a list, one a line, a folder with a file for each, or the ``history`` of the lines
of an evaluation's ``output.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.trajectories.form import (
    Form,
    Record,
    beginning_of,
    document_of,
    head_of,
    records_of,
)
from pytest_a2perf.domains.serving.trajectories.formats.openhands_events import Events
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["FORM"]

_NAME = "openhands"


def _detect(path: Path, head: bytes) -> bool:
    if path.is_dir():
        files = _event_files(path)
        return bool(files) and _detect(files[0], head_of(files[0]))
    first = beginning_of(head)
    if isinstance(first, list) and first:
        first = first[0]
    if not isinstance(first, dict):
        return False
    if "instance_id" in first:
        return "history" in first or "agent_class" in str(first.get("metadata"))
    if isinstance(events := first.get("trajectory"), list) and events:
        first = events[0] if isinstance(events[0], dict) else {}
    kind = first.get("kind")
    return "source" in first and (
        isinstance(first.get("action"), str)
        or isinstance(first.get("observation"), str)
        or (isinstance(kind, str) and {"id", "timestamp"} <= first.keys())
    )


def _event_files(folder: Path) -> list[Path]:
    events = folder / "events"
    folder = events if events.is_dir() else folder
    if folder.name != "events":
        return []
    return sorted(folder.glob("*.json"), key=_number)


def _number(path: Path) -> tuple[int, str]:
    """Return the order of an event's file: ``12.json``, or ``event-00012-ID.json``."""
    digits = next((part for part in path.stem.split("-") if part.isdecimal()), "")
    return int(digits or 0), path.name


def _read(path: Path) -> Iterator[Session]:
    if path.is_dir():
        yield from _folder(path)
        return
    loose: list[Record] = []
    for record in records_of(path):
        if isinstance(record.data.get("history"), list) or "instance_id" in record.data:
            yield from _instance(record, path.stem)
        elif isinstance(record.data.get("trajectory"), list):
            yield from _session(record.records("trajectory"), path.stem, [])
        else:
            loose.append(record)
    yield from _session(loose, path.stem, [])


def _folder(folder: Path) -> Iterator[Session]:
    events = [event for file in _event_files(folder) for event in records_of(file)]
    home = folder.parent if folder.name == "events" else folder
    usage: list[Record] = []
    if (state := home / "base_state.json").is_file():
        value = document_of(state)
        usage.append(Record(value if isinstance(value, dict) else {}, str(state)))
    yield from _session(events, home.name, usage)


def _instance(record: Record, name: str) -> Iterator[Session]:
    """Read a line of an evaluation; events of old ones come in pairs of action and observation."""
    flat: list[Any] = []
    for item in record.items("history"):
        flat += item if isinstance(item, list) else [item]
    events = Record(record.data | {"history": flat}, record.where).records("history")
    yield from _session(events, record.text("instance_id", name), [record])


def _session(events: list[Record], name: str, usage: list[Record]) -> Iterator[Session]:
    if session := Events(name, source=_NAME).read(events, usage):
        yield session


FORM = Form(_NAME, _detect, _read)
