"""A log that is only ever appended to: JSON lines, each chained to the one before by its hash.

A line is on the disk before `Log.append` returns. Whoever changes, removes or inserts a line
without computing all later ones anew is found out by `read`; whoever does compute them, or cuts
lines off the end, by comparing the head with one that was kept elsewhere, as the harness does.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.posttrain.grading.submission import Submission
from pytest_a2perf.errors import InfraError

__all__ = ["Head", "Log", "LogError", "Reading", "read", "read_submissions"]

_START = "0" * 64
_PREVIOUS, _HASH = "previous", "hash"


class LogError(InfraError):
    """A log is not what was written; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log stands.

    Attributes:
        lines: so far.
        hash: of the last one.
    """

    lines: int = 0
    hash: str = _START


@dataclass(frozen=True, slots=True)
class Reading:
    """What a log holds.

    Attributes:
        entries: what was appended, in order.
        heads: where the log stood after each of them.
        torn: what stands behind the last whole line: a write that did not end.
    """

    entries: list[dict[str, Any]]
    heads: list[Head]
    torn: bytes = b""

    @property
    def head(self) -> Head:
        """Where the log stands."""
        return self.heads[-1] if self.heads else Head()


def read(path: Path, expected: Head | None = None) -> Reading:
    """Read a log and verify its chain; a file that is not there is an empty log.

    Args:
        path: of the log.
        expected: where it stood at some time; it must have passed through that.

    Raises:
        LogError: a line is broken, or ``expected`` was never reached.
        OSError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    *lines, torn = content.split(b"\n")
    entries: list[dict[str, Any]] = []
    heads: list[Head] = []
    head = Head()
    for number, line in enumerate(lines, 1):
        entry, head = _checked(line, head, f"{path}:{number}")
        entries.append(entry)
        heads.append(head)
    if expected is not None and expected.lines and expected not in heads:
        raise LogError(
            f"{path}: has {len(lines)} lines, and not the line {expected.lines} that was written:"
            " somebody has rewritten or shortened it"
        )
    return Reading(entries, heads, torn)


def read_submissions(path: Path, expected: Head | None = None) -> list[Submission]:
    """Read a log of submissions, by number; a later line replaces an earlier one of its number.

    Raises:
        LogError: see `read`.
        OSError: see `read`.
    """
    found: dict[int, Submission] = {}
    for line, entry in enumerate(read(path, expected).entries, 1):
        try:
            submission = Submission.from_json(entry)
        except (KeyError, TypeError) as error:
            raise LogError(f"{path}:{line}: is no submission: {error}") from error
        found[submission.number] = submission
    return [found[number] for number in sorted(found)]


class Log:
    """A log that is being written, by this process alone.

    What a killed process left half written is completed if nothing but its line break is missing,
    and else set aside in a file of the same name that ends in ``.torn``.

    Args:
        path: of the log; created with its folder.

    Raises:
        LogError: it exists and is broken.
        OSError: it cannot be opened.

    Attributes:
        entries: what was appended, in order, by earlier processes too.
        head: where it stands.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        reading = read(path)
        self.path = path
        self.entries = reading.entries
        self.head = reading.head
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._file).st_size - len(reading.torn)
        if reading.torn:
            self._mend(reading.torn)
        _sync_folder(path.parent)

    def append(self, entry: dict[str, Any]) -> None:
        """Write an entry, whole or not at all.

        Raises:
            OSError: the disk refuses; the log is as it was.
            ValueError: the entry is not plain JSON.
        """
        line, head = _line(entry, self.head)
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._file, line[written:], self._end + written)
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(line)
        self.head = head
        self.entries.append(entry)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _mend(self, torn: bytes) -> None:
        try:
            entry, _ = _checked(torn, self.head, f"{self.path}:{self.head.lines + 1}")
        except LogError:
            with self.path.with_suffix(".torn").open("ab") as aside:
                aside.write(torn + b"\n")
                os.fsync(aside.fileno())
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        else:
            self.append(entry)


def _line(entry: dict[str, Any], head: Head) -> tuple[bytes, Head]:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False)
    after = Head(head.lines + 1, hashlib.sha256(f"{head.hash}\n{text}".encode()).hexdigest())
    chained = {**entry, _PREVIOUS: head.hash, _HASH: after.hash}
    return json.dumps(chained, separators=(",", ":")).encode() + b"\n", after


def _checked(line: bytes, head: Head, where: str) -> tuple[dict[str, Any], Head]:
    try:
        entry = json.loads(line)
        previous, own = entry.pop(_PREVIOUS), entry.pop(_HASH)
        expected = _line(entry, head)[1]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise LogError(f"{where}: is no line of this log: {error!r}") from error
    if previous != head.hash or own != expected.hash:
        raise LogError(f"{where}: does not follow from the lines before: the log was changed")
    return entry, expected


def _sync_folder(folder: Path) -> None:
    """Make sure that a new file's name is on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
