"""Unit tests of functions that a model wrote: the tests run here, the functions elsewhere.

A function runs in a process of its own that sees neither tests nor hidden data (by Landlock, where
the kernel has it), and answers calls with plain values. So it can neither end the tests early nor
return things that are equal to everything.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from pytest_a2perf.domains.posttrain.sandbox import system
from pytest_a2perf.domains.posttrain.sandbox.runtime.confine import (
    EXECUTE,
    READ,
    WRITE,
    Rules,
    apply_landlock,
    landlock_version,
)
from pytest_a2perf.domains.posttrain.tasks import humaneval_child
from pytest_a2perf.domains.posttrain.tasks.humaneval_child import decode, encode

__all__ = ["Candidate", "can_confine", "passes"]

_MEMORY = 4 << 30  # bytes of address space
_FILE = 1 << 20
_MOST = 16 << 20  # bytes of an answer
_PATIENCE = 6  # seconds by the wall for each CPU second, on a machine that is busy


class CandidateError(Exception):
    """The function raised, answered nothing, or took too long."""


def can_confine() -> bool:
    """Return whether programs can be kept from the evaluator's files here."""
    return landlock_version() > 0


def passes(prompt: str, program: str, entry_point: str, test: str, seconds: float) -> bool:
    """Return whether a function passes its tests.

    Args:
        prompt: of the problem; tests may use its helpers.
        program: that defines the function.
        entry_point: its name.
        test: defines ``check``, which takes the function.
        seconds: of CPU, for all calls together.
    """
    scope: dict[str, Any] = {}
    with Candidate(program, entry_point, seconds) as candidate:
        try:
            exec(f"{prompt}\n    pass\n", scope)  # noqa: S102 - of the data set
            scope[entry_point] = candidate.call
            exec(test, scope)  # noqa: S102 - likewise
            scope["check"](candidate.call)
        except Exception:  # noqa: BLE001 - whatever it is, the tests have not passed
            return False
    return True


class Candidate:
    """A function in a process of its own; use it as a context manager."""

    def __init__(self, program: str, entry_point: str, seconds: float) -> None:
        self._until = monotonic() + _PATIENCE * seconds + _PATIENCE
        self._rest = b""
        rules = _rules()

        def confine() -> None:
            cpu = max(1, round(seconds))
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if rules is not None:
                apply_landlock(rules)

        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-I", "-S", str(humaneval_child.__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": system.search_path(), "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"},
            cwd="/",
            start_new_session=True,
            preexec_fn=confine,  # noqa: PLW1509 - there are no threads here
        )
        with contextlib.suppress(CandidateError):  # it has ended: so say the calls
            self._send({"program": program, "entry_point": entry_point})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()

    def call(self, *arguments: Any, **named: Any) -> Any:
        """Call the function.

        Raises:
            CandidateError: it raised, did not answer, or its answer is no plain value.
        """
        self._send({"arguments": encode(arguments), "named": encode(named)})
        try:
            answer = json.loads(self._line())
            return decode(answer["value"])
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise CandidateError("it raised, or returned no plain value") from error

    def _send(self, message: dict[str, Any]) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        assert self._process.stdin is not None
        descriptor = self._process.stdin.fileno()
        os.set_blocking(descriptor, False)
        try:
            while data:
                _, ready, _ = select.select([], [descriptor], [], max(0, self._until - monotonic()))
                if not ready:
                    raise CandidateError("it does not read")
                data = data[os.write(descriptor, data) :]
        except OSError as error:
            raise CandidateError("it has ended") from error

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            ready, _, _ = select.select([descriptor], [], [], max(0, self._until - monotonic()))
            block = os.read(descriptor, 1 << 16) if ready else b""
            self._rest += block
            if not block or len(self._rest) > _MOST:
                raise CandidateError("it took too long, ended, or says too much")
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _rules() -> Rules | None:
    """Return what a program may see: the system, Python, and nothing of the evaluator."""
    if not can_confine():
        return None
    seen = [*system.SYSTEM, *system.CONFIGURATION, *map(str, system.python_folders())]
    paths = [(path, READ | EXECUTE) for path in seen if Path(path).exists()]
    paths.append((str(humaneval_child.__file__), READ))
    paths += [(os.devnull, READ | WRITE), ("/dev/urandom", READ)]
    return {"paths": paths, "ports": []}
