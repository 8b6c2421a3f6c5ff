"""Power of the accelerators of this host, by NVML."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from pytest_a2perf.domains.serving.system.boards import Board, power_of
from pytest_a2perf.domains.serving.system.power import PowerReading
from pytest_a2perf.domains.serving.system.series import Series
from pytest_a2perf.errors import InfraError
from pytest_a2perf.meters.energy.nvml_device import Device, visible_devices
from pytest_a2perf.meters.sampler import Sampler

__all__ = ["BOUNDARY", "NvmlPower"]

BOUNDARY = "accelerator board"

_CLOCK_SM = 1  # nvmlClockType_t
_REASONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
_SETTINGS = (
    ("power limit", "W", 1e-3, "nvmlDeviceGetEnforcedPowerLimit", ()),
    ("application clock", "Hz", 1e6, "nvmlDeviceGetApplicationsClock", (_CLOCK_SM,)),
)


class NvmlPower:
    """Reads energy counters, power, clocks and their settings in a thread.

    Args:
        devices: numbers in the order of the PCI bus, or UUIDs (or unique beginnings of them);
            empty: all that CUDA shows this process.
        interval: seconds between two readings.
    """

    def __init__(self, devices: Sequence[int | str] = (), interval: float = 0.15) -> None:
        self._wanted = tuple(str(device) for device in devices)
        self._sampler = Sampler(interval)
        self._lock = threading.Lock()
        self._boards: list[tuple[Device, Board]] = []

    def __enter__(self) -> Self:
        """Begin to read.

        Raises:
            InfraError: there is no such device.
        """
        self._boards = [
            (device, Board(f"GPU {number}")) for number, device in enumerate(self._find())
        ]
        self._sample()
        self._sampler.add(self._sample)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sampler.remove(self._sample)

    def _find(self) -> list[Device]:
        """Return the devices, each board once."""
        found: list[Device] = []
        for wanted in self._wanted or (None,):
            devices = visible_devices(wanted)
            if not devices:
                raise InfraError(
                    "power: NVML sees no GPU on this host: read it where the accelerators are "
                    "(source = 'prometheus'), or declare it (source = 'declared')"
                    if wanted is None
                    else f"power: NVML knows no device {wanted!r}"
                )
            found += devices
        return list({device.board_uuid: device for device in found}.values())

    def _sample(self) -> None:
        with self._lock:
            for device, board in self._boards:
                _read(device, board)

    def over(self, begin: float, end: float) -> PowerReading:
        """Return the power between two times of the monotonic clock."""
        if self._sampler.running:
            self._sample()  # so that there is a reading after the window's end
        boards = [board for _, board in self._boards]
        return power_of(boards, begin, end, source="nvml", boundary=BOUNDARY)


def _read(device: Device, board: Board) -> None:
    """Take one reading of a board; what fails is left out."""

    def add(series: Series, value: float | None, factor: float = 1.0) -> None:
        if value is not None:
            series.add(time.monotonic(), value * factor)

    add(board.energy, device.read("nvmlDeviceGetTotalEnergyConsumption"), 1e-3)
    add(board.power, device.read("nvmlDeviceGetPowerUsage"), 1e-3)
    add(board.clock, device.read("nvmlDeviceGetClockInfo", _CLOCK_SM), 1e6)
    add(board.reasons, device.read_first(_REASONS))
    for name, unit, factor, function, arguments in _SETTINGS:
        add(
            board.settings.setdefault((name, unit), Series()),
            device.read(function, *arguments),
            factor,
        )
