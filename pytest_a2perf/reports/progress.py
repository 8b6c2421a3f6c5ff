"""Live progress of long trials on a terminal, from this process, a forked one or a worker.

Trials send datagrams to a loopback port; nobody waits, and a lost one does no harm.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable

import pytest

__all__ = ["ProgressLine", "sender"]

_INTERVAL = 0.25
_SHOW_AFTER = 1.0  # seconds; short trials would only flicker


def sender(address: tuple[str, int], nodeid: str) -> Callable[[str], None]:
    """Return a function that sends a trial's progress to the `ProgressLine` at ``address``."""
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    channel.setblocking(False)
    name = nodeid.rsplit("/", 1)[-1]

    def send(text: str) -> None:
        try:
            channel.sendto(json.dumps([nodeid, f"{name} {text}"]).encode()[:8000], address)
        except OSError:
            return

    return send


class ProgressLine:
    """One line below pytest's output that says what the running trials are doing.

    Args:
        reporter: pytest's terminal reporter; the caller checks that it writes to a terminal.
    """

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        # While a test runs, pytest sends what is written to stdout elsewhere; this is the terminal.
        self._terminal = os.dup(reporter._tw._file.fileno())  # noqa: SLF001 - has no public name
        self._width = reporter._tw.fullwidth - 1  # noqa: SLF001
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(_INTERVAL)
        self.address: tuple[str, int] = self._socket.getsockname()
        self._texts: dict[str, tuple[str, float]] = {}
        self._shown = False
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="a2perf-progress", daemon=True)
        self._thread.start()

    def clear(self) -> None:
        """Wipe the line, so that pytest can write."""
        with self._lock:
            self._wipe()

    def finish(self, nodeid: str, *, over: bool) -> None:
        """Wipe the line; forget a trial that is over."""
        with self._lock:
            self._wipe()
            if over:
                self._texts.pop(nodeid, None)

    def close(self) -> None:
        """Stop listening and wipe the line."""
        self._closed.set()
        self._thread.join(timeout=2 * _INTERVAL)
        self._socket.close()
        self.clear()
        os.close(self._terminal)

    def _listen(self) -> None:
        drawn = 0.0
        while not self._closed.is_set():
            try:
                nodeid, text = json.loads(self._socket.recv(1 << 14))
            except (TimeoutError, ValueError, TypeError):
                continue
            except OSError:
                return
            now = time.monotonic()
            with self._lock:
                first = self._texts.get(nodeid, ("", now))[1]
                self._texts[nodeid] = (text, first)
                if now - drawn >= _INTERVAL:
                    drawn = now
                    self._draw(now)

    def _draw(self, now: float) -> None:
        parts = [text for text, since in self._texts.values() if now - since >= _SHOW_AFTER]
        if not parts:
            return
        line = " | ".join(parts)
        line = line if len(line) <= self._width else line[: self._width - 3] + "..."
        # Make room below, keep the column, draw there, and come back to where pytest writes.
        self._write(f"\x1bD\x1b[1A\x1b7\x1b[1B\r\x1b[2K{line}\x1b8")
        self._shown = True

    def _wipe(self) -> None:
        if self._shown:
            self._shown = False
            self._write("\x1b[J")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._terminal, text.encode(errors="replace"))
