"""Power over a window: of readings made by hand, of NVML's stand-in, and of real exporters."""

import math
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import serving_exporters
from hypothesis import assume, given
from hypothesis import strategies as st
from nvml_library import H100, L4, build, describe, run_with
from serving_exporters import Exporter, dcgm, gpu

from pytest_a2perf.domains.serving.system import scrape
from pytest_a2perf.domains.serving.system.boards import Board, power_of
from pytest_a2perf.domains.serving.system.options import SystemOptions
from pytest_a2perf.domains.serving.system.scrape import fetch, parse
from pytest_a2perf.domains.serving.system.series import Series, together
from pytest_a2perf.domains.serving.system.sources import power_source
from pytest_a2perf.errors import InfraError


def series(times, values):
    made = Series()
    for at, value in zip(times, values, strict=True):
        made.add(at, value)
    return made


def board(watts=300.0, period=0.1, until=30.0, *, energy=True, power=True, name="GPU 0", **more):
    """Return a board that was read every ``period`` seconds at a constant power."""
    times = np.arange(0, until + period / 2, period)
    made = Board(name, **more)
    if energy:
        made.energy = series(times, 5e6 + watts * times)
    if power:
        made.power = series(times, np.full(len(times), watts))
    return made


def power(*boards, begin=5.0, end=25.0):
    return power_of(boards, begin, end, source="nvml", boundary="accelerator board")


# Readings over time.

moment = st.floats(0, 100)
moments = st.lists(moment, min_size=2, max_size=30, unique=True).map(sorted)


@given(moments, st.floats(-5, 5), st.floats(-100, 100), st.tuples(moment, moment).map(sorted))
def test_the_integral_of_a_line_is_exact(times, slope, height, window):
    begin, end = window
    assume(end - begin > 1e-3 and min(np.diff(times)) > 1e-6)
    covered = series(times, [slope * at + height for at in times]).integral(begin, end, math.inf)
    low, high = max(begin, times[0]), min(end, times[-1])
    seconds = max(0.0, high - low)
    assert covered.seconds == pytest.approx(seconds, abs=1e-9)
    middle = slope * (low + high) / 2 + height
    assert covered.amount == pytest.approx(seconds * middle, abs=1e-6)


@given(moments, st.lists(st.floats(0, 10), min_size=30, max_size=30), st.integers(0, 29))
def test_an_increase_does_not_mind_restarts(times, grown, restart):
    assume(min(np.diff(times)) > 1e-6)
    counter = np.cumsum(grown[: len(times)])
    whole = series(times, counter).increase(times[0], times[-1])
    assert whole.amount == pytest.approx(counter[-1] - counter[0], abs=1e-6)
    begun_again = counter.copy()
    begun_again[restart:] -= counter[restart - 1] if 0 < restart < len(times) else 0
    again = series(times, begun_again).increase(times[0], times[-1], restarts=True)
    # A counter that passes what it had before it began again does not show that it did.
    if not (0 < restart < len(times)) or begun_again[restart] < counter[restart - 1]:
        assert again.amount == pytest.approx(whole.amount, abs=1e-6)


def test_an_increase_is_interpolated_at_the_ends_of_a_window():
    counter = series([0, 10, 20], [100, 200, 400])
    assert counter.increase(5, 15).amount == pytest.approx(50 + 100)
    assert counter.increase(5, 30).seconds == 15
    assert counter.increase(40, 50).seconds == 0
    assert math.isnan(counter.increase(40, 50).rate)
    assert Series().increase(0, 1).longest_gap == 1


def test_gaps_are_not_covered():
    gauge = series([0, 1, 2, 7, 8], [10, 10, 10, 30, 30])
    covered = gauge.integral(0, 8, longest=3)
    assert (covered.seconds, covered.amount, covered.longest_gap) == (3, 50, 5)
    assert gauge.integral(-2, 1, longest=3).longest_gap == 2
    assert gauge.integral(7, 20, longest=3).longest_gap == 12


