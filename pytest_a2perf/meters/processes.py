"""The processes below this one, read from ``/proc`` where that is possible."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path

__all__ = ["current_rss", "descendants", "has_children", "overlook", "resident"]

_overlooked: set[int] = set()


def overlook(pid: int) -> None:
    """Leave a child, and what is below it, out of what is measured: it is not the trial's."""
    _overlooked.add(pid)


def has_children() -> bool:
    """Whether this process has any child, running or not yet waited for; costs about 2 µs."""
    if _overlooked or not hasattr(os, "waitid"):
        return bool(descendants())
    try:
        # WNOWAIT leaves an ended child to be waited for by whoever started it.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def descendants() -> list[int]:
    """Return the process ids of all descendants of this process that are alive."""
    if not _kernel_lists_children():
        return _descendants_by_psutil()
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        children = [pid for pid in _children(waiting.pop()) if pid not in _overlooked]
        found += children
        waiting += children
    return found


@cache
def _kernel_lists_children() -> bool:
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").exists()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - fast
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 - fast
                found += map(int, file.read().split())
    except OSError:  # a process or thread that has just ended has no children any more
        pass
    return found


def _descendants_by_psutil() -> list[int]:
    import psutil

    try:
        found = [process.pid for process in psutil.Process().children(recursive=True)]
        others = [psutil.Process(pid) for pid in _overlooked.intersection(found)]
        hidden = {process.pid for other in others for process in other.children(recursive=True)}
        return [pid for pid in found if pid not in hidden | _overlooked]
    except psutil.Error:
        return []


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - fast
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0 if Path("/proc/self/statm").exists() else _resident_by_psutil(pid)


def _resident_by_psutil(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def current_rss() -> int:
    """Return the resident memory of this process in bytes."""
    return resident(os.getpid())


_PAGE = os.sysconf("SC_PAGE_SIZE")
