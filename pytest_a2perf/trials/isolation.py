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

__all__ = ["GRACE", "Death", "can_isolate", "run_isolated"]

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


def run_isolated(item: pytest.Item, timeout: float | None) -> list[pytest.TestReport] | Death:
    """Run the item's set-up, call and tear-down in a child; return its reports, or its death.

    Args:
        item: not yet set up; nothing of it remains set up in this process.
        timeout: seconds until the child is asked to stop; it is killed `GRACE` later.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Python warns of forking with threads; the child only ever runs this one.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Python swallows a Ctrl-C that falls into the hooks which it runs around a fork.
        interrupts: list[int] = []
        previous = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
        pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, previous)
        _child(item, write)
    os.close(write)
    with contextlib.suppress(OSError):  # the child does the same; whoever comes first
        os.setpgid(pid, pid)
    limit = None if timeout is None else time.monotonic() + timeout + GRACE
    status: int | None = None
    try:
        signal.signal(signal.SIGINT, previous)
        if interrupts and callable(previous):
            previous(signal.SIGINT, None)
        payload, status, timed_out = _receive(read, pid, limit)
    finally:
        os.close(read)
        _kill_group(pid, alive=status is None)
        if status is None:
            status = os.waitpid(pid, 0)[1]
    reports = None if timed_out else _decode(item.config, payload)
    return reports or Death(timed_out, _describe_status(status))


def _child(item: pytest.Item, write: int) -> None:
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


def _receive(read: int, pid: int, end: float | None) -> tuple[bytes, int | None, bool]:
    """Read until the child closes the pipe or dies; return bytes, exit status, out of time.

    Processes that the trial left behind may hold the pipe open, so its end is no proof of life.
    """
    chunks: list[bytes] = []
    status: int | None = None
    while True:
        if select.select([read], [], [], 0.0 if status is not None else _POLL)[0]:
            chunk = os.read(read, 1 << 16)
            if not chunk:
                return b"".join(chunks), status, False
            chunks.append(chunk)
        elif status is not None:
            return b"".join(chunks), status, False
        elif end is not None and time.monotonic() >= end:
            return b"", None, True
        else:
            done, code = os.waitpid(pid, os.WNOHANG)
            status = code if done else None


def _kill_group(pid: int, *, alive: bool) -> None:
    """Kill whatever the trial left running, and the trial itself if it still is."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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
