"""Timers that keep microseconds.

Those of asyncio and of uvloop have steps of a millisecond, by which each request would be sent
late. The kernel has descriptors that become readable at a time; where it has none (not Linux), the
loop's own timers do.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import sys
import time
from collections.abc import Callable

__all__ = ["Timers"]

_BURST = 16
"""Calls until sockets are looked at again."""

_LIBC = ctypes.CDLL(None)
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME


class Timers:
    """Calls back at times of the monotonic clock; to be made where an event loop runs."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._clock = _open_clock()
        self._handle: asyncio.TimerHandle | None = None
        if self._clock is not None:
            self._loop.add_reader(self._clock, self._fire)

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call back at a time, or at once if it is over."""
        self._number += 1
        heapq.heappush(self._calls, (when, self._number, call))
        if self._calls[0][0] >= when:
            self._arm()

    def close(self) -> None:
        """Forget all calls."""
        self._calls.clear()
        if self._handle is not None:
            self._handle.cancel()
        if self._clock is not None:
            self._loop.remove_reader(self._clock)
            os.close(self._clock)
            self._clock = None

    def _arm(self) -> None:
        when = self._calls[0][0]
        if self._clock is None:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self._loop.call_later(max(when - time.monotonic(), 0), self._fire)
        else:
            _set_clock(self._clock, when)

    def _fire(self) -> None:
        for _ in range(_BURST):
            if not self._calls or self._calls[0][0] > time.monotonic():
                break
            heapq.heappop(self._calls)[2]()
        if self._clock is not None and not self._calls:
            _set_clock(self._clock, 0)
        elif self._calls:
            self._arm()


class _Spec(ctypes.Structure):
    """``struct itimerspec``: the interval, then the time."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("_s", "_ns", "seconds", "nanoseconds"))


def _open_clock() -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    clock = _LIBC.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    return clock if clock >= 0 else None


def _set_clock(clock: int, when: float) -> None:
    """Make the clock readable at a time, or never for 0; it is not readable before."""
    seconds, rest = divmod(when, 1.0)
    # A time of zero would mean never.
    spec = _Spec(0, 0, int(seconds), int(rest * 1e9) or int(when > 0))
    _LIBC.timerfd_settime(clock, _ABSOLUTE, ctypes.byref(spec), None)
