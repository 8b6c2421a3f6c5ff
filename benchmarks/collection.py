"""Collecting 10,000 trials of one scenario file, against 10,000 parametrized test functions."""

from __future__ import annotations

import statistics
import sys

from common import child_cpu, interleave, median_ratio, project, report

ROUNDS = 5
SCENARIO = """
schema = 1
[[scenario]]
name = "many"
task = "CartPole-v1"
seeds = {seeds}
tags = ["smoke"]
[scenario.gates]
"return.mean" = ">= 1"
"""
FUNCTIONS = """
import pytest
@pytest.mark.parametrize("seed", range({seeds}))
def test_many(seed): pass
"""


def main() -> list[dict[str, object]]:
    folder = project(
        {
            "scenarios/many.toml": SCENARIO.format(seeds=10_000),
            "one/scenarios/one.toml": SCENARIO.format(seeds=1),
            "test_many.py": FUNCTIONS.format(seeds=10_000),
            "test_one.py": FUNCTIONS.format(seeds=1),
        }
    )
    pytest = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    times = interleave(
        ROUNDS,
        {
            "many": lambda: child_cpu([*pytest, "--a2perf", "scenarios/many.toml"], folder),
            "one": lambda: child_cpu([*pytest, "--a2perf", "one/scenarios/one.toml"], folder),
            "functions": lambda: child_cpu([*pytest, "test_many.py"], folder),
            "function": lambda: child_cpu([*pytest, "test_one.py"], folder),
        },
    )
    ours = [a - b for a, b in zip(times["many"], times["one"], strict=True)]
    peer = [a - b for a, b in zip(times["functions"], times["function"], strict=True)]
    detail = (
        f"parametrized functions take {statistics.median(peer):.2f} s "
        f"(ratio {median_ratio(ours, peer):.2f}); start-up taken off; {ROUNDS} rounds"
    )
    return [report("collect 10,000 trials", statistics.median(ours), "s CPU", "<= 0.8", detail)]


if __name__ == "__main__":
    main()
