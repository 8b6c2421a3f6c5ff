"""Statistics of samples that are not kept: hours of sampling must not grow the measured memory."""

from __future__ import annotations

import math

__all__ = ["Integral", "Running"]


class Running:
    """Mean and peak of the values added so far."""

    __slots__ = ("count", "peak", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.peak = -math.inf

    def add(self, value: float) -> None:
        """Add a value."""
        self.count += 1
        self.total += value
        self.peak = max(self.peak, value)

    @property
    def mean(self) -> float:
        """Mean of all values; NaN when there are none."""
        return self.total / self.count if self.count else math.nan


class Integral:
    """Integral over time by the trapezoidal rule, of samples at any spacing."""

    __slots__ = ("_area", "_first", "_time", "_value")

    def __init__(self) -> None:
        self._first: float | None = None
        self._time = self._value = self._area = 0.0

    def add(self, time: float, value: float) -> None:
        """Add a sample taken at ``time``, in seconds, later than the one before."""
        if self._first is None:
            self._first = time
        else:
            self._area += (time - self._time) * (value + self._value) / 2
        self._time, self._value = time, value

    @property
    def mean(self) -> float | None:
        """Mean over time; None when there are no samples."""
        if self._first is None:
            return None
        span = self._time - self._first
        return self._area / span if span > 0 else self._value