def test_readings_that_come_late_or_are_no_numbers_are_left_out():
    gauge = series([0, 1, 1, 0.5, 2, 3], [10, 10, 99, 99, math.nan, 10])
    assert len(gauge) == 4
    assert gauge.integral(0, 3, longest=3).seconds == 1


def test_gauges_are_added_up_at_all_times():
    a, b = series([0, 2, 4], [0, 2, 4]), series([1, 3], [10, 10])
    assert list(together([a, b], 0, 4)) == [10, 11, 12, 13, 14]
    assert list(together([a, b, Series()], 2.5, 3.5)) == [13]
    assert len(together([], 0, 1)) == 0


# Power of boards.


def test_the_counter_comes_before_samples():
    read = power(board(300), board(60, name="GPU 1"))
    assert (read.watts, read.joules) == (pytest.approx(360), pytest.approx(7200))
    assert (read.source, read.quality) == ("nvml-energy-counter", "measured")
    assert read.coverage == pytest.approx(1)
    assert read.valid
    assert read.devices == {"GPU 0": pytest.approx(300), "GPU 1": pytest.approx(60)}
    assert (read.note, read.tainted) == ("", ())


def test_samples_where_there_is_no_counter_or_the_window_is_short():
    ramp = Board("GPU 0", power=series(range(31), range(31)))
    read = power(ramp)
    assert (read.source, read.quality) == ("nvml-power-samples", "estimated")
    assert (read.watts, read.joules) == (pytest.approx(15), pytest.approx(300))
    assert power(board(), begin=5, end=5.5).source == "nvml-power-samples"
    both = power(ramp, board(60, name="GPU 1"))
    assert both.source == "nvml-energy-counter+nvml-power-samples"
    assert both.quality == "estimated"
    assert both.watts == pytest.approx(75)


def test_power_that_stands_still_is_noted():
    assert power(board(energy=False)).note == "GPU 0: power stood still"


@pytest.mark.parametrize(
    ("boards", "why"),
    [
        ([], "there are no readings"),
        ([Board("GPU 0")], "GPU 0: readings cover 0% of the window"),
        ([board(until=20)], "GPU 0: readings cover 75% of the window"),
        ([board(), board(until=20, name="GPU 1")], "GPU 1: readings cover 75% of the window"),
        ([board(period=4)], "GPU 0: readings cover 0% of the window"),
    ],
    ids=["none", "silent", "ends early", "one ends early", "seldom"],
)
def test_a_window_that_is_not_covered(boards, why):
    read = power(*boards)
    assert read.why_not == why
    assert math.isnan(read.watts)
    assert math.isnan(read.joules)
    assert not read.valid
    assert "watts" not in read.to_json()


def test_one_long_gap_is_too_much():
    times = [*np.arange(0, 300, 0.5), *np.arange(304, 600, 0.5)]
    read = power(Board("GPU 0", power=series(times, np.sin(times))), begin=1, end=599)
    assert read.coverage > 0.99
    assert read.why_not == "GPU 0: no readings for 4.5 s"


def test_counter_and_samples_must_agree():
    odd = board(300)
    odd.power = series(np.arange(0, 30, 0.1), np.full(300, 270))
    assert power(odd).why_not == "GPU 0: energy counter and samples of power are 10% apart"
    short = power(odd, begin=5, end=10)  # power lags behind a second
    assert short.valid
    assert short.note == "GPU 0: energy counter and samples of power are 10% apart"


def staircase(period, until, watts=300.0):
    """Return a board behind an exporter that is asked each second and collects more seldom."""
    times = np.arange(0.0, until + 1)
    collected = np.floor(times / period) * period
    return Board(
        "GPU 0",
        energy=series(times, watts * collected),
        power=series(times, watts + np.sin(collected)),
    )


def test_an_exporter_that_collects_seldom():
    """DCGM's exporter collects every 30 s unless told otherwise."""
    read = power(staircase(30, 700), begin=40, end=680)
    assert read.watts == pytest.approx(300)
    assert read.source == "nvml-energy-counter"
    short = power(staircase(30, 200), begin=40, end=160)
    assert "renewed every 30 s only" in short.why_not
    assert "measure for 600 s" in short.why_not
    gauge = staircase(30, 200)
    gauge.energy = Series()
    assert "renewed every 30 s only" in power(gauge, begin=40, end=160).why_not


