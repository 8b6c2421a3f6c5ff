"""Pass TCP connections on to a unix socket, for clients that cannot use one."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

__all__ = ["Forwarder", "listen", "reach"]

_CHUNK = 65536
_PAUSE = 0.05
_MOST = 128
"""Connections at once, of two descriptors and two threads each."""
_LONGEST = 108
"""Bytes that the address of a unix socket may have, less one."""


def listen(port: int) -> socket.socket:
    """Listen on 127.0.0.1.

    Args:
        port: 0 for any that is free.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener


def reach(path: str, do: Callable[[str], object]) -> None:
    """Bind or connect a unix socket whose path may be longer than an address of a socket.

    On Linux a long one is named through its open folder, which is always short enough.

    Args:
        path: of the socket.
        do: ``bind`` or ``connect`` of a socket.

    Raises:
        OSError: it cannot be done.
    """
    if len(os.fsencode(path)) < _LONGEST or sys.platform != "linux":
        do(path)
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        do(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)


class Forwarder:
    """Passes every connection on, from threads of its own, only so many at once.

    Others wait until they are accepted: whoever connects must not use up the descriptors and
    threads of whoever passes on.
    """

    def __init__(self, listener: socket.socket, path: str) -> None:
        self._listener = listener
        self._path = path
        self._places = threading.Semaphore(_MOST)
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all connections, and accept no more."""
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            self._places.acquire()
            try:
                client, _ = self._listener.accept()
            except OSError:  # a client gave up, or no descriptor is left for the moment
                self._places.release()
                time.sleep(_PAUSE)
                continue
            try:
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()
            except RuntimeError:  # no thread can be had: the client's own limit
                client.close()
                self._places.release()

    def _connect(self, client: socket.socket) -> None:
        """Pass on in both directions until both have ended."""
        # The service may be down for the moment, or the last thread or descriptor be taken: then
        # the client sees its connection end.
        with contextlib.suppress(OSError, RuntimeError), client, _unix_socket() as server:
            both = (client, server)
            self._open.update(both)
            try:
                reach(self._path, server.connect)
                back = threading.Thread(target=_pass, args=(server, client), daemon=True)
                back.start()
                _pass(client, server)
                back.join()
            finally:
                self._open.difference_update(both)
        self._places.release()


def _unix_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
