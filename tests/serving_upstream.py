"""A real HTTP server that answers as a test wants, and a recording proxy before it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pytest_a2perf.domains.serving.recorder.journal import Entry, Journal, read_journal
from pytest_a2perf.domains.serving.recorder.proxy import Proxy

LIMIT = 60  # seconds that any wait takes at most


@dataclass
class Asked:
    """A request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answered:
    """What the server says; it breaks off after the chunks if ``cut``."""

    chunks: Iterable[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    cut: bool = False


class Upstream:
    """Answers by a function that tests give; `url` is its base."""

    def __init__(self, answer: Callable[[Asked], Answered]) -> None:
        self.asked: list[Asked] = []
        self.gone = threading.Event()  # somebody hung up in the middle of a reply
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                asked = Asked(self.command, self.path, dict(self.headers), self._body())
                upstream.asked.append(asked)
                answered = answer(asked)
                self.send_response(answered.status)
                for name, value in answered.headers.items():
                    self.send_header(name, value)
                if self.command == "HEAD":
                    self.send_header("Content-Length", "7")
                    self.end_headers()
                    return
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                try:
                    for chunk in answered.chunks:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                    if answered.cut:
                        self.close_connection = True
                    else:
                        self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    upstream.gone.set()
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *values: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recorded:
    """A proxy that runs in a thread; `entries` are known once it is closed."""

    url: str
    proxy: Proxy

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[HTTPConnection] = []

    def close(self) -> None:
        for connection in self._open:
            connection.close()

    @property
    def entries(self) -> list[Entry]:
        return list(read_journal(self.path))

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """Return the body of an answer: JSON, or what stands in its events."""
        status, content = self.raw("POST", path, json.dumps(body).encode(), **headers)
        return json.loads(content) if content.startswith(b"{") else (status, content)

    def raw(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        response = self.open(method, path, body, **headers)
        content = response.read()
        response.close()
        return response.status, content

    def open(self, method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=LIMIT)
        self._open.append(connection)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        return connection.getresponse()


@contextmanager
def recorded(upstream: str, path: Path, stall: float = LIMIT) -> Iterator[Recorded]:
    """Run a proxy before an upstream."""
    made = Recorded(path)
    journal = Journal(path)
    ready, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        made.proxy = Proxy(upstream, journal, stall)
        made.url = f"http://127.0.0.1:{await made.proxy.start()}"
        ready.set()
        await over.wait()
        await made.proxy.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(LIMIT)
    try:
        yield made
    finally:
        made.close()
        loop.call_soon_threadsafe(over.set)
        thread.join(LIMIT)
        loop.close()
        journal.close()


def sse(*events: Any, done: bool = True) -> list[bytes]:
    """Return chunks of a stream of events; a name before each where it has a type."""
    chunks = []
    for event in events:
        name = f"event: {event['type']}\n" if "type" in event else ""
        chunks.append(f"{name}data: {json.dumps(event)}\n\n".encode())
    return [*chunks, *([b"data: [DONE]\n\n"] if done else [])]


SSE = {"Content-Type": "text/event-stream"}
