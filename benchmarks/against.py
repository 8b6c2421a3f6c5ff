"""A planted slowdown of 3 % on a loaded machine: side by side against two separate runs.

Each round makes a run of ``--a2perf-against`` on an unchanged agent and one on an agent whose
decisions take 3 % longer, and the same with two separate runs, one after the other. Meanwhile
other processes keep the processor busy in bursts. Alarms are counted by the gates' own test.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from multiprocessing import Event, Process
from pathlib import Path
from typing import Any

from common import project, report, turns_in

from pytest_a2perf.against.baseline import read_base
from pytest_a2perf.gates.paired_ratio import compare_ratios
from pytest_a2perf.gates.permutation import compare
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.runs.baseline import seed_values
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import read_records

ROUNDS, FOUND_ROUNDS = 20, 6
SEEDS = 120
DECISIONS = 5
SECONDS = 0.002
SLOWDOWN = 1.03
ALPHA = 0.05
TOLERANCE = 0.01
METRICS = ("time.cpu", "latency.mean", "latency.min")

TESTS = """
import pytest
from agent import act

@pytest.mark.a2perf(
    seeds={seeds}, energy={{"source": "none"}}, gates={{"time.cpu": {{"regression": "1 %"}}}}
)
def test_agent(trial, latency):
    for _ in range({decisions}):
        with latency:
            act()
"""
AGENT = """
def act():
    total = 0
    for i in range({turns}):
        total += i * i
    return total
"""

Values = dict[str, dict[int, float]]


def burn(over: Any, seed: int) -> None:
    """Keep a core busy in bursts, of half a second to several seconds."""
    rng = random.Random(seed)
    while not over.is_set():
        end = time.perf_counter() + rng.expovariate(0.5)
        while time.perf_counter() < end and not over.is_set():
            sum(range(10_000))
        over.wait(rng.expovariate(0.5))


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def run(folder: Path, number: int, *arguments: str) -> Path:
    """Run the agent in the folder; return the run's folder."""
    name = f".a2perf/{number}"
    command = [sys.executable, "-m", "pytest", "-qq", "--a2perf", "--a2perf-dir", name]
    # Without byte code on disk every process would compile every plugin again.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        env=environment,
        check=False,
    )
    if done.returncode not in (0, 1):  # 1: the gate has failed, or is undecided
        sys.exit(f"{arguments} failed:\n{done.stdout.decode()}{done.stderr.decode()}")
    (result,) = (folder / name / "runs").iterdir()
    return result


def values(records: Sequence[Record]) -> Values:
    if len(records) != SEEDS:
        sys.exit(f"{len(records)} of {SEEDS} trials left a record")
    return {name: seed_values(resolve(name), records) for name in METRICS}


def processes(records: Sequence[Record]) -> dict[int, str]:
    """Return the pair of processes that ran each seed."""
    return {record.seed: record.context["process"] for record in records}


class Alarms:
    """Counts, by metric, how often a comparison raises an alarm."""

    def __init__(self) -> None:
        self.runs = 0
        self.found: dict[tuple[str, float], int] = defaultdict(int)
        self.ratios: dict[str, list[float]] = defaultdict(list)

    def count(self, new: Values, base: Values, pairs: Mapping[int, str] | None) -> None:
        """Compare as a gate does; without pairs, as if seeds had nothing in common."""
        self.runs += 1
        for name in METRICS:
            for tolerance in (0.0, TOLERANCE):
                how: Any = {"worse": "higher", "tolerance": tolerance, "alpha": ALPHA}
                if pairs is not None:
                    change = compare_ratios(base[name], new[name], pairs, **how)
                else:
                    old = {-1 - seed: value for seed, value in base[name].items()}
                    change = compare(old, new[name], relative=True, **how)
                assert change is not None
                self.found[name, tolerance] += change.p_worse <= ALPHA
            self.ratios[name].append(1 + change.value)

    def text(self, name: str, tolerance: float) -> str:
        """Return alarms and runs, e.g. ``1/20``."""
        return f"{self.found[name, tolerance]}/{self.runs}"


def measure(folder: Path, fast: str, slow: str) -> dict[str, Alarms]:
    """Run everything; the commit is the fast agent."""
    alarms = {name: Alarms() for name in ("pair same", "pair slow", "apart same", "apart slow")}
    before: Values | None = None
    number = 0
    for round_ in range(ROUNDS):
        for name, agent in (("same", fast), ("slow", slow)):
            if name == "slow" and round_ >= FOUND_ROUNDS:
                continue
            (folder / "agent.py").write_text(agent, encoding="utf-8")
            result = run(folder, number, "--a2perf-against", "HEAD")
            records = [*read_records(result)]
            base = values(read_base(result))
            alarms[f"pair {name}"].count(values(records), base, processes(records))
            single = values([*read_records(run(folder, number + 1))])
            number += 2
            if before is not None:
                alarms[f"apart {name}"].count(single, before, None)
            if name == "same":
                before = single
    return alarms


def main() -> list[dict[str, object]]:
    loops = turns_in(SECONDS)
    fast = AGENT.format(turns=loops)
    slow = AGENT.format(turns=int(loops * SLOWDOWN))
    tests = TESTS.format(seeds=SEEDS, decisions=DECISIONS)
    files = {"test_agent.py": tests, "agent.py": fast, ".gitignore": ".a2perf\n__pycache__\n"}
    folder = project({**files, "pytest.ini": "[pytest]\n"})
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "fast")
    over = Event()
    burners = [Process(target=burn, args=(over, seed)) for seed in range(os.cpu_count() or 1)]
    for burner in burners:
        burner.start()
    try:
        alarms = measure(folder, fast, slow)
    finally:
        over.set()
        for burner in burners:
            burner.join()
    results = []
    for name in METRICS:
        pair, apart = alarms["pair slow"], alarms["apart slow"]
        same, apart_same = alarms["pair same"], alarms["apart same"]
        spread = statistics.pstdev(same.ratios[name])
        detail = (
            f"{name}, tolerance 1 %, {SEEDS} seeds of {DECISIONS} decisions of 2 ms under bursts "
            f"of load: 3 % slower found in {pair.text(name, TOLERANCE)} runs side by side, "
            f"{apart.text(name, TOLERANCE)} of two separate runs; false alarms on the same agent "
            f"{same.text(name, TOLERANCE)} and {apart_same.text(name, TOLERANCE)} (with tolerance "
            f"0: {same.text(name, 0.0)} and {apart_same.text(name, 0.0)}); the ratio of equal "
            f"agents scatters by {100 * spread:.2f} % and "
            f"{100 * statistics.pstdev(apart_same.ratios[name]):.2f} %"
        )
        share = pair.found[name, TOLERANCE] / pair.runs
        results.append(report(f"3 % slower, found by {name}", share, "of runs", "none", detail))
    return results


if __name__ == "__main__":
    main()
