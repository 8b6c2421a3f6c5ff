"""Peak resident memory of this process and of its children."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Mapping

from pytest_a2perf.meters.peaks import PeakWindow, PeakWindows
from pytest_a2perf.meters.processes import current_rss, descendants, has_children, resident
from pytest_a2perf.meters.sampler import Sampler
from pytest_a2perf.quantities import Quality, Quantity

__all__ = ["MemoryMeter"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


# The files are opened for each access: a descriptor kept across a fork would go on to mean the
# parent's memory, and opening one costs about 2 µs.
def _read_peak() -> float:
    """Return ``VmHWM``, the peak resident set since the last reset, in bytes."""
    descriptor = os.open("/proc/self/status", os.O_RDONLY)
    try:
        status = os.read(descriptor, 1 << 14)
    finally:
        os.close(descriptor)
    begin = status.find(b"VmHWM:")
    if begin < 0:
        raise OSError("/proc/self/status has no VmHWM")
    return float(int(status[begin + 6 : status.index(b"kB", begin)]) * 1024)


def _reset_peak() -> None:
    """Set ``VmHWM`` to the present size; see ``clear_refs`` in proc_pid_clear_refs(5)."""
    descriptor = os.open("/proc/self/clear_refs", os.O_WRONLY)
    try:
        os.write(descriptor, b"5")
    finally:
        os.close(descriptor)


def _maxrss(who: int) -> int:
    return resource.getrusage(who).ru_maxrss * _MAXRSS_UNIT


_peaks = PeakWindows(_read_peak, _reset_peak)


class MemoryMeter:
    """Reads ``memory.peak`` and, if there were child processes, ``memory.children_peak``, in bytes.

    The peak of this process is exact: the kernel's high-water mark is reset at the start
    (``/proc/self/clear_refs``) and read at the end (``VmHWM``); windows may nest. Where it cannot
    be reset, ``ru_maxrss`` serves if it rose in the window, and otherwise the size at both ends.

    Children that are alive are summed at both ends and, with a sampler, in between; of children
    that have been waited for, the kernel remembers only the largest ever.

    Args:
        sampler: samples the children while the window is open. None reads them at its ends only.
        children: sample from the start even if there is no child yet, for work that starts some.
    """

    name = "memory"

    def __init__(self, sampler: Sampler | None = None, *, children: bool = False) -> None:
        self._sampler = Sampler() if sampler is None and children else sampler
        self._expect_children = children
        self._window: PeakWindow | None = None
        self._sampling = False
        self._opened = 0.0
        self._maxrss_before = self._rss_before = 0
        self._children_before = (0, 0.0)
        self._children_peak = 0

    def start(self) -> None:
        """Open a window."""
        self._opened = time.perf_counter()
        self._children_peak = 0
        self._children_before = _waited_children()
        alive = has_children()
        if alive:
            self._sample_children()
        if self._sampler and (alive or self._expect_children or self._sampler.running):
            self._sampler.add(self._sample_children)
            self._sampling = True
        try:
            self._window = _peaks.open()
        except OSError:
            self._window = None
            self._maxrss_before = _maxrss(resource.RUSAGE_SELF)
            self._rss_before = current_rss()

    def stop(self) -> Mapping[str, Quantity]:
        """Close the window and return ``memory.peak`` and perhaps ``memory.children_peak``."""
        quantity = self._own_peak()
        if self._sampling and self._sampler is not None:
            self._sampler.remove(self._sample_children)
            self._sampling = False
        self._sample_children()
        children = self._peak_of_children(quantity.value)
        if children is None:
            return {"memory.peak": quantity}
        return {"memory.peak": quantity, "memory.children_peak": children}

    def _own_peak(self) -> Quantity:
        seconds = time.perf_counter() - self._opened
        if self._window is not None:
            window, self._window = self._window, None
            try:
                peak = _peaks.close(window)
            except OSError:
                pass
            else:
                return Quantity(peak, "B", "vmhwm", window=seconds, resolution=_PAGE)
        maxrss = _maxrss(resource.RUSAGE_SELF)
        rose = maxrss > self._maxrss_before
        return Quantity(
            maxrss if rose else max(self._rss_before, current_rss()),
            "B",
            "ru_maxrss" if rose else "rss",
            "estimated",
            seconds,
            note="" if rose else "the larger of the sizes at both ends; the peak cannot be reset",
        )

    def _sample_children(self) -> None:
        if has_children():  # far cheaper than looking for them
            total = sum(map(resident, descendants()))
            self._children_peak = max(self._children_peak, total)

    def _peak_of_children(self, own_peak: float) -> Quantity | None:
        maxrss, seconds_of_cpu = _waited_children()
        maxrss_before, seconds_before = self._children_before
        waited_for_any = maxrss > maxrss_before or seconds_of_cpu > seconds_before
        if not waited_for_any and not self._children_peak:
            return None
        value, source, note = float(self._children_peak), "rss-samples", "shared pages count twice"
        quality: Quality = "estimated"
        if waited_for_any and maxrss > value:
            # A child begins as an image of its parent, whose size then counts as its own; and a
            # mark that did not rise belongs to an earlier child. Both only bound it from above.
            bound = maxrss <= maxrss_before or maxrss <= own_peak
            if not (bound and value):
                value, source = float(maxrss), "ru_maxrss"
                note = "upper bound" if bound else "the largest child that was waited for"
        return Quantity(
            value, "B", source, quality, time.perf_counter() - self._opened, _PAGE, note
        )


def _waited_children() -> tuple[int, float]:
    """Return the size in bytes of the largest child waited for, and the CPU seconds of all."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_maxrss * _MAXRSS_UNIT, usage.ru_utime + usage.ru_stime
