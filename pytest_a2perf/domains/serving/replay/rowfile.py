"""Reading what a load process writes, while it writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.replay.plan import COLUMNS
from pytest_a2perf.errors import InfraError
from pytest_a2perf.runs.histogram import Histogram

__all__ = ["RowFile"]


class RowFile:
    """A file of rows that grows.

    Attributes:
        path: of the file, which need not be there yet.
        gaps, lag: seconds between chunks, and by which the loop's timers came late; empty until
            the process has come to its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gaps = Histogram()
        self.lag = Histogram()
        self._offset = 0
        self._lines = 0

    def read(self) -> list[list[Any]]:
        """Return the rows that are new, in the order of `COLUMNS`.

        A line whose end is not written yet is for the next time.

        Raises:
            InfraError: a line is not a row; names file and line.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        rows: list[list[Any]] = []
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            try:
                row = self._parse(line)
            except InfraError:
                if not rows:
                    raise
                break  # those before it are good; it is for the next time
            self._offset += len(line)
            self._lines += 1
            if row is not None:
                rows.append(row)
        return rows

    def _parse(self, line: bytes) -> list[Any] | None:
        try:
            entry = json.loads(line)
            if isinstance(entry, dict):
                self.gaps = Histogram.from_json(entry["gaps"])
                self.lag = Histogram.from_json(entry["lag"])
                return None
            row = list(entry)
        except (ValueError, KeyError, TypeError) as error:
            raise self._wrong(repr(error)) from error
        if len(row) != len(COLUMNS):
            raise self._wrong(f"{len(row)} columns instead of {len(COLUMNS)}")
        return row

    def _wrong(self, why: str) -> InfraError:
        return InfraError(f"{self.path}:{self._lines + 1}: not a row of a load process: {why}")
