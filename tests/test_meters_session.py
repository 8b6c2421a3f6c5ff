"""Sets of meters: windows, repetitions, totals, failures; the instruments of a process."""

import os
import time
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.errors import MeterUnavailableError, TrialTimeout
from pytest_a2perf.meters.base import NullMeter, ReplayMeter
from pytest_a2perf.meters.combine import accumulate, combined, divided, total_energy
from pytest_a2perf.meters.energy.cpu_time import CpuTimeMeter
from pytest_a2perf.meters.memory import MemoryMeter
from pytest_a2perf.meters.processes import descendants
from pytest_a2perf.meters.session import Instruments, MeterSet
from pytest_a2perf.meters.time import TimeMeter
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.record import Curve, Episode, Record
from pytest_a2perf.scenarios.models import EnergyOptions


@pytest.fixture
def record() -> Record:
    return Record("suite.toml::x", "suite.toml::x[0]", 0)


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def joules(value: float, window: float = 1.0, **fields) -> Quantity:
    return Quantity(value, "J", **{"source": "rapl", "window": window, **fields})


class Broken:
    name = "broken"

    def __init__(self, start: bool) -> None:
        self._at_start = start

    def start(self) -> None:
        if self._at_start:
            raise OSError("no such counter")

    def stop(self) -> Mapping[str, Quantity]:
        raise OSError("counter lost")


class Order:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self._log = log

    def start(self) -> None:
        self._log.append(f"+{self.name}")

    def stop(self) -> Mapping[str, Quantity]:
        self._log.append(f"-{self.name}")
        return {}


def test_measure_returns_the_result_and_records(record):
    meters = MeterSet([TimeMeter(), MemoryMeter(), CpuTimeMeter(10)])
    begin = time.perf_counter()
    assert meters.measure(record, lambda: (time.sleep(0.05), "done")[1]) == "done"
    assert 0.05 <= record.quantities["time.wall"].value < time.perf_counter() - begin
    assert record.quantities["memory.peak"].value > 1e6
    assert record.quantities["energy"] == record.quantities["energy.cpu"]
    assert "repetitions" not in record.context


def test_time_is_innermost(record):
    log: list[str] = []
    meters = MeterSet([Order(name, log) for name in ("time", "slow", "quick")])
    meters.measure(record, lambda: log.append("work"))
    assert log == ["+slow", "+quick", "+time", "work", "-time", "-quick", "-slow"]


@pytest.mark.parametrize("error", [ZeroDivisionError, TrialTimeout, KeyboardInterrupt])
def test_what_was_read_before_an_error_is_recorded(record, error):
    def work():
        time.sleep(0.02)
        raise error

    with pytest.raises(error):
        MeterSet([TimeMeter()]).measure(record, work)
    assert record.quantities["time.wall"].value >= 0.02


@pytest.mark.parametrize("at_start", [True, False])
def test_a_broken_meter_fails_neither_the_trial_nor_the_others(record, at_start):
    meters = MeterSet([Broken(at_start), TimeMeter()])
    assert meters.measure(record, lambda: 7) == 7
    assert "time.wall" in record.quantities
    assert set(record.context["meter_errors"]) == {"broken"}


def test_a_timeout_while_meters_start_stops_those_that_run(record):
    log: list[str] = []

    class Late(NullMeter):
        def start(self) -> None:
            raise TrialTimeout

    with pytest.raises(TrialTimeout):
        MeterSet([Order("first", log), Late()]).measure(record, lambda: None)
    assert log == ["+first", "-first"]


def test_several_windows_add_up(record):
    meters = MeterSet(
        [
            ReplayMeter(
                [
                    {
                        "energy.gpu": joules(10, 1.0, source="nvml-energy-counter"),
                        "gpu.power.mean": Quantity(10, "W", "nvml", window=1.0),
                        "gpu.temperature": Quantity(60, "degC", "nvml", window=1.0),
                        "memory.peak": Quantity(500, "B", "vmhwm", window=1.0),
                    },
                    {
                        "energy.gpu": joules(90, 3.0, source="nvml-energy-counter"),
                        "gpu.power.mean": Quantity(30, "W", "nvml", window=3.0),
                        "gpu.temperature": Quantity(50, "degC", "nvml", window=3.0),
                        "memory.peak": Quantity(400, "B", "vmhwm", window=3.0),
                    },
                ]
            ),
            NullMeter(),
        ]
    )
    meters.measure(record, lambda: None)
    with meters.window(record):
        pass
    values = {name: quantity.value for name, quantity in record.quantities.items()}
    assert values == {
        "energy.gpu": 100,
        "energy": 100,
        "gpu.power.mean": 25,
        "gpu.temperature": 60,
        "memory.peak": 500,
    }
    assert record.quantities["energy"].window == 4.0


