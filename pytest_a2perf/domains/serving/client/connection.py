"""A connection of HTTP/1.1 that carries one streamed request at a time, timed at the socket.

When something arrives, only the time and the bytes are noted: no coroutine wakes and no JSON is
read, which keeps a read at about ten microseconds and its time right when many streams talk at
once. What the bytes say is read later, see `decode`.

The connection is kept alive and made again when the server closed it. A request is sent a second
time in one case only: the connection had been used before, and broke within a second of the send
without a byte of the reply; then the server closed it while the request was under way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from pytest_a2perf.domains.serving.client.answer import Failure
from pytest_a2perf.domains.serving.client.framing import Framing, FramingError
from pytest_a2perf.domains.serving.client.reply import Reply
from pytest_a2perf.domains.serving.client.target import Target

__all__ = ["Connection", "Limits"]

_FULL = 256
"""Reads after which what has come is decoded, so that long replies do not fill the memory."""

_RACE = 1.0  # seconds in which a server's close and our request may have crossed


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that waits may take.

    Attributes:
        connect: for a connection.
        stall: of silence, before or within a reply.
        longest: of a request.
    """

    connect: float = 10.0
    stall: float = 60.0
    longest: float = 600.0


class Connection:
    """Carries requests to a target, one at a time.

    Args:
        target: to connect to.
        limits: see `Limits`.
        full: is called when a reply that still goes on has become long.
    """

    def __init__(self, target: Target, limits: Limits, full: Callable[[], None]) -> None:
        self.limits = limits
        self._target = target
        self._full = full
        self._loop = asyncio.get_running_loop()
        self._link: _Link | None = None
        self._opening: asyncio.Task[str] | None = None
        self._reply: Reply | None = None
        self._ended: Callable[[], None] = _nobody
        self._body = b""
        self._wanted = 0.0  # when the request was to be sent
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether a request could be sent without connecting first."""
        return self._link is not None and not self._link.transport.is_closing()

    def prepare(self) -> asyncio.Task[str] | None:
        """Connect ahead of a request, if need be; that it cannot is told by the request."""
        return None if self.usable else self._open()

    def send(self, body: bytes, reply: Reply, ended: Callable[[], None]) -> None:
        """Begin a request.

        Args:
            body: of the request.
            reply: is filled in, its end at last.
            ended: is called once, after that; it may begin the next request.
        """
        assert self._reply is None, "one request at a time"
        self._reply, self._ended, self._body = reply, ended, body
        self._wanted, self._tries = time.monotonic(), 0
        if self.usable:
            self._write()
        else:
            self._open()

    def close(self) -> None:
        """Give up the connection, and a request under way."""
        if self._opening is not None:
            self._opening.cancel()
        self._give_up("cancelled", "ended by the client")
        if self._link is not None:
            self._link.transport.abort()

    def _open(self) -> asyncio.Task[str]:
        if self._opening is None:
            self._opening = self._loop.create_task(self._connect())
            self._opening.add_done_callback(self._opened)
        return self._opening

    async def _connect(self) -> str:
        """Make a link, or return why there is none."""
        target = self._target
        try:
            async with asyncio.timeout(self.limits.connect):
                _, self._link = await self._loop.create_connection(
                    lambda: _Link(self), target.host, target.port, ssl=target.tls
                )
        except TimeoutError:
            return f"not within {self.limits.connect:g} s"
        except (OSError, ValueError) as failure:  # ValueError: a name that cannot be one
            return str(failure)
        return "closed at once"

    def _opened(self, opening: asyncio.Task[str]) -> None:
        self._opening = None
        if self._reply is None or opening.cancelled():
            return
        if self.usable:
            self._write(time.monotonic() - self._wanted)
        else:
            self.over("connect", f"no connection to {self._target.shown}: {opening.result()}")

    def _write(self, connecting: float = 0.0) -> None:
        assert self._link is not None
        assert self._reply is not None
        head = b"%s%d\r\n\r\n" % (self._target.head, len(self._body))
        reply, self._tries = self._reply, self._tries + 1
        reply.connecting = connecting
        reply.sent = reply.heard = time.monotonic()
        self._watch(min(self.limits.stall, self.limits.longest))
        self._link.begin(reply)
        self._link.transport.writelines((head, self._body))

    def _check(self) -> None:
        """Give up a request that takes too long; look again later at one that does not."""
        reply, limits = self._reply, self.limits
        assert reply is not None
        now = time.monotonic()
        if now >= reply.sent + limits.longest:
            self._give_up("cancelled", f"the reply took longer than {limits.longest:g} s")
        elif now >= reply.heard + limits.stall:
            self._give_up("stalled", f"nothing came for {limits.stall:g} s")
        else:
            until = min(reply.sent + limits.longest, reply.heard + limits.stall)
            self._watch(max(until - now, 0.001))

    def _watch(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._check)

    def _give_up(self, failure: Failure, error: str) -> None:
        if self._reply is not None:
            if self._link is not None and self._link.reply is not None:
                self._link.drop()
            self.over(failure, error)

    def over(self, failure: Failure = "", error: str = "") -> None:
        """Take in that the reply has ended."""
        reply, ended = self._reply, self._ended
        assert reply is not None
        if self._timer is not None:
            self._timer.cancel()
        reply.failure, reply.error = failure, error
        reply.ended = time.monotonic() if failure else reply.heard
        self._reply, self._body, self._ended = None, b"", _nobody
        ended()

    def full(self) -> None:
        """Take in that the reply has become long."""
        self._full()

    def lost(self, link: _Link, reason: str) -> None:
        """Take in that a link broke, with a request under way if it still has a reply."""
        if self._link is link:
            self._link = None
        if link.reply is None:
            return
        fresh = link.requests == 1 or link.framing.seen or self._tries > 1
        if not fresh and time.monotonic() - link.reply.sent < _RACE:
            self._open()
        else:
            said = "in the middle of the reply" if link.framing.seen else "before the reply"
            self.over("cut", f"the connection was closed {said}{reason}")


class _Link(asyncio.Protocol):
    """One TCP connection.

    Attributes:
        reply: that is coming, if one is.
        requests: that were sent over it.
    """

    transport: asyncio.Transport

    def __init__(self, owner: Connection) -> None:
        self._owner = owner
        self.framing = Framing()
        self.reply: Reply | None = None
        self.requests = 0

    def begin(self, reply: Reply) -> None:
        """Expect a reply."""
        self.reply = reply
        self.framing = Framing()
        self.requests += 1

    def drop(self) -> None:
        """Close at once, and tell nobody."""
        self._note()
        self.reply = None
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast("asyncio.Transport", transport)
        # A write then goes to the socket at once, not at the end of the loop's round.
        self.transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Called by the loop: note the time and the bytes."""
        now = time.monotonic()
        reply = self.reply
        if reply is None:  # nobody asked
            self.transport.abort()
            return
        try:
            piece = self.framing.feed(data)
        except FramingError as error:
            self._over("malformed", str(error))
            return
        reply.heard = now
        if piece:
            reply.times.append(now)
            reply.pieces.append(piece)
            if len(reply.pieces) == _FULL:
                self._note()
                self._owner.full()
        if self.framing.done:
            self._over()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if self.reply is not None and self.framing.close():
            self._over()
        self._note()
        self._owner.lost(self, f": {exc}" if exc else "")
        self.reply = None

    def _note(self) -> None:
        if self.reply is not None:
            self.reply.status, self.reply.headers = self.framing.status, self.framing.headers

    def _over(self, failure: Failure = "", error: str = "") -> None:
        self._note()
        self.reply = None
        if failure or not self.framing.keep_alive:
            self.transport.abort()
        self._owner.over(failure, error)


def _nobody() -> None:
    """Nobody waits for the end of a request that is not there."""
