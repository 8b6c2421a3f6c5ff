"""Wall-clock and CPU time."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pytest_a2perf.meters.cpu import cpu_seconds
from pytest_a2perf.quantities import Quantity

__all__ = ["TimeMeter"]

_WALL_RESOLUTION = time.get_clock_info("perf_counter").resolution
_CPU_RESOLUTION = time.get_clock_info("process_time").resolution


class TimeMeter:
    """Reads ``time.wall`` and ``time.cpu``, in seconds.

    CPU time is that of this process (all threads) and of the children it waited for in the window.
    """

    name = "time"

    def __init__(self) -> None:
        self._wall = self._cpu = 0.0

    def start(self) -> None:
        """Open a window."""
        self._cpu = cpu_seconds()
        self._wall = time.perf_counter()

    def stop(self) -> Mapping[str, Quantity]:
        """Close the window and return ``time.wall`` and ``time.cpu``."""
        wall = time.perf_counter() - self._wall
        cpu = cpu_seconds() - self._cpu
        return {
            "time.wall": Quantity(
                wall, "s", "perf_counter", window=wall, resolution=_WALL_RESOLUTION
            ),
            "time.cpu": Quantity(
                cpu, "s", "process_time+getrusage", window=wall, resolution=_CPU_RESOLUTION
            ),
        }
