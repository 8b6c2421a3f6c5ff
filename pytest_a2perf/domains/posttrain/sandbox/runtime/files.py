"""Folders whose content somebody else has made: open, list and remove them in spite of it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from types import TracebackType

__all__ = ["open_folder", "passed_over", "remove_tree"]

_EXHAUSTED = (errno.EMFILE, errno.ENFILE)
_LIST, _CHANGE = 0o500, 0o700
_PLACE = getattr(os, "O_PATH", os.O_RDONLY)  # macOS has none, and opens only what may be listed


class _PassedOver:
    """See `passed_over`."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return isinstance(error, OSError) and error.errno not in _EXHAUSTED


passed_over = _PassedOver()
"""``with passed_over:`` leaves out what cannot be read, as it is gone or not ours; but want of
descriptors is raised, for it says nothing of what was to be read."""


def open_folder(path: str, parent: int | None = None, *, rights: int = _LIST) -> int:
    """Open a folder to list it, also one whose owner has denied himself to; no link is followed.

    Args:
        path: of the folder.
        parent: descriptor of the folder that it is relative to.
        rights: of the owner, which he gets where this process is his.

    Raises:
        OSError: it cannot be opened, or is no folder.
    """
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    place = os.open(path, _PLACE | flags, dir_fd=parent)
    try:
        about = os.fstat(place)
        if about.st_mode & rights != rights and about.st_uid == os.geteuid():
            with contextlib.suppress(OSError):  # opening it will tell
                os.chmod(f"/proc/self/fd/{place}", stat.S_IMODE(about.st_mode) | rights)  # noqa: PTH101
        return os.open(".", os.O_RDONLY | flags, dir_fd=place)
    finally:
        os.close(place)


def remove_tree(path: str | os.PathLike[str]) -> None:
    """Remove a folder, if it is there, and all below; no link is followed.

    Neither depth nor long names nor what an owner has denied himself are in the way: each folder is
    moved to the top before it is emptied, so that no path is ever longer than a name.

    Raises:
        OSError: something could not be removed; all else is.
    """
    try:
        top = open_folder(os.fspath(path), rights=_CHANGE)
    except FileNotFoundError:
        return
    try:
        waiting = _empty(top, top)
        while waiting:
            name = waiting.pop()
            with contextlib.suppress(OSError):  # what is left shows in the end
                folder = open_folder(name, top, rights=_CHANGE)
                try:
                    waiting += _empty(folder, top)
                finally:
                    os.close(folder)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)  # noqa: PTH106


def _empty(folder: int, top: int) -> list[str]:
    """Remove a folder's files and move its folders to the top; return their new names."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    moved = []
    for name, is_folder in found:
        with contextlib.suppress(OSError):
            if is_folder:
                os.close(open_folder(name, folder, rights=_CHANGE))  # only so may it be moved
                new = os.urandom(8).hex()
                os.rename(name, new, src_dir_fd=folder, dst_dir_fd=top)
                moved.append(new)
            else:
                os.unlink(name, dir_fd=folder)
    return moved
