"""From readings of boards to the power of a system over a window, and whether it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pytest_a2perf.domains.serving.system.power import PowerReading
from pytest_a2perf.domains.serving.system.series import Series
from pytest_a2perf.meters.energy.nvml import THROTTLE_REASONS
from pytest_a2perf.quantities import Quality, worst_quality
from pytest_a2perf.units import format_value

__all__ = ["LEAST_COVERAGE", "LONGEST_GAP", "Board", "power_of"]

LEAST_COVERAGE = 0.95
LONGEST_GAP = 3.0
"""Seconds between two readings; more, and nobody knows what happened in between."""

_SHORTEST_COUNTED = 1.0  # ten updates of NVML's counter
_SHORTEST_COMPARED = 10.0  # a second that power lags behind must not matter
_LARGEST_DIFFERENCE = 0.05
_FRESH_READINGS = 20
_LEAST_THROTTLED = 0.01  # share of readings; less cannot move a percentile
_POWER_CAP = 0x004
# At its power limit a loaded board works as it was configured to: that is told, but taints nothing.
_TAINTING = {bit: name for bit, name in THROTTLE_REASONS.items() if bit != _POWER_CAP}


@dataclass(slots=True)
class Board:
    """What is read of one device.

    Attributes:
        name: shown beside its power.
        energy: counter, J.
        power: gauge, W.
        clock: of the multiprocessors, Hz.
        reasons: bits of NVML's reasons for slower clocks.
        settings: what somebody may change meanwhile, by name and unit, e.g. ``("power limit",
            "W")``.
    """

    name: str
    energy: Series = field(default_factory=Series)
    power: Series = field(default_factory=Series)
    clock: Series = field(default_factory=Series)
    reasons: Series = field(default_factory=Series)
    settings: dict[tuple[str, str], Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Power:
    """Power of one board."""

    watts: float
    source: str
    quality: Quality
    coverage: float
    why_not: str = ""
    note: str = ""


def power_of(
    boards: Sequence[Board], begin: float, end: float, *, source: str, boundary: str
) -> PowerReading:
    """Return the power of some boards together.

    It is valid if readings cover at least `LEAST_COVERAGE` of the window with no gap longer than
    `LONGEST_GAP`, for each board, and if counters and samples of power agree.

    Args:
        boards: all must have been read.
        begin: of the window, monotonic seconds.
        end: of the window.
        source: beginning of the source's name, e.g. ``nvml``.
        boundary: what is inside.
    """
    powers = {board.name: _power(board, begin, end) for board in boards}
    whys = [f"{name}: {power.why_not}" for name, power in powers.items() if power.why_not]
    if not powers:
        whys = ["there are no readings"]
    watts = math.nan if whys else sum(power.watts for power in powers.values())
    sources = sorted({f"{source}-{power.source}" for power in powers.values()}) or [source]
    return PowerReading(
        watts=watts,
        joules=watts * (end - begin),
        source="+".join(sources),
        quality=worst_quality([power.quality for power in powers.values()]),
        boundary=boundary,
        coverage=min((power.coverage for power in powers.values()), default=0.0),
        why_not="; ".join(whys),
        tainted=tuple(_taints(boards, begin, end)),
        note="; ".join(f"{name}: {power.note}" for name, power in powers.items() if power.note),
        devices={} if whys else {name: power.watts for name, power in powers.items()},
        clocks=_clocks(boards, begin, end),
    )


def _power(board: Board, begin: float, end: float) -> _Power:
    seconds = end - begin
    counted = board.energy.steps().increase(begin, end)
    sampled = board.power.integral(begin, end, LONGEST_GAP)
    # Whichever there is tells when the board was read at all.
    read = sampled if len(board.power) else board.energy.integral(begin, end, LONGEST_GAP)
    coverage = min(1.0, read.seconds / seconds) if seconds > 0 else 0.0
    by_counter = seconds >= _SHORTEST_COUNTED and counted.seconds >= LEAST_COVERAGE * seconds
    samples = len(board.power) > 0 and not by_counter
    best = sampled if samples else counted
    why_not, note = _doubts(board, begin, end, coverage, read.longest_gap), ""
    if not why_not and not math.isfinite(best.rate):
        why_not = "there are too few readings"
    if not why_not and by_counter and len(board.power):
        away = abs(sampled.rate / counted.rate - 1) if counted.rate > 0 else math.inf
        if away > _LARGEST_DIFFERENCE:
            note = f"energy counter and samples of power are {away:.0%} apart"
            why_not = note if seconds >= _SHORTEST_COMPARED else ""
    if samples and not board.power.changes(begin, end):
        note = "power stood still"
    return _Power(
        best.rate,
        "power-samples" if samples else "energy-counter",
        "estimated" if samples else "measured",
        coverage,
        why_not,
        "" if why_not else note,
    )


def _doubts(board: Board, begin: float, end: float, coverage: float, gap: float) -> str:
    """Say why the readings of a board cannot be used, or nothing."""
    if coverage < LEAST_COVERAGE:
        return f"readings cover {coverage:.0%} of the window"
    if gap > LONGEST_GAP:
        return f"no readings for {gap:.1f} s"
    fresh = (board.energy if len(board.energy) else board.power).changes(begin, end)
    period = (end - begin) / fresh if fresh else 0.0
    if period > max(LONGEST_GAP, (end - begin) / _FRESH_READINGS):
        return (
            f"readings are renewed every {period:.0f} s only: let the exporter collect more often "
            f"(DCGM's: --collect-interval=1000), or measure for {_FRESH_READINGS * period:.0f} s"
        )
    return ""


def _taints(boards: Sequence[Board], begin: float, end: float) -> list[str]:
    taints = []
    for board in boards:
        share, reasons = _throttled(board, begin, end)
        if share >= _LEAST_THROTTLED:
            taints.append(f"{board.name} throttled in {share:.0%} of readings ({reasons})")
        for (name, unit), series in board.settings.items():
            values = series.inside(begin, end)
            if len(values) and np.ptp(values) > 0:
                first, last = (format_value(float(values[index]), unit) for index in (0, -1))
                taints.append(
                    f"{board.name}: {name} was changed from {first} to {last}"
                    if first != last
                    else f"{board.name}: {name} was changed, and back to {first}"
                )
    return taints


def _throttled(board: Board, begin: float, end: float) -> tuple[float, str]:
    """Return the share of readings with slower clocks than configured, and why."""
    masks = board.reasons.inside(begin, end).astype(np.int64)
    if not len(masks):
        return 0.0, ""
    seen = int(np.bitwise_or.reduce(masks))
    reasons = ", ".join(name for bit, name in _TAINTING.items() if seen & bit)
    return float(np.mean(masks & sum(_TAINTING) != 0)), reasons


def _clocks(boards: Sequence[Board], begin: float, end: float) -> dict[str, float]:
    clocks: dict[str, float] = {}
    speeds = [values for board in boards if len(values := board.clock.inside(begin, end))]
    if speeds:
        clocks["sm_mean"] = float(np.mean([values.mean() for values in speeds]))
        clocks["sm_min"] = float(min(values.min() for values in speeds))
        clocks["sm_max"] = float(max(values.max() for values in speeds))
    limits = [board.settings.get(("power limit", "W"), Series()) for board in boards]
    watts = [values[-1] for one in limits if len(values := one.inside(begin, end))]
    if watts and len(watts) == len(boards):
        clocks["power_limit"] = float(sum(watts))
    masks = [values for board in boards if len(values := board.reasons.inside(begin, end))]
    if masks:
        reasons = np.concatenate(masks).astype(np.int64)
        clocks["throttled"] = float(np.mean(reasons & sum(_TAINTING) != 0))
        clocks["power_capped"] = float(np.mean(reasons & _POWER_CAP != 0))
    return clocks
