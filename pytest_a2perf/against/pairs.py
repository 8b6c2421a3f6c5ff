"""In a process that runs trials: each trial gets its twin of the other version, in turns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_a2perf.against.link import Companion
from pytest_a2perf.against.setup import AGAINST, setup_of
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.keys import PLANNED
from pytest_a2perf.trials.isolation import GRACE

__all__ = ["BASE_RECORD", "Pairs", "register_pairs"]

BASE_RECORD = "a2perf_base"
"""Attribute of a trial's last report that carries the other version's record, as JSON."""

_MARGIN = GRACE + 5.0
"""Seconds beyond its timeout after which a trial that ends itself no more loses its companion."""
_PATIENCE = 600.0
"""Seconds that a trial without a timeout may take at least."""


def register_pairs(config: pytest.Config) -> None:
    """Register `Pairs` if this process runs trials and the other version is checked out."""
    given = getattr(config, "workerinput", {}).get(AGAINST)
    comparison: Any = config.pluginmanager.get_plugin("a2perf-comparison")
    if given is not None:
        config.pluginmanager.register(Pairs(config, json.loads(given)), "a2perf-pairs")
    elif comparison is not None and not getattr(config.option, "tx", None):
        config.pluginmanager.register(Pairs(config, comparison.tree), "a2perf-pairs")


class Pairs:
    """Runs the other version directly before or after each trial, never at the same time.

    In the trials of a scenario the order alternates: ours, theirs, theirs, ours, and so on, so
    that a drift of the machine hits both alike.

    Args:
        config: pytest's.
        tree: see `setup_of`.
    """

    def __init__(self, config: pytest.Config, tree: Mapping[str, str]) -> None:
        self._config = config
        self._tree = tree
        self._companion: Companion | None = None
        self._turns: Counter[str] = Counter()
        self._longest: dict[str, float] = {}
        self._item: pytest.Item | None = None
        self._answer: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the companion; it collects while others do."""
        if not any(PLANNED in item.stash for item in session.items):
            return
        name = getattr(self._config, "workerinput", {}).get("workerid", "main")
        log = Path(self._tree["folder"], f"{name}.log")
        self._companion = Companion(setup_of(self._config, self._tree), log)
        self._try_to(self._companion.start)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run the other version first, each second time."""
        planned = item.stash.get(PLANNED, None)
        run: Any = self._config.pluginmanager.get_plugin("a2perf-session")
        dropped = planned is not None and run is not None and run.decided(planned.scenario_id)
        if planned is None or self._companion is None or dropped:
            return (yield)
        # Only what both do alike may fall into a trial's time.
        self._try_to(self._companion.ready)
        turn = self._turns[planned.scenario_id]
        self._turns[planned.scenario_id] += 1
        self._item = item
        self._answer = self._ask(item, "base first") if turn % 2 else None
        try:
            return (yield)
        finally:
            self._item = self._answer = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Run it now, if it has not run, when ours is torn down; send both with one report."""
        item = self._item
        if item is not None and report.nodeid == item.nodeid:
            self._took(item, report.duration)
            if report.when == "setup" and report.skipped:
                self._item = None
            elif report.when == "teardown":
                self._item = None
                setattr(report, BASE_RECORD, self._answer or self._ask(item, "head first"))
        return (yield)

    def pytest_unconfigure(self) -> None:
        """End the companion."""
        if self._companion is not None:
            self._companion.close()

    def _ask(self, item: pytest.Item, order: str) -> str:
        """Have the other version run an item; return a line of JSON whatever happens."""
        assert self._companion is not None
        planned = item.stash[PLANNED]
        timeout = planned.scenario.timeout
        limit = max(_PATIENCE, 10 * self._longest.get(planned.scenario_id, 0.0))
        if timeout is not None:
            limit = timeout + _MARGIN
        key = f"{item.path.resolve()}::{item.nodeid.partition('::')[2]}"
        answer: dict[str, Any] = {"nodeid": item.nodeid}
        try:
            said = self._companion.run(key, limit)
        except A2PerfError as error:
            return json.dumps(answer | {"lost": str(error)})
        if "record" not in said:
            return json.dumps(answer | ({"lost": said["missing"]} if said["missing"] else {}))
        record = json.loads(said["record"])
        self._took(item, record["duration"])
        answer["differs"] = record.get("digest") != planned.digest
        record |= {"nodeid": item.nodeid, "scenario": planned.scenario_id}
        record.setdefault("context", {}).update(version="base", order=order)
        return json.dumps(answer | {"record": record})

    def _took(self, item: pytest.Item, seconds: float) -> None:
        scenario = item.stash[PLANNED].scenario_id
        self._longest[scenario] = max(seconds, self._longest.get(scenario, 0.0))

    @staticmethod
    def _try_to(step: Any) -> None:
        """Go on without the companion; what it is asked for will say why it is missing."""
        try:
            step()
        except A2PerfError:
            return
