"""A run as pytest-benchmark's JSON: its ``compare`` reads it, and github-action-benchmark."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.metrics.evidence import Floats, usable
from pytest_a2perf.runs.histogram import Histogram, bucket_value
from pytest_a2perf.runs.record import Record

__all__ = ["benchmark_json", "write_benchmark_json"]


def write_benchmark_json(
    path: Path, run: Mapping[str, Any], records: Mapping[str, Sequence[Record]]
) -> None:
    """Write `benchmark_json`.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps(benchmark_json(run, records), indent=4, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def benchmark_json(
    run: Mapping[str, Any], records: Mapping[str, Sequence[Record]]
) -> dict[str, Any]:
    """Return a run with one benchmark for each scenario that has times.

    The statistics are over decision times where they were sampled, else over the wall times of the
    trials. ``extra_info`` says which, and has the scenario's metrics and verdicts.
    """
    benchmarks = [
        _benchmark(name, times, run["scenarios"].get(name, {}))
        for name in sorted(records)
        if (times := _times(usable(records[name]))) is not None
    ]
    return {
        "machine_info": _machine(run),
        "commit_info": _commit(run.get("git") or {}),
        "benchmarks": benchmarks,
        "datetime": run["started"],
        "version": run["versions"].get("pytest-benchmark", ""),
    }


Times = tuple[str, str, dict[str, Any]]


def _times(records: Sequence[Record]) -> Times | None:
    """Return what was timed, what a round is, and the statistics."""
    latencies = [r.samples["latency"] for r in records if "latency" in r.samples]
    merged = Histogram.merge(h for h in latencies if h.unit == "s" and h.count)
    if merged.count:
        return "decision latency", "decision", _of_histogram(merged)
    walls = [r.quantities["time.wall"].value for r in records if "time.wall" in r.quantities]
    what = "trial wall time"
    if not walls:
        walls, what = [record.duration for record in records], "trial duration"
    values = np.sort([wall for wall in walls if math.isfinite(wall) and wall > 0])
    if values.size == 0:
        return None
    return what, "trial", _statistics(values, np.ones(values.size, dtype=np.int64))


def _of_histogram(histogram: Histogram) -> dict[str, Any]:
    """Return statistics of which all but those by quartiles are exact."""
    buckets = np.array(sorted(histogram.counts), dtype=np.int64)
    values = np.clip(bucket_value(buckets), histogram.minimum, histogram.maximum)
    counts = np.array([histogram.counts[int(bucket)] for bucket in buckets], dtype=np.int64)
    n, total = histogram.count, histogram.total
    spread = histogram.std * math.sqrt(n / (n - 1)) if n > 1 else 0.0
    exact = {
        "min": histogram.minimum, "max": histogram.maximum, "mean": total / n, "stddev": spread,
        "total": total, "ops": n / total if total else 0.0,
    }  # fmt: skip
    return _statistics(values, counts) | exact


def _statistics(values: Floats, counts: NDArray[np.int64]) -> dict[str, Any]:
    """Return pytest-benchmark's statistics of sorted values that stand for many each."""
    n = int(counts.sum())
    total = float(values @ counts)
    mean = total / n
    spread = math.sqrt(float(counts @ np.square(values - mean)) / (n - 1)) if n > 1 else 0.0
    q1, median, q3 = (_quantile(values, counts, q) for q in (0.25, 0.5, 0.75))
    reach = 1.5 * (q3 - q1)
    inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
    iqr_outliers = _outside(values, counts, q1 - reach, q3 + reach)
    stddev_outliers = _outside(values, counts, mean - spread, mean + spread)
    return {
        "min": float(values[0]),
        "max": float(values[-1]),
        "mean": mean,
        "stddev": spread,
        "rounds": n,
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": iqr_outliers,
        "stddev_outliers": stddev_outliers,
        "outliers": f"{stddev_outliers};{iqr_outliers}",
        "ld15iqr": float(inside[0]) if inside.size else q1,
        "hd15iqr": float(inside[-1]) if inside.size else q3,
        "ops": n / total if total else 0.0,
        "total": total,
        "iterations": 1,
    }


def _quantile(values: Floats, counts: NDArray[np.int64], q: float) -> float:
    """Interpolate linearly, as numpy does for values that stand for one each."""
    position = q * (int(counts.sum()) - 1)
    ends = np.searchsorted(
        np.cumsum(counts), [math.floor(position), math.ceil(position)], side="right"
    )
    low, high = values[ends]
    return float(low + (high - low) * (position % 1))


def _outside(values: Floats, counts: NDArray[np.int64], low: float, high: float) -> int:
    return int(counts[(values < low) | (values > high)].sum())


def _benchmark(scenario: str, times: Times, summary: Mapping[str, Any]) -> dict[str, Any]:
    what, each, stats = times
    extra: dict[str, Any] = {"time": what, "round": each}
    extra["trials"] = sum(summary.get("outcomes", {}).values())
    for name, data in summary.get("metrics", {}).items():
        unit = f" [{data['unit']}]" if data.get("unit") else ""
        extra[name + unit] = data["value"]
    extra |= {f"gate {name}": gate["verdict"] for name, gate in summary.get("gates", {}).items()}
    return {
        "group": what,
        "name": scenario.rpartition("::")[2],
        "fullname": scenario,
        "params": None,
        "param": None,
        "extra_info": extra,
        "options": {"timer": "perf_counter"},
        "stats": stats,
    }


def _machine(run: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the machine as pytest-benchmark does, without its subprocesses."""
    return {
        "node": run["host"],
        "processor": platform.processor(),
        "machine": platform.machine(),
        "python_compiler": platform.python_compiler(),
        "python_implementation": platform.python_implementation(),
        "python_implementation_version": platform.python_version(),
        "python_version": run["python"],
        "python_build": list(platform.python_build()),
        "release": platform.release(),
        "system": platform.system(),
        "cpu": {"brand_raw": run.get("cpu") or "", "count": run.get("cores")},
    }


def _commit(git: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": git.get("commit") or "unversioned",
        "time": None,
        "author_time": None,
        "dirty": bool(git.get("dirty")),
        "project": Path.cwd().name,
        "branch": git.get("branch") or "(unknown)",
    }
