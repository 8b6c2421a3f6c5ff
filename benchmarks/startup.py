"""What the installed but unused plugin adds to a pytest run with one empty test.

Peers in the same run: pytest with an empty plugin (to find any plugin by name costs pytest 3 %
already), and pytest with pytest-benchmark. Where valgrind is installed, instructions are counted as
well: unlike times they are the same in every run, whatever else the machine does.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common import child_cpu, interleave, project, report

ROUNDS = 30
PLUGINS = ("empty", "pytest_a2perf.plugin", "pytest_benchmark.plugin")


def instructions(command: Sequence[str], folder: Path) -> int:
    """Count a command's instructions, without those of its children."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*valgrind, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return max(map(int, re.findall(r"Collected : (\d+)", done.stderr)))


def main() -> list[dict[str, object]]:
    folder = project({"test_one.py": "def test_one(): pass\n", "empty.py": ""})
    # Autoloading is off, so that each variant holds only what it names.
    base = ["env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", "PYTHONHASHSEED=0", sys.executable]
    base += ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_one.py", "-p"]
    times = interleave(
        ROUNDS, {name: partial(child_cpu, [*base, name], folder) for name in PLUGINS}
    )
    # Others' work on the machine only ever adds, so the least disturbed half.
    half = ROUNDS // 2
    quiet = {name: statistics.median(sorted(values)[:half]) for name, values in times.items()}
    alone, ours, peer = (quiet[name] for name in PLUGINS)
    detail = (
        f"pytest alone {1e3 * alone:.0f} ms CPU; pytest-benchmark adds {1e3 * (peer - alone):.1f} "
        f"ms; the quicker half of {ROUNDS} rounds"
    )
    results = [report("start-up, unused", 1e3 * (ours - alone), "ms CPU", "<= 10", detail)]
    if shutil.which("valgrind"):
        counts = [instructions([*base[3:], name], folder) for name in PLUGINS]
        shares = [100 * (count / counts[0] - 1) for count in counts]
        detail = f"of pytest's {counts[0] / 1e6:.0f} million; pytest-benchmark adds {shares[2]:.1f}"
        results.append(report("start-up, instructions", shares[1], "%", "none", f"{detail} %"))
    return results


if __name__ == "__main__":
    main()
