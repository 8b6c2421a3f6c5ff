"""Replay merged records through pytest, so that every report and the exit code come out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_a2perf.against.baseline import RECORDS, read_base
from pytest_a2perf.keys import RUN_FOLDER
from pytest_a2perf.reports.verdict import properties
from pytest_a2perf.runs.merge import Merged
from pytest_a2perf.runs.record import Record
from pytest_a2perf.trials.plan import PlannedGate
from pytest_a2perf.worker import GATE, RECORD, UNSUCCESSFUL

__all__ = ["Replay"]

Phase = Literal["setup", "call", "teardown"]


class Replay:
    """A plugin that takes the place of collection and of the test loop.

    Args:
        merged: what is replayed.
    """

    def __init__(self, merged: Merged) -> None:
        self.merged = merged
        self._judged = {
            gate.scenario_id for gate in merged.plan.gates if gate.metric.startswith("success.")
        }

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        """Collect nothing: the records are the items."""
        run: Any = session.config.pluginmanager.get_plugin("a2perf-session")
        run.adopt(self.merged.plan, self.merged.problems, self.merged.runs)
        run.base_records = self._base_records(session.config)
        session.testscollected = len(self.merged.records) + len(self.merged.plan.gates)
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Report every record and ask for every verdict."""
        hook = session.config.hook
        attempts: dict[str, int] = {}
        for record in self.merged.records:
            attempts[record.nodeid] = max(record.attempt, attempts.get(record.nodeid, 1))
        for record in self.merged.records:
            location = _location(record.nodeid)
            last = record.attempt == attempts[record.nodeid]
            hook.pytest_runtest_logstart(nodeid=record.nodeid, location=location)
            for report in self._reports(record) if last else [_rerun(record)]:
                hook.pytest_runtest_logreport(report=report)
            hook.pytest_runtest_logfinish(nodeid=record.nodeid, location=location)
        for gate in self.merged.plan.gates:
            hook.pytest_runtest_logreport(report=_request(gate))
        return True

    def _base_records(self, config: pytest.Config) -> dict[str, list[Record]] | None:
        """Collect what ``--a2perf-against`` left in the runs, and keep it in the merged one."""
        done = {record.nodeid for record in self.merged.records}
        found = [record for run in self.merged.runs for record in read_base(run)]
        newest = {record.nodeid: record for record in found if record.nodeid in done}
        if not newest:
            return None
        lines = "".join(record.to_line() for record in newest.values())
        Path(config.stash[RUN_FOLDER], RECORDS).write_text(lines, encoding="utf-8")
        by_scenario: dict[str, list[Record]] = {}
        for record in newest.values():
            if record.has_result:
                by_scenario.setdefault(record.scenario, []).append(record)
        return by_scenario

    def _reports(self, record: Record) -> list[pytest.TestReport]:
        skipped = record.outcome == "not_run"
        passed = record.outcome == "success"
        if record.outcome == "failure" and record.scenario in self._judged:
            passed = True
        error = record.error or {"type": "", "message": "", "traceback": ""}
        longrepr: Any = None
        if skipped:
            longrepr = (record.nodeid.split("::")[0], 0, f"Skipped: {error['message']}")
        elif not passed:
            longrepr = f"{record.outcome}: {error['message']}\n\n{error['traceback']}".rstrip()
        outcome = "skipped" if skipped else "passed" if passed else "failed"
        reports = [
            _report(record, "setup", "passed", None),
            _report(record, "call", outcome, longrepr),
            _report(record, "teardown", "passed", None),
        ]
        call = reports[1]
        setattr(call, RECORD, record.to_line())
        if passed and record.outcome == "failure":
            setattr(call, UNSUCCESSFUL, error["message"])
        call.duration = record.duration
        return reports


def _rerun(record: Record) -> pytest.TestReport:
    """Report an attempt that another one followed, as pytest-rerunfailures does."""
    report = _report(record, "call", "rerun", None)
    setattr(report, RECORD, record.to_line())
    return report


def _report(record: Record, when: Phase, outcome: Any, longrepr: Any) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=record.nodeid,
        location=_location(record.nodeid),
        keywords={},
        outcome=outcome,
        longrepr=longrepr,
        when=when,
        user_properties=properties(record) if when == "teardown" else (),
    )


def _request(gate: PlannedGate) -> pytest.TestReport:
    report = pytest.TestReport(gate.nodeid, _location(gate.nodeid), {}, "passed", None, "setup")
    setattr(report, GATE, gate.to_line())
    return report


def _location(nodeid: str) -> tuple[str, int | None, str]:
    path, _, name = nodeid.partition("::")
    return path, None, name.replace("::", ".")
