"""Files of JSON lines to which several processes add, and which a kill may tear."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_a2perf.processes import write_all

__all__ = ["append_line", "objects", "parts_of", "read_lines"]


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Add a JSON object to a file, which is made where there is none.

    Raises:
        OSError: the disk refuses.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        write_all(descriptor, json.dumps(entry).encode() + b"\n")
    finally:
        os.close(descriptor)


def read_lines(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file whose ``kind`` is as given; none if there is no file.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_file():
        with path.open("rb") as lines:
            yield from (entry for entry in objects(lines) if entry.get("kind") == kind)


def objects(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the lines that are JSON objects."""
    for line in lines:
        if line.lstrip().startswith(b"{"):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def parts_of(body: bytes) -> int:
    """Return about how many objects JSON becomes: each may take many times its bytes in memory."""
    return sum(map(body.count, (b",", b"[", b"{")))
