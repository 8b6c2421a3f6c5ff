"""What measuring a trial costs: wall, CPU and peak-RSS meters round an empty function.

Peer in the same run: ``benchmark.pedantic(f, rounds=1)`` of pytest-benchmark.
"""

from __future__ import annotations

import statistics
import sys
import time
from functools import partial

from common import child_cpu, interleave, project, report

from pytest_a2perf.meters.session import Instruments
from pytest_a2perf.runs.record import Record
from pytest_a2perf.scenarios.models import EnergyOptions

ROUNDS = 15
CALLS = 500
FEW, MANY = 10, 1010


def window() -> float:
    """Return microseconds for opening and closing the meters once."""
    meters = Instruments().meters(EnergyOptions(source="none"))
    record = Record("s", "n", 0)
    started = time.perf_counter()
    for _ in range(CALLS):
        meters.measure(record, _nothing)
    return 1e6 * (time.perf_counter() - started) / CALLS


def _nothing() -> None:
    return None


TESTS = """
import pytest

@pytest.mark.parametrize("i", range({items}))
def test_plain(i): pass

@pytest.mark.parametrize("i", range({items}))
def test_pedantic(i, benchmark):
    benchmark.pedantic(lambda: None, rounds=1)

@pytest.mark.a2perf(seeds={items}, energy={{"source": "none"}})
def test_trial(trial): pass
"""
KINDS = ("test_plain", "test_pedantic", "test_trial")


def main() -> list[dict[str, object]]:
    times = interleave(ROUNDS, {"window": window})
    detail = f"{CALLS} windows a round, {ROUNDS} rounds"
    figure = statistics.median(times["window"])
    results = [report("wall, CPU and peak-RSS meters", figure, "µs a trial", "<= 50", detail)]
    folder = project(
        {f"test_{n}.py": TESTS.format(items=n) for n in (FEW, MANY)},
    )
    pytest = [sys.executable, "-m", "pytest", "-qq", "--a2perf", "-p", "no:cacheprovider"]
    pytest += ["--benchmark-columns=min"]
    runs = interleave(
        5,
        {
            f"{kind} {n}": partial(child_cpu, [*pytest, f"test_{n}.py", "-k", kind], folder)
            for kind in KINDS
            for n in (FEW, MANY)
        },
    )
    # From few to many, so that imports and the like do not count.
    cost = {
        kind: 1e6
        * statistics.median(
            (many - few) / (MANY - FEW)
            for few, many in zip(runs[f"{kind} {FEW}"], runs[f"{kind} {MANY}"], strict=True)
        )
        for kind in KINDS
    }
    plain, pedantic, trial = (cost[kind] for kind in KINDS)
    detail = (
        f"an empty test costs {plain:.0f} µs and benchmark.pedantic {pedantic:.0f} µs; ours with "
        f"record, report and statistics; {FEW} to {MANY} items, 5 rounds"
    )
    results.append(report("a whole recorded trial", trial, "µs an item", "none", detail))
    return results


if __name__ == "__main__":
    main()
