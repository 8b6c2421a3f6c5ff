"""The proxy: passes every request on as it is, and writes down those to a model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.recorder.calls import Call, call_of, interface_of
from pytest_a2perf.domains.serving.recorder.journal import Entry, Journal
from pytest_a2perf.domains.serving.recorder.replies import Reply, reply_of

__all__ = ["Proxy"]

_HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade", "expect", "host"),
}
_CONNECTING = 30.0  # seconds
_CLOSING = 5.0  # seconds that requests under way have once the proxy closes


class Proxy:
    """Listens on the loopback interface; `start` it, and `close` it in the end.

    Args:
        upstream: base URL that the proxy's own stands for.
        journal: gets the requests.
        stall: seconds of silence from upstream after which a request is given up.

    Attributes:
        failed: requests to a model that failed.
        unread: requests to a model that could not be read, and were passed on all the same.
    """

    def __init__(self, upstream: str, journal: Journal, stall: float = 600.0) -> None:
        self._upstream = upstream.rstrip("/")
        self._journal = journal
        self._timeout = ClientTimeout(total=None, sock_connect=_CONNECTING, sock_read=stall)
        self._client: ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.failed = 0
        self.unread = 0

    async def start(self, port: int = 0) -> int:
        """Begin to listen, and return the port.

        Args:
            port: to listen on; 0: any that is free.

        Raises:
            OSError: the port is taken.
        """
        self._client = ClientSession(
            auto_decompress=False,
            timeout=self._timeout,
            connector=TCPConnector(limit=0),
            # Nothing is added to a request: no header of ours, no cookie kept for later ones.
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            cookie_jar=DummyCookieJar(),
        )
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=_CLOSING
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening; requests under way have a few seconds to end."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return _error(501, "the recorder passes on no web sockets")
        exchange = _Exchange(request)
        try:
            return await self._exchange(exchange)
        except asyncio.CancelledError:
            exchange.failure = "cancelled"
            raise
        finally:
            self._record(exchange)

    async def _exchange(self, exchange: _Exchange) -> web.StreamResponse:
        assert self._client is not None
        request = exchange.request
        response: web.StreamResponse | None = None
        try:
            async with self._client.request(
                request.method,
                URL(self._upstream + request.raw_path, encoded=True),
                # What is packed could not be read on the way.
                headers=_passed(request.headers, {"Accept-Encoding": "identity"}),
                data=exchange.sent() if request.can_read_body else None,
                allow_redirects=False,
            ) as answer:
                exchange.status = answer.status
                exchange.kind = (
                    answer.headers.get("Content-Type", ""),
                    answer.headers.get("Content-Encoding", ""),
                )
                response = web.StreamResponse(
                    status=answer.status, reason=answer.reason, headers=_passed(answer.headers)
                )
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    exchange.heard(chunk)
                    await response.write(chunk)
                await response.write_eof()
                return response
        except (ClientError, TimeoutError, OSError) as error:
            failure = "stalled" if isinstance(error, TimeoutError) else ""
            if response is None:
                exchange.failure = failure or "connect"
                await exchange.drain()
                text = f"no answer from upstream: {type(error).__name__}: {error}"
                return _error(504 if failure else 502, text)
            # The agent went away, or else half a reply must not look like a whole one to it.
            gone = isinstance(error, ConnectionResetError)
            exchange.failure = failure or ("cancelled" if gone else "cut")
            if request.transport is not None:
                request.transport.abort()
            return response

    def _record(self, exchange: _Exchange) -> None:
        if exchange.interface is None:
            return
        ended = monotonic()
        try:
            call = exchange.call()
        except TrajectoryError:
            self.unread += 1
            return
        reply = exchange.reply(call)
        failure = exchange.failure
        if exchange.status >= 400:
            failure = "status"
        elif failure == "cancelled" and reply.complete:
            failure = ""  # agents hang up once they have read the end
        elif reply.error:
            failure = failure or "refused"
        self.failed += bool(failure)
        self._journal.add(Entry(call, reply, exchange.begun, ended, exchange.status, failure))


class _Exchange:
    """A request and its response while they pass through."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.interface = interface_of(request.method, request.path)
        self.begun = monotonic()
        self.status = 0
        self.failure = ""
        self.kind = ("", "")
        self._sent = bytearray()
        self._heard = bytearray()

    async def sent(self) -> AsyncIterator[bytes]:
        """Return the request's body as it comes."""
        async for chunk in self.request.content.iter_any():
            if self.interface:
                self._sent += chunk
            yield chunk

    async def drain(self) -> None:
        """Read what the agent still sends, so that it comes to read the answer."""
        with contextlib.suppress(TimeoutError, OSError, web.RequestPayloadError):
            async with asyncio.timeout(_CLOSING):
                async for _ in self.sent():
                    pass

    def heard(self, chunk: bytes) -> None:
        """Keep a part of the response's body."""
        if self.interface:
            self._heard += chunk

    def call(self) -> Call:
        assert self.interface is not None
        return call_of(self.interface, bytes(self._sent), self.request.headers)

    def reply(self, call: Call) -> Reply:
        return reply_of(call.interface, bytes(self._heard), self.kind)


def _passed(headers: Any, more: dict[str, str] | None = None) -> CIMultiDict[str]:
    """Return headers without those that are between two neighbours only."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    passed = CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in named
    )
    passed.update(more or {})
    return passed


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "recorder"}}, status=status)
