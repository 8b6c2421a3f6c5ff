"""The load processes of a level, as the trial sees them.

They are in the trial's process group and end when their standard input does, so that none of them
outlives the trial, whatever ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pytest_a2perf.domains.serving.replay.plan import Plan, Status
from pytest_a2perf.domains.serving.replay.rowfile import RowFile
from pytest_a2perf.domains.serving.replay.rows import Rows
from pytest_a2perf.errors import InfraError
from pytest_a2perf.llm.secrets import redact
from pytest_a2perf.processes import write_all

__all__ = ["WORKER", "LoadError", "LoadProcess", "LoadProcesses"]

# -P: a module of the user's folder must not stand for one of the standard library.
WORKER = (sys.executable, "-P", "-m", "pytest_a2perf.domains.serving.replay.worker")
_CHUNK = 1 << 16
_TAIL = 1500  # characters of what a process wrote before it died
_DYING = 5.0  # seconds that a process may take to end once it has closed its output


class LoadError(InfraError):
    """The processes that make load broke.

    Attributes:
        rows: requests of the level that had ended, and were written.
    """

    def __init__(self, message: str, rows: Rows) -> None:
        super().__init__(message)
        self.rows = rows


class LoadProcess:
    """One process, which waits for its plan; `kill` it.

    Attributes:
        number: among those of its level, from 0.
        file: its rows.
        ready, done: it has said so.
        statuses: in the order of time.
    """

    def __init__(self, plan: Plan, command: Sequence[str]) -> None:
        self.number = plan.share
        self.file = RowFile(Path(plan.rows))
        self.ready = self.done = False
        self.statuses: list[Status] = []
        self._stderr = Path(plan.rows).with_suffix(".log")
        self._rest = b""
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0
            )
        assert self._process.stdout is not None
        self.output = self._process.stdout
        os.set_blocking(self.output.fileno(), False)

    @property
    def status(self) -> Status | None:
        """The newest status, if there was any."""
        return self.statuses[-1] if self.statuses else None

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message; a process that is dead shows when it is listened to."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            write_all(self._process.stdin.fileno(), json.dumps(message).encode() + b"\n")

    def listen(self) -> bool:
        """Take in what it has sent; return whether it may send more.

        Raises:
            InfraError: it said that it cannot go on, died, or sent what is no event.
        """
        try:
            data = self.output.read(_CHUNK)
        except BlockingIOError:
            return True
        if data is None:
            return True
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)
        if not data and not self.done:
            raise self._broken(self._death())
        return bool(data)

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind = event.pop("event")
            status = Status(**event) if kind == "status" else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._broken(f"sent what is no event: {line[:200]!r}") from error
        if status is not None:
            self.statuses.append(status)
        elif kind == "ready":
            self.ready = True
        elif kind == "done":
            self.done = True
        else:
            raise self._broken(f"cannot go on: {redact(str(event.get('message', kind)))}")

    def _broken(self, how: str) -> InfraError:
        """Return an error with the end of what it wrote to its standard error, without keys."""
        text = redact(self._stderr.read_bytes().decode(errors="replace")).strip()
        words = f"; {self._stderr.name} ends with:\n{text[-_TAIL:]}" if text else ""
        return InfraError(f"load process {self.number} {how}{words}")

    def _death(self) -> str:
        try:
            status = self._process.wait(_DYING)
        except subprocess.TimeoutExpired:
            return "closed its output before it was done"
        if status >= 0:
            return f"ended with status {status} before it was done"
        hint = ", perhaps by the kernel for want of memory" if status == -signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-status).name}{hint}"

    def leave(self) -> None:
        """Wait for its own end, if it is done."""
        if self.done:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING)

    def kill(self) -> None:
        """End it in any case."""
        with self._process:  # which closes its pipes, and waits
            self._process.kill()


class LoadProcesses:
    """All load processes of a level, between ``with`` and its end.

    Args:
        plans: one for each.
        command: that runs a load process.
    """

    def __init__(self, plans: Sequence[Plan], command: Sequence[str] = WORKER) -> None:
        self._plans = plans
        self._command = command
        self._selector = selectors.DefaultSelector()
        self._all: list[LoadProcess] = []

    def __enter__(self) -> Self:
        try:
            for plan in self._plans:
                process = LoadProcess(plan, self._command)
                self._all.append(process)
                process.tell(plan.to_json())
                self._selector.register(process.output, selectors.EVENT_READ, process)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        # The alarm of a trial's time comes again and again: one wait that it ends is not for all.
        with contextlib.ExitStack() as stack:
            stack.callback(self._selector.close)
            for process in self._all:
                stack.callback(process.kill)
            for process in self._all:
                process.leave()

    def __iter__(self) -> Iterator[LoadProcess]:
        return iter(self._all)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to all."""
        for process in self._all:
            process.tell(message)

    def listen(self, seconds: float) -> None:
        """Take in what they send, for so many seconds; less once all have come to their end.

        Raises:
            InfraError: one of them broke, see `LoadProcess.listen`.
        """
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if not self._selector.get_map():
                return
            for key, _ in self._selector.select(max(left, 0.0)):
                if not key.data.listen():
                    self._selector.unregister(key.fileobj)
            if left <= 0:
                return
