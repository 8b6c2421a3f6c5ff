"""One thread that reads at intervals what has neither a counter nor a peak of its own."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

__all__ = ["SHORTEST_INTERVAL", "Sampler"]

SHORTEST_INTERVAL = 0.02
"""Seconds; sampling more often would show in what is measured."""

_samplers: weakref.WeakSet[Sampler] = weakref.WeakSet()


class Sampler:
    """Calls functions every ``interval`` seconds for as long as any is registered.

    The thread exists only between the first `add` and the last `remove`, and first reads one
    interval after it was started. It is stopped while the process forks, and the child, which has
    no windows of its own yet, starts with none.

    Args:
        interval: seconds between two readings.

    Raises:
        ValueError: the interval is shorter than `SHORTEST_INTERVAL`.
    """

    def __init__(self, interval: float = 0.05) -> None:
        if interval < SHORTEST_INTERVAL:
            raise ValueError(f"sample at most every {SHORTEST_INTERVAL} s, not every {interval} s")
        self.interval = interval
        self._forget()
        _samplers.add(self)

    def _forget(self) -> None:
        self._callbacks: tuple[Callable[[], None], ...] = ()
        self._round = threading.Lock()
        self._halt = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether anything is being sampled."""
        return bool(self._callbacks)

    def add(self, sample: Callable[[], None]) -> None:
        """Call ``sample`` in the thread from now on; it must not raise."""
        self._callbacks = (*self._callbacks, sample)
        self._resume()

    def remove(self, sample: Callable[[], None]) -> None:
        """Stop calling ``sample``; no call of it is under way when this returns."""
        with self._round:
            self._callbacks = tuple(other for other in self._callbacks if other != sample)
        if not self._callbacks:
            self._pause()

    def _resume(self) -> None:
        if self._callbacks and self._thread is None:
            self._halt.clear()
            self._thread = threading.Thread(target=self._run, name="a2perf-sampler", daemon=True)
            self._thread.start()

    def _pause(self) -> None:
        if self._thread is not None:
            self._halt.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._halt.wait(self.interval):
            with self._round:
                for sample in self._callbacks:
                    sample()


def _each(method: Callable[[Sampler], None]) -> Callable[[], None]:
    def call() -> None:
        for sampler in tuple(_samplers):
            method(sampler)

    return call


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_each(Sampler._pause),  # noqa: SLF001 - same module
        after_in_parent=_each(Sampler._resume),  # noqa: SLF001
        after_in_child=_each(Sampler._forget),  # noqa: SLF001
    )