def test_total_energy_names_its_sources_and_its_worst_quality():
    total = total_energy(
        {
            "energy.cpu": joules(1, 2.0, quality="estimated", note="apportioned"),
            "energy.gpu": joules(2, 2.1, source="nvml-energy-counter", resolution=0.5),
            "energy.ram": joules(4, 2.0, quality="estimated", note="apportioned"),
            "energy.package": joules(1000),
        }
    )
    assert total == Quantity(
        7, "J", "rapl+nvml-energy-counter", "estimated", 2.1, 0.5, "apportioned"
    )
    assert total_energy({"time.wall": joules(1)}) is None
    both = {"energy.codecarbon": joules(3), "energy.gpu": joules(1)}
    assert total_energy(both) == joules(3)


readings = st.builds(
    lambda value, window: Quantity(value, "J", "x", "measured", window),
    st.floats(0, 1e6),
    st.floats(0.001, 1e3),
)


@given(st.lists(readings, min_size=1, max_size=8), st.randoms())
def test_the_order_of_windows_does_not_matter(quantities, random):
    for name in ("energy.cpu", "memory.peak", "gpu.utilization"):
        totals = []
        for _ in range(2):
            into: dict[str, Quantity] = {}
            for quantity in quantities:
                accumulate(into, {name: quantity})
            totals.append(into[name])
            quantities = random.sample(quantities, len(quantities))
        assert totals[0].value == pytest.approx(totals[1].value)
        assert totals[0].window == pytest.approx(totals[1].window)
        low, high = min(q.value for q in quantities), max(q.value for q in quantities)
        if name == "energy.cpu":
            assert totals[0].value == pytest.approx(sum(q.value for q in quantities))
        else:
            assert low * 0.999999 <= totals[0].value <= high * 1.000001


@given(st.floats(0, 1e9), st.integers(1, 1000))
def test_repetitions_divide_only_what_adds_up(value, repetitions):
    read = {"energy": joules(value, resolution=1.0), "memory.peak": joules(value)}
    per_run = divided(read, repetitions)
    assert per_run["energy"].value * repetitions == pytest.approx(value)
    assert per_run["energy"].resolution == pytest.approx(1 / repetitions)
    assert per_run["memory.peak"].value == value


def test_combined_without_windows_is_a_plain_mean():
    mean = combined("load", Quantity(1, "", "a"), Quantity(3, "", "b"))
    assert (mean.value, mean.source, mean.window) == (2, "a+b", None)


def test_repeat_until_divides_and_drops_what_repetitions_record(record, monkeypatch):
    calls = []
    clock = SimpleNamespace(perf_counter=lambda: len(calls) / 16)
    for module in ("session", "time"):
        monkeypatch.setattr(f"pytest_a2perf.meters.{module}.time", clock)

    def work():
        calls.append(1)
        record.episodes.append(Episode(1.0, 5))
        record.samples["latency"] = Histogram.of([0.1])
        record.curves.setdefault("return", Curve()).step.append(len(calls))
        record.reported["score"] = Quantity(len(calls), "", "test")
        return len(calls)

    assert MeterSet([TimeMeter()]).measure(record, work, repeat_until=0.2) == 1
    wall = record.quantities["time.wall"]
    assert len(calls) == 4
    assert record.context["repetitions"] == len(calls)
    assert (wall.value, wall.window) == (1 / 16, 4 / 16)
    assert len(record.episodes) == 1
    assert record.samples["latency"].count == 1
    assert record.curves["return"].step == [1]
    assert record.reported["score"].value == 1


