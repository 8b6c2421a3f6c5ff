"""The soft end of a trial: an exception in the main thread when the time is up.

It gives the trial the chance to record what it has. Code that never returns to the interpreter
does not notice; for that `pytest_a2perf.trials.isolation` kills the trial's process.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pytest_a2perf.errors import TrialTimeout
from pytest_a2perf.units import format_value

__all__ = ["deadline"]

_REPEAT = 0.5  # seconds; again and again, for agents that swallow every exception


@contextmanager
def deadline(seconds: float | None, timeout: float | None) -> Iterator[None]:
    """Raise `TrialTimeout` inside the block after ``seconds``; ``timeout`` is for the message."""
    main = threading.current_thread() is threading.main_thread()
    if seconds is None or not main or not hasattr(signal, "setitimer"):
        yield
        return

    def on_alarm(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        raise TrialTimeout(
            f"the trial took longer than its timeout of {format_value(timeout or 0, 's')}"
        )

    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), _REPEAT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)
