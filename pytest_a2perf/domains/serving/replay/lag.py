"""How late the event loop is: the client's own error, measured while it works."""

from __future__ import annotations

import time

from pytest_a2perf.domains.serving.replay.counts import Counts
from pytest_a2perf.domains.serving.replay.timers import Timers

__all__ = ["Lag"]

_EACH = 0.01


class Lag:
    """Notes each 10 ms how late its timer came.

    What keeps the loop busy delays a timer as it delays the times of reads.

    Args:
        timers: that fire it.

    Attributes:
        counts: seconds.
    """

    def __init__(self, timers: Timers) -> None:
        self.counts = Counts()
        self._timers = timers
        self._due = 0.0

    def start(self, at: float) -> None:
        """Begin to measure at a time."""
        self._due = at
        self._timers.at(at, self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        self.counts.add((max(now - self._due, 0.0),))
        # Ticks that were missed meanwhile would have been late as well, by less and less.
        while self._due + _EACH <= now:
            self._due += _EACH
            self.counts.add((now - self._due,))
        self._due += _EACH
        self._timers.at(self._due, self._tick)
