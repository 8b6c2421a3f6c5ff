"""This end of a companion: start it, ask it for trials, and never wait for it forever."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest_a2perf
from pytest_a2perf.against.setup import Setup
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.meters.processes import overlook

__all__ = ["Companion"]

_STARTUP = 300.0  # seconds; large models are loaded while tests are collected
_GRACE = 5.0  # seconds for fixtures to be torn down at the end
_POLL = 0.5  # seconds between looks whether it is still there
_CHUNK = 1 << 16
_ERROR = re.compile(r"\s*([\w.]+Error|ERROR|Fatal Python error)\b")


class Companion:
    """A process that runs one version for this one.

    It is started again after a crash, unless that was one of several in a row, or it never got
    ready.

    Args:
        setup: what it is told.
        log: file for what it prints.
        crashes: how many in a row are too many.
    """

    def __init__(self, setup: Setup, log: Path, crashes: int) -> None:
        self._setup = setup
        self._log = log
        self._most = crashes
        self._printed = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._buffer = b""
        self._is_ready = False
        self._deaths = 0
        self._reason = ""

    @property
    def is_lost(self) -> bool:
        """Whether it is not started any more."""
        return self._deaths >= self._most

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not died since, as far as known."""
        return self._process is not None

    def start(self) -> None:
        """Start it if it does not run; it gets ready meanwhile.

        Raises:
            A2PerfError: it cannot be started, or is not started any more.
        """
        if self._process is not None:
            return
        if self.is_lost:
            raise A2PerfError(self._reason)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        # So the same interpreter has the same plugin, wherever the path here has it from.
        start = Path(pytest_a2perf.__file__).parents[1] if self._setup.same_python else Path("/")
        module = "pytest_a2perf.against.companion"
        try:
            with self._log.open("ab") as log:
                self._printed = log.tell()
                self._process = subprocess.Popen(  # noqa: S603 - the interpreter is the user's
                    [self._setup.python, "-m", module, str(theirs.fileno())],
                    cwd=start,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    # Ctrl-C is ours to handle. In a session of its own, though, it would get its
                    # own share of a busy processor (autogroups), and be faster than we are.
                    process_group=0,
                )
        except OSError as error:
            ours.close()
            self._deaths = self._most
            self._reason = f"{self._setup.python} cannot be started: {error.strerror}"
            raise A2PerfError(self._reason) from None
        finally:
            theirs.close()
        overlook(self._process.pid)
        self._link, self._buffer, self._is_ready = ours, b"", False
        with contextlib.suppress(OSError):  # it has died; the answer will be missing
            ours.sendall(self._setup.to_line().encode())

    def ready(self) -> None:
        """Wait until it has collected its trials.

        Raises:
            A2PerfError: it died, or took too long.
        """
        self.start()
        if not self._is_ready:
            self._receive(_STARTUP)
            self._is_ready = True

    def run(self, key: str, timeout: float) -> dict[str, Any]:
        """Run a trial; return what the companion answers.

        Raises:
            A2PerfError: it died, or took too long.
        """
        self.ready()
        assert self._link is not None
        with contextlib.suppress(OSError):
            self._link.sendall(json.dumps({"run": key}).encode() + b"\n")
        answer = self._receive(timeout)
        self._deaths = 0
        return answer

    def hang_up(self) -> None:
        """Tell it to tear down its fixtures and end; `close` it then."""
        if self._link is not None:
            self._link.close()

    def close(self) -> None:
        """Let it tear down its fixtures and end; kill it if it does not."""
        if self._process is None:
            return
        self.hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._is_ready:
                self._process.wait(_GRACE)
        self._kill()
        with contextlib.suppress(OSError):
            if self._log.stat().st_size == 0:
                self._log.unlink()

    def _receive(self, timeout: float) -> dict[str, Any]:
        assert self._link is not None
        assert self._process is not None
        end = time.monotonic() + timeout
        try:
            while b"\n" not in self._buffer:
                left = end - time.monotonic()
                if left <= 0:
                    raise self._lost(f"it gave no answer within {timeout:g} s and was killed")
                self._link.settimeout(min(left, _POLL))
                try:
                    chunk = self._link.recv(_CHUNK)
                except TimeoutError:
                    # What a trial leaves behind may hold the socket open.
                    if self._process.poll() is None:
                        continue
                    chunk = b""
                except OSError:
                    chunk = b""
                if not chunk:
                    raise self._lost("")
                self._buffer += chunk
        except KeyboardInterrupt:
            self._kill()  # what it would still answer is the answer to nothing
            raise
        finally:
            with contextlib.suppress(OSError):
                self._link.settimeout(None)
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _lost(self, reason: str) -> A2PerfError:
        """Clear away a companion that has died or must; say why."""
        assert self._process is not None
        if not reason:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
            reason = _describe(self._process.returncode)
        self._kill()
        self._deaths = self._deaths + 1 if self._is_ready else self._most
        self._reason = f"{reason}{self._last_words()}"
        return A2PerfError(self._reason)

    def _kill(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        self.hang_up()

    def _last_words(self) -> str:
        """Quote what looks like the reason in what it printed since it was started."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(self._printed)
            lines = log.read().decode(errors="replace").splitlines()
            found = [line.strip() for line in lines if _ERROR.match(line)]
            if found:
                return f": {found[-1][:200]} (see {self._log})"
        return ""


def _describe(status: int | None) -> str:
    if status is None:
        return "its process hung up"
    if status < 0:
        return f"its process was killed by {signal.Signals(-status).name}"
    return f"its process exited with status {status}"
