"""Resident memory of a whole process tree over time, for trainings."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pytest_a2perf.meters.processes import current_rss, descendants, resident
from pytest_a2perf.meters.sampler import Sampler
from pytest_a2perf.quantities import Quantity

__all__ = ["TreeMemoryMeter"]


class TreeMemoryMeter:
    """Reads ``memory.tree.peak`` and ``memory.tree.mean``, in bytes.

    Both are of samples of this process and all below it, summed; pages that processes share count
    once for each, as in A2Perf.

    Args:
        sampler: samples while the window is open.
    """

    name = "memory-tree"

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._opened = 0.0
        self._samples: list[int] = []

    def start(self) -> None:
        """Open a window."""
        self._opened = time.perf_counter()
        self._samples = []
        self._sample()
        self._sampler.add(self._sample)

    def stop(self) -> Mapping[str, Quantity]:
        """Close the window and return both quantities."""
        self._sampler.remove(self._sample)
        self._sample()
        window, count = time.perf_counter() - self._opened, len(self._samples)
        values = {"peak": max(self._samples), "mean": sum(self._samples) / count}
        return {
            f"memory.tree.{name}": Quantity(
                value, "B", "rss-samples", "estimated", window, note=f"{count} samples"
            )
            for name, value in values.items()
        }

    def _sample(self) -> None:
        self._samples.append(current_rss() + sum(map(resident, descendants())))
