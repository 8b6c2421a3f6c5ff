"""What measuring a trial costs: wall, CPU and peak-RSS meters round an empty function.

Peer in the same run: ``benchmark.pedantic(f, rounds=1)`` of pytest-benchmark.
"""

from __future__ import annotations

import statistics
import sys
import time

from common import child_cpu, interleave, project, report

from pytest_a2perf.meters.session import Instruments
from pytest_a2perf.runs.record import Record
from pytest_a2perf.scenarios.models import EnergyOptions

ROUNDS = 15
CALLS = 500
ITEMS = 1000


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


def main() -> list[dict[str, object]]:
    times = interleave(ROUNDS, {"window": window})
    results = [
        report(
            "wall, CPU and peak-RSS meters",
            statistics.median(times["window"]),
            "µs a trial",
            "<= 50",
            f"{CALLS} windows a round, {ROUNDS} rounds",
        )
    ]
    folder = project({"test_items.py": TESTS.format(items=ITEMS)})
    pytest = [sys.executable, "-m", "pytest", "-qq", "--a2perf", "-p", "no:cacheprovider"]
    items = interleave(
        3,
        {
            name: lambda name=name: child_cpu(  # type: ignore[misc]
                [*pytest, "--benchmark-columns=min", "-k", name], folder
            )
            for name in ("test_plain", "test_pedantic", "test_trial")
        },
    )
    plain = statistics.median(items["test_plain"])
    pedantic = 1e6 * (statistics.median(items["test_pedantic"]) - plain) / ITEMS
    trial = 1e6 * (statistics.median(items["test_trial"]) - plain) / ITEMS
    detail = (
        f"pytest-benchmark pedantic adds {pedantic:.0f} µs an item; both against an empty test, "
        f"reports and records included; {ITEMS} items, 3 rounds"
    )
    results.append(report("a whole recorded trial", trial, "µs an item", "<= pedantic", detail))
    return results


if __name__ == "__main__":
    main()
