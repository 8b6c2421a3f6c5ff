"""In a process that runs trials: each trial runs in both versions, in turns."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_a2perf.against.link import Companion
from pytest_a2perf.against.reports import from_text
from pytest_a2perf.against.setup import AGAINST, setup_of
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.gates.paired_ratio import trials_per_process
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

    Both versions run in companions that are started in the same way. This process would be no fair
    match for one: what it has loaded besides shows in its memory, and by some percent in its speed.

    Equal code in two processes differs in speed for as long as they live, so a pair of them is
    replaced when it has run its share of a scenario's trials (`trials_per_process`). Where this
    process chooses the order, each pair runs its share of all scenarios, so that a run restarts as
    often as its largest scenario asks for.

    Which version goes first is tossed for every second trial of a scenario, and turned round for
    the next: a drift hits both alike, no rhythm of the machine can keep step, and what equal
    versions gain in one pair of processes is as likely to be lost in the next, whatever the load.

    Args:
        config: pytest's.
        tree: see `setup_of`.
    """

    def __init__(self, config: pytest.Config, tree: Mapping[str, str]) -> None:
        self._config = config
        self._tree = tree
        self._head: Companion | None = None
        self._base: Companion | None = None
        self._shares: dict[str, int] = {}
        self._turns: Counter[str] = Counter()
        self._session = uuid.uuid4().hex[:8]  # a merged run holds pairs of several
        self._number = 0
        self._longest: dict[str, float] = {}
        self._alone: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """After all selection: deal the trials out to pairs of processes."""
        yield
        planned = {item: item.stash[PLANNED].scenario_id for item in items if PLANNED in item.stash}
        counts = Counter(planned.values())
        self._shares = {name: trials_per_process(count) for name, count in counts.items()}
        if hasattr(self._config, "workerinput"):
            return
        places: Counter[str] = Counter()
        rounds: dict[pytest.Item, int] = {}
        for item, name in planned.items():
            rounds[item] = places[name] // self._shares[name]
            places[name] += 1
        items.sort(key=lambda item: rounds.get(item, math.inf))

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
        self._start()

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
        if self._is_used_up(planned.scenario_id):
            self._close()
            self._number += 1
            self._turns.clear()
            self._start()
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
        if self._toss(planned.scenario_id, turn // 2) == (turn % 2 == 0):
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
        self._close()

    @property
    def _process(self) -> str:
        """Name of the present pair of processes, unlike that of any other."""
        return f"{self._session}-{self._number}"

    def _toss(self, *what: object) -> bool:
        """Toss a coin, the same for the same question."""
        text = f"{self._process} {what}"
        return hashlib.sha256(text.encode()).digest()[0] % 2 == 0

    def _companions(self) -> list[Companion]:
        return [companion for companion in (self._head, self._base) if companion is not None]

    def _is_used_up(self, scenario_id: str) -> bool:
        """Whether a trial has to run in new processes."""
        both = self._companions()
        if any(companion.is_lost for companion in both):
            return False  # there will be no more pairs
        crashed = not all(companion.is_running for companion in both)
        return crashed or self._turns[scenario_id] >= self._shares.get(scenario_id, 1)

    def _start(self) -> None:
        for companion in self._companions()[:: 1 if self._toss("start") else -1]:
            _try_to(companion.start)

    def _close(self) -> None:
        for companion in self._companions():
            companion.hang_up()
        for companion in self._companions():
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
                record.setdefault("context", {}).update(
                    version="head", order=order, process=self._process
                )
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
        record.setdefault("context", {}).update(version="base", order=order, process=self._process)
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
