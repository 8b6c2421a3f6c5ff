"""The other version's records as the baseline of regression gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from pytest_a2perf.metrics.base import Definition
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.runs.baseline import Baseline, Entry, seed_values
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import read_records
from pytest_a2perf.trials.plan import PlannedGate

__all__ = ["RECORDS", "read_base", "side_by_side"]

RECORDS = "base.jsonl"
"""File in the run's folder."""


def read_base(run: Path) -> list[Record]:
    """Read the other version's records of a run; none if it had no other version."""
    return list(read_records(run, RECORDS)) if (run / RECORDS).exists() else []


def side_by_side(
    name: str, records: Mapping[str, Sequence[Record]], gates: Iterable[PlannedGate]
) -> Baseline:
    """Make the baseline of some gates.

    It stands beside the run, on the same machine, so neither that nor the scenario's content is
    checked: a change of the scenario is a change like any other, and is noted.

    Args:
        name: of the other version, for people.
        records: of the other version, by scenario.
        gates: whose metrics are wanted.
    """
    baseline = Baseline(name, {})
    for gate in gates:
        if gate.scenario_id in records:
            blank = Entry(digest="", commit="", started="", machine={})
            entry = baseline.entries.setdefault(gate.scenario_id, blank)
            definition = cast("Definition", gate.definition)
            trials = records[gate.scenario_id]
            entry.metrics[gate.metric] = seed_values(resolve(gate.metric), trials, definition)
    return baseline
