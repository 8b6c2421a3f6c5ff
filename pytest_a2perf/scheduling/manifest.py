"""What a process tells the scheduler: what it has collected, and what it can run."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest

from pytest_a2perf.domains.registry import runs_alone
from pytest_a2perf.keys import PLACE, PLANNED
from pytest_a2perf.scenarios.collector import GateItem
from pytest_a2perf.scenarios.models import SeedRange
from pytest_a2perf.scheduling.order import NOWHERE, group_of
from pytest_a2perf.scheduling.selection import Selection
from pytest_a2perf.scheduling.targets import missing_target
from pytest_a2perf.trials.plan import PlannedGate

__all__ = ["Kind", "Manifest", "Work", "manifest_of"]

Kind = Literal["gate", "trial", "test"]


@dataclass(frozen=True, slots=True)
class Work:
    """What some items have in common for the scheduler.

    Attributes:
        kind: gates and trials of scenarios, or ordinary tests.
        scenario: id of their scenario; empty for ordinary tests.
        group: items of one group run on one worker, one after the other; empty for none.
        exclusive: they run alone on their machine.
        target: hardware they need, see `missing_target`; empty for none.
        timeout: seconds that one of them may take, or None.
        may_stop: whether some of them may turn out not to be needed.
        turn: see `Place`; what others need is handed out before them.
        needed: others need what these leave behind.
    """

    kind: Kind
    scenario: str = ""
    group: str = ""
    exclusive: bool = False
    target: str = ""
    timeout: float | None = None
    may_stop: bool = False
    turn: int = 0
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """The collection of one process, in a form that crosses machines.

    Attributes:
        host: name of its machine.
        works: see `Work`.
        items: the index into ``works`` of each collected item, in order.
        missing: why a target of these works cannot be met here, by target.
        gates: all gates, also those that this shard leaves to the merge.
        elsewhere: scenario ids of the trials that do not run here, by node id.
    """

    host: str
    works: tuple[Work, ...]
    items: tuple[int, ...]
    missing: dict[str, str]
    gates: tuple[PlannedGate, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def to_line(self) -> str:
        """Return JSON text."""
        data = {name: getattr(self, name) for name in ("host", "items", "missing", "elsewhere")}
        data["works"] = [asdict(work) for work in self.works]
        data["gates"] = [gate.to_line() for gate in self.gates]
        return json.dumps(data)

    @classmethod
    def from_line(cls, line: str) -> Manifest:
        """Inverse of `to_line`."""
        data = json.loads(line)
        return cls(
            data["host"],
            tuple(Work(**work) for work in data["works"]),
            tuple(data["items"]),
            data["missing"],
            tuple(PlannedGate.from_line(gate) for gate in data["gates"]),
            data["elsewhere"],
        )


def manifest_of(items: Sequence[pytest.Item], selection: Selection) -> Manifest:
    """Describe the items of this process, and what was selected for others."""
    works: dict[Work, int] = {}
    indices = tuple(works.setdefault(_work_of(item), len(works)) for item in items)
    reasons = {work.target: missing_target(work.target) for work in works if work.target}
    return Manifest(
        socket.gethostname(),
        tuple(works),
        indices,
        {target: reason for target, reason in reasons.items() if reason is not None},
        tuple(gate.plan() for gate in selection.gates),
        selection.trials,
    )


def _work_of(item: pytest.Item) -> Work:
    if isinstance(item, GateItem):
        return Work("gate", item.parent.scenario_id)
    planned = item.stash.get(PLANNED, None)
    if planned is None:
        return Work("test", group=group_of(item))
    scenario = planned.scenario
    place = item.stash.get(PLACE, NOWHERE)
    return Work(
        "trial",
        planned.scenario_id,
        group_of(item),
        runs_alone(scenario) or place.exclusive,
        "" if scenario.target in ("any", "cpu") else scenario.target,
        scenario.timeout,
        isinstance(scenario.seeds, SeedRange),
        place.turn,
        place.needed,
    )
