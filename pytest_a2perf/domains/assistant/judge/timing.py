"""Whether an agent acted when it should have."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

__all__ = ["Moment", "Tolerance", "clock", "untimely"]


@dataclass(frozen=True)
class Tolerance:
    """How exact an agent has to be.

    Attributes:
        threshold: delays of the oracle up to this many seconds are not checked.
        before: seconds that the agent may be early.
        after: seconds that the agent may be late.
    """

    threshold: float = 1.0
    before: float = 10.0
    after: float = 25.0


@dataclass(frozen=True)
class Moment:
    """When the oracle acts.

    Attributes:
        time: when it did, in seconds since 1970.
        since: when the last of what it had waited for happened.
        absolute: when it had to, if the scenario names a time rather than a delay.
        comparator: ``EQUAL``, ``LESS_THAN`` (not too late), ``GREATER_THAN`` (not too early), or
            None, which is ``EQUAL`` for what the scenario times.
    """

    time: float
    since: float
    absolute: float | None = None
    comparator: str | None = None


def untimely(time: float, since: float, oracle: Moment, tolerance: Tolerance) -> str | None:
    """Return what is wrong with the time of an agent's call, or None.

    Args:
        time: of the call, in seconds since 1970.
        since: when what the oracle had last waited for happened in the agent's run.
        oracle: when the oracle acts.
        tolerance: how exact the agent has to be.
    """
    if oracle.absolute is not None:
        origin, wanted = 0.0, oracle.absolute
    else:
        origin, wanted = since, oracle.time - oracle.since
        if wanted <= tolerance.threshold and oracle.comparator is None:
            return None
    actual = time - origin
    early = oracle.comparator != "LESS_THAN" and actual < wanted - tolerance.before
    late = oracle.comparator != "GREATER_THAN" and actual > wanted + tolerance.after
    if not early and not late:
        return None
    word = "early" if early else "late"
    if oracle.absolute is not None:
        return f"too {word}: expected at {clock(wanted)}"
    return f"too {word}: {actual:g} s after what it waits for, expected after {wanted:g} s"


def clock(time: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a simulated time as text."""
    return dt.datetime.fromtimestamp(time, tz=dt.UTC).strftime(form)
