"""RAPL on a copy of the kernel's files, the CPU-time model, and CodeCarbon."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.errors import A2PerfError, MeterUnavailableError
from pytest_a2perf.meters.cpu import cpu_seconds
from pytest_a2perf.meters.energy.codecarbon import CodeCarbonMeter, carbon_intensity
from pytest_a2perf.meters.energy.cpu_time import WATTS_PER_CORE, CpuTimeMeter
from pytest_a2perf.meters.energy.rapl import RaplMeter, find_domains, joules_between
from pytest_a2perf.meters.energy.running import Integral, Running

RANGE = 262_143_328_850


def domain(root: Path, folder: str, name: str, energy: int = 0, limit: int = RANGE) -> Path:
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(name + "\n")
    (path / "energy_uj").write_text(f"{energy}\n")
    (path / "max_energy_range_uj").write_text(f"{limit}\n")
    return path / "energy_uj"


def stat(path: Path, busy_ticks: int) -> Path:
    path.write_text(f"cpu  {busy_ticks} 0 0 99999 5 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n")
    return path


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@given(st.integers(1, 2**40), st.data())
def test_a_counter_that_wraps(limit, data):
    before = data.draw(st.integers(0, limit - 1))
    used = data.draw(st.integers(0, limit - 1))
    after = (before + used) % limit
    assert joules_between(before, after, limit) == pytest.approx(used * 1e-6)


def test_rapl_chooses_domains_that_do_not_overlap(tmp_path):
    domain(tmp_path, "intel-rapl:0", "package-0")
    domain(tmp_path, "intel-rapl:0:0", "core")
    domain(tmp_path, "intel-rapl:0:1", "uncore")
    domain(tmp_path, "intel-rapl:0:2", "dram")
    domain(tmp_path, "intel-rapl:1", "package-1")
    domain(tmp_path, "intel-rapl:1:0", "dram")
    domain(tmp_path, "intel-rapl:2", "psys")
    domain(tmp_path, "intel-rapl:3", "package-0")  # shown twice
    domain(tmp_path, "intel-rapl-mmio:0", "package-0")
    (tmp_path / "intel-rapl").mkdir()
    names = [found.counter.parent.name for found in find_domains(tmp_path)]
    assert names == ["intel-rapl:0", "intel-rapl:0:2", "intel-rapl:1", "intel-rapl:1:0"]


def test_rapl_sums_packages_and_apportions_by_cpu_time(tmp_path):
    first = domain(tmp_path, "intel-rapl:0", "package-0", RANGE - 1_000_000)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 5)
    memory = domain(tmp_path, "intel-rapl:1:0", "dram", 0)
    ticks = stat(tmp_path / "stat", 1000)
    meter = RaplMeter(tmp_path, stat=ticks)
    before = cpu_seconds()
    meter.start()
    busy(0.2)
    first.write_text("9000000")  # wrapped: 10 J
    second.write_text("20000005")
    memory.write_text("3000000")
    stat(ticks, 1000 + os.sysconf("SC_CLK_TCK"))  # one busy second
    read = meter.stop()
    after = cpu_seconds()
    assert read["energy.package"].value == pytest.approx(30)
    assert read["energy.dram"].value == pytest.approx(3)
    assert (read["energy.package"].source, read["energy.package"].quality) == ("rapl", "measured")
    cpu = read["energy.cpu"]
    assert 30 * 0.2 <= cpu.value <= 30 * (after - before)
    assert (cpu.quality, cpu.note) == ("estimated", "package energy apportioned by CPU time")
    assert read["energy.ram"].value == pytest.approx(cpu.value / 10)


def test_rapl_is_measured_where_nobody_else_is_busy(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0")
    ticks = stat(tmp_path / "stat", 0)
    meter = RaplMeter(tmp_path, stat=ticks)
    meter.start()
    busy(0.25)
    counter.write_text("7000000")
    stat(ticks, 20)
    cpu = meter.stop()["energy.cpu"]
    assert (cpu.value, cpu.quality, cpu.note) == (pytest.approx(7), "measured", "")


def test_rapl_windows_too_short_for_the_kernel_ticks(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0")
    meter = RaplMeter(tmp_path, stat=stat(tmp_path / "stat", 0))
    meter.start()
    counter.write_text("1000")
    cpu = meter.stop()["energy.cpu"]
    assert cpu.quality == "estimated"
    assert "below resolution" in cpu.note


def test_rapl_says_when_the_counter_may_have_wrapped_unseen(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0", limit=1_000_000)  # 1 J: 2 ms at 500 W
    meter = RaplMeter(tmp_path)
    meter.start()
    busy(0.01)
    counter.write_text("1000")
    package = meter.stop()["energy.package"]
    assert package.quality == "estimated"
    assert "wrapped around more than once" in package.note


def test_rapl_without_counters(tmp_path):
    with pytest.raises(MeterUnavailableError, match="no processor package"):
        RaplMeter(tmp_path)
    domain(tmp_path, "intel-rapl:0", "package-0").unlink()
    with pytest.raises(MeterUnavailableError, match="no processor package"):
        RaplMeter(tmp_path)


def test_rapl_without_permission(tmp_path, monkeypatch):
    counter = domain(tmp_path, "intel-rapl:0", "package-0")
    real = Path.read_text

    def read_text(path, *args, **kwargs):  # root may read anything, so the kernel is asked to act
        if path == counter:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", read_text)
    with pytest.raises(MeterUnavailableError, match=r"no permission to read .*energy_uj"):
        find_domains(tmp_path)


def test_rapl_counter_that_disappears_in_the_window(tmp_path):
    counter = domain(tmp_path, "intel-rapl:0", "package-0")
    meter = RaplMeter(tmp_path)
    meter.start()
    counter.unlink()
    assert meter.stop() == {}


@pytest.mark.parametrize("watts", [WATTS_PER_CORE, 7.5])
def test_cpu_time_model(watts):
    meter = CpuTimeMeter(watts)
    before = cpu_seconds()
    meter.start()
    busy(0.1)
    energy = meter.stop()["energy.cpu"]
    assert 0.1 * watts <= energy.value <= (cpu_seconds() - before) * watts
    assert (energy.quality, energy.source) == ("modelled", f"cpu-time-model({watts:g} W/core)")
    with pytest.raises(ValueError, match="positive"):
        CpuTimeMeter(0)


def test_default_watts_are_codecarbons():
    from codecarbon.core import cpu

    assert cpu.DEFAULT_POWER_PER_CORE == WATTS_PER_CORE


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_running_statistics(values):
    running = Running()
    for value in values:
        running.add(value)
    assert running.mean == pytest.approx(sum(values) / len(values))
    assert running.peak == max(values)


@given(st.floats(0, 100), st.floats(-5, 5), st.lists(st.floats(0.01, 10), min_size=1, max_size=20))
def test_the_integral_of_a_line_is_exact_at_any_spacing(start, slope, steps):
    integral = Integral()
    now = 3.0
    integral.add(now, start)
    for step in steps:
        now += step
        integral.add(now, start + slope * (now - 3))
    assert integral.mean == pytest.approx(start + slope * (now - 3) / 2, abs=1e-6)


def test_integral_of_one_sample_and_of_none():
    integral = Integral()
    assert integral.mean is None
    integral.add(1.0, 5.0)
    assert integral.mean == 5.0


def test_carbon_intensity():
    assert 0 < carbon_intensity("NOR") < carbon_intensity("POL") < 1000
    assert carbon_intensity("usa") == carbon_intensity("USA")
    with pytest.raises(A2PerfError, match="no data on the country 'USB'"):
        carbon_intensity("USB")


CODECARBON = """
import time
from pytest_a2perf.meters.energy.codecarbon import CodeCarbonMeter
outer, inner = CodeCarbonMeter("FRA"), CodeCarbonMeter("FRA")
def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
outer.start(); busy(0.2)
inner.start(); busy(0.2)
small = inner.stop(); busy(0.2)
large = outer.stop()
e = lambda read: read["energy.codecarbon"].value
assert 0 < e(small) < e(large), (e(small), e(large))
assert large["carbon"].value > 0 and large["carbon"].unit == "gCO2e"
assert large["energy.codecarbon"].quality == "modelled"
assert large["energy.codecarbon"].source == "codecarbon-model"
assert large["energy.codecarbon"].window >= 0.6
"""


@pytest.mark.slow
def test_codecarbon_is_silent_leaves_no_files_and_nests(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODECARBON],
        check=False, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_codecarbon_of_an_unknown_country():
    with pytest.raises(A2PerfError, match="no data on the country"):
        CodeCarbonMeter("XXX")
