"""NVML, through the real pynvml bindings and a stand-in for the driver's library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from nvml_library import H100, L4, build, describe, run_with

METER = """
import os, sys, time
from dataclasses import replace
from pytest_a2perf.meters.energy.nvml import NvmlMeter, visible_devices
from pytest_a2perf.meters.sampler import Sampler
def measure(seconds, during=lambda: None, sampler=None):
    meter = NvmlMeter(sampler=sampler)
    times = [time.perf_counter()]
    meter.start()
    times.append(time.perf_counter())
    during()
    time.sleep(seconds)
    times.append(time.perf_counter())
    read = {name: quantity.to_json() for name, quantity in meter.stop().items()}
    times.append(time.perf_counter())
    if "energy.gpu" in read:
        read["energy.gpu"]["bounds"] = [times[2] - times[1], times[3] - times[0]]
    return read
"""
# Windows of 50 ms, however long they are.
SHORT = (
    METER
    + """
import itertools, types
import pytest_a2perf.meters.energy.nvml as nvml
ticks = itertools.count(0, 0.05)
nvml.time = types.SimpleNamespace(perf_counter=lambda: next(ticks))
"""
)
NAMES = "from pytest_a2perf.meters.energy.nvml import device_names; answer(device_names())"
BOTH = describe(H100, L4)


def is_of(energy, watts):
    """Whether an energy is what so many watts are over its window."""
    least, most = energy["bounds"]
    return watts * least - 0.01 <= energy["value"] <= watts * most + 0.01


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.mark.slow
def test_energy_is_power_times_time(library, tmp_path):
    read = run_with(library, tmp_path, describe(H100), METER + "answer(measure(1.1))")
    energy = read["energy.gpu"]
    assert is_of(energy, 300)
    assert energy["bounds"][0] <= energy["window"] <= energy["bounds"][1]
    assert (energy["unit"], energy["source"], energy["quality"]) == (
        "J", "nvml-energy-counter", "measured",
    )  # fmt: skip
    watts = energy["value"] / energy["window"]
    assert energy["resolution"] == pytest.approx(watts * 0.1)  # 100 ms
    assert "note" not in energy
    assert read["gpu.power.mean"]["value"] == pytest.approx(watts)
    assert read["gpu.power.mean"]["source"] == "nvml-energy-counter"


def test_a_short_window_is_below_resolution(library, tmp_path):
    energy = run_with(library, tmp_path, describe(H100), SHORT + "answer(measure(0.05))")[
        "energy.gpu"
    ]
    assert energy["note"] == "below resolution"
    assert is_of(energy, 300)


def test_everything_else_it_reads(library, tmp_path):
    read = run_with(library, tmp_path, describe(H100), SHORT + "answer(measure(0.01))")
    values = {
        name: (quantity["value"], quantity.get("unit", "")) for name, quantity in read.items()
    }
    del values["energy.gpu"]
    assert values == {
        "gpu.power.mean": (300, "W"),
        "gpu.power.peak": (300, "W"),
        "gpu.utilization": (pytest.approx(0.8), ""),
        "gpu.memory.peak": (5e9, "B"),
        "gpu.memory.process": (0, "B"),
        "gpu.clock.sm": (1.98e9, "Hz"),
        "gpu.clock.mem": (2.619e9, "Hz"),
        "gpu.temperature": (55, "degC"),
        "gpu.throttled": (0, ""),
    }


def test_several_devices_are_summed_averaged_or_the_hottest_taken(library, tmp_path):
    read = run_with(library, tmp_path, BOTH, METER + "answer(measure(0.1))")
    assert is_of(read["energy.gpu"], 360)
    assert read["gpu.power.peak"]["value"] == 360
    assert read["gpu.utilization"]["value"] == pytest.approx(0.6)
    assert read["gpu.memory.peak"]["value"] == 6e9
    assert read["gpu.temperature"]["value"] == 70


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["H100", "L4"]),
        ("0", ["H100"]),
        ("1,0", ["L4", "H100"]),
        (" 1 ", ["L4"]),
        ("", []),
        ("-1", []),
        ("1,-1,0", ["L4"]),
        ("0,7,1", ["H100"]),
        ("0,0", []),
        ("NoDevFiles", []),
        ("1x", ["L4"]),
        ("GPU-22222222-aaaa-bbbb-cccc-000000000002", ["L4"]),
        ("GPU-2", ["L4"]),
        ("GPU-", []),
        ("GPU-3,0", []),
        ("0,GPU-1", []),
        ("MIG-33333333-aaaa-bbbb-cccc-000000000003", ["MIG"]),
        ("MIG-4", []),
    ],
)
def test_visible_devices(library, tmp_path, visible, names):
    mig = ["MIG-33333333-aaaa-bbbb-cccc-000000000003 1000000000"]
    gpus = describe({**H100, "mig": mig}, L4)
    found = run_with(library, tmp_path, gpus, NAMES, visible)
    assert [name.split()[-1] if "MIG" in name else name.split()[1] for name in found] == names


def test_an_instance_has_its_own_memory_and_shares_the_board(library, tmp_path):
    mig = ["MIG-3 1000000000", "MIG-4 2000000000"]
    gpus = describe({**H100, "mig": mig})
    read = run_with(library, tmp_path, gpus, SHORT + "answer(measure(0.05))", "MIG-3,MIG-4")
    assert read["gpu.memory.peak"]["value"] == 3e9
    assert read["energy.gpu"]["note"] == "below resolution, shared device"
    assert read["gpu.power.peak"]["value"] == 300  # the board counts once


def test_without_a_counter_power_is_integrated(library, tmp_path):
    old = {**H100, "unsupported": "nvmlDeviceGetTotalEnergyConsumption"}
    code = METER + "answer(measure(0.4, sampler=Sampler(0.02)))"
    energy = run_with(library, tmp_path, describe(old), code)["energy.gpu"]
    assert (energy["source"], energy["quality"]) == ("nvml-power-samples", "estimated")
    assert energy["value"] == pytest.approx(300 * energy["window"], rel=0.05)
    mixed = run_with(library, tmp_path, describe(old, L4), METER + "answer(measure(0.2))")
    assert mixed["energy.gpu"]["source"] == "nvml-energy-counter+nvml-power-samples"
    assert mixed["energy.gpu"]["quality"] == "estimated"
    assert is_of(mixed["energy.gpu"], 360)


def test_an_unsupported_function_is_called_once(library, tmp_path):
    without = {**H100, "unsupported": "nvmlDeviceGetPowerUsage nvmlDeviceGetUtilizationRates"}
    code = METER + (
        "import pynvml\n"
        "calls = []\n"
        "real = pynvml.nvmlDeviceGetPowerUsage\n"
        "pynvml.nvmlDeviceGetPowerUsage = lambda d: (calls.append(1), real(d))[1]\n"
        "read = measure(0.01); measure(0.01)\n"
        "answer([sorted(read), len(calls)])"
    )
    names, calls = run_with(library, tmp_path, describe(without), code)
    assert calls == 1
    assert "energy.gpu" in names
    assert "gpu.temperature" in names
    assert not {"gpu.power.mean", "gpu.power.peak", "gpu.utilization"} & set(names)


def test_older_names_of_functions_serve(library, tmp_path):
    old = {
        **H100,
        "reasons": "0x4",
        "unsupported": "nvmlDeviceGetCurrentClocksEventReasons nvmlDeviceGetTemperatureV",
    }
    read = run_with(library, tmp_path, describe(old), METER + "answer(measure(0.01))")
    assert read["gpu.throttled"]["value"] == 1
    assert read["gpu.temperature"]["value"] == 55


@pytest.mark.parametrize(
    ("mask", "share", "names"),
    [
        ("0x0", 0, None),
        ("0x3", 0, None),  # idle, and the user's own clock setting
        ("0x24", 1, "sw_power_cap, sw_thermal_slowdown"),
        ("0x48", 1, "hw_slowdown, hw_thermal_slowdown"),
    ],
)
def test_throttle_reasons(library, tmp_path, mask, share, names):
    gpus = describe({**H100, "reasons": mask})
    read = run_with(library, tmp_path, gpus, METER + "answer(measure(0.01))")
    assert read["gpu.throttled"]["value"] == share
    assert read["gpu.throttled"].get("note") == names


def test_throttling_is_collected_over_the_window(library, tmp_path):
    code = METER + (
        "path = os.environ['NVML_STAND_IN']\n"
        "calm = open(path).read()\n"
        "def write(text):\n"
        "    with open(path + '~', 'w') as file: file.write(text)\n"
        "    os.replace(path + '~', path)\n"
        "import pynvml\n"
        "seen = []\n"
        "real = pynvml.nvmlDeviceGetCurrentClocksEventReasons\n"
        "pynvml.nvmlDeviceGetCurrentClocksEventReasons = (\n"
        "    lambda device: (seen.append(real(device)), seen[-1])[1]\n"
        ")\n"
        "def sampled(reasons):\n"
        "    seen.clear()\n"
        "    while reasons not in seen: time.sleep(0.01)\n"
        "def during():\n"
        "    write(calm.replace('reasons 0x1', 'reasons 0x80')); sampled(0x80)\n"
        "    write(calm); sampled(0x1)\n"
        "answer(measure(0, during, Sampler(0.02)))"
    )
    throttled = run_with(library, tmp_path, describe(H100), code)["gpu.throttled"]
    assert 0 < throttled["value"] < 1
    assert throttled["note"] == "hw_power_brake_slowdown"


def test_processes_on_the_device(library, tmp_path):
    code = SHORT + (
        "path = os.environ['NVML_STAND_IN']\n"
        "text = open(path).read() + f'process {os.getpid()} 700000000\\n'\n"
        "with open(path, 'w') as file: file.write(text)\n"
        "alone = measure(0.01)\n"
        "with open(path, 'w') as file: file.write(text + 'process 1 300000000\\n')\n"
        "answer([alone, measure(0.01)])"
    )
    alone, shared = run_with(library, tmp_path, describe(H100), code)
    assert alone["gpu.memory.process"]["value"] == shared["gpu.memory.process"]["value"] == 7e8
    assert "note" not in alone["gpu.memory.peak"]
    assert shared["gpu.memory.peak"]["note"] == "shared device"
    assert shared["energy.gpu"]["note"] == "below resolution, shared device"


def test_a_device_lost_inside_the_window(library, tmp_path):
    code = METER + (
        "def lose():\n"
        "    with open(os.environ['NVML_STAND_IN'], 'a') as file: file.write('lost 1\\n')\n"
        "answer(measure(0.02, lose))"
    )
    read = run_with(library, tmp_path, describe(H100), code)
    assert "energy.gpu" not in read
    assert read["gpu.power.peak"]["value"] == 300  # as read at the start


def test_a_counter_that_was_reset_is_left_out(library, tmp_path):
    code = METER + (
        "def reset():\n"
        "    path = os.environ['NVML_STAND_IN']\n"
        "    text = open(path).read().replace('joules 5000', 'joules 0')\n"
        "    with open(path, 'w') as file: file.write(text)\n"
        "answer(sorted(measure(0.02, reset)))"
    )
    names = run_with(library, tmp_path, describe({**H100, "joules": 5000}), code)
    assert "energy.gpu" not in names


def test_meters_in_a_forked_child(library, tmp_path):
    code = METER + (
        "measure(0.01)\n"
        "read, write = os.pipe()\n"
        "sampler = Sampler(0.02)\n"
        "if os.fork() == 0:\n"
        "    energy = measure(0.1, sampler=sampler)['energy.gpu']\n"
        "    os.write(write, json.dumps(energy).encode())\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "answer(json.loads(os.read(read, 1000)))"
    )
    assert is_of(run_with(library, tmp_path, describe(H100), code), 300)


def test_instruments_name_the_devices(library, tmp_path):
    code = """
