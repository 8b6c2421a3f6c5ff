"""Baselines: what later runs are compared with, as small files that are meant to be committed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import A2PerfError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Definition, Metric, Request
from pytest_a2perf.metrics.evidence import usable
from pytest_a2perf.metrics.registry import report_metrics, resolve
from pytest_a2perf.runs.record import Record, Unit
from pytest_a2perf.runs.store import RUN, read_records

__all__ = [
    "Baseline", "Entry", "baseline_of_run", "entry_of", "machine_of", "newest_of_main",
    "read_baseline", "seed_values", "write_baseline",
]  # fmt: skip

SCHEMA = 1
_MACHINE = ("cpu", "cores", "gpus", "gpu_driver", "platform")
_MAIN = ("main", "master", "trunk")
_DIGITS = 9  # of the values in the file; two runs of one seed that differ by less are identical


@dataclass(frozen=True, slots=True)
class Entry:
    """The baseline of one scenario.

    Attributes:
        digest: of the scenario's content, see `scenario_digest`.
        commit: of the project, as far as known.
        started: when the run began, ISO 8601.
        machine: what time and energy depend on: processor, GPUs, driver, system.
        metrics: by name, the value of each seed.
    """

    digest: str
    commit: str
    started: str
    machine: dict[str, Any]
    metrics: dict[str, dict[Unit, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Entries by scenario.

    Attributes:
        name: for people: a file's name, or a run's.
        entries: by scenario id.
    """

    name: str
    entries: dict[str, Entry]


def seed_values(
    metric: Metric, records: Sequence[Record], definition: Definition = "default"
) -> dict[Unit, float]:
    """Return the metric over each seed's trials alone.

    Seeds without a value are left out, and those whose search has left it open.
    """
    by_seed: dict[Unit, list[Record]] = {}
    for record in usable(records):
        by_seed.setdefault(record.unit, []).append(record)
    values = {}
    for seed, trials in by_seed.items():
        try:
            estimate = metric.estimate(trials, Request(definition=definition))
        except UnsupportedSampleError:
            continue
        if math.isfinite(estimate.value) and not estimate.is_open:
            values[seed] = float(f"{estimate.value:.{_DIGITS}g}")
    return values


def _unit(key: str) -> Unit:
    return int(key) if key.isdecimal() else key


def machine_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a run's provenance that time and energy depend on."""
    return {key: provenance[key] for key in _MACHINE if provenance.get(key)}


def entry_of(
    records: Sequence[Record], provenance: Mapping[str, Any], gated: Iterable[str] = ()
) -> Entry:
    """Make a scenario's entry: the metrics of the report, and those of its regression gates."""
    gated = set(gated)
    names = dict.fromkeys([*report_metrics(records), *sorted(gated)])
    metrics = {}
    for name in names:
        metric = resolve(name)
        wanted = metric.direction != "none" or name in gated
        if wanted and (values := seed_values(metric, records)):
            metrics[name] = values
    return Entry(
        next((record.digest for record in records if record.digest), ""),
        str((provenance.get("git") or {}).get("commit") or ""),
        str(provenance.get("started", "")),
        machine_of(provenance),
        metrics,
    )


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, a line for each metric, so that diffs can be read.

    Raises:
        OSError: the file cannot be written.
    """
    lines = ["{", f' "schema": {SCHEMA},', ' "scenarios": {']
    for place, (scenario, entry) in enumerate(sorted(baseline.entries.items())):
        head = {key: value for key, value in asdict(entry).items() if key != "metrics"}
        lines.append(f"  {json.dumps(scenario)}: {{")
        lines += [f"   {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        metrics = [
            f"    {json.dumps(name)}: {json.dumps({str(s): v for s, v in sorted(values.items())})}"
            for name, values in sorted(entry.metrics.items())
        ]
        lines += ['   "metrics": {', ",\n".join(metrics), "   }"]
        lines.append("  }" + ("," if place < len(baseline.entries) - 1 else ""))
    lines += [" }", "}"]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text("\n".join(line for line in lines if line) + "\n", encoding="utf-8")
    draft.replace(path)


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        A2PerfError: the file cannot be read or is no baseline.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] > SCHEMA:
            raise A2PerfError(f"{path}: written by a newer version (schema {data['schema']})")
        entries = {
            scenario: Entry(
                **{
                    **entry,
                    "metrics": {
                        name: {_unit(seed): float(value) for seed, value in values.items()}
                        for name, values in entry["metrics"].items()
                    },
                }
            )
            for scenario, entry in data["scenarios"].items()
        }
    except OSError as error:
        raise A2PerfError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise A2PerfError(
            f"{path}: not a baseline ({type(error).__name__}: {error}); write it anew with "
            "--a2perf-save"
        ) from None
    return Baseline(path.stem, entries)


def baseline_of_run(folder: Path) -> Baseline:
    """Take a stored run as the baseline.

    Raises:
        A2PerfError: the folder holds no run.
    """
    by_scenario: dict[str, list[Record]] = {}
    for record in read_records(folder):
        by_scenario.setdefault(record.scenario, []).append(record)
    run = _run_json(folder)
    gates = {name: part.get("gates", {}) for name, part in run.get("scenarios", {}).items()}
    entries = {
        scenario: entry_of(records, run, gates.get(scenario, {}))
        for scenario, records in by_scenario.items()
    }
    return Baseline(folder.name, entries)


def newest_of_main(runs: Path, machine: Mapping[str, Any]) -> Path | None:
    """Return the newest complete run of the main branch on an equal machine, if there is one."""
    for folder in sorted(runs.glob("*/"), reverse=True):
        run = _run_json(folder)
        branch = (run.get("git") or {}).get("branch")
        if run.get("state") == "complete" and branch in _MAIN and machine_of(run) == machine:
            return folder
    return None


def _run_json(folder: Path) -> dict[str, Any]:
    try:
        data = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
