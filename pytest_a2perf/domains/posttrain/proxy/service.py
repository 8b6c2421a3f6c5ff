"""The harness's side of the proxy: starts its process, and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from pytest_a2perf.domains.posttrain.grading.sockets import listen
from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions, keys_of
from pytest_a2perf.errors import InfraError

__all__ = ["LlmProxy"]

_NAME = "llm.sock"
_STARTING = 60.0  # seconds
_STOPPING = 60.0
_TAIL = 2000  # characters of what the process said


class LlmProxy:
    """A proxy that runs; use it as a context manager, or `start` and `stop` it.

    It is a process of its own, which ends with the harness: an agent that opens connections without
    end exhausts it and not the harness.

    Args:
        options: see `LlmOptions`.
        log: `RunFiles.calls`; each call adds a line, with neither texts nor keys.
        folder: for the socket; boxes that see it can ask.
        kind: of the lines in the log: ``llm`` for agents, another word for judges.
        begun: when the run did, by the monotonic clock; None: now.
        environ: that holds the keys.

    Attributes:
        socket: that boxes ask at.
    """

    def __init__(
        self,
        options: LlmOptions,
        log: Path,
        folder: Path,
        *,
        kind: str = "llm",
        begun: float | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.socket = folder / _NAME
        self._options = options
        self._keys = keys_of(options, environ)
        self._log = log
        self._kind = kind
        self._begun = monotonic() if begun is None else begun
        self._variables = {name: value for name, value in environ.items() if name not in self._keys}
        self._process: subprocess.Popen[bytes] | None = None
        self._said = log.with_name(f"{kind}-proxy.log")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def broken(self) -> str:
        """Why there is no proxy any more; empty while there is one."""
        if self._process is None:
            return "it was not started"
        status = self._process.poll()
        return "" if status is None else f"exit status {status}: {self._tail()}"

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            InfraError: it does not start.
        """
        told = {
            "options": self._options.model_dump(mode="json"),
            "keys": self._keys,
            "log": str(self._log),
            "kind": self._kind,
            "begun": self._begun,
        }
        try:
            listener = listen(self.socket.parent, self.socket.name)
        except OSError as error:
            raise InfraError(f"{self.socket}: cannot be made: {error}") from error
        with listener, self._said.open("wb") as said:
            descriptor = listener.fileno()
            module = __package__ or ""
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", module, str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=self._variables,
                pass_fds=(descriptor,),
                start_new_session=True,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # it has ended: `broken` says why
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _STARTING)
        if not ready or process.stdout.readline() != b"ready\n":
            process.kill()
            process.wait()
            why = self.broken
            self.stop()
            raise InfraError(f"the proxy of language models does not start: {why}")

    def stop(self) -> None:
        """End it; calls under way are cut off."""
        process = self._process
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            process.wait(_STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.socket.unlink(missing_ok=True)

    def _tail(self) -> str:
        return self._said.read_text(encoding="utf-8", errors="replace").strip()[-_TAIL:]
