"""Keep a box: start it, watch its limits, and see to it that nothing of it is left.

One keeper runs for each box, on the host, outside of the sandbox, with a session of its own. Its
standard input belongs to the harness: a number of seconds on it asks for an orderly end, and its
end, as when the harness is killed, means an end at once. Orphans of the box come to the keeper
(it is a subreaper), so that daemons are found as well. How things stand is written to a file that
both know, the board.
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
import time
from typing import TYPE_CHECKING, Any

from .board import Board, State
from .files import remove_tree
from .groups import Groups, groups_of
from .meter import Disk, Tree, processes_below

if TYPE_CHECKING:
    from .forward import Forwarder

__all__ = ["main"]

_PR_SET_CHILD_SUBREAPER = 36
_LOOK = 0.2
_LOOK_AT_DISK = 0.5
_DISK_SHARE = 0.05
_DISK_PAUSE = 5.0
"""At most this share of the time goes into looking at the disk; but no pause is longer than this
many seconds."""
_END_LIMIT = 20.0
_CHUNK = 65536
_KEPT_WORDS = 2000


class Output:
    """Passes on what the box writes, up to a limit, so that it holds no file of the host."""

    def __init__(self, sink: int, limit: int) -> None:
        self.last = b""
        self._sink = sink
        self._limit = limit
        self._read_end, self.write_end = os.pipe()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to pass on; the box has its end of the pipe by now."""
        os.close(self.write_end)
        self._thread = threading.Thread(target=self._pass, daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait until all is passed on."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _pass(self) -> None:
        left = self._limit
        while chunk := os.read(self._read_end, _CHUNK):
            self.last = (self.last + chunk)[-_KEPT_WORDS:]
            part = chunk[:left]
            left -= len(part)
            with contextlib.suppress(OSError):  # nobody reads any more: the box goes on
                while part:
                    part = part[os.write(self._sink, part) :]


class Keeper:
    """The state of a box that runs."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.board = Board(plan["board"])
        self.output = Output(plan["output"], plan["output_limit"])
        self.groups = Groups(plan["groups"]) if plan["groups"] else None
        self.tree = Tree(os.getpid(), plan["skip"])
        self.state = State(exact=bool(plan["groups"]))
        self.child = 0
        self.disk = 0.0
        self.trouble: OSError | None = None  # of the thread that looks at the disk
        self.forwarders: list[Forwarder] = []
        self.born = float("inf")  # wall time runs from the start of the command
        self.ended = self.stopping = False

    def run(self) -> bool:
        """Run the box to its end; tell whether nothing of it is left."""
        wake = _waker()
        try:
            self._start()
            self._watch(wake)
        except Exception as error:  # noqa: BLE001 - the harness must learn of it, and the box end
            self.state.error = f"keeper: {error!r}"
        return self._end()

    def _start(self) -> None:
        self.child = os.fork()
        if self.child == 0:
            try:
                if self.groups is not None:
                    self.groups.join()
                os.dup2(self.output.write_end, 1)
                os.dup2(self.output.write_end, 2)
                nothing = os.open(os.devnull, os.O_RDONLY)
                os.dup2(nothing, 0)
                os.execvpe(self.plan["argv"][0], self.plan["argv"], self.plan["env"])  # noqa: S606
            except OSError as error:
                os.write(2, f"{self.plan['argv'][0]}: {error.strerror}".encode())
            os._exit(127)
        for descriptor in self.plan["given"]:
            os.close(descriptor)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        with contextlib.suppress(OSError, ValueError):  # macOS may call its limit none at all
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.output.start()
        for number, path in self.plan["forward"]:
            import socket

            from .forward import Forwarder

            self.forwarders.append(Forwarder(socket.socket(fileno=number), path))
        if self.plan["limits"]["disk"] is not None:
            threading.Thread(target=self._watch_disk, daemon=True).start()
        self.state.pid = self.child
        self.board.write(self.state)

    def _watch(self, wake: int) -> None:
        """Look at it all until the command has ended, or a limit or the harness ends it."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(wake, select.POLLIN)
        status: int = self.plan["status"]
        poll.register(status, select.POLLIN)
        parent = os.getppid()
        deadline, next_look, said = float("inf"), 0.0, b""
        while not self.ended:
            for descriptor, event in poll.poll(1000 * _LOOK):
                if descriptor == 0:
                    request = os.read(0, 64)
                    if not request:
                        return
                    self.stopping = True
                    deadline = min(deadline, time.monotonic() + float(request.split()[-1]))
                    self._terminate()
                elif descriptor == status:
                    chunk = os.read(status, 4096) if event & select.POLLIN else b""
                    if not chunk:
                        poll.unregister(status)
                    said += chunk
                    self._hear(said)
                else:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake, 512)
            now = time.monotonic()
            if now >= next_look:
                next_look = now + _LOOK
                self._look()
                self.board.write(self.state)
            if self.state.limit or now > deadline or os.getppid() != parent:
                return
            self._reap()

    def _hear(self, said: bytes) -> None:
        """Take in what the first process inside has said so far."""
        for line in said.decode(errors="replace").splitlines():
            word, _, rest = line.partition(" ")
            if word == "ready" and not self.state.ready:
                self.state.ready = True
                self.born = time.monotonic()
                self._find_groups()
                self.board.write(self.state)
            elif word == "failed":
                self.state.error = rest
            elif word == "ended":
                status, left = rest.split()
                self.state.status = int(status)
                self.state.left = 0 if self.stopping else int(left)

    def _find_groups(self) -> None:
        """Find the groups of a container, if its daemon is on this machine.

        Only groups with the container's name: another's would be emptied with the box.
        """
        if not self.plan["inspect"]:
            return
        with contextlib.suppress(ValueError):
            identity, pid = _ask(self.plan["inspect"], self.plan["env"]).decode().split()
            groups = groups_of(int(pid))
            if groups and all(identity in path for path in groups.values()):
                self.groups, self.state.exact = Groups(groups), True

    def _look(self) -> None:
        """Measure, and name the limit that is exceeded, if one is.

        Raises:
            OSError: no descriptor is left to measure with.
        """
        if self.trouble is not None:
            raise self.trouble
        limits, state = self.plan["limits"], self.state
        memory: float
        if self.groups is None:
            self.tree.look(limits["memory"])
            cpu, memory, processes = self.tree.cpu, self.tree.memory, self.tree.processes
        else:
            cpu, memory = self.groups.cpu(), self.groups.memory()
            processes = max(0, len(self.groups.members()) - self.tree.skip)
            self._see_exhaustion(self.groups)
        state.cpu, state.processes = max(state.cpu, cpu), processes
        state.memory = max(state.memory, memory)
        figures = {
            "cpu": cpu,
            "memory": memory,
            "processes": processes,
            "disk": self.disk,
            "wall": time.monotonic() - self.born,
        }
        for name, figure in figures.items():
            if limits[name] is not None and figure > limits[name] and not state.limit:
                state.limit = name

    def _see_exhaustion(self, groups: Groups) -> None:
        """Note that the kernel has ended a process for memory: that is the end of the box."""
        if groups.exhausted() and not self.state.limit:
            self.state.limit, self.state.left = "memory", 0
            self.state.memory = max(self.state.memory, self.plan["limits"]["memory"] or 0)

    def _see_used_up(self) -> None:
        """Note that the kernel has ended the command for its CPU time, before the next look."""
        limit, state = self.plan["limits"]["cpu"], self.state
        killed = state.status == -signal.SIGKILL and not state.limit
        if killed and limit is not None and state.cpu > limit:
            state.limit = "cpu"

    def _watch_disk(self) -> None:
        limit = self.plan["limits"]["disk"]
        try:
            while not self.ended:
                start = time.monotonic()
                disk = Disk()
                for folder in self.plan["writable"]:
                    disk.add(folder)
                disk.add_removed(
                    self.groups.members() if self.groups else processes_below(os.getpid())
                )
                self.disk = disk.size if disk.whole else float("inf")
                took = time.monotonic() - start
                pause = min(max(_LOOK_AT_DISK, took / _DISK_SHARE), _DISK_PAUSE)
                time.sleep(_LOOK if self.disk > limit else pause)
        except OSError as error:
            self.trouble = error

    def _terminate(self) -> None:
        """Ask all of the box's processes to end, those that are stopped as well."""
        for pid in processes_below(os.getpid())[self.tree.skip :] or [self.child]:
            for number in (signal.SIGTERM, signal.SIGCONT):
                with contextlib.suppress(OSError):
                    os.kill(pid, number)

    def _reap(self) -> bool:
        """Wait for all that has ended; tell whether children are left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self.child:
                    self.ended = True
                    if not self.state.ready and not self.state.error:
                        self.state.status = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            return False

    def _end(self) -> bool:
        """Kill what is left, take the last figures, and tidy up; tell whether nothing is left."""
        for forwarder in self.forwarders:
            forwarder.close()
        with contextlib.suppress(OSError):
            os.set_blocking(self.plan["status"], False)
            self._hear(os.read(self.plan["status"], 4096))
        over = self._kill()
        if not over:
            self.state.error = "processes of the box cannot be ended"
        for command in self.plan["finally"]:
            _ask(command, self.plan["env"])
        with contextlib.suppress(OSError):  # no descriptor is left: what was seen last remains
            self._last_figures()
        self._see_used_up()
        self.output.finish(_END_LIMIT / 4)
        if not self.state.ready and not self.state.error:
            said = self.output.last.decode(errors="replace").strip()
            limit = self.state.limit and f"the limit of {self.state.limit} was hit at once"
            self.state.error = limit or said or "no reason given"
        self.state.processes = 0
        self.board.write(self.state)
        for path in self.plan["remove"]:
            try:
                remove_tree(path)
            except OSError:
                over = False
        return over

    def _kill(self) -> bool:
        """Kill all, again and again until nothing is left; tell whether that came about."""
        # The first process of a container has counted the box's; what is left here, is the
        # runtime's own, such as Podman's that clean up.
        outlived = self.ended and not self.stopping and not self.plan["inspect"]
        self.ended = True
        deadline = time.monotonic() + _END_LIMIT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # no descriptor is left for the moment
                below = processes_below(os.getpid())
                if outlived:
                    self.state.left += len(below)
                    outlived = False
                if self.groups is not None:
                    self.groups.kill()
                for pid in below:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                if not self._reap() and not (self.groups and self.groups.members()):
                    return True
            time.sleep(0.005)
        return False

    def _last_figures(self) -> None:
        if self.groups is not None:
            cpu = self.groups.cpu()
            self._see_exhaustion(self.groups)
            self.groups.remove()
        else:
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = used.ru_utime + used.ru_stime
        self.state.cpu = max(self.state.cpu, cpu)


def main() -> None:
    """Keep the box of the plan that is to be read from the descriptor ``argv[1]``."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        plan: dict[str, Any] = json.load(file)
    os.set_inheritable(plan["board"], False)
    os.set_inheritable(plan["output"], False)
    os.set_inheritable(plan["status"], False)
    for number, _ in plan["forward"]:
        os.set_inheritable(number, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os._exit(0 if Keeper(plan).run() else 1)  # the harness does what was not possible here


def _ask(command: list[str], env: dict[str, str]) -> bytes:
    """Return what a command says; nothing if it fails or takes too long."""
    import subprocess

    try:
        return subprocess.run(  # noqa: S603
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_END_LIMIT,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return b""


def _waker() -> int:
    """Return a descriptor that can be read when a child has ended."""
    awake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)  # noqa: ARG005 - it wakes the poll
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    return awake
