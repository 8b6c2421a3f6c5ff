"""The server: a socket, the routes, and the log of what truly happened."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any

from pytest_a2perf.domains.serving.server.connection import Connection, Incoming
from pytest_a2perf.domains.serving.server.course import course_of
from pytest_a2perf.domains.serving.server.generation import Generation
from pytest_a2perf.domains.serving.server.loop import Loop
from pytest_a2perf.domains.serving.server.options import ServerOptions
from pytest_a2perf.domains.serving.server.request import PATHS, BadRequestError, Kind, read_request
from pytest_a2perf.domains.serving.server.service import Service
from pytest_a2perf.errors import A2PerfError

__all__ = ["Server"]


class Server:
    """Serves until it is told to end.

    Raises:
        A2PerfError: the key is not in the environment.
        OSError: the address cannot be bound, or the log not be written.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._loop = Loop()
        self._service = Service(options, self._loop, lambda one: self._write(one.record()))
        self._key = os.environ.get(options.key_env, "") if options.key_env else ""
        if options.key_env and not self._key:
            raise A2PerfError(f"reference server: the environment has no {options.key_env}")
        # Unbuffered: whoever reads it sees every request that has ended.
        self._log = open(options.log, "ab", buffering=0) if options.log else None  # noqa: PTH123, SIM115
        self._number = 0
        self._listener = socket.create_server((options.host, options.port), backlog=4096)
        self._listener.setblocking(False)
        self._loop.read(self._listener, self._accept)

    @property
    def port(self) -> int:
        """Port that it listens at."""
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or the end of standard input if that was asked for."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._loop.read(ours, self._loop.stop)
        if self.options.until_stdin_closes:
            self._loop.read(sys.stdin.buffer, self._watch_stdin)
        self._loop.run()

    def _watch_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            self._loop.stop()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            Connection(sock, self._loop, self._handle)

    def _handle(self, connection: Connection, incoming: Incoming) -> None:
        kind = PATHS.get(incoming.path)
        if incoming.path == "/health":
            connection.reply(200, "", "text/plain")
        elif incoming.path == "/metrics":
            connection.reply(
                200, self._service.metrics(), "text/plain; version=0.0.4; charset=utf-8"
            )
        elif self._key and incoming.headers.get("authorization") != f"Bearer {self._key}":
            connection.reply(401, _error("the key is missing or wrong", 401))
        elif incoming.path == "/v1/models":
            connection.reply(200, self._models())
        elif kind is None:
            connection.reply(404, _error(f"there is no {incoming.path}", 404))
        elif incoming.method != "POST":
            connection.reply(405, _error("send POST", 405))
        else:
            self._generate(connection, incoming, kind)

    def _generate(self, connection: Connection, incoming: Incoming, kind: Kind) -> None:
        try:
            ask = read_request(kind, incoming.body)
            course = course_of(ask, self.options, self._number)
        except BadRequestError as error:
            connection.reply(400, _error(str(error), 400))
            return
        generation = Generation(connection, incoming, ask, course, self._number)
        self._number += 1
        if course.fault == "refuse_streaming":
            self._write(generation.record(400))
            connection.reply(400, _error("streaming is not supported", 400))
        elif course.fault == "fail":
            status = self.options.status
            self._write(generation.record(status))
            connection.reply(status, _error("the engine failed", status))
        else:
            self._service.submit(generation)

    def _models(self) -> dict[str, Any]:
        model = {
            "id": self.options.model,
            "object": "model",
            "created": 0,
            "owned_by": "pytest-a2perf",
            "max_model_len": self.options.max_model_len,
        }
        return {"object": "list", "data": [model]}

    def _write(self, record: dict[str, Any]) -> None:
        if self._log is not None:
            self._log.write(json.dumps(record).encode() + b"\n")


def _error(message: str, status: int) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}
