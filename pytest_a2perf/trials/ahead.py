"""Trials that run beside the current one: those that spend their time waiting for models."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from pytest_a2perf.domains.registry import get_domain
from pytest_a2perf.keys import PLACE, PLANNED
from pytest_a2perf.scenarios.collector import GateItem
from pytest_a2perf.scheduling.order import NOWHERE
from pytest_a2perf.trials.isolation import Children, can_isolate

__all__ = ["start_ahead"]


def start_ahead(
    item: pytest.Item, children: Children, *, count: int, prepare: Callable[[], None]
) -> None:
    """Start a trial and the ones that come next, up to the first that may not run beside others.

    Args:
        item: the trial that is up.
        children: gets those that are started; those that it has already run on.
        count: how many may run at once.
        prepare: is called before each start.
    """
    if count == 1 or not can_isolate(item.config):
        return
    items = item.session.items
    trials = (other for other in items[items.index(item) :] if not isinstance(other, GateItem))
    for other in islice(trials, count):
        if not _may_run_beside_others(other):
            break
        if other.nodeid not in children:
            prepare()
            children.start(other, other.stash[PLANNED].scenario.timeout)


def _may_run_beside_others(item: pytest.Item) -> bool:
    planned = item.stash.get(PLANNED, None)
    if planned is None or not planned.from_file or planned.scenario.exclusive:
        return False
    waits = getattr(get_domain(planned.scenario.domain), "concurrent", False)
    return bool(waits and item.stash.get(PLACE, NOWHERE) == NOWHERE)
