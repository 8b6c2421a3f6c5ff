"""What the fixtures hand out: latency, energy and memory probes."""

import gc
import os
import sys
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.errors import A2PerfError, MeterUnavailableError
from pytest_a2perf.meters import processes, torch_cuda
from pytest_a2perf.meters.base import NullMeter, ReplayMeter
from pytest_a2perf.meters.probes import EnergyProbe, LatencyProbe, MemoryProbe
from pytest_a2perf.meters.session import MeterSet
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record

MB = 10**6


@pytest.fixture
def record() -> Record:
    return Record("suite.toml::x", "suite.toml::x[0]", 0)


def test_latency_times_each_block():
    latency = LatencyProbe()
    for _ in range(3):
        with latency:
            time.sleep(0.01)
    assert latency.count == 3
    assert 0.01 <= latency.min <= latency.median <= latency.p95 <= latency.max < 5
    assert latency.median == latency.p50


def test_latency_of_a_block_that_raises_does_not_count():
    latency = LatencyProbe()
    with pytest.raises(ZeroDivisionError), latency:
        raise ZeroDivisionError
    assert latency.count == 0


@given(st.lists(st.floats(0, 1e3), min_size=2, max_size=50), st.floats(0, 100))
def test_latency_statistics_are_exact(values, q):
    latency = LatencyProbe()
    for value in values:
        latency.add(value)
    assert latency.values.tolist() == values
    assert latency.mean == np.mean(values)
    assert latency.std == np.std(values)
    assert latency.percentile(q) == np.percentile(values, q)
    assert latency.p90 == np.percentile(values, 90)
    assert latency.p99 == np.percentile(values, 99)
    assert latency.jitter == np.std(np.diff(values))
    assert latency.miss_rate(1.0) == sum(value > 1.0 for value in values) / len(values)


@pytest.mark.parametrize(
    "statistic", ["mean", "std", "min", "max", "median", "p50", "p90", "p95", "p99", "jitter"]
)
def test_latency_without_decisions(statistic):
    with pytest.raises(A2PerfError, match="0 decisions were timed"):
        getattr(LatencyProbe(), statistic)


def test_latency_refuses_nonsense():
    latency = LatencyProbe()
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(A2PerfError, match="a time in seconds"):
            latency.add(value)
    latency.add(1.0)
    with pytest.raises(A2PerfError, match="between 0 and 100"):
        latency.percentile(101)
    with pytest.raises(A2PerfError, match="needs a deadline"):
        latency.miss_rate()
    with pytest.raises(A2PerfError, match="at least 2 needed"):
        latency.jitter  # noqa: B018


def test_latency_is_flushed_once(record):
    latency = LatencyProbe(deadline=0.5)
    latency.flush(record)
    assert record.samples == {}
    for value in (0.1, 0.9):
        latency.add(value)
    latency.flush(record)
    latency.flush(record)
    latency.add(0.3)
    latency.flush(record)
    sample = record.samples["latency"]
    assert (sample.count, sample.over_limit, sample.unit) == (3, 1, "s")
    assert sample.total == pytest.approx(1.3)
    assert latency.miss_rate() == pytest.approx(1 / 3)


def replay(*energies: float) -> MeterSet:
    return MeterSet(
        [
            ReplayMeter(
                [
                    {"energy.cpu": Quantity(value, "J", "rapl", "estimated", 2.0),
                     "time.wall": Quantity(2.0, "s", "perf_counter", window=2.0)}
                    for value in energies
                ]
            )
        ]
    )  # fmt: skip


def test_energy_of_several_blocks_adds_up(record):
    made: list[int] = []
    meters = replay(3.0, 5.0)
    energy = EnergyProbe(lambda: (made.append(1), meters)[1])
    assert made == []
    for _ in range(2):
        with energy:
            pass
    assert made == [1]
    assert (energy.joules, energy.watts) == (8.0, 2.0)
    assert (energy.source, energy.quality) == ("rapl", "estimated")
    record.quantities["energy"] = Quantity(99, "J", "rapl")
    energy.flush(record)
    assert record.quantities["energy"] == energy.quantity
    assert set(record.quantities) == {"energy", "energy.cpu"}


def test_energy_without_blocks_or_sources():
    with pytest.raises(A2PerfError, match="use a block `with energy:`"):
        EnergyProbe(lambda: replay(1.0)).joules  # noqa: B018
    energy = EnergyProbe(lambda: MeterSet([NullMeter()]))
    with energy:
        pass
    with pytest.raises(MeterUnavailableError, match="no source of energy"):
        energy.joules  # noqa: B018


@pytest.mark.parametrize("probe", [EnergyProbe(lambda: replay(1.0)), MemoryProbe()])
def test_a_block_inside_itself_is_refused(probe):
    with probe, pytest.raises(A2PerfError, match="already being measured"), probe:
        pass
    with probe:  # and it goes on working
        pass


@pytest.mark.slow
def test_probes_share_a_with_statement(record, monkeypatch):
    others = {*processes._overlooked, *processes.descendants()}  # children of somebody else
    monkeypatch.setattr(processes, "_overlooked", others)
    gc.collect()
    energy, memory, latency = EnergyProbe(lambda: replay(1.0)), MemoryProbe(), LatencyProbe()
    with energy, memory:
        for _ in range(3):
            with latency:
                block = bytearray(50 * MB)
                block[::4096] = b"x" * len(block[::4096])
                del block
    assert energy.joules == 1.0
    assert latency.count == 3
    if os.access("/proc/self/clear_refs", os.W_OK):
        assert memory.delta == pytest.approx(50 * MB, abs=10 * MB)
    assert memory.peak == memory.quantity.value > memory.delta
    assert memory.children_peak == 0
    memory.flush(record)
    assert record.quantities == {"memory.peak": memory.quantity}


def test_memory_without_blocks():
    for name in ("peak", "delta", "quantity", "children_peak"):
        with pytest.raises(A2PerfError, match="use a block `with memory:`"):
            getattr(MemoryProbe(), name)


@pytest.fixture
def torch(monkeypatch):
    """A module that answers as PyTorch does on a machine with two GPUs."""
    module = ModuleType("torch")
    module.cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 2,
        peaks=[7, 7],
        synchronized=[],
    )
    module.cuda.max_memory_allocated = lambda device: module.cuda.peaks[device]
    module.cuda.reset_peak_memory_stats = lambda device: module.cuda.peaks.__setitem__(device, 0)
    module.cuda.synchronize = module.cuda.synchronized.append
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


def test_torch_peak_memory(torch):
    window = torch_cuda.PEAKS.open()
    torch.cuda.peaks[:] = [100, 50]
    assert torch_cuda.PEAKS.close(window) == 150


def test_windows_wait_for_the_gpu(torch):
    with MeterSet([]).window():
        assert torch.cuda.synchronized == [0, 1]
    assert torch.cuda.synchronized == [0, 1, 0, 1]


def test_a_cuda_error_at_the_end_is_left_to_the_work(torch):
    def fail(device):
        raise RuntimeError("device-side assert triggered")

    torch.cuda.synchronize = fail
    with MeterSet([]).window():
        pass


def test_torch_that_has_no_cuda_yet(torch):
    torch.cuda.is_initialized = lambda: False
    assert torch_cuda.cuda() is None
    torch_cuda.synchronize()
    assert torch.cuda.synchronized == []
