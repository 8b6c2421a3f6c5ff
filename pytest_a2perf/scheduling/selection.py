"""Which of the collected items run here: not what a resumed run has, nor what other shards do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from pytest_a2perf.keys import PLACE, PLANNED
from pytest_a2perf.scenarios.collector import GateItem
from pytest_a2perf.scheduling.order import NOWHERE, find_places
from pytest_a2perf.scheduling.shards import Shard, assign

__all__ = ["Selection", "select", "with_trials_of_gates"]

_ORDINARY_TEST = 0.1  # seconds, for want of a better guess


@dataclass(frozen=True, slots=True)
class Selection:
    """The items of one process.

    Attributes:
        here: what runs here.
        elsewhere: what does not.
        trials: scenario ids of the trials that do not run here, by node id.
        gates: all gates; under a shard none of them is judged here.
    """

    here: list[pytest.Item]
    elsewhere: list[pytest.Item]
    trials: dict[str, str]
    gates: list[GateItem]


def with_trials_of_gates(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Add the trials of each gate that the user selected without them, in front of it."""
    present = {item.nodeid for item in items}
    complete: list[pytest.Item] = []
    for item in items:
        if isinstance(item, GateItem):
            missing = [trial for trial in item.trials if trial.nodeid not in present]
            complete += missing
            present.update(trial.nodeid for trial in missing)
        complete.append(item)
    return complete


def select(
    items: Sequence[pytest.Item],
    done: Mapping[str, str],
    shard: Shard | None,
    durations: Mapping[str, float],
) -> Selection:
    """Choose what runs here, and in which order where trials need each other.

    Args:
        items: all that were collected and selected.
        done: digests of the trials that a resumed run has already, by node id.
        shard: the part of the work that is this run's, or None for all of it.
        durations: mean seconds of a trial by scenario, to balance shards.

    Raises:
        A2PerfError: trials wait for each other in a circle.
    """
    places = find_places(items)
    for item in items:
        if item.nodeid in places:
            item.stash[PLACE] = places[item.nodeid]
    gates = [item for item in items if isinstance(item, GateItem)]
    parts = {} if shard is None else _parts(items, shard.count, durations)
    here: list[pytest.Item] = []
    elsewhere: list[pytest.Item] = []
    trials: dict[str, str] = {}
    for item in items:
        planned = item.stash.get(PLANNED, None)
        is_done = planned is not None and done.get(item.nodeid) == planned.digest
        ours = shard is None or parts.get(_share(item)) == shard.index
        if ours and not is_done:
            here.append(item)
            continue
        elsewhere.append(item)
        if planned is not None:
            trials[item.nodeid] = planned.scenario_id
    if places:  # what needs others comes after them, and otherwise all stay where they were
        here.sort(key=lambda item: item.stash.get(PLACE, NOWHERE).depth)
    return Selection(here, elsewhere, trials, gates)


def _parts(
    items: Sequence[pytest.Item], count: int, durations: Mapping[str, float]
) -> dict[str, int]:
    """Assign everything but gates, which need the trials of all shards."""
    mean = sum(durations.values()) / len(durations) if durations else 1.0
    seconds: dict[str, float] = {}
    for item in items:
        if not isinstance(item, GateItem):
            planned = item.stash.get(PLANNED, None)
            cost = _ORDINARY_TEST
            if planned is not None:
                cost = durations.get(planned.scenario_id, mean)
            seconds[_share(item)] = seconds.get(_share(item), 0.0) + cost
    return assign(list(seconds.items()), count)


def _share(item: pytest.Item) -> str:
    """Return what goes to one shard as a whole: an item, its group, or all that it needs."""
    component = item.stash.get(PLACE, NOWHERE).component
    if component:
        return component
    planned = item.stash.get(PLANNED, None)
    group = planned.scenario.group if planned is not None else None
    return item.nodeid if group is None else f"group {group}"
