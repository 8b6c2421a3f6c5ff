"""The service's HTTP: one request a connection, bounded in size, time and number."""

from __future__ import annotations

import contextlib
import io
import json
import select
import socket
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from time import monotonic
from typing import Any

from pytest_a2perf.domains.posttrain.grading.grader import Grader
from pytest_a2perf.domains.posttrain.grading.refusal import Refused
from pytest_a2perf.domains.posttrain.lines import parts_of

__all__ = ["Server"]

_CONNECTIONS = 64
_READING = 20.0  # seconds in which a request must have come in
_WRITING = 20.0  # seconds in which some of an answer must be taken
_DRAINING = 2.0  # seconds for which what comes behind a request is taken and dropped
_BODY = 1 << 20  # bytes
_PARTS = 50_000  # of a body: a list within a list takes 25 times its bytes in memory
_HEAD = 1 << 15
_LOOKS = ("health", "time", "history", "best")


class Server(ThreadingMixIn, UnixStreamServer):
    """Serves a grader on a listening unix socket.

    Args:
        listener: the socket.
        grader: see `Grader`.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, grader: Grader) -> None:
        super().__init__("", _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.grader = grader
        self._free = threading.BoundedSemaphore(_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in a thread, if there are not too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system gives no thread
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave out what a client's early end prints."""


class _Bounded(io.RawIOBase):
    """What comes in on a connection: so many bytes, until some time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = monotonic() + _READING
        self.left = _HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._until - monotonic()
        if seconds <= 0 or self.left <= 0:
            raise TimeoutError("the request is too slow or too large")
        self._connection.settimeout(seconds)
        read = self._connection.recv_into(memoryview(buffer)[: self.left])
        self.left -= read
        return read


class _Handler(BaseHTTPRequestHandler):
    """One request; the connection ends with it, so nothing can be smuggled in behind it."""

    protocol_version = "HTTP/1.1"
    server_version = "grader"
    sys_version = ""
    server: Server

    def setup(self) -> None:
        self.connection = self.request
        self._bounded = _Bounded(self.connection)
        self.rfile = io.BufferedReader(self._bounded, 1 << 14)
        self.wfile = self.connection.makefile("wb", 0)

    def do_GET(self) -> None:
        """Answer what can be looked at."""
        name = self.path.partition("?")[0].strip("/")
        kind, _, number = name.partition("/")
        grader = self.server.grader
        if name in _LOOKS:
            self._answer(lambda: (200, grader.look(name)))
        elif kind == "submission" and number.isascii() and number.isdecimal() and len(number) < 10:
            self._answer(lambda: grader.find(int(number)))
        else:
            self._refuse(name)

    def do_POST(self) -> None:
        """Answer what does something."""
        name = self.path.partition("?")[0].strip("/")
        grader = self.server.grader
        if name == "submit":
            self._answer(lambda: grader.submit(self._body(), self._gone))
        elif name in ("set_baseline", *_LOOKS):
            self._refuse(name)
        else:
            self._answer(lambda: (200, grader.call(name, self._body())))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no proper request, in JSON as everything else."""
        self._write(code, {"error": explain or message or "bad request"})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write nothing."""

    def _refuse(self, name: str) -> None:
        if name == "set_baseline":
            self.server.grader.saw("tampering", "somebody asked to set the baseline")
            self._write(403, {"error": "the baseline is measured by the harness"})
        elif name in _LOOKS or name == "submit":
            self._write(405, {"error": "POST is for /submit, GET for everything else"})
        else:
            self._write(404, {"error": "there is no such thing here"})

    def _answer(self, do: Callable[[], tuple[int, dict[str, Any]]]) -> None:
        try:
            status, answer = do()
        except Refused as error:
            status, answer = error.status, {"error": str(error)}
            if error.retry is not None:
                answer["retry_after"] = error.retry
        except TimeoutError:
            status, answer = 408, {"error": "the request is too slow"}
        except Exception:  # noqa: BLE001 - one request must not leave its client without an answer
            traceback.print_exc()
            status, answer = 500, {"error": "the grader failed at this request"}
        self._write(status, answer)

    def _write(self, status: int, answer: dict[str, Any]) -> None:
        self.close_connection = True
        data = json.dumps(answer).encode() + b"\n"
        self.connection.settimeout(_WRITING)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        if answer.get("retry_after") is not None:
            self.send_header("Retry-After", str(int(answer["retry_after"]) + 1))
        self.end_headers()
        if self.command != "HEAD":
            self.connection.sendall(data)
        self._drain()

    def _drain(self) -> None:
        """Take what else comes, for a while: closing at once would cut the answer off."""
        until = monotonic() + _DRAINING
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            for _ in range(_BODY >> 16):
                self.connection.settimeout(max(0.001, until - monotonic()))
                if not self.connection.recv(1 << 16):
                    return

    def _body(self) -> dict[str, Any]:
        """Return the body: one JSON object of a stated length.

        Raises:
            Refused: it is something else.
        """
        lengths = self.headers.get_all("Content-Length") or []
        if "Transfer-Encoding" in self.headers or len(lengths) != 1:
            raise Refused("state the body's length, once, by Content-Length", 411)
        if not (lengths[0].isascii() and lengths[0].isdecimal()) or len(lengths[0]) > 12:
            raise Refused("Content-Length must be a number")
        length = int(lengths[0])
        if length > _BODY:
            raise Refused(f"a body may have {_BODY} bytes", 413)
        self._bounded.left = length
        raw = self.rfile.read(length)
        if len(raw) != length:
            raise Refused("the body is shorter than Content-Length says")
        if parts_of(raw) > _PARTS:
            raise Refused(f"a body may have {_PARTS} commas and brackets", 413)
        try:
            body = json.loads(raw.decode(), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Refused(f"the body is not JSON: {error}"[:300]) from None
        if not isinstance(body, dict):
            raise Refused("the body must be a JSON object")
        return body

    def _gone(self) -> bool:
        """Return whether the client has closed the connection, in both directions."""
        poll = select.poll()
        poll.register(self.connection, 0)
        return bool(poll.poll(0))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
