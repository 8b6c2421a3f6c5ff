"""What is to be run and judged, before it is: planned trials and planned gates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.domains.base import Case
from pytest_a2perf.scenarios.models import Scenario

__all__ = ["PlannedGate", "PlannedTrial", "case_and_seed", "scenario_digest"]


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """A pytest item that is a trial.

    Attributes:
        scenario: what it runs.
        scenario_id: e.g. ``scenarios/quadruped.toml::trot``.
        seed: its seed.
        digest: see `scenario_digest`.
        from_file: whether it comes from a scenario file, not from a test function.
        case: id of its case, see `Case`; empty in scenarios without.
    """

    scenario: Scenario
    scenario_id: str
    seed: int
    digest: str
    from_file: bool = True
    case: str = ""


@dataclass(frozen=True, slots=True)
class PlannedGate:
    """A gate, and the trials it waits for.

    Attributes:
        nodeid: ``<scenario id>::<metric>``.
        scenario_id: id of its scenario.
        metric: name of the metric.
        spec: the gate as the user wrote it, as JSON.
        definition: of the metric, the scenario's unless the gate says otherwise.
        trials: node ids of the scenario's trials in this run, in the order of its seeds.
        seeds: least and most seeds of a scenario that may stop early, else None.
    """

    nodeid: str
    scenario_id: str
    metric: str
    spec: dict[str, Any]
    definition: str
    trials: tuple[str, ...]
    seeds: tuple[int, int] | None = None

    def to_line(self) -> str:
        """Return JSON text, which crosses process borders unharmed."""
        return json.dumps({name: getattr(self, name) for name in PlannedGate.__slots__})

    @classmethod
    def from_line(cls, line: str) -> PlannedGate:
        """Inverse of `to_line`."""
        data = json.loads(line)
        seeds = data.get("seeds")
        parts = {"trials": tuple(data["trials"]), "seeds": seeds and (seeds[0], seeds[1])}
        return cls(**{**data, **parts})


_IRRELEVANT = {
    "algorithm", "exclusive", "gates", "group", "isolate", "seeds", "system", "tags", "timeout",
}  # fmt: skip


def scenario_digest(scenario: Scenario, cases: Sequence[Case] = ()) -> str:
    """Hash what is asked of a trial: not gates, seeds, tags, or where and how long.

    Nor the system under test, since a new driver shall compare with the old one.
    """
    content = scenario.model_dump(mode="json", exclude=_IRRELEVANT)
    if cases:
        content["cases"] = {case.id: case.digest for case in cases}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def case_and_seed(nodeid: str) -> tuple[str, int]:
    """Return what stands in the brackets of a trial's node id: case, if any, and seed."""
    case, _, seed = nodeid.removesuffix("]").rpartition("[")[2].rpartition("-")
    return case, int(seed)
