"""Peak memory: exact, also in nested windows and after a fork; children; the sampler."""

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.meters import memory, processes
from pytest_a2perf.meters.memory import MemoryMeter
from pytest_a2perf.meters.peaks import PeakWindows
from pytest_a2perf.meters.processes import current_rss, descendants, has_children, resident
from pytest_a2perf.meters.sampler import Sampler
from pytest_a2perf.meters.time import TimeMeter

MB = 10**6
exact = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak cannot be reset here"
)


def allocate(size: int) -> None:
    """Use memory and give it back."""
    block = bytearray(size)
    block[::4096] = b"x" * len(block[::4096])
    del block
    gc.collect()


def peak_of(work, **options) -> tuple[float, object]:
    meter = MemoryMeter(**options)
    meter.start()
    work()
    quantity = meter.stop()["memory.peak"]
    return quantity.value, quantity


@pytest.mark.slow
@exact
def test_peak_is_exact_and_forgotten_by_the_next_window():
    gc.collect()  # what tests before this one have left is not to go in the middle
    before = current_rss()
    peak, quantity = peak_of(lambda: allocate(200 * MB))
    assert peak - before == pytest.approx(200 * MB, abs=10 * MB)
    assert (quantity.source, quantity.quality, quantity.unit) == ("vmhwm", "measured", "B")
    after, _ = peak_of(lambda: allocate(20 * MB))
    assert after < peak - 150 * MB


@pytest.mark.slow
@exact
def test_an_inner_window_does_not_hide_the_peak_of_the_outer():
    gc.collect()
    base = current_rss()
    inner = MemoryMeter()

    def work():
        allocate(200 * MB)
        inner.start()
        allocate(50 * MB)
        inner_peaks.append(inner.stop()["memory.peak"].value)

    inner_peaks: list[float] = []
    outer_peak, _ = peak_of(work)
    assert outer_peak - base == pytest.approx(200 * MB, abs=15 * MB)
    assert inner_peaks[0] - base == pytest.approx(50 * MB, abs=15 * MB)


@pytest.mark.slow
@exact
def test_a_peak_in_an_inner_window_counts_for_the_outer():
    gc.collect()
    base = current_rss()
    outer_peak, _ = peak_of(lambda: peak_of(lambda: allocate(100 * MB)))
    assert outer_peak - base == pytest.approx(100 * MB, abs=15 * MB)


@pytest.mark.slow
@exact
def test_a_forked_child_measures_itself():
    peak_of(lambda: None)  # whatever the parent keeps must not be the child's
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            base = current_rss()  # less than the parent's: shared files are not yet mapped
            peak, _ = peak_of(lambda: allocate(120 * MB))
            os.write(write, str(peak - base).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert float(os.read(read, 100)) == pytest.approx(120 * MB, abs=30 * MB)
    os.close(read)
    os.close(write)


def test_without_reset_the_peak_is_estimated(monkeypatch):
    def refuse() -> None:
        raise PermissionError

    monkeypatch.setattr(memory, "_peaks", PeakWindows(lambda: 0.0, refuse))
    peak, quantity = peak_of(lambda: None)
    assert quantity.quality == "estimated"
    assert quantity.source in {"rss", "ru_maxrss"}
    assert peak == pytest.approx(current_rss(), rel=0.5)
    values = iter([1, 10**12])
    monkeypatch.setattr(memory, "_maxrss", lambda who: next(values))
    peak, quantity = peak_of(lambda: None)
    assert (peak, quantity.source, quantity.quality) == (10**12, "ru_maxrss", "estimated")


@given(st.lists(st.tuples(st.sampled_from("ocr"), st.integers(0, 5), st.floats(0, 1e9))))
def test_overlapping_windows_each_see_their_own_peak(steps):
    mark = [0.0]
    now = [0.0]

    def reset() -> None:
        mark[0] = now[0]

    windows = PeakWindows(lambda: mark[0], reset)
    open_windows: list[tuple[object, list[float]]] = []
    for action, which, value in steps:
        if action == "o":
            open_windows.append((windows.open(), [now[0]]))
        elif action == "c" and open_windows:
            window, seen = open_windows.pop(which % len(open_windows))
            assert windows.close(window) == max(seen)
        else:
            now[0] = value
            mark[0] = max(mark[0], value)
            for _, seen in open_windows:
                seen.append(value)
    for window, seen in open_windows:
        assert windows.close(window) == max(seen)


HOG = "import sys, time; b = bytearray(80_000_000); print('ready', flush=True); sys.stdin.read()"


def start_hog() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOG], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.communicate()


