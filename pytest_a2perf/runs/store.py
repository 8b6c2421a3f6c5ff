"""The append-only store of a run: one folder, a line of JSON for each trial."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.runs.plan import RunPlan, write_plan
from pytest_a2perf.runs.record import SCHEMA, Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["RECORDS", "RunStore", "find_run", "has_ended", "read_records"]

RECORDS = "records.jsonl"
RUN = "run.json"


class RunStore:
    """Appends records to a run, flushed one by one, and survives a full disk.

    A line that could not be written is kept and tried again with the next one. When nothing helps
    until the end, `close` puts the lines into a temporary file and says where.

    Args:
        folder: the run's folder; created, together with a ``.gitignore`` for all runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._pending: list[str] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            ignore = folder.parent.parent / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            self._file = (folder / RECORDS).open("ab", buffering=0)
        except OSError as error:
            raise A2PerfError(f"cannot keep the run in {folder}: {error}") from error
        self._end_last_line()

    @property
    def size(self) -> int:
        """Bytes of the records so far."""
        return (self.folder / RECORDS).stat().st_size

    def append(self, line: str) -> None:
        """Write a record's line, or keep it if the disk refuses; `problem` then says so."""
        self._pending.append(line)
        self._flush()

    def write_run(self, data: dict[str, Any]) -> None:
        """Write ``run.json``, whole or not at all."""
        target = self.folder / RUN
        draft = target.with_suffix(".draft")
        try:
            draft.write_text(json.dumps({"schema": SCHEMA, **data}, indent=1) + "\n", "utf-8")
            draft.replace(target)
        except OSError as error:
            self.problem = f"{target}: {error.strerror or error}"

    def write_plan(self, plan: RunPlan) -> None:
        """Write the run's plan."""
        try:
            write_plan(self.folder, plan)
        except OSError as error:
            self.problem = f"{self.folder}: the plan: {error.strerror or error}"

    def close(self) -> str | None:
        """Close the file; return a warning if something could not be stored where it belongs."""
        self._flush()
        self._file.close()
        if not self._pending:
            return self.problem
        text = "".join(self._pending)
        try:
            handle, name = tempfile.mkstemp(prefix="a2perf-records-", suffix=".jsonl")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            return f"{self.problem}; {len(self._pending)} records are lost:\n{text}"
        return f"{self.problem}; {len(self._pending)} records are in {name} instead"

    def _flush(self) -> None:
        while self._pending:
            line = self._pending[0].encode()
            start = self._file.seek(0, os.SEEK_END)
            try:
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(28, "No space left on device")  # noqa: TRY301
            except OSError as error:
                self.problem = f"{self.folder / RECORDS}: {error.strerror or error}"
                with contextlib.suppress(OSError):
                    self._file.truncate(start)
                return
            self._pending.pop(0)

    def _end_last_line(self) -> None:
        """A run that was killed may have left half a line: set it apart from the next one."""
        path = self.folder / RECORDS
        size = path.stat().st_size
        if size:
            with path.open("rb") as file:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    self._file.write(b"\n")


def read_records(folder: Path, name: str = RECORDS) -> Iterator[Record]:
    """Read the records of a run in the order they came; half lines are left out.

    Args:
        folder: of the run.
        name: of the file in it.

    Raises:
        A2PerfError: the folder holds no run.
    """
    path = folder / name
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise A2PerfError(f"{folder} holds no run: {error}") from error
    with file:
        for line in file:
            try:
                yield Record.from_line(line)
            except (ValueError, KeyError, TypeError):
                continue


def has_ended(folder: Path) -> bool:
    """Whether a run came to its end; one that was killed or stopped did not."""
    try:
        return bool(json.loads((folder / RUN).read_text(encoding="utf-8"))["state"] == "complete")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def find_run(runs: Path, name: str) -> Path:
    """Return the folder of a run, by path, by id or ``last``.

    Raises:
        A2PerfError: there is no such run.
    """
    if name != "last":
        for candidate in (Path(name), runs / name):
            if (candidate / RECORDS).is_file():
                return candidate
    known = sorted(path.parent.name for path in runs.glob(f"*/{RECORDS}"))
    if name == "last" and known:
        return runs / known[-1]
    raise A2PerfError(
        f"no run {name!r} in {runs}{did_you_mean(name, known)}"
        if known
        else f"there is no run to go on with in {runs}"
    )
