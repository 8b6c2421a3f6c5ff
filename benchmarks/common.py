"""What the benchmark scripts share: interleaved rounds, medians and a line of JSON."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["child_cpu", "interleave", "median_ratio", "project", "report", "turns_in"]


def child_cpu(command: Sequence[str], folder: Path) -> float:
    """Run a command and return the CPU seconds of its whole process tree."""
    # Without byte code on disk every process would compile every plugin again.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, env=environment, check=False)
    if done.returncode not in (0, 5):
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout.decode()}{done.stderr.decode()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def interleave(rounds: int, variants: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Take turns between variants, so that a noisy machine disturbs all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for round_ in range(rounds + 1):
        for name, run in variants.items():
            value = run()
            if round_:  # the first round warms caches
                times[name].append(value)
    return times


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Return the median of the ratios of rounds that ran next to each other."""
    return statistics.median(a / b for a, b in zip(ours, peer, strict=True))


def project(files: Mapping[str, str]) -> Path:
    """Make a temporary project with the given files."""
    folder = Path(tempfile.mkdtemp(prefix="a2perf-benchmark-"))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def report(name: str, figure: float, unit: str, budget: str, detail: str) -> dict[str, object]:
    """Print a result as one line of JSON and return it."""
    result: dict[str, object] = {
        "name": name,
        "figure": round(figure, 4),
        "unit": unit,
        "budget": budget,
        "detail": detail,
    }
    print(json.dumps(result))
    return result


def turns_in(seconds: float) -> int:
    """Return how many turns of ``total += i * i`` take that long here: the fastest of seven."""
    number = 1_000_000
    times = []
    for _ in range(7):
        started = time.perf_counter()
        total = 0
        for i in range(number):
            total += i * i
        times.append(time.perf_counter() - started)
    return int(number * seconds / min(times))