def children_peak(meter: MemoryMeter, work) -> object:
    meter.start()
    work()
    return meter.stop().get("memory.children_peak")


@pytest.fixture
def childless(monkeypatch):
    """Overlook children of somebody else."""
    others = {*processes._overlooked, *descendants()}
    monkeypatch.setattr(processes, "_overlooked", others)


def test_no_children_no_quantity(childless):
    assert children_peak(MemoryMeter(), lambda: None) is None


def test_children_alive_at_the_end_are_counted():
    started = []
    sizes = []

    def work():
        started.append(start_hog())
        sizes.append(resident(started[0].pid))  # it may still grow

    quantity = children_peak(MemoryMeter(), work)
    assert has_children()
    assert started[0].pid in descendants()
    assert quantity.value >= sizes[0] >= 80 * MB
    assert (quantity.source, quantity.quality) == ("rss-samples", "estimated")
    end(started[0])
    assert started[0].pid not in descendants()


def test_children_within_the_window_are_sampled_when_asked():
    sampler = Sampler(0.02)
    rounds: list[int] = []

    def sample():
        rounds.append(1)

    def work():
        process = start_hog()
        before = len(rounds)
        while len(rounds) < before + 2:
            time.sleep(0.01)
        end(process)

    sampler.add(sample)
    quantity = children_peak(MemoryMeter(sampler, children=True), work)
    sampler.remove(sample)
    assert quantity.value >= 80 * MB
    assert quantity.source == "rss-samples"


WAITED = """
import subprocess, sys
from pytest_a2perf.meters.memory import MemoryMeter
def run(size):
    meter = MemoryMeter()
    meter.start()
    subprocess.run([sys.executable, "-c", f"bytearray({size})"], check=True)
    return meter.stop()["memory.children_peak"]
first, second = run(150_000_000), run(1)
assert 150_000_000 < first.value < 200_000_000, first
assert (first.source, first.note) == ("ru_maxrss", "the largest child that was waited for"), first
assert (second.value, second.note) == (first.value, "upper bound"), second
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss differs")
def test_children_waited_for_within_the_window(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run([sys.executable, "-c", WAITED], check=True, env=environment, cwd=tmp_path)


def test_time_of_waited_children_is_cpu_time():
    meter = TimeMeter()
    meter.start()
    code = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    read = meter.stop()
    assert read["time.cpu"].value >= 0.2
    assert read["time.wall"].value >= 0.2
    assert read["time.cpu"].resolution is not None


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "a2perf-sampler"]


def test_sampler_has_a_thread_only_while_needed():
    sampler = Sampler(0.02)
    calls: list[int] = []
    first, second = (lambda: calls.append(1)), (lambda: calls.append(2))
    sampler.add(first)
    sampler.add(second)
    assert len(threads()) == 1
    while set(calls) != {1, 2}:
        time.sleep(0.01)
    sampler.remove(first)
    count = calls.count(1)
    time.sleep(0.06)
    assert calls.count(1) == count
    assert sampler.running
    sampler.remove(second)
    assert threads() == []
    with pytest.raises(ValueError, match="at most every"):
        Sampler(0.001)


def test_sampler_pauses_while_the_process_forks():
    sampler = Sampler(0.02)
    calls: list[int] = []

    def sample():
        calls.append(1)

    sampler.add(sample)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if not threads() and not sampler.running else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    before = len(calls)
    while len(calls) <= before:
        time.sleep(0.01)
    sampler.remove(sample)
    assert threads() == []


def test_a_short_window_starts_no_thread(childless):
    meter = MemoryMeter(Sampler())
    meter.start()
    assert threads() == []
    meter.stop()
