"""Energy and load while somebody else's processes run: counters where there are any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.errors import MeterUnavailableError
from pytest_a2perf.meters.energy.cpu_time import WATTS_PER_CORE
from pytest_a2perf.meters.energy.nvml_device import Device
from pytest_a2perf.meters.energy.rapl import RaplDomain, find_domains, joules_between

__all__ = ["CpuEnergy", "GpuLoad", "GpuReading"]


class CpuEnergy:
    """Energy of a box's processors: its share of the RAPL counters, else its CPU time x watts.

    Args:
        watts: power of one busy hardware thread, for the model.
        domains: RAPL counters; None finds those of this machine.
    """

    def __init__(
        self, watts: float = WATTS_PER_CORE, domains: Sequence[RaplDomain] | None = None
    ) -> None:
        self._watts = watts
        try:
            self._domains = tuple(find_domains() if domains is None else domains)
        except MeterUnavailableError:
            self._domains = ()
        self.joules = 0.0
        self._cpu = 0.0
        self._busy = _busy_seconds()
        self._counters = self._read()

    @property
    def source(self) -> str:
        """Where the joules come from, as the energy meters name it."""
        return "rapl" if self._domains else f"cpu-time-model({self._watts:g} W/core)"

    @property
    def quality(self) -> str:
        """``estimated`` with counters, which are the whole machine's; ``modelled`` without."""
        return "estimated" if self._domains else "modelled"

    def add(self, cpu: float) -> float:
        """Account for what happened since the last call, and return all joules so far.

        Args:
            cpu: CPU seconds of the box so far.
        """
        spent, self._cpu = max(0.0, cpu - self._cpu), max(cpu, self._cpu)
        counters, busy = self._read(), _busy_seconds()
        if counters and self._counters:
            joules = sum(
                joules_between(before, after, domain.range)
                for domain, before, after in zip(
                    self._domains, self._counters, counters, strict=True
                )
            )
            share = spent / max(busy - self._busy, spent) if spent else 0.0
            self.joules += joules * share
        else:
            self._domains = ()
            self.joules += spent * self._watts
        self._counters, self._busy = counters, busy
        return self.joules

    def _read(self) -> list[int]:
        try:
            return [domain.read() for domain in self._domains]
        except (OSError, ValueError):
            return []


def _busy_seconds() -> float:
    """Return the machine's busy CPU seconds since boot."""
    import psutil

    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    double = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # in user and nice
    return float(sum(times) - idle - double)


@dataclass(frozen=True, slots=True)
class GpuReading:
    """All GPUs together, now.

    Attributes:
        utilization: mean, 0 to 1.
        memory: bytes in use, by anybody.
        watts: drawn.
        joules: since the first reading.
    """

    utilization: float
    memory: float
    watts: float
    joules: float

    def to_json(self) -> dict[str, float]:
        """Return what could be read."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: round(value, 3) for name, value in values.items() if math.isfinite(value)}


class GpuLoad:
    """Reads GPUs through NVML.

    Args:
        devices: those that the box may use.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self._devices = tuple(devices)
        self._boards = tuple({device.board_uuid: device for device in devices}.values())
        self._first = [self._counter(board) for board in self._boards]
        self._at = math.nan
        self._integral = 0.0

    def read(self, at: float) -> GpuReading:
        """Read them.

        Args:
            at: seconds, on any clock; energy of boards without a counter is power x time.
        """
        watts = [_number(board.read("nvmlDeviceGetPowerUsage"), 1e-3) for board in self._boards]
        loads = [board.read("nvmlDeviceGetUtilizationRates") for board in self._boards]
        used = [device.read("nvmlDeviceGetMemoryInfo", of_board=False) for device in self._devices]
        elapsed = at - self._at if math.isfinite(self._at) else 0.0
        self._at = at
        joules = 0.0
        for board, first, power in zip(self._boards, self._first, watts, strict=True):
            now = self._counter(board)
            if math.isfinite(first) and math.isfinite(now):
                joules += now - first
            elif math.isfinite(power):
                self._integral += power * elapsed
        known = [float(load.gpu) / 100 for load in loads if load is not None]
        return GpuReading(
            utilization=sum(known) / len(known) if known else math.nan,
            memory=sum(_number(info and info.used) for info in used),
            watts=sum(watts),
            joules=joules + self._integral,
        )

    @staticmethod
    def _counter(board: Device) -> float:
        return _number(board.read("nvmlDeviceGetTotalEnergyConsumption"), 1e-3)


def _number(value: Any, factor: float = 1.0) -> float:
    return math.nan if value is None else float(value) * factor
