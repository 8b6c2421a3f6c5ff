"""A submission's process, as the trial sees it.

Requests and answers are pickled and go through a pair of sockets: standard output belongs to the
submission.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import AgentError, InfraError

__all__ = ["ParticipantError", "Process"]

_START = (
    "import sys; sys.path += [path for path in {path!r} if path not in sys.path]; "
    "from pytest_a2perf.agents.submission.child import main; main({descriptor}, {folder!r})"
)
# Whatever the submission has started is in this shell's process group. The other end of its
# standard input is ours alone, so it ends when we do, even if we are killed.
_WARDEN = ("/bin/sh", "-c", "trap '' HUP INT TERM; read _; kill -KILL 0")
_DYING = 5.0  # seconds that a process may take to end once its connection is closed


class ParticipantError(Exception):
    """Code of the submission raised, or ended its process; the cause is its own traceback."""


class RemoteTraceback(Exception):  # noqa: N818 - it only shows another process's traceback
    """The traceback in the submission's process, formatted."""


class Process:
    """A process that imports and runs one submission; `close` it.

    Its working directory is the submission's folder, which comes first on its import path; what
    can be imported here can be imported there, after everything else.

    Args:
        python: its interpreter.
        folder: of the submission, absolute.
        variables: added to its environment.
    """

    def __init__(self, python: Path, folder: Path, variables: Mapping[str, str]) -> None:
        path = os.pathsep.join((str(python.parent), os.environ.get("PATH", os.defpath)))
        # Unbuffered, as a process that is killed flushes nothing; frames of native crashes help.
        settings = {"PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
        self._connection, theirs = Pipe()
        self._warden = subprocess.Popen(_WARDEN, stdin=subprocess.PIPE, process_group=0)  # noqa: S603 - see above
        self._started = [self._warden]
        try:
            descriptor = theirs.fileno()
            start = _START.format(
                path=[str(Path(entry).absolute()) for entry in sys.path if entry],
                descriptor=descriptor,
                folder=str(folder),
            )
            self._process = subprocess.Popen(  # noqa: S603 - an interpreter of ours
                [python, "-P", "-c", start],
                cwd=folder,
                env={**os.environ, **settings, **variables},
                stdin=subprocess.DEVNULL,
                pass_fds=(descriptor,),
                process_group=self._warden.pid,
            )
            self._started.append(self._process)
        except BaseException:
            self.close()
            raise
        finally:
            theirs.close()

    def request(self, what: str, *arguments: Any) -> Any:
        """Call a method of `pytest_a2perf.agents.submission.child.Host`; return what it returns.

        Raises:
            ParticipantError: the submission's code raised, or its process ended.
            AgentError: its files or functions are not as they must be.
            InfraError: the environment cannot be made there.
        """
        try:
            self._connection.send_bytes(pickle.dumps((what, arguments), 5))
            answer = self._connection.recv_bytes()
        except (EOFError, ConnectionError):
            raise ParticipantError(f"{what} {self._death()}") from None
        except BaseException:
            self.close()  # or the next request would get the answer of this one
            raise
        return _opened(answer, what)

    def finish(self) -> None:
        """Let the process come to its own end, with all that it does at exit.

        Raises:
            ParticipantError: it ended badly.
        """
        self._connection.close()
        if self._process.wait() != 0:
            raise ParticipantError(f"all was done, then the process {self._death()}")

    def close(self) -> None:
        """Kill the process and whatever it has started; do nothing the second time."""
        self._connection.close()
        if self._warden.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._warden.pid, signal.SIGKILL)
        for process in self._started:
            process.kill()  # it may have left its group
            process.wait()
        if self._warden.stdin is not None:
            self._warden.stdin.close()

    def _death(self) -> str:
        try:
            status = self._process.wait(_DYING)
        except subprocess.TimeoutExpired:
            return "closed the connection to the trial"
        if status >= 0:
            return f"ended its process with status {status}"
        hint = ", perhaps by the kernel for want of memory" if status == -signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-status).name}{hint}"


def _opened(answer: bytes, what: str) -> Any:
    try:
        kind, value, *details = pickle.loads(answer)  # noqa: S301 - from our own child
    except Exception as error:
        raise ParticipantError(
            f"{what} returned what only the submission can read: {type(error).__name__}: {error}"
        ) from error
    match kind:
        case "returned":
            return value
        case "raised":
            raise ParticipantError(value) from RemoteTraceback("\n" + details[0])
        case "infra":
            raise InfraError(value)
        case _:
            raise AgentError(value)
