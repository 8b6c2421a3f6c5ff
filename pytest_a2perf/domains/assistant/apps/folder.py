"""Files in a real folder, out of which no path leads."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_a2perf.domains.assistant.apps.paths import Parts
from pytest_a2perf.domains.assistant.apps.store import Entry, Kind

__all__ = ["FolderStore"]

# No link is ever followed, and opening a pipe or a device does not wait for its other end.
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | _SAFE


class FolderStore:
    """Keeps files in a folder; see `Store`.

    Each path is walked from the folder name by name, by the descriptor of the folder before: what
    happens to the folder meanwhile, by whomever, cannot make a name lead elsewhere.
    """

    def __init__(self, folder: Path, now: float) -> None:
        self.folder = folder
        with self._changing((), now):
            pass

    def stat(self, path: Parts) -> Entry | None:
        """See `Store.stat`."""
        try:
            with self._directory(path[:-1]) as folder:
                name = path[-1] if path else "."
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return None  # a link where a folder should be: nothing is behind it
        kind: Kind = "other"
        if stat.S_ISREG(found.st_mode):
            kind = "file"
        elif stat.S_ISDIR(found.st_mode):
            kind = "directory"
        return Entry(kind, found.st_size if kind == "file" else 0, found.st_mtime)

    def names(self, path: Parts) -> list[str]:
        """See `Store.names`."""
        with self._directory(path) as folder:
            return sorted(os.listdir(folder))  # noqa: PTH208 - by a descriptor

    def read(self, path: Parts) -> bytes:
        """See `Store.read`."""
        with self._directory(path[:-1]) as folder:
            descriptor = os.open(path[-1], os.O_RDONLY | _SAFE, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def write(self, path: Parts, content: bytes, now: float) -> None:
        """See `Store.write`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFE
        with self._changing(path[:-1], now) as folder:
            descriptor = os.open(path[-1], flags, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.utime(descriptor, (now, now))

    def make(self, path: Parts, now: float) -> None:
        """See `Store.make`."""
        with self._changing(path[:-1], now) as folder:
            os.mkdir(path[-1], 0o700, dir_fd=folder)
        with self._changing(path, now):
            pass

    def remove(self, path: Parts, now: float) -> None:
        """See `Store.remove`."""
        with self._changing(path[:-1], now) as folder:
            found = os.stat(path[-1], dir_fd=folder, follow_symlinks=False)
            (os.rmdir if stat.S_ISDIR(found.st_mode) else os.unlink)(path[-1], dir_fd=folder)

    def move(self, source: Parts, target: Parts, now: float) -> None:
        """See `Store.move`."""
        with self._changing(source[:-1], now) as old, self._changing(target[:-1], now) as new:
            os.rename(source[-1], target[-1], src_dir_fd=old, dst_dir_fd=new)

    def usage(self) -> tuple[int, int]:
        """See `Store.usage`."""
        size = entries = 0
        for _, folders, files, folder in os.fwalk(self.folder):
            entries += len(folders) + len(files)
            for name in files:
                size += os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
        return size, entries

    @contextmanager
    def _directory(self, path: Parts) -> Iterator[int]:
        """Open a folder."""
        descriptor = os.open(self.folder, _FOLDER)
        try:
            for name in path:
                inner = os.open(name, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _changing(self, path: Parts, now: float) -> Iterator[int]:
        """Open a folder in which something changes: at the simulated time, not at the real one."""
        with self._directory(path) as descriptor:
            yield descriptor
            os.utime(descriptor, (now, now))
