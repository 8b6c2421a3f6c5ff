"""Who may submit when: quota, rate, cool-down and queue, decided and reserved in one step."""

from __future__ import annotations

from collections import deque
from time import monotonic

from pytest_a2perf.domains.posttrain.grading.config import Config
from pytest_a2perf.domains.posttrain.grading.refusal import Refused

__all__ = ["Admission"]

_BUSY = 5.0  # seconds after which a full queue is worth another try


class Admission:
    """Counts places. The caller holds one lock around every call.

    Args:
        config: see `Config`.

    Attributes:
        reserved: places of submissions that are being copied.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._recent: deque[float] = deque()
        self.reserved = 0

    def enter(self, used: int, waiting: int, idle: float | None) -> None:
        """Reserve a place, or raise.

        Args:
            used: submissions that count against the quota, those that wait included.
            waiting: submissions that wait for their evaluation, or are evaluated.
            idle: seconds since the last evaluation ended; None: there was none.

        Raises:
            Refused: no place is left, or not now.
        """
        self._limit_rate()
        config = self._config
        if config.submissions is not None and used + self.reserved >= config.submissions:
            raise Refused(f"all {config.submissions} submissions are used up", 429)
        if config.cool_down:
            if waiting or self.reserved:
                raise Refused("one submission at a time: wait for the other's score", 429, _BUSY)
            if idle is not None and idle < config.cool_down:
                left = config.cool_down - idle
                raise Refused(f"cooling down: wait {left:.1f} s", 429, left)
        if waiting + self.reserved > config.queue:
            raise Refused(f"{waiting} submissions wait already", 503, _BUSY)
        self.reserved += 1

    def _limit_rate(self) -> None:
        now, most = monotonic(), self._config.per_minute
        while self._recent and now - self._recent[0] >= 60:
            self._recent.popleft()
        if len(self._recent) >= most:
            left = 60 - (now - self._recent[0])
            raise Refused(f"at most {most} submissions a minute: wait {left:.1f} s", 429, left)
        self._recent.append(now)
