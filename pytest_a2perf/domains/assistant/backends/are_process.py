"""Processes that run Meta ARE's package.

The package pins two dozen dependencies to exact versions, and its import changes the process, so
that it always runs in a process of its own: of this Python where it is installed here, else of the
one that ``A2PERF_ARE_PYTHON`` names.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.assistant.errors import ToolError, TraceError
from pytest_a2perf.domains.assistant.judge.soft import Ask
from pytest_a2perf.errors import A2PerfError, InfraError

__all__ = ["PYTHON_VARIABLE", "AreProcess", "are_python", "borrow", "close_idle", "give_back"]

PACKAGE = "meta-agents-research-environments"
PYTHON_VARIABLE = "A2PERF_ARE_PYTHON"
_CHILD = Path(__file__).with_name("are_child.py")


def are_python() -> str:
    """Return the Python that has the package: the one that the environment names, or this one.

    Raises:
        A2PerfError: none is named, and this one has it not; says what to do.
    """
    if python := os.environ.get(PYTHON_VARIABLE):
        return python
    try:
        version(PACKAGE)
    except PackageNotFoundError:
        raise A2PerfError(
            f"the backend 'are' needs {PACKAGE} 1.2.x: install the extra [are], or, since it pins "
            "many packages to exact versions, install it in a virtual environment of its own and "
            f"name that one's Python in {PYTHON_VARIABLE}"
        ) from None
    return sys.executable


class AreProcess:
    """A process that runs the package; `close` it.

    Args:
        python: which Python.

    Attributes:
        python: the same.
        version: of the package.
        state: of the world that is open, as it was after the last answer.
        broken: whether nothing can be asked any more: it has died, or was left in mid-answer.

    Raises:
        A2PerfError: it has not the package, or another version than 1.2.x.
        InfraError: it does not start.
    """

    def __init__(self, python: str) -> None:
        self.python = python
        self.state: dict[str, Any] = {}
        self.broken = False
        self._folder = tempfile.TemporaryDirectory(prefix="a2perf-are-", ignore_cleanup_errors=True)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        own = {"TMPDIR": self._folder.name, "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"}
        if python != sys.executable:
            own["PYTHONPATH"] = ""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own Python
                [python, str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                cwd=self._folder.name,
                env=os.environ | own,
                encoding="utf-8",
            )
        except OSError as error:
            self._folder.cleanup()
            self._said.close()
            raise A2PerfError(f"{PYTHON_VARIABLE}: {python!r} is no Python: {error}") from None
        try:
            self.version = str(self.request("hello")["ok"]["version"])
        except BaseException:
            self.close()
            raise

    def request(self, what: str, *, ask: Ask | None = None, **values: Any) -> dict[str, Any]:
        """Have something done, and return the whole answer.

        Args:
            what: a method of the child's world, or what else its server knows.
            ask: puts a conversation to the model of the judge, should it want to.
            values: arguments.

        Raises:
            ToolError: a call was refused.
            TraceError: the package does not take the scenario, or its oracle fails.
            A2PerfError: the package is not there, or of another version.
            InfraError: the process has died, or the judge has no model that answers.
        """
        if self.broken:
            raise self._death()
        self.broken = True  # until the last answer is there; a timeout may come before
        answer = self._exchange({"do": what, **values})
        failure: Exception | None = None
        while "ask" in answer:
            reply: dict[str, Any]
            try:
                reply = {"answer": (ask or _nobody)(answer["ask"])}
            except Exception as error:  # noqa: BLE001 - raised again when the child has heard of it
                failure, reply = error, {"failed": str(error)}
            answer = self._exchange(reply)
        self.broken = False
        self.state = answer.get("state", {})
        if failure is not None:
            raise failure
        if "refused" in answer:
            raise _error(answer["refused"], answer["message"])
        return answer

    def close(self) -> None:
        """End the process."""
        if self.broken:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):  # it has died with something unread
                stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
        self._folder.cleanup()

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise self._death()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _death(self) -> InfraError:
        self._said.seek(0)
        said = self._said.read()[-500:].decode(errors="replace").strip()
        return InfraError(f"the process that runs ARE ({self.python}) has died: {said}")


def _nobody(_messages: list[dict[str, str]]) -> str:
    raise InfraError(
        "ARE's judge has to compare texts, and has no model for it; name one in options.judge"
    )


def _error(kind: str, message: str) -> Exception:
    match kind:
        case "tool":
            return ToolError(message)
        case "scenario":
            return TraceError(f"ARE does not take the scenario: {message}")
        case "missing" | "version":
            return A2PerfError(f"{message}; see {PYTHON_VARIABLE}")
    return InfraError(f"ARE: {message}")


_idle: dict[tuple[int, str], list[AreProcess]] = {}
"""By our own process, which may be forked, and by Python."""
_lock = threading.Lock()


def borrow(python: str) -> AreProcess:
    """Return a process, of those that have been given back if there is one."""
    with _lock:
        waiting = _idle.get((os.getpid(), python))
        if waiting:
            return waiting.pop()
    return AreProcess(python)


def give_back(process: AreProcess) -> None:
    """Close the world that is open, and keep the process for the next one if it still works."""
    try:
        process.request("close")
    except InfraError:
        process.close()
        return
    with _lock:
        _idle.setdefault((os.getpid(), process.python), []).append(process)


@atexit.register
def close_idle() -> None:
    """End the processes that wait for the next world."""
    with _lock:
        for (owner, _), processes in _idle.items():
            for process in processes if owner == os.getpid() else ():
                process.close()
        _idle.clear()