def test_work_that_is_long_enough_runs_once(record):
    calls: list[int] = []
    MeterSet([TimeMeter()]).measure(record, lambda: calls.append(1), repeat_until=0.0)
    assert len(calls) == record.context["repetitions"] == 1


def test_a_failing_repetition_leaves_the_first_result_in_the_record(record):
    def work():
        if record.context.get("ran"):
            raise ZeroDivisionError
        record.context["ran"] = True
        record.episodes.append(Episode(1.0, 5))

    with pytest.raises(ZeroDivisionError):
        MeterSet([TimeMeter()]).measure(record, work, repeat_until=60.0)
    assert len(record.episodes) == 1


def test_instruments_without_gpu_and_rapl(record, monkeypatch):
    used = [0.0]
    for module in ("time", "energy.cpu_time"):
        monkeypatch.setattr(f"pytest_a2perf.meters.{module}.cpu_seconds", lambda: used[0])

    def work():
        used[0] += 0.25

    instruments = Instruments(watts_per_core=8.0)
    instruments.prepare()
    instruments._rapl = MeterUnavailableError("RAPL: not here")
    meters = instruments.meters(EnergyOptions())
    meters.measure(record, work)
    assert meters.device == "cpu"
    assert record.quantities["energy"].source == "cpu-time-model(8 W/core)"
    assert (record.quantities["energy"].value, record.quantities["time.cpu"].value) == (2.0, 0.25)
    with pytest.raises(MeterUnavailableError, match="RAPL: not here"):
        instruments.meters(EnergyOptions(source="rapl"))
    with pytest.raises(MeterUnavailableError, match="no GPU"):
        instruments.meters(EnergyOptions(source="nvml"))


def test_no_energy_source(record, monkeypatch):
    # A test before this one may have left a child.
    monkeypatch.setattr("pytest_a2perf.meters.processes._overlooked", set(descendants()))
    Instruments(carbon=True).meters(EnergyOptions(source="none")).measure(record, lambda: None)
    assert set(record.quantities) == {"time.wall", "time.cpu", "memory.peak"}


def test_carbon_on_request(record):
    from pytest_a2perf.meters.energy.codecarbon import carbon_intensity

    meters = Instruments(carbon=True, country="FRA").meters(EnergyOptions(source="cpu-time"))
    meters.measure(record, lambda: sum(range(10**6)), repeat_until=0.05)
    carbon, energy = record.quantities["carbon"], record.quantities["energy"]
    assert carbon.value == pytest.approx(energy.value / 3.6e6 * carbon_intensity("FRA"))
    assert (carbon.unit, carbon.quality) == ("gCO2e", "modelled")


def test_codecarbon_as_the_source(record):
    meters = Instruments().meters(EnergyOptions(source="codecarbon"))
    meters.measure(record, lambda: sum(range(5 * 10**6)))
    assert record.quantities["energy"].source == "codecarbon-model"
    assert "carbon" in record.quantities
    assert "energy.cpu" not in record.quantities


def test_meters_of_third_parties(record):
    tries: list[int] = []

    def missing():
        tries.append(1)
        raise MeterUnavailableError("not plugged in")

    reading = {"wind": Quantity(3.0, "m/s", "anemometer")}
    instruments = Instruments(extra=[missing, lambda: ReplayMeter([reading])])
    for _ in range(2):
        instruments.meters(EnergyOptions()).measure(record, lambda: None)
    assert record.quantities["wind"].value == 3.0
    assert len(tries) == 1


def test_the_same_set_measures_in_a_forked_child(record):
    meters = Instruments().meters(EnergyOptions(source="cpu-time"))
    meters.measure(record, lambda: None)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child = Record("s", "s[1]", 1)
            meters.measure(child, lambda: time.sleep(0.05))
            os.write(write, f"{child.quantities['time.wall'].value} {child.context}".encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    wall, context = os.read(read, 1000).decode().split(" ", 1)
    assert float(wall) >= 0.05
    assert context == "{}"


def test_a_quantity_of_every_window_survives_json(record):
    Instruments().meters(EnergyOptions()).measure(record, lambda: None)
    assert Record.from_line(record.to_line()).quantities == record.quantities
