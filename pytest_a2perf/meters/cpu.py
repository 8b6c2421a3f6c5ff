"""CPU time of this process and of those below it, the basis of several meters."""

from __future__ import annotations

import os
import resource
import time

from pytest_a2perf.meters.processes import descendants, has_children

__all__ = ["cpu_seconds"]

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its descendants.

    Those of children that were waited for are exact; those of processes that are still running
    are counted in the kernel's ticks, of 10 ms as a rule.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited = children.ru_utime + children.ru_stime
    alive = sum(map(_ticks, descendants())) / _TICK if has_children() else 0.0
    return time.process_time() + waited + alive


def _ticks(pid: int) -> int:
    """Return the ticks of a process and of the children it has waited for; 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - fast
            # The second field is the name in brackets, which may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
