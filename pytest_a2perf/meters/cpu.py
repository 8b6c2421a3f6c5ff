"""CPU time of this process, the basis of several meters."""

from __future__ import annotations

import resource
import time

__all__ = ["cpu_seconds"]


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the children it has waited for.

    Children that are still running count only once they are waited for: the kernel adds their
    time to the parent's then.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
