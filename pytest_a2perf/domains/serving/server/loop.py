"""An event loop that keeps microseconds.

The timeouts of ``epoll`` have steps of a millisecond, and so have the timers of asyncio and of
uvloop. ``select`` takes microseconds: here it waits for one thing only, the descriptor of the
selector that knows all sockets.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import select
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

__all__ = ["Loop", "Timer"]

TICK = 1e-4
"""Seconds that timers are rounded up to, so that those of many streams fire together: at 1,000
streams looking after each one apart would cost more than what it sends."""
BURST = 16
"""Timers that fire before sockets are looked at again, so that a burst of chunks does not make
requests appear to arrive late."""

LONGEST = 3600.0
"""Seconds that `select` surely can wait."""


class Timer(Protocol):
    """Something that is due again and again."""

    def fire(self, due: float) -> float:
        """Do what is due; return when it is due again, or infinity for never."""


class Loop:
    """Calls back what is readable or writable, and fires timers at their times."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched = [self._selector.fileno()]
        self._ticks: list[int] = []
        self._timers: dict[int, list[tuple[float, Timer]]] = {}
        self._stopped = False

    def read(self, source: socket.socket | IO[bytes], call: Callable[[], None]) -> None:
        """Call back whenever a source is readable."""
        self._selector.register(source, selectors.EVENT_READ, (call, None))

    def read_and_write(
        self, source: socket.socket, read: Callable[[], None], write: Callable[[], None] | None
    ) -> None:
        """Call back as well when a source is writable, or no more with None."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        self._selector.modify(source, events, (read, write))

    def forget(self, source: socket.socket) -> None:
        """Call back no more."""
        self._selector.unregister(source)

    def at(self, due: float, timer: Timer) -> None:
        """Fire a timer at a time of the monotonic clock."""
        tick = int(due / TICK) + 1
        timers = self._timers.get(tick)
        if timers is None:
            self._timers[tick] = [(due, timer)]
            heapq.heappush(self._ticks, tick)
        else:
            timers.append((due, timer))

    def stop(self) -> None:
        """Return from `run` soon."""
        self._stopped = True

    def run(self) -> None:
        """Run until `stop`."""
        # The kernel rounds sleeps up by 50 us unless it is told not to.
        with contextlib.suppress(OSError):
            Path("/proc/self/timerslack_ns").write_text("1000", encoding="ascii")
        ticks = self._ticks
        while not self._stopped:
            wait = None
            if ticks:
                wait = min(ticks[0] * TICK - time.monotonic(), LONGEST)
                if wait <= 0:
                    self._fire(self._timers.pop(heapq.heappop(ticks)))
                    wait = 0.0
            self._look(wait)

    def _fire(self, timers: list[tuple[float, Timer]]) -> None:
        left = BURST
        for due, timer in timers:
            again = timer.fire(due)
            if again < math.inf:
                self.at(again, timer)
            left -= 1
            if not left:
                self._look(0.0)
                left = BURST

    def _look(self, wait: float | None) -> None:
        """Wait so long for sockets, and call back."""
        if not select.select(self._watched, (), (), wait)[0]:
            return
        for key, events in self._selector.select(0):
            read, write = key.data
            if events & selectors.EVENT_WRITE and write:
                write()
            if events & selectors.EVENT_READ:
                read()
