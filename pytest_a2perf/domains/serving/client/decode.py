"""Reading a reply after it has come: times of reads and bytes become an `Answer`.

An event happened when the read came that completed it. Reading is done in slices, so that it can
stand between the reads of other connections without delaying them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from pytest_a2perf.domains.serving.client.answer import Answer, Failure
from pytest_a2perf.domains.serving.client.codec import loads
from pytest_a2perf.domains.serving.client.endpoint import Api
from pytest_a2perf.domains.serving.client.events import EventsError, EventSplitter
from pytest_a2perf.domains.serving.client.reply import Reply
from pytest_a2perf.domains.serving.client.tally import READERS, RefusedError, Tally, message_of
from pytest_a2perf.domains.serving.client.template import Template

__all__ = ["SLICE", "Decoder"]

SLICE = 64
"""Reads that are decoded at a time: some 0.1 ms."""

_BRIEF = 8  # reads
_MOST_BODY = 1 << 24  # bytes of a reply that is no stream
_SHOWN = 200  # characters of something unreadable


class Decoder:
    """Reads one reply; an `Exchange`.

    Args:
        api: whose events these are.
        reply: which may still be coming.
        count: counts tokens of text where the server does not; None: a token a chunk.
        scrub: takes keys out of a text.

    Attributes:
        answer: complete once `step` has returned True and the reply has ended.
    """

    def __init__(
        self,
        api: Api,
        reply: Reply,
        count: Callable[[str], int] | None,
        scrub: Callable[[str], str],
    ) -> None:
        self.answer = Answer()
        self._reply = reply
        self._read = READERS[api]
        self._count = count
        self._scrub = scrub
        self._tally = Tally(self.answer, texts=count is not None)
        self._splitter: EventSplitter | None = None
        self._template = Template()
        self._body = bytearray()  # of a reply that is no stream
        self._at = 0  # the first piece that has not been read
        self._last = 0.0  # when the last event came
        self._failure: Failure = ""
        self._error = ""
        self._finished = False

    @property
    def ended(self) -> float:
        """When the reply had ended."""
        return self._reply.ended

    @property
    def brief(self) -> bool:
        """Whether it is short, or failed."""
        reply = self._reply
        return len(reply.pieces) <= _BRIEF or reply.failure != "" or reply.status != 200

    def step(self) -> bool:
        """Read the next `SLICE` reads; return whether there are no more for now."""
        reply = self._reply
        end = min(self._at + SLICE, len(reply.pieces))
        if not self._failure:
            with self._noting():
                for index in range(self._at, end):
                    self._take(reply.pieces[index], reply.times[index])
        self._at = end
        if end < len(reply.pieces):
            return False
        reply.pieces.clear()
        reply.times.clear()
        self._at = 0
        if reply.ended and not self._finished:
            self._finished = True
            self._finish()
        return True

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        """Note what is wrong with the stream; what comes after that is not read any more."""
        try:
            yield
        except RefusedError as error:
            self._failure, self._error = "refused", str(error)
        except EventsError as error:
            self._failure, self._error = "malformed", str(error)

    def _take(self, piece: bytes, at: float) -> None:
        if self._splitter is None and not self._body:
            self._choose(piece)
        if self._splitter is None:
            if len(self._body) + len(piece) > _MOST_BODY:
                raise EventsError("the reply is no stream, and longer than 16 MiB")
            self._body += piece
            self._last = at
        elif self._splitter.idle and self._template.fits(piece):
            self._tally.visible(at, "")
        else:
            self._events(piece, at, self._splitter)

    def _events(self, piece: bytes, at: float, splitter: EventSplitter) -> None:
        idle, tally = splitter.idle, self._tally
        chunks, events = self.answer.chunks, splitter.feed(piece)
        for data in events:
            self._event(data, at)
        alone = idle and len(events) == 1 and splitter.idle and piece.startswith(b"data: ")
        plain = self.answer.chunks == chunks + 1 and not self.answer.finish and not tally.usage
        if alone and plain and isinstance(tally.text, str) and not tally.keep:
            self._template.learn(piece, tally.text)

    def _choose(self, piece: bytes) -> None:
        """Decide whether the reply is a stream of events."""
        kind = self._reply.headers.get("content-type", "")
        stream = "event-stream" in kind or (
            "json" not in kind and piece.lstrip().startswith((b"data:", b"event:", b":"))
        )
        if stream and self._reply.status < 300:
            self._splitter = EventSplitter()

    def _event(self, data: bytes, at: float) -> None:
        self._last = at
        if data == b"[DONE]":
            self._tally.done = True
            return
        if not data:
            return
        try:
            self._read(self._tally, loads(data), at)
        except (ValueError, RecursionError, AttributeError, TypeError):
            shown = data[:_SHOWN].decode(errors="replace")
            raise EventsError(f"an event of the stream cannot be read: {shown!r}") from None

    def _finish(self) -> None:
        reply, answer = self._reply, self.answer
        answer.sent, answer.ended = reply.sent, reply.ended
        answer.connecting, answer.status = reply.connecting, reply.status
        with self._noting():
            if reply.status < 300 and not reply.failure and not self._failure:
                self._finish_body()
        if reply.status >= 300:
            answer.failure, error = "status", f"HTTP {reply.status}: {self._status_text()}"
        elif self._failure:
            answer.failure, error = self._failure, self._error
        elif reply.failure and self._tally.done:
            # All was said before the connection broke or fell silent.
            answer.ended, error = self._last, ""
        elif reply.failure:
            answer.failure, error = reply.failure, reply.error
        elif not self._tally.done and not answer.finish:
            answer.failure, error = "cut", "the stream ended without [DONE] or a reason to finish"
        else:
            error = ""
        answer.error = self._scrub(error)
        self._tally.finish(self._count)

    def _finish_body(self) -> None:
        if self._splitter is not None:
            for data in self._splitter.close():
                self._event(data, self._last or self._reply.heard)
        elif self._body:
            self._event(bytes(self._body), self._last)

    def _status_text(self) -> str:
        if 300 <= self._reply.status < 400:
            return f"redirects to {self._reply.headers.get('location', '?')}; name that instead"
        try:
            return message_of(loads(bytes(self._body)))
        except (ValueError, RecursionError):
            return " ".join(self._body[:_SHOWN].decode(errors="replace").split()) or "no message"
