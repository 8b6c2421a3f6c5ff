"""CPU energy modelled from CPU time, for machines without a counter."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pytest_a2perf.meters.cpu import cpu_seconds
from pytest_a2perf.quantities import Quantity

__all__ = ["WATTS_PER_CORE", "CpuTimeMeter"]

WATTS_PER_CORE = 4.0
"""Power of one busy hardware thread in W, CodeCarbon's own assumption for unknown processors
(``DEFAULT_POWER_PER_CORE`` in ``codecarbon.core.cpu``). Calibrate it where numbers must compare
across machines."""


class CpuTimeMeter:
    """Reads ``energy.cpu`` = CPU seconds x watts of a busy hardware thread, in joules.

    CPU seconds are those of this process and of the children it waited for. They have nanosecond
    resolution, so that even windows of a millisecond repeat well; what is uncertain is the power.

    Args:
        watts_per_core: power of one busy hardware thread, in W.

    Raises:
        ValueError: the power is not positive.
    """

    name = "cpu-time"

    def __init__(self, watts_per_core: float = WATTS_PER_CORE) -> None:
        if not watts_per_core > 0:
            raise ValueError(f"watts per core must be positive, not {watts_per_core}")
        self.watts_per_core = watts_per_core
        self._source = f"cpu-time-model({watts_per_core:g} W/core)"
        self._resolution = time.get_clock_info("process_time").resolution * watts_per_core
        self._wall = self._cpu = 0.0

    def start(self) -> None:
        """Open a window."""
        self._wall = time.perf_counter()
        self._cpu = cpu_seconds()

    def stop(self) -> Mapping[str, Quantity]:
        """Close the window and return ``energy.cpu``."""
        joules = (cpu_seconds() - self._cpu) * self.watts_per_core
        window = time.perf_counter() - self._wall
        return {
            "energy.cpu": Quantity(joules, "J", self._source, "modelled", window, self._resolution)
        }
