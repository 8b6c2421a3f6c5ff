"""A training's curves on disk while they grow, so that a kill loses none of them."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path
from typing import IO

from pytest_a2perf.runs.record import Curve
from pytest_a2perf.training.artefacts import ARTEFACT

__all__ = ["LOG", "CurveLog", "logged"]

LOG = "a2perf-curves.csv"
"""Name of the file in the artefact's folder."""


class CurveLog:
    """Appends points to a file, flushed one by one; a disk that refuses is no reason to stop.

    Args:
        folder: of the artefact.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._file: IO[str] | None = None

    def add(self, name: str, step: float, value: float) -> None:
        """Append a point."""
        with contextlib.suppress(OSError):  # the record has it as well
            if self._file is None:
                self._file = self._path.open("w", encoding="utf-8", newline="")
                csv.writer(self._file).writerow(["curve", "step", "value"])
            csv.writer(self._file).writerow([name, float(step), float(value)])
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()


def logged(trial_folder: Path) -> dict[str, Curve]:
    """Read back the curves of a training that was killed; of any other trial there are none."""
    found: dict[str, Curve] = {}
    with contextlib.suppress(OSError, csv.Error):
        text = (trial_folder / ARTEFACT / LOG).read_text(encoding="utf-8", errors="replace")
        for row in csv.reader(text.splitlines()[1:]):
            with contextlib.suppress(ValueError):  # half a line
                name, step, value = row
                point = float(step), float(value)
                curve = found.setdefault(name, Curve())
                curve.step.append(point[0])
                curve.value.append(point[1])
    return found
