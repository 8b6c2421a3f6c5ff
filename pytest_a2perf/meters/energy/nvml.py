"""Energy, power, load and memory of NVIDIA GPUs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import MeterUnavailableError
from pytest_a2perf.meters import torch_cuda
from pytest_a2perf.meters.energy.nvml_device import (
    Device,
    device_names,
    driver_version,
    visible_devices,
)
from pytest_a2perf.meters.energy.running import Integral, Running
from pytest_a2perf.meters.peaks import PeakWindow
from pytest_a2perf.meters.processes import descendants, has_children
from pytest_a2perf.meters.sampler import Sampler
from pytest_a2perf.quantities import Quality, Quantity

__all__ = ["THROTTLE_REASONS", "NvmlMeter", "device_names", "driver_version", "visible_devices"]

THROTTLE_REASONS = {
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
    0x200: "board_limit",
    0x400: "reliability",
}
"""Bits of ``nvmlClocksEventReasons`` that mean slower clocks than were asked for, under the names
that ``nvidia-smi`` gives them; idling and the user's own clock setting are none."""

_COUNTER_PERIOD = 0.1
_SHORTEST_WINDOW = 1.0  # ten updates of the energy counter
_CLOCK_SM, _CLOCK_MEMORY = 1, 2  # nvmlClockType_t
_TEMPERATURE_OF_GPU = 0  # nvmlTemperatureSensors_t
_ROOT_PID_NAMESPACE = "pid:[4026531836]"


