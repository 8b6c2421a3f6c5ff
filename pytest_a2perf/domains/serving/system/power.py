"""What a system draws: readings over a window, by NVML, by an exporter, or as declared."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from types import TracebackType
from typing import Any, Protocol, Self

from pytest_a2perf.quantities import Quality

__all__ = ["PowerReading", "PowerSource"]


@dataclass(frozen=True, slots=True)
class PowerReading:
    """Power over a window.

    Attributes:
        watts: mean, summed over the devices; NaN where it is not valid.
        joules: over the window.
        source: e.g. ``nvml-energy-counter``, ``dcgm-exporter``, ``declared``.
        quality: ``measured``, ``estimated``, or ``modelled`` where it is declared.
        boundary: what is inside: ``accelerator board``, ``accelerator die and memory``, ``node``,
            ``rack``; figures of different boundaries do not compare.
        coverage: share of the window that readings cover.
        why_not: why it is not valid; empty if it is.
        tainted: clocks that throttled or were changed meanwhile, in words.
        note: what else should be known of it, in words.
        devices: watts of each device.
        clocks: of the devices over the window, as far as known: ``sm_mean``, ``sm_min`` and
            ``sm_max`` (Hz), ``power_limit`` (W, all devices), ``throttled`` and ``power_capped``
            (shares of the readings).
    """

    watts: float
    joules: float
    source: str
    quality: Quality
    boundary: str
    coverage: float = 1.0
    why_not: str = ""
    tainted: tuple[str, ...] = ()
    note: str = ""
    devices: dict[str, float] = field(default_factory=dict)
    clocks: dict[str, float] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether figures may be made of it."""
        return not self.why_not

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, without what is empty or not a number."""
        data: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, tuple):
                value = list(value)
            if value in ("", [], {}) or (isinstance(value, float) and not math.isfinite(value)):
                continue
            data[each.name] = value
        return data


class PowerSource(Protocol):
    """Reads power in the background between ``with`` and its end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def over(self, begin: float, end: float) -> PowerReading:
        """Return the power between two times of the monotonic clock."""
