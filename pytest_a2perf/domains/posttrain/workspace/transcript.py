"""What an agent prints: drained at any speed, kept within bounds, keys taken out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pytest_a2perf.llm.secrets import redact

__all__ = ["Transcript"]

_CHUNK = 1 << 16
_LINE = 1 << 16
_OVERLAP = 1 << 12
_JOINING = 10.0


class Transcript:
    """A pipe whose content goes to a file: its beginning at once, its end when it ends.

    Use it as a context manager; the writer's end is `sink`, closed by `opened` once the writer has
    its own copy.

    Args:
        path: of the file.
        head: bytes that are kept from the beginning.
        tail: bytes that are kept from the end.
        clean: takes out what must not be kept.
    """

    def __init__(
        self,
        path: Path,
        head: int = 8 << 20,
        tail: int = 1 << 20,
        clean: Callable[[str], str] = redact,
    ) -> None:
        self._file = path.open("wb", buffering=0)
        self._head, self._most = head, tail
        self._clean = clean
        self._rest = b""
        self._tail = bytearray()
        self._left_out = 0
        self.problem = ""
        """Why not all could be written, in words; or empty."""
        self._read, write = os.pipe2(os.O_CLOEXEC)
        self.sink: IO[bytes] = os.fdopen(write, "wb", buffering=0)
        self._thread = threading.Thread(target=self._drain, daemon=True, name="a2perf-transcript")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def opened(self) -> None:
        """Close our copy of the writer's end, so that the pipe ends with the last writer."""
        self.sink.close()

    def close(self) -> None:
        """Wait for the end of the pipe, and write the rest; do nothing the second time."""
        self.sink.close()
        self._thread.join(_JOINING)
        if self._thread.is_alive() or self._file.closed:
            return  # somebody still holds the pipe: what is written so far stays
        self._keep(self._cleaned(self._rest))
        self._shorten()
        if self._left_out:
            self._write(f"\n[... {self._left_out} bytes are left out ...]\n".encode())
        self._write(bytes(self._tail))
        self._file.close()

    def _drain(self) -> None:
        with os.fdopen(self._read, "rb", buffering=0) as pipe:
            while chunk := pipe.read(_CHUNK):
                lines, newline, self._rest = (self._rest + chunk).rpartition(b"\n")
                self._keep(self._cleaned(lines + newline))
                if len(self._rest) > _LINE:  # what may be the beginning of a key waits
                    cleaned = self._cleaned(self._rest)
                    self._keep(cleaned[:-_OVERLAP])
                    self._rest = cleaned[-_OVERLAP:]

    def _cleaned(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogateescape")
        return self._clean(text).encode("utf-8", "surrogateescape")

    def _keep(self, data: bytes) -> None:
        """Write what belongs to the beginning; hold the rest back."""
        head, self._head = data[: self._head], max(0, self._head - len(data))
        self._write(head)
        self._tail += data[len(head) :]
        if len(self._tail) > 2 * self._most:  # not at every chunk
            self._shorten()

    def _shorten(self) -> None:
        excess = max(0, len(self._tail) - self._most)
        self._left_out += excess
        del self._tail[:excess]

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:  # e.g. a full disk: the agent goes on
            self.problem = f"its output could not all be kept: {error}"
