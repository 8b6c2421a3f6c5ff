"""How a box stands: written by its keeper, read by the harness, whenever either likes."""

from __future__ import annotations

import json
import os
import zlib

__all__ = ["Board", "State"]

_SIZE = 8192
_TRIES = 100


class State:
    """How a box stands.

    Attributes:
        pid: of its first process, on the host; 0: not yet started.
        ready: whether the sandbox stands and the command is about to run.
        status: how the command ended: exit status, or negative the signal; None: it did not.
        left: processes that outlived the command and were ended.
        limit: which one ended it, see `Limits`; or empty.
        error: why it could not be started or ended.
        cpu, memory, processes, exact: see `Usage`.
    """

    pid: int = 0
    ready: bool = False
    status: int | None = None
    left: int = 0
    limit: str = ""
    error: str = ""
    cpu: float = 0.0
    memory: float = 0.0
    processes: int = 0
    exact: bool = False

    def __init__(self, **known: object) -> None:
        vars(self).update(known)


class Board:
    """The file: a checksum and JSON, at a fixed size, so that a torn reading is noticed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, state: State) -> None:
        """Write how it stands."""
        text = json.dumps(vars(state)).encode()
        os.pwrite(self._descriptor, b"%08x%s" % (zlib.crc32(text), text.ljust(_SIZE)), 0)

    def read(self) -> State:
        """Read how it stands; what was never written is a box that has not started."""
        for _ in range(_TRIES):
            data = os.pread(self._descriptor, _SIZE + 8, 0)
            text = data[8:].rstrip()
            if text and b"%08x" % zlib.crc32(text) == data[:8]:
                return State(**json.loads(text))
        return State()
