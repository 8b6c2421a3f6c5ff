"""A box that runs: the harness's end of its keeper, see `runtime.keeper`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.sandbox.cgroups import make_groups
from pytest_a2perf.domains.posttrain.sandbox.runtime.board import Board, State
from pytest_a2perf.domains.posttrain.sandbox.runtime.files import remove_tree
from pytest_a2perf.domains.posttrain.sandbox.runtime.groups import Groups
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Limits, Usage

__all__ = ["KeptBox", "Recipe", "interpreter", "launch_plan", "program", "readable"]

RUNTIME = Path(__file__).parent / "runtime"
_START_LIMIT = 60.0
_END_LIMIT = 30.0
_OUTPUT_LIMIT = 256 << 20
_GONE = -9
_POLL = 0.005
_BACKSTOP = 1 << 30
"""Bytes above the limit of memory at which a single process is refused more at once."""


@dataclass(slots=True)
class Recipe:
    """How a sandbox has its keeper run a box.

    Attributes:
        name: of the sandbox, for messages.
        argv: what the keeper starts, outside.
        env: with which it does.
        fds: descriptors that it is given, closed here once it has them.
        skip: how many of the processes are the sandbox's own.
        forward: listening sockets outside, and the unix socket that each passes on to.
        writable: folders of the host that the box writes to.
        remove: folders of the host that go with the box.
        inspect: command that prints name and first process of a container.
        finally_: commands that clean up after it.
        counted: whether the kernel refuses processes above the limit even without control groups.
        grouped: whether to put it into control groups.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    fds: Sequence[int] = ()
    skip: int = 1
    forward: Sequence[tuple[int, str]] = ()
    writable: Sequence[Path] = ()
    remove: Sequence[Path] = ()
    inspect: Sequence[str] = ()
    finally_: Sequence[Sequence[str]] = ()
    counted: bool = False
    grouped: bool = False


class KeptBox:
    """A box that runs, see `spec.Running`; started by `start`, usable from any thread."""

    def __init__(
        self,
        keeper: subprocess.Popen[bytes],
        board: IO[bytes],
        groups: dict[str, str],
        remove: Sequence[Path],
    ) -> None:
        self._keeper = keeper
        self._groups = groups
        self._remove = remove
        self._file = board
        self._board = Board(board.fileno())
        self._lock = threading.Lock()
        self._last: State | None = None

    @classmethod
    def start(
        cls, recipe: Recipe, limits: Limits, status: tuple[int, int], output: IO[bytes]
    ) -> KeptBox:
        """Start a box, and wait until its command is about to run.

        Args:
            recipe: how.
            limits: of the box.
            status: pipe on which its first process says how it goes; closed here.
            output: a real file or pipe.

        Raises:
            SandboxError: the sandbox cannot be set up; what it said is in the message.
        """
        read, write = status
        given = [read, write, *recipe.fds, *(number for number, _ in recipe.forward)]
        groups: dict[str, str] = {}
        board = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the box
        try:
            sink = _descriptor(output)
            groups = make_groups(limits) if recipe.grouped else {}
            plan = _keeper_plan(recipe, limits, groups)
            plan["given"] += [write]
            plan |= {"status": read, "board": board.fileno(), "output": sink}
            given.append(readable(plan))
            keeper = subprocess.Popen(  # noqa: S603
                program("keeper", given[-1]),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
                pass_fds=[*given, board.fileno(), sink],
            )
        except BaseException as error:
            board.close()
            _tidy_up(groups, recipe.remove)
            if isinstance(error, OSError):
                raise SandboxError(f"cannot start a process for the sandbox: {error}") from error
            raise
        finally:
            for descriptor in given:
                os.close(descriptor)
        running = cls(keeper, board, groups, recipe.remove)
        running._await_start(recipe.name)
        return running

    def _await_start(self, name: str) -> None:
        deadline = time.monotonic() + _START_LIMIT
        while not (state := self._state()).ready:
            if self._keeper.poll() is not None:
                state = self._close()
                if state.ready:
                    return
                raise SandboxError(f"{name} cannot start the box: {state.error or 'it just ended'}")
            if time.monotonic() > deadline:
                self.stop(0)
                raise SandboxError(f"{name} did not start the box within {_START_LIMIT:.0f} s")
            time.sleep(_POLL)

    @property
    def pid(self) -> int:
        """Of its first process, on the host."""
        return self._state().pid

    @property
    def left(self) -> int:
        """How many processes outlived the command and were ended."""
        return self._state().left

    @property
    def limit_hit(self) -> str:
        """Which limit ended it: a name of `Limits`, or empty."""
        return self._state().limit

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end; return its exit status (negative: signal), or None if it still runs."""
        try:
            self._keeper.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        status = self._close().status
        return _GONE if status is None else status

    def stop(self, grace: float = 5.0) -> None:
        """End all of its processes: SIGTERM, then SIGKILL; none is left, daemons included.

        Raises:
            SandboxError: the kernel does not let some of them go.
        """
        with self._lock, contextlib.suppress(OSError, ValueError):
            assert self._keeper.stdin is not None
            if grace > 0:
                self._keeper.stdin.write(f"{grace}\n".encode())
                self._keeper.stdin.flush()
            else:
                self._keeper.stdin.close()
        if self.wait(grace + _END_LIMIT) is None:
            self._keeper.kill()
            self.wait(_END_LIMIT)
            raise SandboxError("processes of the box could not be ended")

    def usage(self) -> Usage:
        """Return what it has used, as of the last fifth of a second; also after its end."""
        state = self._state()
        return Usage(state.cpu, state.memory, state.processes, state.exact)

    def _state(self) -> State:
        with self._lock:
            return self._last or self._board.read()

    def _close(self) -> State:
        """Take down how it ended; nothing changes any more."""
        with self._lock:
            if self._last is None:
                self._last = self._board.read()
                self._file.close()
                if self._keeper.returncode:  # it was killed, or could not end all
                    _tidy_up(self._groups, self._remove)
                assert self._keeper.stdin is not None
                with contextlib.suppress(OSError):
                    self._keeper.stdin.close()
            return self._last


def _descriptor(output: IO[bytes]) -> int:
    try:
        return output.fileno()
    except (AttributeError, io.UnsupportedOperation) as error:
        raise SandboxError("a box writes to a real file or pipe, not to an object") from error


def _keeper_plan(recipe: Recipe, limits: Limits, groups: dict[str, str]) -> dict[str, Any]:
    """Return what the keeper is told, but for the descriptors of this start."""
    watched = {name: getattr(limits, name) for name in ("cpu", "memory", "disk", "wall")}
    refused = bool(groups) or recipe.counted
    return {
        "argv": list(recipe.argv),
        "env": dict(recipe.env),
        "given": list(recipe.fds),
        "skip": recipe.skip,
        "forward": list(recipe.forward),
        "writable": [str(path) for path in recipe.writable],
        "remove": [str(path) for path in recipe.remove],
        "inspect": list(recipe.inspect),
        "finally": [list(command) for command in recipe.finally_],
        "limits": {**watched, "processes": None if refused else limits.processes},
        "groups": groups,
        "output_limit": limits.file or _OUTPUT_LIMIT,
    }


def _tidy_up(paths: dict[str, str], remove: Sequence[Path]) -> None:
    """Do what the keeper could not do."""
    groups = Groups(paths)
    deadline = time.monotonic() + _END_LIMIT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # no descriptor is left for the moment
            groups.kill()
            if not groups.members():
                break
        time.sleep(_POLL)
    groups.remove()
    for path in remove:
        with contextlib.suppress(OSError):
            remove_tree(path)


def readable(data: Any) -> int:
    """Return a descriptor from which ``data`` can be read as JSON, or as it is if it is bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(data if isinstance(data, bytes) else json.dumps(data).encode())
        file.seek(0)
        return os.dup(file.fileno())


