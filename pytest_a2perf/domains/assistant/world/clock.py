"""The clock of a world: it costs no real time, and never goes back."""

from __future__ import annotations

__all__ = ["SimulatedClock"]


class SimulatedClock:
    """Tells the simulated time, which passes only when the world says so."""

    def __init__(self, now: float) -> None:
        self._now = now

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self._now

    def move_to(self, time: float) -> None:
        """Go to a time, in seconds since 1970; one that is past changes nothing."""
        self._now = max(self._now, time)