def test_a_counter_that_falls_is_not_counted_there():
    times = np.arange(0, 30, 0.1)
    energy = 300 * times + 1000
    energy[150:] -= energy[150]
    read = power(Board("GPU 0", energy=series(times, energy)))
    assert read.watts == pytest.approx(300)
    assert read.valid


def test_throttling_taints_and_a_power_cap_does_not():
    times = np.arange(0, 30, 0.1)
    masks = np.where(times < 15, 0x1, 0x44)  # idle; then power cap and heat
    hot = board(reasons=series(times, masks), clock=series(times, np.where(times < 15, 2e9, 1e9)))
    read = power(hot)
    assert read.tainted == ("GPU 0 throttled in 50% of readings (hw_thermal_slowdown)",)
    assert read.valid
    assert read.clocks == {
        "sm_mean": pytest.approx(1.5e9, rel=0.02), "sm_min": 1e9, "sm_max": 2e9,
        "throttled": pytest.approx(0.5, abs=0.01), "power_capped": pytest.approx(0.5, abs=0.01),
    }  # fmt: skip
    assert power(hot, begin=1, end=14).tainted == ()
    capped = power(board(reasons=series(times, np.full(300, 0x4))))
    assert capped.tainted == ()
    assert capped.clocks["power_capped"] == 1


def test_settings_that_are_changed_taint():
    times = np.arange(0, 30, 0.1)
    limit = np.where(times < 15, 700.0, 500.0)
    changed = board(settings={("power limit", "W"): series(times, limit)})
    assert power(changed).tainted == ("GPU 0: power limit was changed from 700 W to 500 W",)
    assert power(changed).clocks["power_limit"] == 500
    assert power(changed, begin=16, end=29).tainted == ()
    back = np.where((times > 14) & (times < 16), 1.2e9, 1.5e9)
    read = power(board(settings={("application clock", "Hz"): series(times, back)}))
    assert read.tainted == ("GPU 0: application clock was changed, and back to 1.5 GHz",)


# NVML, by the real bindings and a stand-in for the driver's library.

