"""What a meter is: an instrument that is started, stopped, and then says what it read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from pytest_a2perf.quantities import Quantity

__all__ = ["Meter", "NullMeter", "ReplayMeter"]


@runtime_checkable
class Meter(Protocol):
    """One instrument. Started and stopped once a window; windows do not overlap.

    A constructor raises `MeterUnavailableError` where the instrument cannot be read, so that a
    meter that exists also works.
    """

    name: str

    def start(self) -> None:
        """Open a window."""

    def stop(self) -> Mapping[str, Quantity]:
        """Close the window and return what was read, by quantity name."""


class NullMeter:
    """Reads nothing; stands in where an instrument is missing."""

    name = "null"

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> Mapping[str, Quantity]:
        """Return no quantities."""
        return {}


class ReplayMeter:
    """Gives out readings that were prepared beforehand, in order; the last one repeats.

    Args:
        readings: what each `stop` returns, e.g. taken from a stored record.
    """

    name = "replay"

    def __init__(self, readings: list[Mapping[str, Quantity]]) -> None:
        if not readings:
            raise ValueError("a replay meter needs at least one reading")
        self._readings = readings
        self._next = 0

    def start(self) -> None:
        """Do nothing: the readings are given."""

    def stop(self) -> Mapping[str, Quantity]:
        """Return the next reading."""
        reading = self._readings[min(self._next, len(self._readings) - 1)]
        self._next += 1
        return reading
