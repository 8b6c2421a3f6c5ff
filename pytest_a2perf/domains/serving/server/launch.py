"""Starts the reference server as a process that ends with its block, or with its parent."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.server.options import ServerOptions
from pytest_a2perf.errors import InfraError

__all__ = ["Reference", "reference_server"]

START = 60.0
"""Seconds that it may take to start."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference server that runs.

    Attributes:
        url: base of the interface, such as ``http://127.0.0.1:40123/v1``.
        port: that it listens at.
        pid: of its process.
        log_path: what truly happened, a JSON object a line; see `requests`.
    """

    url: str
    port: int
    pid: int
    log_path: Path

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests that have ended so far, in the order of their ends.

        Times are of the monotonic clock: ``received`` is the last byte of the request, ``first``
        and ``last`` are taken just before the tokens were written, ``ended`` after that.
        """
        lines = self.log_path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def reference_server(**options: Any) -> Iterator[Reference]:
    """Run a reference server as long as the block; it dies with this process in any case.

    Args:
        options: members of `ServerOptions`; without ``log``, the log goes with the block.

    Raises:
        InfraError: it does not start.
        A2PerfError: an option makes no sense.
    """
    with contextlib.ExitStack() as stack:
        chosen = ServerOptions(**options)
        if not chosen.log:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="a2perf-server-"))
            chosen = replace(chosen, log=str(Path(folder) / "requests.jsonl"))
        Path(chosen.log).touch()
        chosen = replace(chosen, until_stdin_closes=True)
        package = __name__.rpartition(".")[0]
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", package, *chosen.to_command_line()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        stack.enter_context(process)
        stack.callback(_end, process)
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], START)
        line = process.stdout.readline() if ready else b""
        if not line:
            raise InfraError(f"the reference server did not start within {START:g} s")
        told = json.loads(line)
        yield Reference(told["url"], told["port"], process.pid, Path(chosen.log))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
