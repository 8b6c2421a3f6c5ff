"""What the meters read of each trial; a bare name is the mean over trials."""

from __future__ import annotations

from pytest_a2perf.metrics.base import Direction
from pytest_a2perf.metrics.pooled import PooledFamily, quantity

__all__ = ["SYSTEM_FAMILIES"]


def _reading(
    name: str, unit: str, what: str, *, direction: Direction = "lower", shown: bool = True
) -> PooledFamily:
    return PooledFamily(
        name,
        unit,
        direction,
        "system",
        f"{what} over trials",
        quantity(name),
        "mean",
        examples=("", "median", "max"),
        shown=("",) if shown else (),
    )


SYSTEM_FAMILIES: tuple[PooledFamily, ...] = (
    _reading("time.wall", "s", "wall time"),
    _reading("time.cpu", "s", "CPU time"),
    _reading("memory.peak", "B", "peak resident memory"),
    _reading("memory.children_peak", "B", "peak resident memory of children"),
    _reading("memory.tree.peak", "B", "peak resident memory of the process tree"),
    _reading("memory.tree.mean", "B", "mean resident memory of the process tree"),
    _reading("gpu.memory.peak", "B", "peak memory used on the devices"),
    _reading("gpu.memory.process", "B", "peak memory of the trial on the devices"),
    _reading("gpu.memory.torch_peak", "B", "peak memory allocated by PyTorch"),
    _reading("gpu.utilization", "", "utilisation of the devices", direction="none"),
    _reading("gpu.power.mean", "W", "mean power of the devices"),
    _reading("gpu.power.peak", "W", "peak power of the devices"),
    _reading("gpu.clock.sm", "Hz", "clock of the multiprocessors", direction="none"),
    _reading("gpu.clock.mem", "Hz", "clock of the memory", direction="none"),
    _reading("gpu.temperature", "degC", "temperature of the devices"),
    _reading("gpu.throttled", "", "share of samples with throttled clocks"),
    _reading("energy", "J", "energy of a trial"),
    _reading("energy.cpu", "J", "energy of the processor", shown=False),
    _reading("energy.gpu", "J", "energy of the devices"),
    _reading("energy.package", "J", "energy of the whole package", shown=False),
    _reading("energy.ram", "J", "energy of the memory", shown=False),
    _reading("energy.dram", "J", "energy of the memory by RAPL", shown=False),
    _reading("carbon", "gCO2e", "emissions of a trial"),
)
