"""Two workers against none, on trials that keep a processor core busy; needs two idle cores.

The share of the test phase in which the workers were busy does not depend on what else runs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

from common import interleave, median_ratio, project, report, turns_in

ROUNDS = 3
TRIALS = 16
SECONDS = 1.0

TESTS = """
import pytest
@pytest.mark.a2perf(seeds={trials}, energy={{"source": "none"}})
def test_work(trial):
    total = 0
    for i in range({turns}):
        total += i * i
"""
CONFTEST = """
import time
from pathlib import Path
import pytest

class Phase:
    begun = None
    busy = 0.0

    def pytest_runtest_logstart(self):
        self.begun = self.begun or time.perf_counter()

    def pytest_runtest_logreport(self, report):
        self.busy += report.duration

    def pytest_runtest_logfinish(self):
        Path("seconds.txt").write_text(f"{time.perf_counter() - self.begun} {self.busy}")

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Phase())
"""


def phase(folder: Path, workers: int, busy: list[float]) -> float:
    """Return the seconds from the first trial's start to the last one's end.

    Args:
        folder: the project.
        workers: for ``-n``.
        busy: the share of the phase in which trials ran on a worker is appended.
    """
    command = [sys.executable, "-m", "pytest", "-qq", "--a2perf", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-n", str(workers)], cwd=folder, capture_output=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"-n {workers} failed:\n{done.stdout.decode()}{done.stderr.decode()}")
    seconds, used = map(float, (folder / "seconds.txt").read_text(encoding="utf-8").split())
    busy.append(used / seconds / max(1, workers))
    return seconds


def main() -> list[dict[str, object]]:
    load = os.getloadavg()[0]
    tests = TESTS.format(trials=TRIALS, turns=turns_in(SECONDS))
    folder = project({"test_work.py": tests, "conftest.py": CONFTEST, "pytest.ini": "[pytest]\n"})
    busy: dict[int, list[float]] = {0: [], 2: []}
    times = interleave(ROUNDS, {f"-n{n}": partial(phase, folder, n, busy[n]) for n in busy})
    detail = (
        f"{TRIALS} trials of pure Python; test phase {statistics.median(times['-n0']):.1f} s with "
        f"-n0, {statistics.median(times['-n2']):.1f} s with -n2, workers busy for "
        f"{100 * statistics.median(busy[2]):.0f} % of it; {ROUNDS} rounds; load average before: "
        f"{load:.1f}"
    )
    ratio = median_ratio(times["-n0"], times["-n2"])
    return [report("two workers on two cores", ratio, "x", ">= 1.8", detail)]


if __name__ == "__main__":
    main()
