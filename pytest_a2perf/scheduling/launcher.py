"""Launch an xdist worker by any command, or in a Ray actor, and pass its bytes through.

execnet starts ``python -m pytest_a2perf.scheduling.launcher SETTINGS`` as if it were the worker.
That process starts the real one, waits until it is ready, and then pumps stdin and stdout. What
goes wrong before that is written into the file that the settings name, for the controller to show.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.processes import write_all
from pytest_a2perf.scheduling.prelude import READY

__all__ = ["Command", "LaunchSettings", "Link", "main", "wait_until_ready"]

_PRELUDE = ["-u", "-m", "pytest_a2perf.scheduling.prelude"]
_CHUNK = 1 << 16
_GRACE = 5.0  # seconds for a worker to end by itself once its stdin is closed
_SHOWN = 12  # lines of output in an error


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """How workers are launched.

    Attributes:
        command: the command that runs Python somewhere; empty with a cluster.
        cluster: ``ray`` or ``ray://host:port``; empty with a command.
        folder: where the worker is to work, if that exists there.
        failure: file for what went wrong.
        timeout: seconds until the worker must be ready.
        cpus, gpus: what each worker asks of the cluster.
    """

    command: str
    cluster: str
    folder: str
    failure: str
    timeout: float
    cpus: float = 1.0
    gpus: float = 0.0

    def write(self, path: Path) -> None:
        """Write them for `main` to read."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


class Link(Protocol):
    """The two ends of a worker's stdin and stdout, wherever it runs."""

    def read(self) -> bytes:
        """Return what comes next; empty at the end."""

    def write(self, data: bytes) -> None:
        """Pass on all of it.

        Raises:
            OSError: nobody reads any more.
        """

    def close(self) -> None:
        """Close the worker's stdin, and end it if that does not."""

    def kill(self) -> None:
        """End it at once."""

    def last_words(self) -> str:
        """Return why it ended, as far as that is known."""


class Command:
    """A worker behind a local command such as ``srun -n1 python`` or ``ssh host python``."""

    def __init__(self, command: str) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - it is what the user asked for
                [*shlex.split(command), *_PRELUDE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "SLURM_UNBUFFEREDIO": "1"},  # srun waits for ends of lines
                start_new_session=True,  # Ctrl-C is the controller's to handle
            )
        except (OSError, ValueError) as error:
            raise A2PerfError(f"it cannot be started: {error}") from None
        self._errors: deque[str] = deque(maxlen=_SHOWN)
        self._listener = threading.Thread(target=self._copy_errors, daemon=True)
        self._listener.start()

    def read(self) -> bytes:
        """See `Link`."""
        assert self._process.stdout is not None
        return os.read(self._process.stdout.fileno(), _CHUNK)

    def write(self, data: bytes) -> None:
        """See `Link`."""
        assert self._process.stdin is not None
        write_all(self._process.stdin.fileno(), data)

    def close(self) -> None:
        """See `Link`."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self.kill(how)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """See `Link`; a wrapper such as a shell goes with its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)

    def last_words(self) -> str:
        """See `Link`."""
        try:
            status = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return "\n".join(self._errors)
        self._listener.join(1.0)  # a child of the command may hold stderr open
        return "\n".join([f"it exited with status {status}", *self._errors])

    def _copy_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._errors.append(line.decode(errors="replace").rstrip())
            with contextlib.suppress(OSError):
                os.write(2, line)


def wait_until_ready(link: Link, timeout: float) -> bytes:
    """Skip what is printed before the worker is ready; return what came right after.

    Raises:
        A2PerfError: it ended first, or did not get ready in time.
    """
    seen = bytearray()
    done = threading.Event()

    def listen() -> None:
        with contextlib.suppress(OSError):
            while READY not in seen and (data := link.read()):
                seen.extend(data)
        done.set()

    threading.Thread(target=listen, daemon=True).start()
    if not done.wait(timeout):
        raise A2PerfError(f"no worker was ready within {timeout:g} s{_quoted(bytes(seen))}")
    before, ready, after = bytes(seen).partition(READY)
    if not ready:
        words = link.last_words()
        raise A2PerfError(f"it ended without a worker: {words}{_quoted(before)}")
    return after


def _quoted(output: bytes) -> str:
    lines = output.decode(errors="replace").splitlines()[-_SHOWN:]
    return "\nit printed:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def _pump_in(link: Link, source: int) -> None:
    """Pass stdin on; at its end, or when nobody reads any more, end the worker."""
    with contextlib.suppress(OSError):
        while data := os.read(source, _CHUNK):
            link.write(data)
    link.close()


def _open(settings: LaunchSettings) -> Link:
    if settings.command:
        return Command(settings.command)
    from pytest_a2perf.scheduling.ray_worker import RayWorker

    return RayWorker(settings.cluster, settings.cpus, settings.gpus, settings.timeout)


def main(path: str) -> int:
    """Launch one worker and stay until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # execnet's streams are for the pump alone: Ray prints when a node of its cluster dies.
    source, target = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    settings = LaunchSettings(**json.loads(Path(path).read_text(encoding="utf-8")))
    what = f"--a2perf-launcher {settings.command!r}"
    if settings.cluster:
        what = f"--a2perf-cluster {settings.cluster}"
    started = time.monotonic()

    def give_up(why: object) -> NoReturn:
        with contextlib.suppress(OSError):  # the run has ended, and nobody will read it
            Path(settings.failure).write_text(f"{what}: {why}", encoding="utf-8")
        os._exit(1)  # threads may hang in reads that never end

    late = f"nothing came of it within {settings.timeout:g} s"
    # For ray.init, which hangs.
    last_resort = threading.Timer(settings.timeout + _GRACE, give_up, (late,))
    last_resort.daemon = True
    last_resort.start()
    link: Link | None = None
    try:
        link = _open(settings)
        with contextlib.suppress(OSError):  # it has ended; the next line says why
            link.write(json.dumps({"folder": settings.folder}).encode() + b"\n")
        ahead = wait_until_ready(link, settings.timeout - (time.monotonic() - started))
    except A2PerfError as error:
        if link is not None:
            link.kill()
        give_up(error)
    last_resort.cancel()
    write_all(target, ahead)
    threading.Thread(target=_pump_in, args=(link, source), daemon=True).start()
    with contextlib.suppress(OSError):
        while data := link.read():
            write_all(target, data)
    link.close()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
