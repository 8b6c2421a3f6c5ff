"""What processes use, as ``/proc`` and the file system tell."""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .files import open_folder, passed_over

__all__ = ["Disk", "Process", "Tree", "disk_usage", "processes_below"]

_BLOCK = 512
_MOST_FILES = 1_000_000
_DEEPEST = 128
"""Folders within each other; each is held open while what is in it is counted."""
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """A process, as ``/proc`` tells.

    Attributes:
        born: tells processes apart that had the same number one after the other.
        own: CPU seconds of its own.
        reaped: CPU seconds of its children that it has waited for.
        memory: bytes that are resident.
        dead: whether it only waits to be waited for.
    """

    pid: int
    born: int
    own: float
    reaped: float
    memory: int
    dead: bool


def processes_below(pid: int) -> list[int]:
    """Return all descendants, parents before their children; empty where there is no ``/proc``.

    Raises:
        OSError: no descriptor is left.
    """
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop(0)
        children: list[int] = []
        with passed_over:
            for thread in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208
                with passed_over:
                    text = _read(f"/proc/{parent}/task/{thread}/children")
                    children += [child for child in map(int, text.split()) if child > 0]
        found += children
        waiting += children
    return found


def _look(pid: int) -> Process | None:
    fields: list[str] = []
    with passed_over:
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not fields:
        return None
    user, system, user_children, system_children = map(int, fields[11:15])
    return Process(
        pid=pid,
        born=int(fields[19]),
        own=(user + system) / _TICK,
        reaped=(user_children + system_children) / _TICK,
        memory=int(fields[21]) * _PAGE,
        dead=fields[0] in "ZX",
    )


class Tree:
    """Processes below one, summed up from time to time.

    A lower bound: what is born and gone between two looks counts only if its parent waited for it.

    Attributes:
        root: number of the process at the top, which does not count.
        skip: how many at the top are the sandbox's own.
        cpu: CPU seconds so far.
        memory: bytes now; pages that processes share count once (where that can be told).
        processes: alive now.
    """

    cpu: float = 0.0
    memory: int = 0
    processes: int = 0

    def __init__(self, root: int, skip: int) -> None:
        self.root = root
        self.skip = skip
        self._seen: dict[tuple[int, int], float] = {}

    def look(self, limit: int | None = None) -> None:
        """Look again; pages are told apart only where memory seems above ``limit``."""
        alive = [p for pid in processes_below(self.root) if (p := _look(pid)) is not None]
        for process in alive:
            self._seen[process.pid, process.born] = process.own
        standing = sum(process.own + process.reaped for process in alive)
        self.cpu = max(self.cpu, standing, sum(self._seen.values()))
        self.memory = sum(process.memory for process in alive)
        if limit is not None and self.memory > limit:
            self.memory = sum(_proportional(process) for process in alive)
        self.processes = max(0, sum(not process.dead for process in alive) - self.skip)


def _proportional(process: Process) -> int:
    """Return the process's share of its pages; all of them where that is not told."""
    with passed_over:
        for line in _read(f"/proc/{process.pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return process.memory


class Disk:
    """What files take on the disk, added up; a file of several names counts once.

    Attributes:
        size: bytes.
        whole: whether that is all of it: not where a folder cannot be listed, where there are more
            files or deeper folders than are counted, or where time was up.
    """

    def __init__(self, *, seconds: float = math.inf) -> None:
        self.size = 0
        self.whole = True
        self._deadline = time.monotonic() + seconds
        self._left = _MOST_FILES
        self._devices: set[int] = set()
        self._seen: set[tuple[int, int]] = set()

    def add(self, folder: str) -> None:
        """Add all that is below a folder, on its file system; links are not followed.

        Raises:
            OSError: no descriptor is left.
        """
        opened: list[tuple[int, list[str]]] = []  # folders from the top, each with what is to come
        try:
            self._open(os.path.realpath(folder), opened)
            while opened and self._goes_on():
                _, waiting = opened[-1]
                if waiting:
                    self._open(waiting.pop(), opened)
                else:
                    os.close(opened.pop()[0])
        finally:
            for descriptor, _ in opened:
                os.close(descriptor)

    def add_removed(self, pids: Sequence[int]) -> None:
        """Add removed files, of the same file systems, that processes have open or mapped.

        Raises:
            OSError: no descriptor is left.
        """
        removed: dict[tuple[int, int], int] = {}
        for pid in pids:
            for key, size in _mapped(pid):
                removed[key] = max(size, removed.get(key, 0))
        for pid in pids:
            with passed_over:
                for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
                    with passed_over:
                        about = os.stat(f"/proc/{pid}/fd/{name}")  # noqa: PTH116
                        if about.st_nlink == 0 and stat.S_ISREG(about.st_mode):
                            removed[about.st_dev, about.st_ino] = about.st_blocks * _BLOCK
        for key, size in removed.items():
            if key[0] in self._devices and key not in self._seen:
                self.size += size

    def _open(self, name: str, opened: list[tuple[int, list[str]]]) -> None:
        """Open a folder in the last one, and count what is in it."""
        if len(opened) == _DEEPEST:
            self.whole = False
            return
        with passed_over:
            try:
                descriptor = open_folder(name, opened[-1][0] if opened else None)
                opened.append((descriptor, []))
                if len(opened) == 1:
                    self._devices.add(os.fstat(descriptor).st_dev)
                with os.scandir(descriptor) as entries:
                    for entry in entries:
                        if not self._goes_on():
                            break
                        if self._count(entry):
                            opened[-1][1].append(entry.name)
            except PermissionError:
                self.whole = False

    def _count(self, entry: os.DirEntry[str]) -> bool:
        """Count one; tell whether it is a folder to be looked into."""
        try:
            about = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        key = (about.st_dev, about.st_ino)
        if about.st_dev not in self._devices or key in self._seen:
            return False
        self.size += about.st_blocks * _BLOCK
        self._left -= 1
        if stat.S_ISDIR(about.st_mode):
            return True
        if about.st_nlink > 1:
            self._seen.add(key)
        return False

    def _goes_on(self) -> bool:
        if self._left < 0 or time.monotonic() >= self._deadline:
            self.whole = False
        return self.whole


def disk_usage(folders: Sequence[str], *, seconds: float = math.inf) -> int:
    """Return the bytes on disk of all files below, as far as they can be counted, see `Disk`.

    Args:
        folders: on the host; each counts what is on its own file system.
        seconds: after which what has been seen so far is returned.
    """
    disk = Disk(seconds=seconds)
    for folder in folders:
        disk.add(folder)
    return disk.size


def _mapped(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield the removed files that a process has mapped: device and inode, and bytes on disk.

    The kernel tells that only to root. To others the end of what is mapped stands for the size,
    and a file may be larger.
    """
    lines: list[str] = []
    with passed_over:
        lines = _read(f"/proc/{pid}/maps").splitlines()
    for line in lines:
        if not line.endswith(" (deleted)"):
            continue
        addresses, _, offset, device, inode = line.split()[:5]
        start, end = (int(address, 16) for address in addresses.split("-"))
        with passed_over:
            try:
                about = os.stat(f"/proc/{pid}/map_files/{start:x}-{end:x}")  # noqa: PTH116
            except PermissionError:
                major, minor = (int(number, 16) for number in device.split(":"))
                yield (os.makedev(major, minor), int(inode)), int(offset, 16) + end - start
            else:
                if about.st_nlink == 0:
                    yield (about.st_dev, about.st_ino), about.st_blocks * _BLOCK


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        return file.read()
