"""Samples as counts by bucket, without numpy; what `runs.histogram` reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["Counts"]

# Those of runs/histogram.py, whose numpy a load process does not import; a test compares them.
_LOG_GAMMA = math.log(1.005 / 0.995)
_SMALLEST = 1e-12


class Counts:
    """Counts of non-negative seconds in buckets that are 1 % wide."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._count = 0
        self._total = 0.0
        self._squares = 0.0
        self._least = math.inf
        self._most = -math.inf

    def add(self, samples: Sequence[float]) -> None:
        """Count samples."""
        if not samples:
            return
        counts, log, ceil = self._counts, math.log, math.ceil
        for sample in samples:
            bucket = ceil(log(max(sample, _SMALLEST)) / _LOG_GAMMA)
            counts[bucket] = counts.get(bucket, 0) + 1
            self._squares += sample * sample
        self._count += len(samples)
        self._total += sum(samples)
        self._least = min(self._least, *samples)
        self._most = max(self._most, *samples)

    def to_json(self) -> dict[str, Any]:
        """Return what ``Histogram.from_json`` takes."""
        packed: list[int] = []
        previous = 0
        for bucket in sorted(self._counts):
            packed += [bucket - previous, self._counts[bucket]]
            previous = bucket
        data: dict[str, Any] = {
            "unit": "s",
            "count": self._count,
            "total": self._total,
            "total_square": self._squares,
            "buckets": packed,
        }
        if self._count:
            data |= {"min": self._least, "max": self._most}
        return data
