"""The first process inside a box: it starts the command, and ends with it.

Where the box has a process namespace, this is its process 1: nothing inside can kill it, and all
else ends when it does. It holds what the command must not have (the way to tell how it ended), so
nothing inside may look into it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import threading
from typing import Any

from .confine import apply_filter, apply_landlock

__all__ = ["main"]

_PR_SET_DUMPABLE, _PR_SET_PDEATHSIG = 4, 1
_NOT_FOUND = 127


def main() -> None:
    """Run the command of the plan in ``argv[1]``, a descriptor or a path; it reports likewise."""
    source = sys.argv[1]
    with open(int(source) if source.isdigit() else source, "rb") as file:  # noqa: PTH123
        plan: dict[str, Any] = json.load(file)
    told: int | str = plan["status"]
    status = told if isinstance(told, int) else os.open(told, os.O_WRONLY)
    os.set_inheritable(status, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)
        if os.getpid() != 1:
            _die_with_parent()
    if plan["forward"]:
        from .forward import Forwarder, listen
    try:
        forwards = [(listen(int(port)), path) for port, path in plan["forward"].items()]
    except OSError as error:
        os.write(status, f"failed cannot listen inside: {error}\n".encode())
        os._exit(_NOT_FOUND)
    child = os.fork()
    if child == 0:
        _become(plan, status)
    _pass_on_termination(child)
    if isinstance(told, str):
        threading.Thread(target=_end_with_keeper, args=[status], daemon=True).start()
    for listener, path in forwards:
        Forwarder(listener, path)
    ended = _wait(child)
    left = _others() if os.getpid() == 1 else 0
    with contextlib.suppress(OSError):
        os.write(status, f"ended {ended} {left}\n".encode())
    os._exit(ended if ended >= 0 else 128 - ended)


def _become(plan: dict[str, Any], status: int) -> None:
    """Turn into the command."""
    try:
        os.setsid()
        _die_with_parent()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python and the keeper ignore them
        for name, value in plan["rlimits"].items():
            number = getattr(resource, name)
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)  # noqa: PLW2901
            resource.setrlimit(number, (value, value))
        os.umask(0o022)
        if plan["landlock"] is not None:
            apply_landlock(plan["landlock"])
        if plan["filter"]:
            apply_filter(bytes.fromhex(plan["filter"]))
        os.chdir(plan["folder"])
    except OSError as error:
        os.write(status, f"failed {error}\n".encode())
        os._exit(_NOT_FOUND)
    os.write(status, b"ready\n")
    command: list[str] = plan["command"]
    try:
        os.execvpe(command[0], command, plan["env"])  # noqa: S606
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(_NOT_FOUND)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_keeper(status: int) -> None:
    """In a container, whose parent is a daemon: nobody reads the pipe any more, so end it all."""
    pipe = select.poll()
    pipe.register(status, 0)
    pipe.poll()
    os._exit(_NOT_FOUND)


def _pass_on_termination(child: int) -> None:
    """SIGTERM goes to all that is inside, or to the command's group where that is not known."""
    everyone = -1 if os.getpid() == 1 else -child

    def passed(number: int, frame: object) -> None:  # noqa: ARG001
        with contextlib.suppress(OSError):
            os.kill(everyone, signal.SIGTERM)
            os.kill(everyone, signal.SIGCONT)

    signal.signal(signal.SIGTERM, passed)


def _wait(child: int) -> int:
    """Wait for the command, and for all that is orphaned meanwhile."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def _others() -> int:
    """Count what still lives in this process namespace."""
    count = 0
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and name != "1":
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                count += file.read().rpartition(")")[2].split()[0] not in "ZX"
    return count
