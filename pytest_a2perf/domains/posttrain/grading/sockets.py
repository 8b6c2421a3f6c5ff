"""Unix sockets in folders whose path may be longer than an address of a socket."""

from __future__ import annotations

import socket
from pathlib import Path

from pytest_a2perf.domains.posttrain.sandbox.runtime.forward import reach

__all__ = ["NAME", "connect", "listen"]

NAME = "grader.sock"
"""Of the grading service's socket, in `RunFiles.socket`."""

_BACKLOG = 64


def listen(folder: Path, name: str = NAME) -> socket.socket:
    """Listen on a new socket in a folder, in place of an old one.

    Args:
        folder: made where there is none.
        name: of the socket.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # for boxes that are shown it, and no other users
    (folder / name).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        reach(str(folder / name), listener.bind)
        listener.listen(_BACKLOG)
        # Who may reach it is a matter of who sees the folder.
        (folder / name).chmod(0o666)
    except OSError:
        listener.close()
        raise
    return listener


def connect(folder: Path, seconds: float, name: str = NAME) -> socket.socket:
    """Connect to the socket in a folder.

    Args:
        folder: see `listen`.
        seconds: that any operation may take.
        name: of the socket.

    Raises:
        OSError: nobody listens.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    try:
        reach(str(folder / name), connection.connect)
    except OSError:
        connection.close()
        raise
    return connection
