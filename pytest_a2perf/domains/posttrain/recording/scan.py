"""Reading a folder that somebody else writes to at the same time, and perhaps with bad intent."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path, PurePosixPath
from typing import Any

__all__ = ["Found", "Scanner"]

_DEEPEST = 40
_MOST_ENTRIES = 20_000
_MOST_PATHS = 4 << 20  # bytes of all paths together
_HASHED_AT_ONCE = 1 << 30
_CHUNK = 1 << 20
_SOURCE = frozenset({".py", ".sh", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".md", ".txt"})
_WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".npz", ".npy", ".gguf"})
_GIVEN = ("models", "data")


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of a folder.

    Attributes:
        path: relative, as the file system has it.
        mode: git's, e.g. ``100644`` or ``120000`` for a link.
        content: of a small file, or a link's target; None where it is not kept.
        size: bytes.
        sha256: of a file that is not kept; empty where it was not hashed.
        why: reason for not keeping it.
    """

    path: bytes
    mode: str
    content: bytes | None
    size: int
    sha256: str = ""
    why: str = ""

    def note(self) -> dict[str, Any]:
        """Return what the manifest says of a file that is not kept."""
        told = {"path": os.fsdecode(self.path), "size": self.size, "why": self.why}
        return told | ({"sha256": self.sha256} if self.sha256 else {})


class Scanner:
    """Walks a folder without ever following a link, blocking on a pipe or leaving the folder.

    Args:
        root: the folder.
        largest: bytes; files beyond are hashed, not kept.
    """

    def __init__(self, root: Path, largest: int) -> None:
        self._root = root
        self._largest = largest
        self._hashes: dict[tuple[int, ...], str] = {}
        self._left = self._entries = self._paths = 0

    def scan(self) -> Iterator[Found]:
        """Yield all entries but folders, in order; what vanishes meanwhile is left out."""
        self._left = _HASHED_AT_ONCE
        self._entries, self._paths = _MOST_ENTRIES, _MOST_PATHS
        try:
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            yield Found(b".", "", None, 0, why=f"unreadable: {error.strerror}")
            return
        yield from self._folder(folder, b"", 0)

    def _folder(self, folder: int, prefix: bytes, depth: int) -> Iterator[Found]:
        """Walk an open folder, and close it."""
        try:
            for name in self._names(folder):
                path = prefix + name
                self._entries -= 1
                self._paths -= len(path)
                if self._entries < 0 or self._paths < 0:
                    why = f"more than {_MOST_ENTRIES} files and folders, or {_MOST_PATHS} bytes of"
                    yield Found(path, "", None, 0, why=f"{why} names: what follows is not listed")
                    return
                try:
                    status = os.lstat(name, dir_fd=folder)
                    if not stat.S_ISDIR(status.st_mode):
                        yield self._file(folder, name, path, status)
                    elif depth >= _DEEPEST or name.lower() in (b".git", b"git~1"):
                        why = "too deep" if depth >= _DEEPEST else "a repository of its own"
                        yield Found(path, "", None, 0, why=why)
                    else:
                        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                        child = os.open(name, flags, dir_fd=folder)
                        yield from self._folder(child, path + b"/", depth + 1)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    yield Found(path, "", None, 0, why=f"unreadable: {error.strerror}")
        finally:
            os.close(folder)

    def _names(self, folder: int) -> list[bytes]:
        """Return the first names in a folder, in order, and one more than may be listed."""
        with os.scandir(folder) as entries:
            names = (os.fsencode(entry.name) for entry in entries)
            return nsmallest(max(0, self._entries) + 1, names)

    def _file(self, folder: int, name: bytes, path: bytes, status: os.stat_result) -> Found:
        if name.lower().startswith((b".git", b"git~")) and not name.lower().startswith(
            (b".gitignore", b".gitattributes")
        ):
            return Found(path, "", None, status.st_size, why="a name that is git's own")
        if stat.S_ISLNK(status.st_mode):
            return Found(path, "120000", os.readlink(name, dir_fd=folder), status.st_size)
        if not stat.S_ISREG(status.st_mode):
            return Found(path, "", None, 0, why="neither file, folder nor link")
        # A file may have become a pipe since: opening must not block, and what is open decides.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(name, flags, dir_fd=folder), "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return Found(path, "", None, 0, why="neither file, folder nor link")
            why = self._why_not(path, status.st_size)
            if why:
                return Found(path, "", None, status.st_size, self._hash(file, status), why)
            content = _read(file, self._largest)
        mode = "100755" if status.st_mode & stat.S_IXUSR else "100644"
        return Found(path, mode, content, len(content))

    def _why_not(self, path: bytes, size: int) -> str:
        pure = PurePosixPath(os.fsdecode(path))
        if size > self._largest:
            return f"larger than {self._largest} bytes"
        if pure.suffix.lower() in _WEIGHTS:
            return "weights"
        if pure.parts[0] in _GIVEN and pure.suffix.lower() not in _SOURCE:
            return "given by the task"
        return ""

    def _hash(self, file: Any, status: os.stat_result) -> str:
        """Hash a file, unless it was hashed before or too much has been hashed in this scan."""
        # The change time cannot be set back by whoever owns the file.
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if key not in self._hashes:
            if status.st_size > self._left:
                return ""
            self._left -= status.st_size
            digest = hashlib.sha256()
            for _ in range(status.st_size // _CHUNK + 1):  # it may grow while it is read
                digest.update(file.read(_CHUNK))
            self._hashes[key] = digest.hexdigest()
        return self._hashes[key]


def _read(file: Any, most: int) -> bytes:
    parts, left = [], most
    while left > 0 and (part := file.read(min(left, _CHUNK))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
