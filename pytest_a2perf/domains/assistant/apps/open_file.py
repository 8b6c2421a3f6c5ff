"""Open files of simulated file systems."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, Any

from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["open_file", "parse_mode"]


def parse_mode(mode: str) -> tuple[str, bool]:
    """Return what `open` should do (``r``, ``w``, ``a`` or ``x``), and whether to update.

    Raises:
        ToolError: it is none of the modes that Python's `open` knows.
    """
    actions = [letter for letter in mode if letter in "rwax"]
    unique = len(set(mode)) == len(mode) and set(mode) <= set("rwaxbt+")
    if len(actions) != 1 or not unique or {"b", "t"} <= set(mode):
        raise ToolError(f"{mode!r} is no mode to open a file in; e.g. 'r', 'rb' or 'w'")
    return actions[0], "+" in mode


def open_file(
    name: str, content: bytes, mode: str, commit: Callable[[bytes], None], limit: int
) -> IO[Any]:
    """Return a file object, as `open` does; text is in UTF-8.

    Args:
        name: shown where the object is.
        content: what the file holds.
        mode: as `open` takes it.
        commit: called when the file is closed, if it has been changed, with what it holds.
        limit: bytes that the file may hold at most.
    """
    action, update = parse_mode(mode)
    raw = _Raw(name, content, commit, limit)
    raw.may_read = action == "r" or update
    raw.may_write = action != "r" or update
    raw.append = action == "a"
    binary: Any
    if update:
        binary = io.BufferedRandom(raw)
    elif action == "r":
        binary = io.BufferedReader(raw)
    else:
        binary = io.BufferedWriter(raw)
    return binary if "b" in mode else io.TextIOWrapper(binary, encoding="utf-8")


class _Raw(io.RawIOBase):
    def __init__(
        self, name: str, content: bytes, commit: Callable[[bytes], None], limit: int
    ) -> None:
        self.name = name
        self.may_read = self.may_write = self.append = False
        self._content = io.BytesIO(content)
        self._commit = commit
        self._limit = limit
        self._changed = False

    def readable(self) -> bool:
        return self.may_read

    def writable(self) -> bool:
        return self.may_write

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)

    def write(self, data: Any) -> int:
        if self.append:
            self._content.seek(0, io.SEEK_END)
        self._check(self._content.tell() + len(data))
        self._changed = True
        return self._content.write(data)

    def truncate(self, size: int | None = None) -> int:
        size = self._content.tell() if size is None else size
        self._check(size)
        self._changed = True
        # BytesIO does not grow by itself.
        grown = self._content.getvalue()[:size].ljust(size, b"\0")
        position = self._content.tell()
        self._content = io.BytesIO(grown)
        self._content.seek(position)
        return size

    def close(self) -> None:
        changed, self._changed = self._changed, False
        super().close()
        if changed:
            self._commit(self._content.getvalue())

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ToolError(f"{self.name}: a file holds at most {self._limit} bytes")
