"""CPU time that the installed but unused plugin adds to a pytest run with one empty test.

Peers in the same run: pytest alone, and pytest with pytest-benchmark.
"""

from __future__ import annotations

import statistics
import sys

from common import child_cpu, interleave, project, report

ROUNDS = 15


def main() -> list[dict[str, object]]:
    folder = project({"test_one.py": "def test_one(): pass\n"})
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_one.py"]
    # Autoloading is off, so that each variant holds only what it names.
    base = ["env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", *pytest]
    times = interleave(
        ROUNDS,
        {
            "pytest": lambda: child_cpu(base, folder),
            "a2perf": lambda: child_cpu([*base, "-p", "pytest_a2perf.plugin"], folder),
            "benchmark": lambda: child_cpu([*base, "-p", "pytest_benchmark.plugin"], folder),
        },
    )
    added = {
        name: statistics.median(a - b for a, b in zip(times[name], times["pytest"], strict=True))
        for name in ("a2perf", "benchmark")
    }
    detail = (
        f"pytest alone {1e3 * statistics.median(times['pytest']):.0f} ms CPU; "
        f"pytest-benchmark adds {1e3 * added['benchmark']:.1f} ms; {ROUNDS} rounds"
    )
    return [report("start-up, unused", 1e3 * added["a2perf"], "ms CPU", "<= 10", detail)]


if __name__ == "__main__":
    main()
