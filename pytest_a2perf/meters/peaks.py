"""Windows over a peak that can be reset, where windows may nest or overlap."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

__all__ = ["PeakWindow", "PeakWindows"]

_registries: weakref.WeakSet[PeakWindows] = weakref.WeakSet()


class PeakWindow:
    """One open window.

    Attributes:
        peak: the highest value seen at the resets so far.
    """

    __slots__ = ("peak",)

    def __init__(self) -> None:
        self.peak = 0.0


class PeakWindows:
    """Shares one high-water mark of the process between windows.

    Opening a window resets the mark, which would lose the peak of the windows that are open
    already; so the mark is first credited to each of them. As every opening resets it, the mark
    always lies within every open window.

    Args:
        read: returns the high-water mark since the last reset.
        reset: sets the mark to the present value.
    """

    def __init__(self, read: Callable[[], float], reset: Callable[[], None]) -> None:
        self._read = read
        self._reset = reset
        self._forget()
        _registries.add(self)

    def _forget(self) -> None:
        self._open: list[PeakWindow] = []
        self._lock = threading.Lock()

    def open(self) -> PeakWindow:
        """Open a window.

        Raises:
            OSError: the mark can be neither read nor reset.
        """
        window = PeakWindow()
        with self._lock:
            if self._open:
                self._credit()
            self._reset()
            self._open.append(window)
        return window

    def close(self, window: PeakWindow) -> float:
        """Close a window and return its peak.

        Raises:
            OSError: the mark cannot be read.
        """
        with self._lock:
            try:
                window.peak = max(window.peak, self._credit())
            finally:
                if window in self._open:  # not so in a child forked inside the window
                    self._open.remove(window)
            return window.peak

    def _credit(self) -> float:
        mark = self._read()
        for window in self._open:
            window.peak = max(window.peak, mark)
        return mark


def _after_fork_in_child() -> None:
    for registry in tuple(_registries):
        registry._forget()  # noqa: SLF001 - same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
