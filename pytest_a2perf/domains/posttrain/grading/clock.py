"""The clock of a run, which stands still while the agent waits for an evaluation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

__all__ = ["Clock"]


class Clock:
    """Seconds of a run, on the monotonic clock, which nobody can set.

    What the agent computes in the background while it waits is its own gain, so the clock stands
    still only so long in all, and budgets that matter are in CPU seconds.

    Args:
        started: monotonic time of the run's start.
        paused: seconds for which it has stood still already.
        most: seconds for which it may stand still in all; None: any number.
        told: is called with the seconds so far and the time since which it stands still, or None,
            whenever that changes.
    """

    def __init__(
        self,
        started: float,
        paused: float = 0.0,
        most: float | None = None,
        told: Callable[[float, float | None], None] = lambda paused, since: None,  # noqa: ARG005
    ) -> None:
        self.started = started
        self._paused = paused
        self._most = most
        self._told = told
        self._since: float | None = None
        self._waiting = 0
        self._lock = threading.Lock()

    @property
    def clock(self) -> float:
        """Seconds since the start, by the wall."""
        return monotonic() - self.started

    @property
    def paused(self) -> float:
        """Seconds for which the clock has stood still."""
        with self._lock:
            return self._paused_until(monotonic())

    @property
    def at(self) -> float:
        """Seconds since the start that count."""
        with self._lock:
            now = monotonic()
            return max(0.0, now - self.started - self._paused_until(now))

    def _paused_until(self, now: float) -> float:
        paused = self._paused + (0.0 if self._since is None else now - self._since)
        return paused if self._most is None else min(paused, self._most)

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Let the clock stand still; several at once count once."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        with self._lock:
            before, self._waiting = self._waiting, self._waiting + by
            if not before:
                self._since = monotonic()
            elif not self._waiting and self._since is not None:
                self._paused += monotonic() - self._since
                self._since = None
            if bool(before) != bool(self._waiting):
                self._told(self._paused, self._since)
