"""What every part that runs a process of its own needs."""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["die_with_parent", "write_all"]

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent is killed."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, however little the pipe takes at a time.

    Raises:
        OSError: nobody reads any more.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
