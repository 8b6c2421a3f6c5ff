"""Run a browser such that nothing of it is left once whoever started it is gone.

``python -P reaper.py COMMAND [ARGUMENT...]`` runs the command, and kills it and everything below it
when its own standard input is closed, as it is when its parent ends however it ends, or on
``SIGTERM``. Browsers put their processes into groups and sessions of their own and orphan some of
them, so neither killing a process group nor walking down a tree finds them all: here Linux gives
the orphans to this process. What they write to temporary and configuration folders is removed.

A script of its own, with a session of its own: what kills a trial's process group must not kill
what cleans up after it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import tempfile

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> int:
    """Run a command to its end or ours; return its exit status."""
    os.setsid()
    _adopt_orphans()
    awake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    stopped: list[int] = []
    signal.signal(signal.SIGCHLD, lambda number, frame: None)  # noqa: ARG005 - it wakes the poll
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))  # noqa: ARG005
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(0, 0)  # its end alone: what it carries is the command's
    poll.register(awake, select.POLLIN)
    with tempfile.TemporaryDirectory(prefix="a2perf-browser-", ignore_cleanup_errors=True) as home:
        folders = dict.fromkeys(("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), home)
        child = os.posix_spawnp(command[0], command, {**os.environ, **folders})
        # The ends of its pipes must be the command's alone, so that its death closes them.
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 1)
        status = None
        while status is None and not stopped:
            if any(descriptor == 0 for descriptor, _ in poll.poll()):
                break
            with contextlib.suppress(BlockingIOError):
                os.read(awake, 512)
            status = _reap(child)
        _end_all()
    return 0 if status is None else os.waitstatus_to_exitcode(status) % 256


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _reap(child: int) -> int | None:
    """Wait for all that has ended; return the status of ``child`` if it was among it."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                found = ended[1]
    return found


def _end_all() -> None:
    """Kill everything below this process, also what is born or orphaned meanwhile."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            os.waitpid(-1, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