def program(name: str, plan: int | str, folder: str = "", python: str = "") -> list[str]:
    """Return the command that runs a module of `runtime` by itself.

    Args:
        name: ``keeper`` or ``launch``.
        plan: descriptor or path of its plan.
        folder: that holds ``runtime``, where it is to run.
        python: by default the one that runs this.
    """
    start = f"import sys; sys.path.insert(0, {folder or str(RUNTIME.parent)!r})"
    text = f"{start}; from runtime.{name} import main; main()"
    return [python or interpreter(), "-I", "-S", "-c", text, str(plan)]


def interpreter() -> str:
    """Return the path of the Python that runs this."""
    return sys.executable


def launch_plan(
    box: Box, status: int | str, *, grouped: bool = True, **changes: Any
) -> dict[str, Any]:
    """Return what `runtime.launch` is told.

    Args:
        box: what is to run.
        status: descriptor (or path) to report to.
        grouped: whether control groups (or a container) limit all processes together.
        changes: to the plan.
    """
    limits, rlimits = box.limits, {"RLIMIT_CORE": 0}
    file = limits.file if limits.file is not None else limits.disk
    if file is not None:
        rlimits["RLIMIT_FSIZE"] = file
    if limits.cpu is not None:
        rlimits["RLIMIT_CPU"] = int(limits.cpu) + 1
    if limits.memory is not None and not grouped and not box.devices:
        # GPU drivers reserve far more than they use; all else would be refused what it may have.
        rlimits["RLIMIT_DATA"] = limits.memory + _BACKSTOP
    return {
        "command": list(box.command),
        "env": dict(box.env),
        "folder": box.folder,
        "rlimits": rlimits,
        "forward": {str(port): path for port, path in box.forward.items()},
        "status": status,
        "landlock": None,
        "filter": "",
        **changes,
    }


def user_tasks() -> int:
    """Return how many tasks (threads) run as the user of this process."""
    count = 0
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                count += len(os.listdir(f"{entry.path}/task"))  # noqa: PTH208
    return count