NVML = """
import json, os, re, time
from pytest_a2perf.domains.serving.system import nvml
from pytest_a2perf.domains.serving.system.options import SystemOptions, disclosure
from pytest_a2perf.domains.serving.system.sources import power_source
from pytest_a2perf.errors import InfraError
class Clock:
    now = 1000.0
    def monotonic(self): return self.now
def read(seconds=1.2, during=lambda text: text, **power):
    text = calm
    show(text)
    options = SystemOptions(power={'source': 'nvml', 'interval': 0.05, **power})
    with power_source(options) as source:
        begin = clock.now
        for step in range(6):
            with source._lock:
                text = during(text) if step == 3 else text
                clock.now += seconds / 6
                show(text)
            late = time.monotonic() + 50
            while 'lost' not in text and source._boards[-1][1].power.last < clock.now:
                assert time.monotonic() < late
                time.sleep(0.005)
        return source.over(begin, clock.now).to_json()
def show(text):
    # The counters of the stand-in go by this clock; it reads what has another time.
    counters = lambda found: f'{found[0]}\\ncounter_watts 0\\njoules {int(found[1]) * clock.now}'
    with open(path + '~', 'w') as file:
        file.write(re.sub('^watts ([0-9]+)$', counters, text, flags=re.MULTILINE))
    os.utime(path + '~', ns=(0, int(1e9 * clock.now)))
    os.replace(path + '~', path)
path = os.environ['NVML_STAND_IN']
calm = open(path).read()
clock = nvml.time = Clock()
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


def test_nvml_sums_boards(library, tmp_path):
    code = NVML + "answer([read(), disclosure(SystemOptions(power={'source': 'nvml'}))['driver']])"
    read, driver = run_with(library, tmp_path, describe(H100, L4), code)
    assert read["watts"] == pytest.approx(360, rel=1e-3)
    assert read["devices"] == {
        "GPU 0": pytest.approx(300, rel=1e-3), "GPU 1": pytest.approx(60, rel=1e-3),
    }  # fmt: skip
    assert (read["source"], read["boundary"]) == ("nvml-energy-counter", "accelerator board")
    assert read["clocks"] == {
        "sm_mean": 1.98e9, "sm_min": 1.98e9, "sm_max": 1.98e9, "throttled": 0, "power_capped": 0,
    }  # fmt: skip
    assert "why_not" not in read
    assert driver == "550.54.15"


@pytest.mark.slow
def test_nvml_reads_the_devices_that_are_named(library, tmp_path):
    mig = ["MIG-3 1000000000", "MIG-4 2000000000"]
    code = NVML + (
        "out = [read(0.1, devices=[1])['watts'], read(0.1, devices=['GPU-2'])['watts']]\n"
        "out.append(read(0.1, devices=['MIG-3', 'MIG-4', 0])['watts'])\n"  # the board counts once
        "for devices in ([7], ['GPU-9']):\n"
        "    try: read(devices=devices)\n"
        "    except InfraError as error: out.append(str(error))\n"
        "answer(out)"
    )
    out = run_with(library, tmp_path, describe({**H100, "mig": mig}, L4), code, visible="0")
    assert out == [60, 60, 300, *(f"power: NVML knows no device {d!r}" for d in ("7", "GPU-9"))]


def test_nvml_sees_what_happens_meanwhile(library, tmp_path):
    code = NVML + (
        "import pynvml\n"
        "limit = [700000]\n"
        "pynvml.nvmlDeviceGetEnforcedPowerLimit = lambda device: limit[0]\n"
        "def heat(text):\n"
        "    limit[0] = 500000\n"
        "    return text.replace('reasons 0x1', 'reasons 0x20')\n"
        "answer([read(0.3, heat), read(0.3, lambda text: text + 'lost 1\\n')])"
    )
    hot, lost = run_with(library, tmp_path, describe(H100), code)
    throttled, changed = hot["tainted"]
    assert throttled.endswith("of readings (sw_thermal_slowdown)")
    assert changed == "GPU 0: power limit was changed from 700 W to 500 W"
    assert lost["why_not"].startswith("GPU 0: readings cover ")
    assert "watts" not in lost


def test_nvml_without_a_counter_takes_samples(library, tmp_path):
    old = {**H100, "unsupported": "nvmlDeviceGetTotalEnergyConsumption"}
    read = run_with(library, tmp_path, describe(old), NVML + "answer(read(0.2))")
    assert (read["watts"], read["source"]) == (pytest.approx(300), "nvml-power-samples")
    assert read["quality"] == "estimated"


def test_nvml_without_a_gpu(library, tmp_path):
    code = NVML + "try: read()\nexcept InfraError as error: answer(str(error))"
    message = run_with(library, tmp_path, describe(), code)
    assert "NVML sees no GPU on this host" in message


# Exporters.


def exported(*exporters, **options):
    """Return the source of power that asks these exporters."""
    chosen = {} if "metric" in options else {"preset": "dcgm"}
    power = {
        "source": "prometheus", "url": [one.url for one in exporters], "interval": 0.05,
        "timeout": 60, **chosen, **options,
    }  # fmt: skip
    return power_source(SystemOptions(power=power))


class Clock:
    """Stands still but where it is told to go on."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The time of exporters and of who asks them; how fast the machine is does not matter."""
    clock = Clock()
    monkeypatch.setattr(scrape, "time", clock)
    monkeypatch.setattr(serving_exporters, "time", clock)
    return clock


def over(source, clock, seconds=0.3):
    """Return the power over so many seconds, in which every exporter is asked six times."""
    with source:
        begin = clock.now
        for _ in range(6):
            clock.now += seconds / 6
            wait_for(lambda: all(one.last >= clock.now for one in source._scrapers))
        return source.over(begin, clock.now)


