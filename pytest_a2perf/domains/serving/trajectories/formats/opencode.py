"""Sessions of OpenCode: what ``opencode export`` writes, or its folder ``storage``.

Tools are not recorded, and the system prompt only by old versions. Where a conversation was
compacted, what is sent from then on begins with the compaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.domains.serving.trajectories.form import Form, Record, beginning_of, records_of
from pytest_a2perf.domains.serving.trajectories.formats.opencode_parts import Replay
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["FORM"]

_NAME = "opencode"
_Message = tuple[Record, list[Record]]


def _detect(path: Path, head: bytes) -> bool:
    if path.is_dir():
        return all((path / name).is_dir() for name in ("session", "message", "part"))
    first = beginning_of(head)
    if isinstance(first, list) and first:
        first = first[0]
    if not isinstance(first, dict) or not isinstance(first.get("info"), dict):
        return False
    info = first["info"]
    return ("messages" in first or len(first) == 1) and (
        "projectID" in info or str(info.get("id", "")).startswith("ses_")
    )


def _read(path: Path) -> Iterator[Session]:
    if path.is_dir():
        yield from _storage(path)
        return
    for record in records_of(path):
        messages = [
            (item.record("info"), item.records("parts")) for item in record.records("messages")
        ]
        yield from _session(record.record("info"), messages, path.stem)


def _storage(folder: Path) -> Iterator[Session]:
    for file in sorted((folder / "session").rglob("*.json")):
        for info in records_of(file):
            messages: list[_Message] = []
            for message in _objects(folder / "message" / file.stem):
                parts = folder / "part" / _file_name(message)
                messages.append((message, _objects(parts)))
            messages.sort(key=lambda item: item[0].record("time").moment("created") or 0.0)
            yield from _session(info, messages, file.stem)


def _objects(folder: Path) -> list[Record]:
    """Return the objects of a folder; their names are in the order of time."""
    if not folder.is_dir():
        return []
    return [record for file in sorted(folder.glob("*.json")) for record in records_of(file)]


def _file_name(message: Record) -> str:
    name = message.text("id")
    if Path(name).name != name:
        raise message.error(f"its id is {name!r}, which is no name of a folder")
    return name


def _session(info: Record, messages: list[_Message], name: str) -> Iterator[Session]:
    replay = Replay(info.text("id", name), source=_NAME, parent=info.text("parentID", ""))
    if session := replay.read(messages):
        yield session


FORM = Form(_NAME, _detect, _read)
