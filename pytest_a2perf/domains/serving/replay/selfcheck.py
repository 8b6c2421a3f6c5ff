"""Whether the client, not the server, was the limit.

Two delays are the client's own. It may send late: `Rows.lead`, from when an agent wanted to send to
when it did. And it may look late at what has come: its loop's lag, by which timers come late, since
a reply waits just as long to be read as a timer to be served. Both are part of the times that are
measured. The 95th percentile of the first and the 99th of the second, added up, are taken for the
*error* of a time: no more than a few requests in a hundred are further off. A speed is off by the
lag over the time between first and last token.

The error must not decide. It may be

* so small that, even twice as large, it would not carry the percentile over its limit: then a
  client without any error would have got the same verdict; or
* ``share`` of the limit (of a speed: of the time that it is taken over): figures are no better; or
* ``finest`` seconds, where limits are of that order.

Without a tier the medians of the first token's time and of the speed stand for the limits.

A process that is busy nearly all the time is a limit as well: its loop has no idle moment, so that
agents wait for each other and the load is less than it claims. A machine without idle time is not,
as an engine on the same machine may use it; it is told, and lag shows if the client suffers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_a2perf.domains.serving.replay.level import Client, ClientCheck
from pytest_a2perf.domains.serving.replay.rows import Rows
from pytest_a2perf.domains.serving.replay.summary import percentile
from pytest_a2perf.domains.serving.slo.tiers import Limit, Measure
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.units import format_value

__all__ = ["Usage", "check_client", "machine_times"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What load processes used.

    Attributes:
        cores: of each process in the window, CPU seconds a second.
        cpu: seconds, of all processes in the whole level.
        idle: share of the machine's time in the window; NaN where nobody can tell.
    """

    cores: tuple[float, ...]
    cpu: float
    idle: float


def check_client(
    rows: Rows,
    chunks: float,
    lag: Histogram,
    usage: Usage,
    *,
    limits: Sequence[Limit] = (),
    check: ClientCheck | None = None,
) -> Client:
    """Return what is known of the client over a window, and whether it was the limit.

    Args:
        rows: of the window.
        chunks: of the whole level.
        lag: of all processes.
        usage: see `Usage`.
        limits: that the level is to be judged by.
        check: see `ClientCheck`.
    """
    check = check or ClientCheck()
    lead = percentile(rows.lead, 95) if len(rows) else 0.0
    late = lag.quantile(0.99) if lag.count else 0.0
    found = [
        f"load process {number} used {cores:.0%} of a core"
        for number, cores in enumerate(usage.cores)
        if cores > check.busiest
    ]
    found += _errors(rows, lead, late, limits, check)
    if found and usage.idle < check.idle:
        found.append(f"the machine was idle for only {usage.idle:.0%} of the time")
    return Client(
        processes=len(usage.cores),
        cores=sum(usage.cores),
        cpu_per_chunk=usage.cpu / chunks if chunks else 0.0,
        lag_p50=lag.quantile(0.5) if lag.count else 0.0,
        lag_p99=late,
        lag_max=lag.maximum if lag.count else 0.0,
        lead_p95=lead,
        limited="; ".join(found),
    )


def _errors(
    rows: Rows, lead: float, lag: float, limits: Sequence[Limit], check: ClientCheck
) -> list[str]:
    """Return the limits that the client's error is not small beside, in words."""
    served = rows.where(~rows.failed)
    told = []
    for limit in limits or _medians(served):
        value = percentile(getattr(served, limit.measure), limit.percentile)
        if math.isnan(value):
            continue
        error = lag if limit.measure == "output_speed" else lag + lead
        span = _span(served, limit) if limit.higher else limit.limit
        low, high = _without(value, error, span, limit)
        if low < limit.limit < high and error > max(check.share * span, check.finest):
            unit = "tok/s" if limit.higher else "s"
            told.append(
                f"{limit.measure}: the client sent late by {format_value(lead, 's')} and read late "
                f"by {format_value(lag, 's')}, which is too much beside "
                f"{format_value(limit.limit, unit)}"
            )
    return told


def _without(value: float, error: float, span: float, limit: Limit) -> tuple[float, float]:
    """Return between what a percentile may lie for a client without errors, twice over."""
    if not limit.higher:
        return value - 2 * error, value + 2 * error
    # A speed is tokens over a time, and the time is off.
    share = 2 * error / span
    return value / (1 + share), value / (1 - share) if share < 1 else math.inf


def _span(rows: Rows, limit: Limit) -> float:
    """Return the typical time that a speed is taken over."""
    spans = rows["last"] - rows["first"] if limit.measure == "output_speed" else rows.turn
    return percentile(spans[spans > 0], 50)


def _medians(rows: Rows) -> list[Limit]:
    """Return what stands for limits where there are none."""
    measures: tuple[Measure, ...] = ("ttft", "output_speed")
    return [Limit(name, 50, percentile(getattr(rows, name), 50)) for name in measures]


def machine_times() -> tuple[float, float]:
    """Return how long this machine's cores have been idle, and have existed, in seconds each.

    Two NaN where nobody can tell.
    """
    try:
        words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return math.nan, math.nan
    ticks = [int(word) for word in words]
    second = os.sysconf("SC_CLK_TCK")
    return (ticks[3] + ticks[4]) / second, sum(ticks) / second
