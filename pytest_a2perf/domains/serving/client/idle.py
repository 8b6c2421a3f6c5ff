"""Work that can wait, done in slices between the reads of connections."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["Idle"]

_SHARE = 16


class Idle:
    """Does one slice in each round of the event loop, and more when much has piled up.

    A slice takes a fraction of a millisecond, and reads of sockets come between slices, so that
    the time of a read is late by so much at most.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._steps: deque[Callable[[], bool]] = deque()
        self._running = False

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: Callable[[], bool]) -> None:
        """Have ``step`` called until it returns True, after what was added before."""
        self._steps.append(step)
        if not self._running:
            self._running = True
            self._loop.call_soon(self._round)

    def _round(self) -> None:
        for _ in range(1 + len(self._steps) // _SHARE):
            step = self._steps.popleft()
            if not step():
                self._steps.appendleft(step)
        self._running = bool(self._steps)
        if self._running:
            self._loop.call_soon(self._round)
