"""A program of ours in a box of its own, and pipes to its standard input and output."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

import pytest_a2perf
from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.grading import inside
from pytest_a2perf.domains.posttrain.grading.config import Place
from pytest_a2perf.domains.posttrain.sandbox import choose
from pytest_a2perf.domains.posttrain.sandbox.runtime.files import remove_tree
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Mount, Running, Sandbox

__all__ = ["Channel", "ChannelClosedError"]

_PIPES, _CODE, _PACKAGE = "/run/pipes", "/run/code", "/run/package"
_UNMOUNTED = ("landlock", "none")  # where targets of mounts are the host's paths
_STARTING = 60.0  # seconds until a program must have connected, on a machine that is very busy
_TICK = 0.1  # seconds between looks at whether the box has ended
_ENDING = 30.0  # seconds that a program has to end once it has closed its output
_TAIL = 4000  # bytes of what a program wrote to stderr


class ChannelClosedError(Exception):
    """The program has ended, says too much, or took too long; the message says which."""


class Channel:
    """A program that runs; use it as a context manager.

    The box sees a folder with two pipes, this package, and the mounts. The program's stderr is
    kept, for the harness alone: it may have hidden data in it.

    Args:
        place: where it runs.
        command: argument list.
        mounts: further ones; see `paths`.
        env: further variables.

    Raises:
        InfraError: there is no such sandbox here, or the program does not start in it.

    Attributes:
        paths: targets of ``mounts`` as they are called inside.
    """

    def __init__(
        self,
        place: Place,
        command: Sequence[str],
        mounts: Sequence[Mount] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        sandbox = choose(place.sandbox, allow_unisolated=place.allow_unisolated)
        self._folder = Path(tempfile.mkdtemp(prefix="a2perf-"))
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._running: Running | None = None
        self._request = self._result = -1
        self._rest = b""
        try:
            box = self._box(sandbox, place, command, mounts, env or {})
            self._result = os.open(self._folder / "pipes/result", os.O_RDONLY | os.O_NONBLOCK)
            self._running = sandbox.start(box, self._output)
            self._request = self._connected()
            self.paths: list[str] = json.loads(self.line(_STARTING))
            for name in ("request", "result"):
                (self._folder / "pipes" / name).unlink()
        except (ChannelClosedError, ValueError, OSError) as error:
            said = self.said
            self.close()
            raise SandboxError(f"the grader's program does not start: {error}: {said}") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def said(self) -> str:
        """The end of what the program wrote to stderr."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _TAIL))
        return self._output.read().decode(errors="replace").strip()

    @property
    def limit_hit(self) -> str:
        """Which limit ended the program, see `Running`; or empty."""
        return "" if self._running is None else self._running.limit_hit

    def send(self, line: str, *, last: bool = False) -> None:
        """Write a line to the program's stdin, and close it after the last.

        Raises:
            ChannelClosedError: the program does not read.
        """
        rest = memoryview(line.encode() + b"\n")
        until = monotonic() + _STARTING
        try:
            while rest:
                if not _ready(self._request, select.POLLOUT, max(0.0, until - monotonic())):
                    raise ChannelClosedError("it does not read")
                with contextlib.suppress(BlockingIOError):
                    rest = rest[os.write(self._request, rest) :]
        except OSError as error:
            raise ChannelClosedError(f"it does not read: {error}") from error
        if last:
            os.close(self._request)
            self._request = -1

    def line(self, seconds: float, most: int = 1 << 20) -> bytes:
        """Return a line of the program's stdout, without its end.

        Raises:
            ChannelClosedError: none came in time, or a longer one than ``most`` bytes.
        """
        until = monotonic() + seconds
        while b"\n" not in self._rest:
            if not self._receive(until, most):
                raise ChannelClosedError("it has ended")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def all(self, seconds: float, most: int) -> tuple[bytes, int]:
        """Return all of the program's stdout and its exit status.

        Raises:
            ChannelClosedError: it did not end in time, or said more than ``most`` bytes.
        """
        assert self._running is not None
        until = monotonic() + seconds
        while self._receive(until, most):
            pass
        status = self._running.wait(_ENDING)
        if status is None:
            raise ChannelClosedError("it closed its output, and did not end")
        return self._rest, status

    def stop(self) -> None:
        """End the program and everything that it has started."""
        if self._running is not None:
            self._running.stop(grace=0.0)

    def close(self) -> None:
        """End the program, and forget what it wrote."""
        self.stop()
        for descriptor in (self._request, self._result):
            if descriptor >= 0:
                os.close(descriptor)
        self._request = self._result = -1
        self._output.close()
        with contextlib.suppress(OSError):
            remove_tree(self._folder)

    def _box(
        self,
        sandbox: Sandbox,
        place: Place,
        command: Sequence[str],
        mounts: Sequence[Mount],
        env: Mapping[str, str],
    ) -> Box:
        package = Path(pytest_a2perf.__file__).resolve().parent
        pipes, code = self._folder / "pipes", self._folder / "code"
        for folder in (pipes, code):
            folder.mkdir()
        for name in ("request", "result"):
            os.mkfifo(pipes / name, 0o600)
        shutil.copyfile(inside.__file__, code / "inside.py")
        shown = package if sandbox.name in _UNMOUNTED else Path(_PACKAGE)
        (code / package.name).symlink_to(shown)
        targets = [mount.target for mount in mounts]
        ours = [Mount(pipes, _PIPES, writable=True), Mount(code, _CODE), Mount(package, _PACKAGE)]
        return Box(
            command=[sys.executable, "-IS", f"{_CODE}/inside.py", _PIPES, *targets, "--", *command],
            mounts=[*ours, *place.mounts, *mounts],
            env={
                "PYTHONPATH": _CODE,
                "PYTHONDONTWRITEBYTECODE": "1",
                "OMP_NUM_THREADS": "1",
                **place.env,
                **env,
            },
            limits=place.limits,
            devices=place.devices,
            network=place.network,
        )

    def _connected(self) -> int:
        """Return the end of the pipe to the program, once that has opened the other."""
        assert self._running is not None
        until = monotonic() + _STARTING
        while True:
            try:
                return os.open(self._folder / "pipes/request", os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:  # ENXIO: nobody reads yet
                status = self._running.wait(0)
                if status is not None:
                    raise ChannelClosedError(f"it ended with exit status {status}") from error
                if monotonic() > until:
                    raise ChannelClosedError("it did not connect in time") from error
                sleep(0.005)

    def _receive(self, until: float, most: int) -> bool:
        """Read some more; return whether the program may have more to say."""
        assert self._running is not None
        while not _ready(self._result, select.POLLIN, _TICK):
            # What the program has left behind may keep its end open.
            if self._running.wait(0) is not None:
                return False
            if monotonic() > until:
                raise ChannelClosedError("it took too long")
        data = os.read(self._result, 1 << 16)
        self._rest += data
        if len(self._rest) > most:
            raise ChannelClosedError("it says too much")
        return bool(data)


def _ready(descriptor: int, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(1000 * seconds))