from pytest_a2perf.meters.session import Instruments
from pytest_a2perf.meters.energy.nvml import driver_version
from pytest_a2perf.runs.record import Record
from pytest_a2perf.scenarios.models import EnergyOptions
out = []
for source in ("auto", "nvml", "none"):
    meters = Instruments().meters(EnergyOptions(source=source))
    record = Record("s", "s[0]", 0)
    meters.measure(record, lambda: sum(range(10**6)))
    out.append([meters.device, {n: q.to_json() for n, q in record.quantities.items()}])
answer([driver_version(), out])
"""
    version, sets = run_with(library, tmp_path, BOTH, code)
    assert version == "550.54.15"
    (device, auto), (_, nvml), (_, none) = sets
    assert device == "NVIDIA H100 80GB HBM3+NVIDIA L4"
    total = auto["energy.gpu"]["value"] + auto["energy.cpu"]["value"]
    assert auto["energy"]["value"] == pytest.approx(total)
    assert set(auto["energy"]["source"].split("+")) >= {"nvml-energy-counter"}
    assert nvml["energy"] == nvml["energy.gpu"]
    assert "energy.cpu" not in nvml
    assert set(none) == {"time.wall", "time.cpu", "memory.peak"}


@pytest.mark.parametrize("configuration", [describe(), describe(H100, no_driver=1)])
def test_no_device_or_no_driver(library, tmp_path, configuration):
    code = METER + (
        "from pytest_a2perf.errors import MeterUnavailableError\n"
        "from pytest_a2perf.meters.energy.nvml import device_names\n"
        "try: NvmlMeter()\n"
        "except MeterUnavailableError as error: answer([str(error), device_names()])"
    )
    message, names = run_with(library, tmp_path, configuration, code)
    assert "no GPU is visible" in message
    assert names == []


def test_missing_library(tmp_path):
    code = (
        "import ctypes, sys\n"
        "try: ctypes.CDLL('libnvidia-ml.so.1')\n"
        "except OSError:\n"
        "    from pytest_a2perf.meters.energy.nvml import *\n"
        "    assert device_names() == [] and driver_version() is None\n"
        "    assert 'pynvml' not in sys.modules, 'importing it is slow'\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    environment.pop("LD_LIBRARY_PATH", None)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