def wait_for(found):
    end = time.monotonic() + 60
    while not found():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_dcgm_of_two_hosts_is_summed(clock):
    with (
        Exporter(lambda: dcgm(gpu(0), gpu(1, 400), instances=2)) as a,
        Exporter(lambda: dcgm(gpu(0, 500), host="node-b")) as b,
    ):
        read = over(exported(a, b), clock)
    assert read.watts == pytest.approx(1200)
    assert set(read.devices) == {"GPU-node-a-0", "GPU-node-a-1", "GPU-node-b-0"}
    assert (read.source, read.quality) == ("dcgm-exporter-power-samples", "estimated")
    assert read.boundary == "accelerator board"
    assert read.clocks["sm_mean"] == 1.98e9


def test_dcgm_has_a_counter(clock):
    with Exporter(lambda: dcgm(gpu(0))) as exporter:
        read = over(exported(exporter), clock, 1.5)
    assert read.watts == pytest.approx(300, rel=0.05)  # the clock may go on during an answer
    assert (read.source, read.quality) == ("dcgm-exporter-energy-counter", "measured")


def test_labels_choose(clock):
    with Exporter(lambda: dcgm(gpu(0), gpu(1, 400, reasons=0x40))) as exporter:
        source = exported(exporter, labels={"gpu": "1", "Hostname": "node-a"}, boundary="die")
        read = over(source, clock)
        with (
            pytest.raises(InfraError, match=r"answers, but has no DCGM_\w+.* with gpu='7'"),
            exported(exporter, labels={"gpu": "7"}),
        ):
            pass
    assert (read.watts, read.boundary) == (pytest.approx(400), "die")
    assert read.tainted == ("GPU-node-a-1 throttled in 100% of readings (hw_thermal_slowdown)",)


def test_the_same_gpu_does_not_count_twice():
    with Exporter(lambda: dcgm(gpu(0))) as a, Exporter(lambda: dcgm(gpu(0))) as b:
        source = exported(a, b)
        with pytest.raises(InfraError, match="both tell of GPU-node-a-0: it would count twice"):
            source.__enter__()


def test_processors_and_memory_count_once(clock):
    text = """\
        # HELP node_rapl_package_joules_total Current RAPL value in joules
        # TYPE node_rapl_package_joules_total counter
        node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0"} NOW
        node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl-mmio:0"} NOW
        node_rapl_core_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0:0"} NOW
        node_rapl_dram_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0:1"} NOW
        node_rapl_joules_total{index="1",path="/sys/x",rapl_zone="package-1"} NOW
        node_rapl_joules_total{index="1",path="/sys/x",rapl_zone="core"} NOW
    """.replace("        ", "")
    with Exporter(lambda: text.replace("NOW", str(100 * clock.now))) as exporter:
        read = over(exported(exporter, preset="rapl"), clock)
    assert len(read.devices) == 3
    assert read.boundary == "processor packages and memory"
    assert read.source == "node-exporter-rapl-energy-counter"


@pytest.mark.parametrize(
    ("options", "text", "watts"),
    [
        ({"metric": "pdu_power", "unit": "kW"}, 'pdu_power{outlet="1"} 5.5\npdu_other 9\n', 5500),
        (
            {"metric": "m", "labels": {"outlet": "a\\b"}},
            'm{outlet="a\\\\b"} 7\nm{outlet="c"} 9\n',
            7,
        ),
        (
            {"preset": "node-exporter"},
            """\
node_hwmon_power_average_watt{chip="x",sensor="power1"} 55
node_hwmon_power_input_watt{chip="x",sensor="power1"} 56
node_hwmon_power_input_watt{chip="x",sensor="power2"} 44
""",
            99,
        ),
    ],
    ids=["kilowatts", "labels", "sensors"],
)  # fmt: skip
def test_other_metrics(options, text, watts, clock):
    with Exporter(text) as exporter:
        read = over(exported(exporter, boundary="rack", **options), clock)
    assert (read.watts, read.boundary) == (pytest.approx(watts), "rack")
    assert read.note.endswith("power stood still")


