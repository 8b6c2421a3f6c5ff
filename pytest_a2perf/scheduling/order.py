"""Which trials need what other trials leave behind, and what order follows from that.

A trial whose agent is ``run:NAME`` needs the trainings of NAME; a training that names a data set
needs the trials that collect it. What is not part of this run is not waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from pytest_a2perf.agents.trained import PREFIX
from pytest_a2perf.domains.registry import runs_alone
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.keys import PLANNED
from pytest_a2perf.scenarios.collector import GateItem
from pytest_a2perf.training.artefacts import resolve
from pytest_a2perf.trials.plan import PlannedTrial

__all__ = ["NOWHERE", "Place", "find_places", "group_of"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial stands among those that need each other.

    Attributes:
        needs: node ids of the trials that have to be over before it begins.
        depth: 0 for what needs nothing, 1 for what needs only such, and so on.
        turn: the same of its group, which is handed out as a whole.
        needed: whether others need it, so that it may not be left out.
        exclusive: it needs a trial that runs alone, hence comes after all that do not.
        component: the same text for all that are connected; they stay in one shard.
    """

    needs: frozenset[str] = frozenset()
    depth: int = 0
    turn: int = 0
    needed: bool = False
    exclusive: bool = False
    component: str = ""


NOWHERE = Place()
"""Of what neither needs anything nor is needed."""


def group_of(item: pytest.Item) -> str:
    """Return the group whose items run on one worker in turn, or an empty string."""
    planned = item.stash.get(PLANNED, None)
    if planned is not None and planned.scenario.group:
        return planned.scenario.group
    mark = item.get_closest_marker("xdist_group")
    return "" if mark is None else str((*mark.args, mark.kwargs.get("name", "default"))[0])


def find_places(items: Sequence[pytest.Item]) -> dict[str, Place]:
    """Return the place of each item that needs others, or is needed, by node id.

    Raises:
        A2PerfError: trials wait for each other in a circle; groups count as a whole.
    """
    planned = {item.nodeid: item.stash[PLANNED] for item in items if PLANNED in item.stash}
    needs = _needs(planned)
    if not needs:
        return {}
    groups = {item.nodeid: group_of(item) for item in items}
    unit = {nodeid: f"group {groups[nodeid]}" if groups[nodeid] else nodeid for nodeid in planned}
    members: dict[str, list[str]] = {}
    for nodeid, name in unit.items():
        members.setdefault(name, []).append(nodeid)
    of_units = {
        name: {unit[other] for nodeid in nodeids for other in needs.get(nodeid, ())}
        for name, nodeids in members.items()
    }
    depths = _depths({nodeid: set(needs.get(nodeid, ())) for nodeid in planned})
    turns = _depths({name: others - {name} for name, others in of_units.items()})
    connected = _components(of_units)
    alone: set[str] = set()
    for name in sorted(of_units, key=turns.__getitem__):
        owns = any(runs_alone(planned[nodeid].scenario) for nodeid in members[name])
        if owns or of_units[name] & alone:
            alone.add(name)
    needed = {other for others in needs.values() for other in others}
    places = {
        nodeid: Place(
            frozenset(needs.get(nodeid, ())),
            depths[nodeid],
            turns[name],
            nodeid in needed,
            name in alone,
            connected[name],
        )
        for nodeid, name in unit.items()
        if connected[name]
    }
    for item in items:  # gates stay behind their trials
        if isinstance(item, GateItem):
            theirs = [places[trial.nodeid].depth for trial in item.trials if trial.nodeid in places]
            places[item.nodeid] = Place(depth=max(theirs, default=0))
    return places


def _needs(planned: Mapping[str, PlannedTrial]) -> dict[str, tuple[str, ...]]:
    trained: dict[str, list[str]] = {}
    collected: dict[str, list[str]] = {}
    for nodeid, plan in planned.items():
        scenario = plan.scenario
        if scenario.phase == "train":
            trained.setdefault(plan.scenario_id, []).append(nodeid)
        elif scenario.phase == "collect" and scenario.dataset is not None:
            collected.setdefault(scenario.dataset, []).append(nodeid)
    needs = {}
    for nodeid, plan in planned.items():
        scenario = plan.scenario
        others: list[str] = []
        if scenario.agent.startswith(PREFIX):
            name = resolve(scenario.agent.removeprefix(PREFIX), trained, plan.scenario_id)
            trainings = trained.get(name, [])
            seed = scenario.agent_options.get("seed", plan.seed)
            own = [other for other in trainings if planned[other].seed == seed]
            others += trainings if scenario.phase == "collect" else own or trainings
        if scenario.phase == "train" and scenario.dataset is not None:
            others += collected.get(scenario.dataset, [])
        if others:
            needs[nodeid] = tuple(others)
    return needs


def _depths(needs: Mapping[str, set[str]]) -> dict[str, int]:
    depths: dict[str, int] = {}
    waiting = dict(needs)
    while waiting:
        ready = [name for name, others in waiting.items() if others <= depths.keys()]
        if not ready:
            names = ", ".join(sorted(waiting)[:3])
            raise A2PerfError(f"these wait for each other, so none can begin: {names}")
        for name in ready:
            depths[name] = 1 + max((depths[other] for other in waiting[name]), default=-1)
            del waiting[name]
    return depths


def _components(needs: Mapping[str, set[str]]) -> dict[str, str]:
    """Return the first of the connected units for each; empty for one that is on its own."""
    root = {name: name for name in needs}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    linked = set()
    for name, others in needs.items():
        for other in others:
            linked |= {name, other}
            root[find(other)] = find(name)
    return {name: find(name) if name in linked else "" for name in needs}
