"""In a process that runs trials: each trial runs in both versions, in turns."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_a2perf.against.link import Companion
from pytest_a2perf.against.reports import from_text
from pytest_a2perf.against.setup import AGAINST, setup_of
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.keys import PLANNED
from pytest_a2perf.trials.isolation import GRACE, Death
from pytest_a2perf.worker import RECORD

__all__ = ["BASE_RECORD", "Pairs", "register_pairs"]

BASE_RECORD = "a2perf_base"
"""Attribute of a trial's last report that carries the other version's record, as JSON."""

_MARGIN = GRACE + 1.0
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
    """Runs each trial in both versions, one directly after the other, never at the same time.

    In the trials of a scenario the order alternates: ours, theirs, theirs, ours, and so on, so
    that a drift of the machine hits both alike. Both versions run in companions that are started
    in the same way. This process would be no fair match for one: what it has loaded besides shows
    in its memory, and by some percent in its speed.

    Args:
        config: pytest's.
        tree: see `setup_of`.
    """

    def __init__(self, config: pytest.Config, tree: Mapping[str, str]) -> None:
        self._config = config
        self._tree = tree
        self._head: Companion | None = None
        self._base: Companion | None = None
        self._turns: Counter[str] = Counter()
        self._longest: dict[str, float] = {}
        self._alone: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the companions; they collect while others do."""
        if not any(PLANNED in item.stash for item in session.items):
            return
        ours = {
            **self._tree,
            "tree": self._tree["repository"],
            "folder": str(Path(self._tree["folder"]).parent),
            "python": "",
        }
        name = getattr(self._config, "workerinput", {}).get("workerid", "main")
        logs = Path(self._tree["folder"])
        self._head = Companion(setup_of(self._config, ours), logs / f"head-{name}.log", sys.maxsize)
        self._base = Companion(setup_of(self._config, self._tree), logs / f"base-{name}.log", 2)
        for companion in (self._head, self._base):
            _try_to(companion.start)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a trial in both versions; leave everything else to others."""
        planned = item.stash.get(PLANNED, None)
        run: Any = self._config.pluginmanager.get_plugin("a2perf-session")
        if planned is None or self._head is None or self._base is None:
            return None
        if run is not None and run.decided(planned.scenario_id):
            return None
        # Their start-up must not fall into anybody's time.
        _try_to(self._base.ready)
        try:
            self._head.ready()
        except A2PerfError as error:
            self._alone[item.nodeid] = f"our companion did not start: {error}"
            return None
        turn = self._turns[planned.scenario_id]
        self._turns[planned.scenario_id] += 1
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        if turn % 2 == 0:
            reports = self._ours(item, "head first")
            answer = self._theirs(item, "head first")
        else:
            answer = self._theirs(item, "base first")
            reports = self._ours(item, "base first")
        setattr(reports[-1], BASE_RECORD, json.dumps(answer))
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.session._setupstate.teardown_exact(nextitem)  # noqa: SLF001 - as pytest's runner does
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Say why a trial ran without its twin."""
        if report.nodeid in self._alone and report.when == "teardown":
            lost = {"nodeid": report.nodeid, "lost": self._alone.pop(report.nodeid)}
            setattr(report, BASE_RECORD, json.dumps(lost))
        return (yield)

    def pytest_unconfigure(self) -> None:
        """End the companions."""
        for companion in (self._head, self._base):
            if companion is not None:
                companion.close()

    def _ours(self, item: pytest.Item, order: str) -> list[pytest.TestReport]:
        """Have our version run an item; return its reports, whatever happens."""
        assert self._head is not None
        try:
            said = self._head.run(_key(item), self._limit(item))
            lost = "" if said.get("reports") else "its companion did not collect it"
        except A2PerfError as error:
            lost = str(error)
        if lost:
            active: Any = self._config.pluginmanager.get_plugin("a2perf-active")
            death = Death(timed_out=False, reason=f"the trial was lost: {lost}")
            return list(active.obituary(item, death))
        reports = from_text(self._config, said["reports"])
        for report in reports:
            self._took(item, report.duration)
            line = getattr(report, RECORD, None)
            if line is not None:
                record = json.loads(line)
                record.setdefault("context", {}).update(version="head", order=order)
                setattr(report, RECORD, json.dumps(record, separators=(",", ":")) + "\n")
        return reports

    def _theirs(self, item: pytest.Item, order: str) -> dict[str, Any]:
        """Have the other version run an item; return its record, or why there is none."""
        assert self._base is not None
        planned = item.stash[PLANNED]
        answer: dict[str, Any] = {"nodeid": item.nodeid}
        try:
            said = self._base.run(_key(item), self._limit(item))
        except A2PerfError as error:
            return answer | {"lost": str(error)}
        if "missing" in said:
            return answer | ({"lost": said["missing"]} if said["missing"] else {})
        if not said["record"]:
            return answer | {"lost": "it left no record"}
        record = json.loads(said["record"])
        self._took(item, record.get("duration", 0.0))
        answer["differs"] = record.get("digest") != planned.digest
        record |= {"nodeid": item.nodeid, "scenario": planned.scenario_id}
        record.setdefault("context", {}).update(version="base", order=order)
        return answer | {"record": record}

    def _limit(self, item: pytest.Item) -> float:
        """Return the seconds after which a companion is taken for lost."""
        scenario = item.stash[PLANNED].scenario
        if scenario.timeout is not None:
            return float(scenario.timeout + _MARGIN)
        return max(_PATIENCE, 10 * self._longest.get(item.stash[PLANNED].scenario_id, 0.0))

    def _took(self, item: pytest.Item, seconds: float) -> None:
        scenario = item.stash[PLANNED].scenario_id
        self._longest[scenario] = max(seconds, self._longest.get(scenario, 0.0))


def _key(item: pytest.Item) -> str:
    return f"{item.path.resolve()}::{item.nodeid.partition('::')[2]}"


def _try_to(step: Callable[[], None]) -> None:
    """Go on without a companion; what it is asked for will say why it is missing."""
    with contextlib.suppress(A2PerfError):
        step()