def test_a_counter_of_energy_by_any_name(clock):
    with Exporter(lambda: f"e_kwh {clock.now / 3.6e6 * 100}\n") as exporter:
        read = over(exported(exporter, metric="e_kwh", unit="kWh", boundary="node"), clock, 1.5)
    assert read.watts == pytest.approx(100, rel=0.05)
    assert read.source == "prometheus-energy-counter"


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("fails", "answers with status 500"),
        ("redirects", "answers with status 302"),
        ("html", "answers, but has no DCGM_FI_DEV_POWER_USAGE"),
        ("cuts", "the answer was cut off"),
        ("trickles", "no answer within 0.5 s|the answer was cut off"),
    ],
)
def test_an_exporter_that_misbehaves_from_the_start(mode, message):
    with Exporter(lambda: dcgm(gpu(0))) as exporter, Exporter() as elsewhere:
        exporter.mode, exporter.elsewhere = mode, elsewhere.url
        source = exported(exporter, timeout=0.5 if mode == "trickles" else 60)
        with pytest.raises(InfraError, match=message) as caught:
            source.__enter__()
        assert elsewhere.asked == []  # nobody is asked who was not named
    assert exporter.url in str(caught.value)


def test_an_exporter_that_is_down():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/metrics"
        source = power_source(
            SystemOptions(power={"source": "prometheus", "url": url, "preset": "dcgm"})
        )
        with pytest.raises(InfraError, match=r"refused: does the exporter run, and may this host"):
            source.__enter__()


def test_metrics_that_cannot_be_read():
    with Exporter("DCGM_FI_DEV_POWER_USAGE many\n") as exporter:
        source = exported(exporter)
        with pytest.raises(InfraError, match="not in Prometheus' text format"):
            source.__enter__()


@pytest.mark.parametrize("mode", ["fails", "html"])
def test_an_exporter_that_goes_down_meanwhile(mode, clock):
    with (
        Exporter(lambda: dcgm(gpu(0))) as a,
        Exporter(lambda: dcgm(gpu(0), host="node-b")) as b,
        exported(a, b) as source,
    ):
        begin = clock.now
        for one in (0.1, 0.1, 0.1, 0.1, 0.1):
            clock.now += one
            wait_for(lambda: source._scrapers[0].last >= clock.now)
            if clock.now > begin + 0.15:
                b.mode = mode
        read = source.over(begin, clock.now)
    assert read.why_not.startswith("GPU-node-b-0: readings cover ")
    assert "GPU-node-a-0" not in read.why_not
    assert math.isnan(read.watts)


# The text format.

labels = st.dictionaries(
    st.sampled_from(["gpu", "UUID", "le", "path_0"]),
    st.text(st.sampled_from('ab\\\n"{},= #é'), max_size=6),
    max_size=3,
)
values = st.floats(allow_nan=False)


@given(st.lists(st.tuples(st.sampled_from(["a:b", "a:b_total", "a", "c"]), labels, values)))
def test_what_is_written_is_read(lines):
    def escape(text):
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

    text = "# TYPE a:b counter\n"
    for name, chosen, value in lines:
        inner = ",".join(f'{key}="{escape(text)}"' for key, text in chosen.items())
        text += f"{name}{{{inner}}} {value} 1700000000000\n"
    read = [(one.name, one.labels, one.value) for one in parse(text, {"a:b", "a:b_total"})]
    assert read == [line for line in lines if line[0].startswith("a:b")]


def test_lines_of_others_are_not_looked_at():
    assert [one.value for one in parse("x 1\ny {{{\n# z 3\nx{} +Inf\n", {"x"})] == [1, math.inf]
    with pytest.raises(ValueError, match="could not convert"):
        parse("x{a=\n", {"x"})


def test_an_address_with_a_query_is_asked_for_all_of_it():
    with Exporter("x 1\n") as exporter:
        assert fetch(f"{exporter.url}?target=pdu", 60) == "x 1\n"
    assert exporter.asked == ["/metrics?target=pdu"]
