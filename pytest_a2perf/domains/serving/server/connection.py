"""One client's connection: HTTP/1.1 requests one after the other, and bytes sent at once."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from pytest_a2perf.domains.serving.server.loop import Loop

__all__ = ["Connection", "Incoming"]

MOST_HEAD = 65_536
READ = 262_144
_PHRASES = {one.value: one.phrase for one in HTTPStatus}


class Incoming:
    """A request as it came in.

    Attributes:
        method, path: of the first line; the path without its query.
        headers: by names in lower case.
        body: as it is.
        arrived: monotonic time of its first byte.
        received: monotonic time of its last.
    """

    __slots__ = ("arrived", "body", "headers", "method", "path", "received")

    def __init__(self, head: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.method, target, _ = lines[0].split(" ", 2)
        self.path = target.partition("?")[0]
        pairs = (line.partition(":") for line in lines[1:])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.body = b""
        self.arrived = self.received = 0.0

    @property
    def length(self) -> int:
        """Bytes of the body, as the headers tell."""
        length = int(self.headers.get("content-length", 0))
        if length < 0:
            raise ValueError("negative length")
        return length


class Connection:
    """Reads requests and hands them over; the next is read when `release` says so.

    Attributes:
        on_lost: called if the client goes away while its request is being answered.
        blocked: how often the client did not take bytes at once.
    """

    def __init__(
        self, sock: socket.socket, loop: Loop, handle: Callable[[Connection, Incoming], None]
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._loop = loop
        self._handle = handle
        self._buffer = bytearray()
        self._backlog = bytearray()
        self._incoming: Incoming | None = None
        self._length = 0
        self._arrived = 0.0
        self._busy = self._ending = self._closed = self._advancing = False
        self.on_lost: Callable[[], None] | None = None
        self.blocked = 0
        loop.read(sock, self._on_readable)

    def send(self, data: bytes) -> None:
        """Send now what the socket takes, the rest as soon as it does."""
        if self._closed:
            return
        if self._backlog:
            self._backlog += data
            self.blocked += 1
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self.blocked += 1
            self._backlog += data[sent:]
            self._loop.read_and_write(self._sock, self._on_readable, self._on_writable)

    def reply(self, status: int, content: Any, kind: str = "application/json") -> None:
        """Send a whole reply, and wait for the next request."""
        text = content if isinstance(content, str) else json.dumps(content)
        body = text.encode()
        phrase = _PHRASES.get(status, "Error")
        head = (
            f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.send(head.encode() + body)
        self.release()

    def release(self) -> None:
        """The reply is complete: read the next request, or close if the client asked for that."""
        self.on_lost = None
        self._busy = False
        if self._ending:
            if not self._backlog:
                self.close()
        else:
            self._advance()

    def close(self) -> None:
        """Close at once."""
        if self._closed:
            return
        self._closed = True
        self._loop.forget(self._sock)
        self._sock.close()
        lost, self.on_lost = self.on_lost, None
        if lost:
            lost()

    def _on_writable(self) -> None:
        data = bytes(self._backlog)
        self._backlog.clear()
        self._loop.read_and_write(self._sock, self._on_readable, None)
        self.send(data)
        if self._ending and not self._busy and not self._backlog:
            self.close()

    def _on_readable(self) -> None:
        if self._closed:
            return
        try:
            data = self._sock.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        if not self._buffer:
            self._arrived = time.monotonic()
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        """Hand over requests as long as they are complete and the one before is answered."""
        if self._advancing:
            return
        self._advancing = True
        while not self._busy and not self._closed and (incoming := self._take()):
            self._busy = True
            self._handle(self, incoming)
        self._advancing = False

    def _take(self) -> Incoming | None:
        """Return the request at the buffer's begin, or None while it is not complete."""
        buffer = self._buffer
        incoming = self._incoming
        if incoming is None:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(buffer) > MOST_HEAD:
                    self.close()
                return None
            try:
                incoming = Incoming(bytes(buffer[:end]))
                self._length = incoming.length
            except ValueError:
                self._ending = True
                self.reply(400, {"error": {"message": "this is no HTTP request"}})
                return None
            del buffer[: end + 4]
            incoming.arrived = self._arrived
            self._incoming = incoming
            self._ending = incoming.headers.get("connection", "").lower() == "close"
            if "transfer-encoding" in incoming.headers:
                self._ending = True
                self.reply(411, {"error": {"message": "send Content-Length"}})
                return None
            if incoming.headers.get("expect", "").lower() == "100-continue":
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(buffer) < self._length:
            return None
        incoming.body = bytes(buffer[: self._length])
        del buffer[: self._length]
        self._incoming = None
        self._arrived = incoming.received = time.monotonic()
        return incoming
