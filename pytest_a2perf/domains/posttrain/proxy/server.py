"""The proxy's HTTP server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

from pytest_a2perf.domains.posttrain.proxy.ledger import Ledger
from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions
from pytest_a2perf.domains.posttrain.proxy.requests import Asked, Denied, asked_of
from pytest_a2perf.domains.posttrain.proxy.streams import Redactor, UsageFilter
from pytest_a2perf.domains.posttrain.proxy.usage import Tokens, tokens_of

__all__ = ["Server"]

_CONNECTING = 30.0  # seconds
_CLOSING = 2.0  # seconds that calls under way have when the server closes
_CONNECTIONS = 256
_READING = 60.0  # seconds in which a request must have come in
_MOST_ASKED = 32 << 20  # bytes
_MOST_HELD = 128 << 20  # bytes of all requests together
_MOST_HEARD = 64 << 20
_TO_UPSTREAM = ("anthropic-version", "anthropic-beta", "openai-beta", "accept")
_TO_CLIENT = ("retry-after", "retry-after-ms", "request-id", "x-request-id", "cache-control")
_REFUSED = (401, 403)


class Server:
    """Passes calls of language models on; `start` it, and `close` it in the end.

    Args:
        options: see `LlmOptions`.
        keys: by the names of their variables.
        ledger: counts the calls.
        now: seconds of the run.
    """

    def __init__(
        self,
        options: LlmOptions,
        keys: Mapping[str, str],
        ledger: Ledger,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._options = options
        self._keys = keys
        self._ledger = ledger
        self._now = now
        self._gate = asyncio.Semaphore(options.at_once)
        self._held = 0
        self._client: ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._door: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Begin to answer on a socket that listens."""
        self._client = ClientSession(
            timeout=ClientTimeout(
                total=self._options.longest,
                sock_connect=_CONNECTING,
                sock_read=self._options.stall,
            ),
            connector=TCPConnector(limit=0),
            skip_auto_headers=("User-Agent",),
            cookie_jar=DummyCookieJar(),
        )
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        # An agent that hangs up early is charged for what it has asked: its call goes on.
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=False, shutdown_timeout=_CLOSING
        )
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._door = await loop.create_unix_server(self._entered, sock=listener, backlog=128)

    async def close(self) -> None:
        """Stop answering; calls under way are cut off, and counted."""
        if self._door is not None:
            self._door.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()

    def _entered(self) -> asyncio.BaseProtocol:
        """Return who attends to a new connection."""
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        return _Full() if len(server.connections) >= _CONNECTIONS else server()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = bytearray()
        try:
            if request.method == "GET" and request.path.rstrip("/").endswith("/models"):
                return self._models()
            await self._read(request, body)
            asked = asked_of(request.method, request.path, bytes(body), self._options)
            async with self._gate:
                await asyncio.to_thread(self._ledger.check, asked.model)
                return await _Call(asked, request, self).made()
        except Denied as denied:
            return _error(denied.status, str(denied), denied.kind)
        finally:
            self._held -= len(body)

    async def _read(self, request: web.Request, body: bytearray) -> None:
        """Read a body, as far as all of them together leave room for it."""
        try:
            async with asyncio.timeout(_READING):
                async for chunk in request.content.iter_any():
                    if len(body) + len(chunk) > _MOST_ASKED:
                        raise Denied(413, f"a request may have {_MOST_ASKED} bytes")
                    if self._held + len(chunk) > _MOST_HELD:
                        raise Denied(503, "too many requests at once", "overloaded_error")
                    body += chunk
                    self._held += len(chunk)
        except TimeoutError:
            raise Denied(408, "the request is too slow") from None

    def _models(self) -> web.Response:
        names = [name for name in self._options.names() if "*" not in name]
        return web.json_response(
            {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}
        )

    def key_of(self, asked: Asked) -> str:
        """Return the key for a request; empty if it needs none."""
        return self._keys.get(asked.upstream.key_env, "")

    @property
    def keys(self) -> list[str]:
        """All of them."""
        return [key for key in self._keys.values() if key]

    @property
    def client(self) -> ClientSession:
        """Asks upstream."""
        assert self._client is not None
        return self._client

    def enter(self, asked: Asked, tokens: Tokens, begun: float, status: int) -> None:
        """Log a call."""
        self._ledger.enter(
            asked.model,
            tokens,
            clock=round(self._now() - (monotonic() - begun), 3),
            seconds=round(monotonic() - begun, 3),
            status=status,
            interface=asked.interface,
            dropped=list(asked.dropped),
        )