class NvmlMeter:
    """Reads the visible GPUs through NVML.

    At both ends of the window: ``energy.gpu`` (J), from the driver's energy counter, which is
    updated about every 100 ms, or from power samples on GPUs without it. At both ends and, with a
    sampler, in between: ``gpu.power.mean`` and ``gpu.power.peak`` (W), ``gpu.utilization``,
    ``gpu.memory.peak`` (B, of everybody on the device), ``gpu.memory.process`` (B, of this process
    and its descendants), ``gpu.clock.sm`` and ``gpu.clock.mem`` (Hz), ``gpu.temperature`` (degC)
    and ``gpu.throttled`` (share of samples). ``gpu.memory.torch_peak`` (B) is exact, where PyTorch
    has CUDA initialised. Several GPUs are summed (energy, power, memory), averaged (utilization,
    clocks) or the hottest taken. What cannot be read is left out.

    Args:
        devices: the GPUs; None takes those visible to CUDA.
        sampler: samples while the window is open; None reads at its ends only.

    Raises:
        MeterUnavailableError: there is no GPU.
    """

    name = "nvml"

    def __init__(
        self, devices: Sequence[Device] | None = None, sampler: Sampler | None = None
    ) -> None:
        self.devices = tuple(visible_devices() if devices is None else devices)
        if not self.devices:
            raise MeterUnavailableError(
                "NVML: no GPU is visible (no driver, or CUDA_VISIBLE_DEVICES hides it)"
            )
        self._boards = tuple({device.board_uuid: device for device in self.devices}.values())
        self._sampler = sampler
        self._torch: PeakWindow | None = None
        self._counters: list[int | None] = []
        self._opened = 0.0
        self._forget()

    def _forget(self) -> None:
        self._running: dict[str, Running] = {}
        self._uncounted_power = Integral()
        self._reasons = 0
        self._shared = any(device.is_instance for device in self.devices)

    def start(self) -> None:
        """Open a window."""
        self._forget()
        try:
            self._torch = torch_cuda.PEAKS.open() if torch_cuda.cuda() else None
        except Exception:  # noqa: BLE001 - whatever CUDA raises, the trial goes on
            self._torch = None
        # Which boards count energy must be known before the first sample integrates the others.
        self._counters = self._read_counters()
        self._sample()
        if self._sampler is not None:
            self._sampler.add(self._sample)
        self._opened = time.perf_counter()
        self._counters = self._read_counters()

    def stop(self) -> Mapping[str, Quantity]:
        """Close the window and return what could be read."""
        counters = self._read_counters()
        window = time.perf_counter() - self._opened
        if self._sampler is not None:
            self._sampler.remove(self._sample)
        self._sample()
        note = "shared device" if self._shared else ""
        quantities: dict[str, Quantity] = {}
        energy = self._energy(counters, window, note)
        if energy is not None:
            quantities["energy.gpu"] = energy
        self._add_sampled(quantities, window, note)
        self._add_torch_peak(quantities, window)
        return quantities

    def _read_counters(self) -> list[int | None]:
        return [board.read("nvmlDeviceGetTotalEnergyConsumption") for board in self._boards]

    def _energy(self, counters: list[int | None], window: float, note: str) -> Quantity | None:
        joules, sources = 0.0, []
        quality: Quality = "measured"
        resolution: float | None = None
        for before, after in zip(self._counters, counters, strict=True):
            if before is None:
                continue
            if after is None or after < before:  # lost, or reset with the driver
                return None
            joules += (after - before) * 1e-3
            sources = ["nvml-energy-counter"]
        if sources:
            resolution = max(1e-3, joules / max(window, _COUNTER_PERIOD) * _COUNTER_PERIOD)
        if None in self._counters:
            mean = self._uncounted_power.mean
            if mean is None:
                return None
            joules += mean * window
            sources.append("nvml-power-samples")
            quality = "estimated"
        if sources[0] == "nvml-energy-counter" and window < _SHORTEST_WINDOW:
            note = ", ".join(filter(None, ("below resolution", note)))
        return Quantity(joules, "J", "+".join(sources), quality, window, resolution, note)

    def _add_sampled(self, quantities: dict[str, Quantity], window: float, note: str) -> None:
        def add(name: str, value: float, unit: str, source: str, remark: str = note) -> None:
            quantities[name] = Quantity(value, unit, source, "estimated", window, note=remark)

        running = self._running
        if "power" in running:
            add("gpu.power.mean", running["power"].mean, "W", "nvml-power-samples")
            add("gpu.power.peak", running["power"].peak, "W", "nvml-power-samples")
        counted = quantities.get("energy.gpu")
        if counted and counted.source == "nvml-energy-counter" and window >= _SHORTEST_WINDOW:
            quantities["gpu.power.mean"] = Quantity(
                counted.value / window, "W", counted.source, "measured", window, note=note
            )
        for name, unit, statistic in _SAMPLED:
            if name in running:
                add(f"gpu.{name}", statistic(running[name]), unit, "nvml-samples")
        if "throttled" in running:
            names = [text for bit, text in THROTTLE_REASONS.items() if self._reasons & bit]
            add("gpu.throttled", running["throttled"].mean, "", "nvml-samples", ", ".join(names))

    def _add_torch_peak(self, quantities: dict[str, Quantity], window: float) -> None:
        opened, self._torch = self._torch, None
        try:
            if opened is not None:
                peak = torch_cuda.PEAKS.close(opened)
            elif torch_cuda.cuda() is not None:  # initialised inside the window
                peak = torch_cuda.PEAKS.close(PeakWindow())
            else:
                return
        except Exception:  # noqa: BLE001 - whatever CUDA raises, the trial goes on
            return
        quantities["gpu.memory.torch_peak"] = Quantity(
            peak, "B", "torch-max-memory-allocated", window=window
        )

    def _sample(self) -> None:
        """Take one reading of everything that has no counter."""
        boards = self._boards
        watts = [board.read("nvmlDeviceGetPowerUsage") for board in boards]
        self._add("power", watts, 1e-3, sum)
        uncounted = [w for w, count in zip(watts, self._counters, strict=True) if count is None]
        known = [milliwatts for milliwatts in uncounted if milliwatts is not None]
        if known and len(known) == len(uncounted):
            self._uncounted_power.add(time.perf_counter(), sum(known) * 1e-3)
        loads = [board.read("nvmlDeviceGetUtilizationRates") for board in boards]
        self._add("utilization", [load and load.gpu for load in loads], 1e-2, _mean)
        used = [device.read("nvmlDeviceGetMemoryInfo", of_board=False) for device in self.devices]
        self._add("memory.peak", [info and info.used for info in used], 1, sum)
        for name, clock in (("clock.sm", _CLOCK_SM), ("clock.mem", _CLOCK_MEMORY)):
            values = [board.read("nvmlDeviceGetClockInfo", clock) for board in boards]
            self._add(name, values, 1e6, _mean)
        degrees = [
            board.read_first(
                ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"), _TEMPERATURE_OF_GPU
            )
            for board in boards
        ]
        self._add("temperature", degrees, 1, max)
        self._sample_reasons()
        self._sample_processes()

    def _add(
        self,
        name: str,
        values: list[Any],
        factor: float,
        combine: Callable[[Iterable[float]], float],
    ) -> None:
        """Add one reading over all devices, unless it lacks one of them."""
        if None not in values:
            self._running.setdefault(name, Running()).add(combine(values) * factor)

    def _sample_reasons(self) -> None:
        reasons = [
            board.read_first(
                (
                    "nvmlDeviceGetCurrentClocksEventReasons",
                    "nvmlDeviceGetCurrentClocksThrottleReasons",
                )
            )
            for board in self._boards
        ]
        if None in reasons:
            return
        throttling = 0
        for mask in reasons:
            throttling |= (mask or 0) & _THROTTLING
        self._reasons |= throttling
        self._running.setdefault("throttled", Running()).add(float(throttling != 0))

    def _sample_processes(self) -> None:
        listed = [
            device.read("nvmlDeviceGetComputeRunningProcesses", of_board=False)
            for device in self.devices
        ]
        if None in listed:
            return
        processes = [process for entry in listed for process in entry or ()]
        own = {os.getpid(), *(descendants() if processes and has_children() else ())}
        used = [process.usedGpuMemory for process in processes if process.pid in own]
        # In a container NVML shows the host's process ids: then nothing can be told apart.
        if used or _sees_host_pids():
            self._shared |= any(process.pid not in own for process in processes)
            self._add("memory.process", used, 1, sum)


@cache
def _sees_host_pids() -> bool:
    try:
        return str(Path("/proc/self/ns/pid").readlink()) == _ROOT_PID_NAMESPACE
    except OSError:
        return False


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


_THROTTLING = sum(THROTTLE_REASONS)
_SAMPLED: tuple[tuple[str, str, Callable[[Running], float]], ...] = (
    ("utilization", "", lambda running: running.mean),
    ("memory.peak", "B", lambda running: running.peak),
    ("memory.process", "B", lambda running: running.peak),
    ("clock.sm", "Hz", lambda running: running.mean),
    ("clock.mem", "Hz", lambda running: running.mean),
    ("temperature", "degC", lambda running: running.peak),
)
