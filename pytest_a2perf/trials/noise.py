"""The noise guard: how far the machine has drifted, and which trials it has spoilt."""

from __future__ import annotations

import time

from pytest_a2perf.runs.record import Record

__all__ = ["NoiseGuard", "calibrate", "is_tainted"]

_ROUNDS = 7
_LOOPS = 20_000  # about a millisecond


def calibrate() -> float:
    """Return the seconds that a small, fixed piece of work takes: the fastest of several rounds.

    The fastest is what the machine can do (clock, throttling, neighbours that do not let go), not
    what the scheduler did to one of them.
    """
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        total = 0
        for number in range(_LOOPS):
            total += number & 7
        best = min(best, time.perf_counter() - started)
    return best


def is_tainted(record: Record) -> bool:
    """Whether something beside the agent has spoilt a trial's measurements."""
    return bool(record.context.get("tainted"))


class NoiseGuard:
    """Calibrates at the start, between scenarios and at the end, and marks records.

    Args:
        bound: drift from the first calibration, as a share, beyond which records are tainted; 0
            switches calibration off.
        shared: why this process's device is not its own, or empty.
    """

    def __init__(self, bound: float, shared: str = "") -> None:
        self._bound = bound
        self._shared = shared
        self._first = 0.0
        self._scenario: str | None = None
        self.drift = 0.0

    @property
    def calibrated(self) -> bool:
        """Whether there is anything to compare with."""
        return self._first > 0

    def before(self, scenario_id: str) -> None:
        """Calibrate if a scenario begins."""
        if self._bound and scenario_id != self._scenario:
            self._scenario = scenario_id
            self.measure()

    def measure(self) -> float:
        """Calibrate and return the drift: 0.1 where the machine has become 10 % slower."""
        if not self._first:
            calibrate()  # wakes the processor
            self._first = calibrate()
            return self.drift
        seconds = calibrate()
        self.drift = seconds / self._first - 1
        return self.drift

    def mark(self, record: Record) -> None:
        """Note the drift in a record's context, and what taints it."""
        reasons = [self._shared] if self._shared and record.device not in ("cpu", "") else []
        if self._bound:
            record.context["drift"] = round(self.drift, 3)
            if abs(self.drift) > self._bound:
                way = "slower" if self.drift > 0 else "faster"
                reasons.append(f"machine {abs(self.drift):.0%} {way} than at the start")
        throttled = record.quantities.get("gpu.throttled")
        if throttled is not None and throttled.value > 0:
            reasons.append(f"GPU throttled in {throttled.value:.0%} of samples")
        if reasons:
            record.context["tainted"] = reasons
