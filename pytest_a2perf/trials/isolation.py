"""Run an item in a forked process of its own, which can be ended whatever it is doing.

The child runs pytest's whole protocol for the item and sends the reports back through a pipe. A
native loop, a segmentation fault or a fork bomb's children end with the child's process group;
the next trial starts from the parent's untouched state.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from pytest_a2perf.processes import die_with_parent, write_all

__all__ = ["GRACE", "Child", "Children", "Death", "can_isolate"]

GRACE = 2.0
"""Seconds that a trial gets beyond its timeout to record what it has."""

_POLL = 0.05  # seconds between looks at a silent child


@dataclass(frozen=True, slots=True)
class Death:
    """The child ended without its reports.

    Attributes:
        timed_out: it was killed because its time was up.
        reason: e.g. ``killed by SIGSEGV``.
    """

    timed_out: bool
    reason: str


def can_isolate(config: pytest.Config) -> bool:
    """Whether items can be forked here; a debugger needs them in this process."""
    return hasattr(os, "fork") and not config.getoption("usepdb", False)


class Child:
    """An item that runs in a process of its own.

    Args:
        item: not yet set up; nothing of it remains set up in this process.
        timeout: seconds until the child is asked to stop; it is killed `GRACE` later.
    """

    def __init__(self, item: pytest.Item, timeout: float | None) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._config = item.config
        self._chunks: list[bytes] = []
        self._status: int | None = None
        self._open = True
        self._timed_out = False
        self.read, write = os.pipe()
        with warnings.catch_warnings():
            # Python warns of forking with threads; the child only ever runs this one.
            warnings.simplefilter("ignore", DeprecationWarning)
            # Python swallows a Ctrl-C that falls into the hooks which it runs around a fork.
            interrupts: list[int] = []
            previous = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
            self._pid = os.fork()
        if self._pid == 0:
            signal.signal(signal.SIGINT, previous)
            _run(item, write)
        os.close(write)
        with contextlib.suppress(OSError):  # the child does the same; whoever comes first
            os.setpgid(self._pid, self._pid)
        self._end = None if timeout is None else time.monotonic() + timeout + GRACE
        try:
            signal.signal(signal.SIGINT, previous)
            if interrupts and callable(previous):
                previous(signal.SIGINT, None)
        except BaseException:
            self.kill()
            raise

    @property
    def over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return not self._open or self._timed_out

    def look(self) -> None:
        """Take what the child has sent, and see whether it is dead or overdue.

        Processes that the trial left behind may hold the pipe open, so its end is no proof of life.
        """
        if self.over:
            return
        if select.select([self.read], [], [], 0.0)[0]:
            chunk = os.read(self.read, 1 << 16)
            self._chunks.append(chunk)
            self._open = bool(chunk)
        elif self._status is not None:
            self._open = False
        elif self._end is not None and time.monotonic() >= self._end:
            self._timed_out = True
        else:
            done, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = status if done else None

    def result(self) -> list[pytest.TestReport] | Death:
        """Return the reports of a child that is over, or its death."""
        self.kill()
        assert self._status is not None
        reports = None if self._timed_out else _decode(self._config, b"".join(self._chunks))
        return reports or Death(self._timed_out, _describe_status(self._status))

    def kill(self) -> None:
        """Kill whatever the trial left running, and the trial itself if it still is."""
        with contextlib.suppress(OSError):  # closed before
            os.close(self.read)
        self.read = -1
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._status = os.waitpid(self._pid, 0)[1]


class Children:
    """Items that run at the same time, each in a process of its own."""

    def __init__(self) -> None:
        self._running: dict[str, Child] = {}

    def __contains__(self, nodeid: str) -> bool:
        return nodeid in self._running

    def __len__(self) -> int:
        return len(self._running)

    def start(self, item: pytest.Item, timeout: float | None) -> None:
        """Start an item, see `Child`."""
        self._running[item.nodeid] = Child(item, timeout)

    def wait(self, nodeid: str) -> list[pytest.TestReport] | Death:
        """Wait for an item that was started; return its reports, or its death.

        The others are looked after meanwhile: one that has more to say than fits into its pipe, or
        that is overdue, does not wait for its turn.
        """
        child = self._running[nodeid]
        while not child.over:
            open_pipes = [other.read for other in self._running.values() if not other.over]
            select.select(open_pipes, [], [], _POLL)
            for other in self._running.values():
                other.look()
        return self._running.pop(nodeid).result()

    def kill(self) -> None:
        """Kill all that nobody will wait for."""
        while self._running:
            self._running.popitem()[1].kill()


def _run(item: pytest.Item, write: int) -> None:
    """Run the protocol and leave the process without the parent's clean-up."""
    status = 1
    try:
        os.setpgid(0, 0)
        die_with_parent()
        # Only the item itself is torn down: wider fixtures belong to the parent.
        reports = runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]
        hook = item.config.hook
        data = [
            hook.pytest_report_to_serializable(config=item.config, report=report)
            for report in reports
        ]
        write_all(write, pickle.dumps(data))
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may escape into the parent's stack
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _decode(config: pytest.Config, payload: bytes) -> list[pytest.TestReport] | None:
    try:
        data: list[dict[str, Any]] = pickle.loads(payload)  # noqa: S301 - from our own child
    except (EOFError, pickle.UnpicklingError):
        return None
    hook = config.hook
    return [hook.pytest_report_from_serializable(config=config, data=report) for report in data]


def _describe_status(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name
        hint = ", perhaps by the kernel for want of memory" if number == signal.SIGKILL else ""
        return f"the trial's process was killed by {name}{hint}"
    return f"the trial's process exited with status {os.WEXITSTATUS(status)} on its own"
