"""One reply in the making: a timer that fires for every chunk."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from pytest_a2perf.domains.serving.server.connection import Connection, Incoming
from pytest_a2perf.domains.serving.server.course import Course
from pytest_a2perf.domains.serving.server.replies import (
    DONE,
    STREAM_HEAD,
    CompletionsWriter,
    Usage,
    Writer,
    event,
    framed,
)
from pytest_a2perf.domains.serving.server.request import Ask, Kind
from pytest_a2perf.domains.serving.server.responses import ResponsesWriter

if TYPE_CHECKING:
    from pytest_a2perf.domains.serving.server.service import Service

__all__ = ["Generation"]

_WRITERS: dict[Kind, type[Writer]] = {
    "chat": Writer,
    "completions": CompletionsWriter,
    "responses": ResponsesWriter,
}
_MALFORMED = '{"choices": [{"delta"'


class Generation:
    """A reply: what goes out and when it did; `Service` decides the times.

    Attributes:
        ask: the request.
        course: what becomes of it.
        number: of the request, from 0.
        received: monotonic time of the request's last byte.
        admitted, first, last: monotonic times; 0 before.
        sent: tokens so far.
        cached: tokens of the prompt that were in the prefix cache.
        in_service: how many requests were in service when it was admitted, with it.
        drafts: chunks that stand for a speculation.
        lost: the client went away.
    """

    def __init__(
        self, connection: Connection, incoming: Incoming, ask: Ask, course: Course, number: int
    ) -> None:
        self._connection = connection
        self._incoming = incoming
        self.ask = ask
        self.course = course
        self.number = number
        self.received = incoming.received
        self.admitted = self.first = self.last = 0.0
        self.sent = self.cached = self.in_service = self.drafts = 0
        self.lost = False
        self._over = False
        self._even = 0
        self._chunk = b""

    def begin(self, service: Service) -> None:
        """Take the request on; send what comes before the first token, if that is wanted early."""
        options = service.options
        self._service = service
        self._per_chunk = options.tokens_per_chunk
        self._writer = _WRITERS[self.ask.kind](self.ask, self.number, options.model)
        self._opening = STREAM_HEAD + self._writer.opening() if self.ask.stream else b""
        self._connection.on_lost = self._lose
        if options.early_role:
            self._send_opening()

    def fire(self, due: float) -> float:
        """Send the next chunk."""
        if self.sent < self._even:
            self.sent += 1
            self._connection.send(self._chunk)
            return due + self._service.gap
        return math.inf if self._over else self._step(due)

    def usage(self) -> Usage:
        """Return the usage so far.

        A draft proposes as many tokens as a chunk has, of which all but one come true: the
        model's own token of that step was never proposed.
        """
        drafted = self.drafts * self._per_chunk
        accepted = max(0, self.sent - 1 - self.drafts) if self.drafts else 0
        return Usage(
            prompt=self.ask.prompt_tokens,
            cached=self.cached,
            output=self.sent,
            reasoning=min(self.sent, self.course.reasoning),
            accepted=accepted,
            rejected=drafted - accepted,
        )

    def record(self, status: int = 200) -> dict[str, Any]:
        """Return what truly happened, for the log."""
        return {
            "number": self.number,
            "api": self.ask.kind,
            "stream": self.ask.stream,
            "status": status,
            "fault": self.course.fault,
            "finish": self.course.finish,
            "lost": self.lost,
            "arrived": self._incoming.arrived,
            "received": self.received,
            "admitted": self.admitted,
            "first": self.first,
            "last": self.last,
            "ended": time.monotonic(),
            "tokens": self.sent,
            "length": self.course.length,
            "reasoning_tokens": min(self.sent, self.course.reasoning),
            "prompt_tokens": self.ask.prompt_tokens,
            "cached_tokens": self.cached,
            "in_service": self.in_service,
            "blocked": self._connection.blocked,
        }

    def _step(self, due: float) -> float:
        """Send a chunk that may be the first, the last, of another part, or the one to fail at."""
        course = self.course
        part, edge = course.rest, course.length
        if self.sent < course.reasoning:
            part, edge = "reasoning", course.reasoning
        count = min(self._per_chunk if self.sent else 1, edge - self.sent)
        data = self._writer.tokens(part, count) if self.ask.stream else b""
        if not self.sent:
            data, self._opening = self._opening + data, b""
            self.first = time.monotonic()
        elif self._per_chunk > 1:
            self.drafts += 1
        elif data is self._chunk and self.ask.stream and not self._service.options.jitter:
            # The same again, until near the part's end: `fire` sends it without asking, tens of
            # thousands of times a second.
            self._even = min(edge, course.fault_after if course.fault else edge) - 1
        self._chunk = data
        self.sent += count
        if course.fault and self.sent >= course.fault_after:
            self._go_wrong(data)
            return math.inf
        if self.sent == course.length:
            self._finish(data)
            return math.inf
        if data:
            self._connection.send(data)
        return self._service.next_chunk(due)

    def _send_opening(self) -> None:
        self._connection.send(self._opening)
        self._opening = b""

    def _finish(self, data: bytes) -> None:
        course = self.course
        usage = self.usage() if course.tells_usage else None
        self.last = time.monotonic()
        if self.ask.stream:
            told = usage if self.ask.usage else None
            self._connection.send(data)
            # The log comes first: whoever has read the end of a reply finds it there.
            self._end()
            self._connection.send(self._writer.closing(course.finish, told) + b"0\r\n\r\n")
            self._connection.release()
        else:
            parts = [("reasoning", course.reasoning), (course.rest, self.sent - course.reasoning)]
            reply = self._writer.whole([part for part in parts if part[1]], course.finish, usage)
            self._end()
            self._connection.reply(200, reply)

    def _go_wrong(self, data: bytes) -> None:
        self.last = time.monotonic()
        fault, connection, stream = self.course.fault, self._connection, self.ask.stream
        connection.send(data)
        if fault == "hang":
            return  # it stays in service, as a stuck request would, until the client gives up
        self._end()
        error = {"message": "the engine died", "type": "server_error", "code": 500}
        if fault == "cut":
            connection.close()
        elif not stream:
            malformed = fault == "malformed"
            connection.reply(*(200, _MALFORMED) if malformed else (500, {"error": error}))
        else:
            if fault == "malformed":
                data = framed(f"data: {_MALFORMED}\n\n".encode())
            elif self.ask.kind == "responses":
                data = event({"type": "error"} | error, "error")
            else:
                data = event({"error": error}) + DONE
            connection.send(data + b"0\r\n\r\n")
            connection.release()

    def _lose(self) -> None:
        self.lost = True
        self._end()

    def _end(self) -> None:
        self._over = True
        self._even = 0
        self._connection.on_lost = None
        self._service.ended(self)
