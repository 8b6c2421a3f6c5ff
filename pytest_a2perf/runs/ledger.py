"""Which trials of a run are over, for a worker whose trial needs what others leave behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

from pytest_a2perf.runs.store import RECORDS

__all__ = ["Ledger"]

_INTERVAL = 0.05  # seconds between two looks


class Ledger:
    """Follows the records of a run while they are written.

    Args:
        folder: of the run.
        written: bytes of the records that a resumed run began with; what they tell of is repeated,
            or done and not waited for.
    """

    def __init__(self, folder: Path, written: int = 0) -> None:
        self._path = folder / RECORDS
        self._read = written
        self._over: set[str] = set()

    def wait_for(self, nodeids: Iterable[str]) -> None:
        """Return when all these trials are over, however they ended.

        The scheduler has handed them out before, so they are run somewhere, or have died; either
        way the controller records them. On a machine that does not share the run's folder nobody
        can know: then this returns at once, and the agent says what it misses.
        """
        missing = set(nodeids)
        while missing and self._path.is_file():
            self._follow()
            missing -= self._over
            if missing:
                time.sleep(_INTERVAL)

    def _follow(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._read += len(line)
                try:
                    self._over.add(json.loads(line)["nodeid"])
                except (ValueError, KeyError, TypeError):
                    continue
