"""What a run set out to do, kept beside its records, so that what is missing can be named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.trials.plan import PlannedGate

__all__ = ["PLAN", "RunPlan", "read_plan", "write_plan"]

PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The plan of a run.

    Attributes:
        shard: which part of the trials this run does, as ``I/N``; empty for all.
        trials: scenario id by node id, of all shards.
        gates: to be judged once all trials are in.
    """

    shard: str
    trials: Mapping[str, str]
    gates: tuple[PlannedGate, ...]


def write_plan(folder: Path, plan: RunPlan) -> None:
    """Write it into a run's folder.

    Raises:
        OSError: the file cannot be written.
    """
    data = {
        "shard": plan.shard,
        "trials": dict(plan.trials),
        "gates": [json.loads(gate.to_line()) for gate in plan.gates],
    }
    (folder / PLAN).write_text(json.dumps(data) + "\n", encoding="utf-8")


def read_plan(folder: Path) -> RunPlan:
    """Inverse of `write_plan`.

    Raises:
        A2PerfError: there is none, or it is broken.
    """
    path = folder / PLAN
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        gates = tuple(PlannedGate.from_line(json.dumps(gate)) for gate in data["gates"])
        return RunPlan(data["shard"], data["trials"], gates)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise A2PerfError(f"{path}: not the plan of a run: {error}") from None
