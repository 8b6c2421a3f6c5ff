"""Readings over time, and what they say of a window."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Covered", "Series", "together"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Covered:
    """What a series says of a window.

    Attributes:
        amount: integral of a gauge, or increase of a counter, over the covered part.
        seconds: that the covered part lasts.
        longest_gap: longest time between two readings that touch the window, or between its ends
            and the nearest reading.
    """

    amount: float
    seconds: float
    longest_gap: float

    @property
    def rate(self) -> float:
        """Amount for each covered second; NaN where nothing is covered."""
        return self.amount / self.seconds if self.seconds > 0 else math.nan


class Series:
    """Readings with their times, of a gauge or a counter.

    One thread adds while another evaluates: times come last, so that each has its value.
    """

    __slots__ = ("_times", "_values")

    def __init__(self) -> None:
        self._times = array("d")
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._times)

    def add(self, at: float, value: float) -> None:
        """Add a reading; one that is not later than the one before is left out."""
        if not self._times or at > self._times[-1]:
            self._values.append(value)
            self._times.append(at)

    @property
    def first(self) -> float:
        """Time of the first reading; infinite without any."""
        return self._times[0] if self._times else math.inf

    @property
    def last(self) -> float:
        """Time of the last reading; minus infinity without any."""
        return self._times[-1] if self._times else -math.inf

    def arrays(self) -> tuple[Floats, Floats]:
        """Return copies of times and values."""
        count = len(self._times)
        return np.array(self._times[:count]), np.array(self._values[:count])

    def inside(self, begin: float, end: float) -> Floats:
        """Return the values that were read in a window."""
        times, values = self.arrays()
        return values[(times >= begin) & (times <= end)]

    def changes(self, begin: float, end: float) -> int:
        """Return how often the value of a window differs from the one before."""
        return int(np.count_nonzero(np.diff(self.inside(begin, end))))

    def steps(self) -> Series:
        """Return only the readings at which the value changed.

        A counter that is read more often than it moves would else seem to stand still up to the
        moment at which it jumps.
        """
        times, values = self.arrays()
        changed = np.flatnonzero(np.diff(values, prepend=np.nan))
        steps = Series()
        for index in changed:
            steps.add(float(times[index]), float(values[index]))
        return steps

    def integral(self, begin: float, end: float, longest: float) -> Covered:
        """Integrate a gauge by the trapezoidal rule, interpolated at the ends of the window.

        Args:
            begin: of the window.
            end: of the window.
            longest: readings further apart say nothing of the time between them.
        """
        times, values = self.arrays()
        middle = (np.clip(times[:-1], begin, end) + np.clip(times[1:], begin, end)) / 2
        with np.errstate(invalid="ignore"):  # not every reading is a number
            heights = np.interp(middle, times, values) if len(times) else middle
        return _cover(times, heights, begin, end, longest)

    def increase(
        self, begin: float, end: float, longest: float = math.inf, *, restarts: bool = False
    ) -> Covered:
        """Return how much a counter grew, interpolated at the ends of the window.

        Args:
            begin: of the window.
            end: of the window.
            longest: readings further apart say nothing of the time between them.
            restarts: a counter that falls began again at zero; else that piece is not covered.
        """
        times, values = self.arrays()
        grown = np.diff(values)
        grown = np.where(grown < 0, values[1:] if restarts else np.nan, grown)
        return _cover(times, grown / np.diff(times), begin, end, longest)


def _cover(times: Floats, heights: Floats, begin: float, end: float, longest: float) -> Covered:
    """Sum up the pieces between readings, each of which has a mean height, inside a window."""
    if len(times) == 0:
        return Covered(0.0, 0.0, end - begin)
    inside = np.clip(times[1:], begin, end) - np.clip(times[:-1], begin, end)
    spans = np.diff(times)
    told = np.isfinite(heights) & (spans <= longest) & (inside > 0)
    outer = (min(times[0], end) - begin, end - max(times[-1], begin))
    return Covered(
        float(np.sum(heights[told] * inside[told])),
        float(np.sum(inside[told])),
        float(max(*outer, np.max(spans[inside > 0], initial=0.0))),
    )


def together(series: Sequence[Series], begin: float, end: float) -> Floats:
    """Return the sum of several gauges at all times in a window at which any of them was read."""
    read = [one.arrays() for one in series if len(one)]
    times = np.unique(np.concatenate([times for times, _ in read])) if read else np.array([])
    times = times[(times >= begin) & (times <= end)]
    return np.asarray(sum((np.interp(times, *one) for one in read), np.zeros(len(times))))