class _Full(asyncio.Protocol):
    """A connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Call:
    """A call while it passes through."""

    def __init__(self, asked: Asked, request: web.Request, server: Server) -> None:
        self._asked = asked
        self._request = request
        self._server = server
        self._begun = monotonic()
        self._heard = bytearray()
        self._kind = ""
        self._status = 0
        self._gone = False

    async def made(self) -> web.StreamResponse:
        asked = self._asked
        response: web.StreamResponse | None = None
        try:
            async with self._server.client.post(
                asked.upstream.url + asked.path,
                data=asked.body,
                headers=self._headers(),
                allow_redirects=False,
            ) as answer:
                self._status, self._kind = answer.status, answer.headers.get("Content-Type", "")
                if answer.status in _REFUSED:
                    # Servers repeat a part of the key that they refuse.
                    return _error(502, "upstream refuses the key of the proxy", "upstream_error")
                if 300 <= answer.status < 400:
                    return _error(502, "upstream sends elsewhere", "upstream_error")
                headers = {k: v for k, v in answer.headers.items() if k.lower() in _TO_CLIENT}
                response = web.StreamResponse(
                    status=answer.status, headers={**headers, "Content-Type": self._kind}
                )
                await response.prepare(self._request)
                await self._pass_on(answer.content, response)
                return response
        except (ClientError, TimeoutError, OSError) as error:
            if response is None:
                slow = isinstance(error, TimeoutError)
                text = f"no answer from upstream: {type(error).__name__}"
                return _error(504 if slow else 502, text, "upstream_error")
            # Half an answer must not look like a whole one.
            if self._request.transport is not None:
                self._request.transport.abort()
            return response
        finally:
            self._enter()

    async def _pass_on(self, content: Any, response: web.StreamResponse) -> None:
        redactor = Redactor(self._server.keys)
        streamed = "event-stream" in self._kind and not self._asked.told
        usage = UsageFilter() if streamed else None
        async for chunk in content.iter_any():
            self._heard += chunk
            if len(self._heard) > _MOST_HEARD:
                raise ClientError("upstream says too much")
            data = redactor.feed(chunk)
            await self._write(response, usage.feed(data) if usage else data)
        data = redactor.end()
        if usage:
            data = usage.feed(data) + usage.end()
        await self._write(response, data)
        if not self._gone:
            await response.write_eof()

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        if data and not self._gone:
            try:
                await response.write(data)
            except (ClientError, ConnectionError):
                self._gone = True  # the rest is read all the same: it says what is to be paid

    def _headers(self) -> dict[str, str]:
        asked, given = self._asked, self._request.headers
        headers = {name: given[name] for name in _TO_UPSTREAM if name in given}
        headers |= {"Content-Type": "application/json", "User-Agent": "pytest-a2perf"}
        key, auth = self._server.key_of(asked), asked.upstream.auth
        if key and (auth == "x-api-key" or (auth == "auto" and asked.interface == "messages")):
            headers["x-api-key"] = key
        elif key:
            headers["Authorization"] = f"Bearer {key}"
        if asked.interface == "messages":
            headers.setdefault("anthropic-version", "2023-06-01")
        return headers

    def _enter(self) -> None:
        asked = self._asked
        if not asked.counted:
            return
        tokens = Tokens()  # what failed costs nothing
        if self._status == 200:
            tokens = tokens_of(asked.interface, asked.body, bytes(self._heard), self._kind)
        self._server.enter(asked, tokens, self._begun, self._status)


def _error(status: int, message: str, kind: str) -> web.Response:
    """Return an error in a form that clients of either interface can read."""
    error = {"message": message, "type": kind, "code": kind}
    return web.json_response({"type": "error", "error": error}, status=status)
