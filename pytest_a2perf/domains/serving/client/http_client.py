"""The client of OpenAI's interfaces over HTTP/1.1: quick, and never the bottleneck."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pytest_a2perf.domains.serving.client.answer import Answer
from pytest_a2perf.domains.serving.client.connection import Connection
from pytest_a2perf.domains.serving.client.decode import Decoder
from pytest_a2perf.domains.serving.client.exchange import Ended, Exchange
from pytest_a2perf.domains.serving.client.idle import Idle
from pytest_a2perf.domains.serving.client.reply import Reply

__all__ = ["HttpClient"]


class HttpClient:
    """Carries one request at a time; made by `connector.connector`."""

    def __init__(
        self,
        connection: Callable[[Callable[[], None]], Connection],
        decoder: Callable[[Reply], Decoder],
        idle: Idle,
    ) -> None:
        self._connection = connection(self._full)
        self._make_decoder = decoder
        self._idle = idle
        self._decoder: Decoder | None = None

    def prepare(self) -> None:
        """Connect ahead of a request, if need be."""
        self._connection.prepare()

    async def open(self) -> None:
        """Connect; that it cannot is told by the first request."""
        if (opening := self._connection.prepare()) is not None:
            await opening

    def send(self, body: bytes, ended: Ended) -> None:
        """Begin a request, see `Client.send`."""
        reply = Reply()
        decoder = self._decoder = self._make_decoder(reply)
        self._connection.send(body, reply, lambda: ended(decoder))

    async def request(self, body: bytes) -> Answer:
        """Make a request and return what came of it."""
        done: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self.send(body, lambda exchange: None if done.done() else done.set_result(exchange))
        try:
            exchange = await done
        except asyncio.CancelledError:
            self.close()
            raise
        while not exchange.step():
            pass
        return exchange.answer

    def close(self) -> None:
        """Give up the connection; a request under way fails as ``cancelled``."""
        self._connection.close()

    def _full(self) -> None:
        if self._decoder is not None:
            self._idle.add(self._decoder.step)
