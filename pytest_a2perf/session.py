"""The session of a run: it keeps the records, judges the gates, and answers for the exit code.

It lives in the process that the user started; under xdist that is the controller.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Generator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.gates.verdict import Verdict, judge
from pytest_a2perf.keys import PROGRESS, RUN_FOLDER
from pytest_a2perf.reports.export import run_summary
from pytest_a2perf.reports.progress import ProgressLine
from pytest_a2perf.reports.terminal import write_summary
from pytest_a2perf.reports.verdict import failure_text
from pytest_a2perf.runs.plan import RunPlan
from pytest_a2perf.runs.provenance import provenance
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import RunStore, find_run, read_records
from pytest_a2perf.scheduling.durations import FILE, read_durations, write_durations
from pytest_a2perf.scheduling.manifest import Manifest
from pytest_a2perf.scheduling.nodes import Nodes
from pytest_a2perf.settings import Config
from pytest_a2perf.trials.plan import PlannedGate
from pytest_a2perf.worker import GATE, RECORD, UNSUCCESSFUL

__all__ = ["RunSession"]

UNDECIDED = "a2perf_undecided"


class RunSession:
    """One run: records by scenario, gates waiting for their trials, verdicts."""

    def __init__(self, config: pytest.Config, options: Config) -> None:
        self._config = config
        self._options = options
        self.records: dict[str, list[Record]] = {}
        self.verdicts: dict[str, tuple[PlannedGate, Verdict]] = {}
        self._waiting: dict[str, PlannedGate] = {}
        self._recorded: set[str] = set()
        self._started: dict[str, None] = {}
        self._expected: Sequence[str] = ()
        self._scenario_of: dict[str, str] = {}
        self._planned = False
        self._durations = read_durations(options.folder / FILE)
        self._reported: set[str] = set()
        self._problems: list[str] = []
        self._shortcomings: list[str] = []
        self._notes: list[str] = []
        self._resumed: list[Record] = []
        self._store: RunStore | None = None
        self._progress: ProgressLine | None = None
        self._nodes: Nodes | None = None
        if getattr(config.option, "tx", None):
            self._nodes = Nodes(config, options, decided=self.decided)
            config.pluginmanager.register(self._nodes, "a2perf-nodes")
        if not config.getoption("collectonly", False):
            self._open()

    def _open(self) -> None:
        runs = self._options.folder / "runs"
        try:
            if self._options.resume:
                folder = find_run(runs, self._options.resume)
                self._resumed = list(read_records(folder))
            else:
                stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
                folder = runs / f"{stamp}-{uuid.uuid4().hex[:6]}"
            self._store = RunStore(folder)
        except A2PerfError as error:
            raise pytest.UsageError(str(error)) from None
        self._config.stash[RUN_FOLDER] = str(folder)
        self._provenance = provenance(self._config.rootpath)
        self._store.write_run({"id": folder.name, "state": "running", **self._provenance})

    # -- xdist ---------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where the run is kept and which trials are done."""
        progress = self._config.stash.get(PROGRESS, None)
        node.workerinput["a2perf"] = json.dumps(
            {
                "folder": self._config.stash.get(RUN_FOLDER, ""),
                "done": self._done(),
                "durations": self._durations,
                "progress": progress,
            }
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Remember what has to be reported before the run may be called complete."""
        self._expected = ids
        manifest = None if self._nodes is None else self._nodes.manifest(node)
        if manifest is not None:
            self._expect(ids, manifest)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without xdist, the items are here."""
        if session.items and self._store is not None:
            active: Any = self._config.pluginmanager.get_plugin("a2perf-active")
            ids = [item.nodeid for item in session.items]
            self._expect(ids, active.manifest(session.items))

    def _expect(self, ids: Sequence[str], manifest: Manifest) -> None:
        for nodeid, work in zip(ids, map(manifest.works.__getitem__, manifest.items), strict=True):
            if work.kind == "trial":
                self._scenario_of[nodeid] = work.scenario
        if self._store is not None and not self._planned:
            self._planned = True
            shard = str(self._options.shard or "")
            plan = RunPlan(shard, {**self._scenario_of, **manifest.elsewhere}, manifest.gates)
            self._store.write_plan(plan)
            if shard and plan.gates:
                self._notes.append(
                    f"shard {shard}: gates are judged by python -m pytest_a2perf merge"
                )

    def adopt(self, plan: RunPlan, problems: Sequence[str]) -> None:
        """Take over what merged runs set out to do, and what is missing of them."""
        self._scenario_of = dict(plan.trials)
        self._shortcomings += problems
        if self._store is not None:
            self._store.write_plan(plan)

    def decided(self, scenario_id: str) -> bool:
        """Whether no more seeds of a scenario are wanted."""
        del scenario_id
        return False

    # -- the run -------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Begin to show progress, where there is a terminal."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and reporter.isatty and self._config.get_verbosity() >= 0:
            self._progress = ProgressLine(reporter)
            self._config.stash[PROGRESS] = self._progress.address
        active: Any = self._config.pluginmanager.get_plugin("a2perf-active")
        active.share(self._done(), self._durations)
        for record in self._resumed:
            if self._done().get(record.nodeid) == record.digest:
                self._add(record)

    def _done(self) -> dict[str, str]:
        return {
            record.nodeid: record.digest
            for record in self._resumed
            if record.outcome in ("success", "failure")
        }

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember what was started; wipe the progress line before pytest writes."""
        self._started[nodeid] = None
        if self._progress is not None:
            self._progress.clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the record that a report carries, and judge what has become complete."""
        if self._progress is not None:
            self._progress.finish(report.nodeid, over=report.when == "teardown")
        self._reported.add(report.nodeid)
        line = getattr(report, RECORD, None)
        if line is not None:
            delattr(report, RECORD)
            record = Record.from_line(line)
            self._keep(record, line)
            self._judge_complete(record.scenario)
        plan = getattr(report, GATE, None)
        if plan is not None:
            delattr(report, GATE)
            gate = PlannedGate.from_line(plan)
            self._waiting[gate.nodeid] = gate
            self._judge_complete(gate.scenario_id)

    def _keep(self, record: Record, line: str) -> None:
        if self._store is not None:
            self._store.append(line)
        self._add(record)

    def _add(self, record: Record) -> None:
        self._recorded.add(record.nodeid)
        self.records.setdefault(record.scenario, []).append(record)

    def _judge_complete(self, scenario_id: str) -> None:
        for gate in [gate for gate in self._waiting.values() if gate.scenario_id == scenario_id]:
            if self._recorded.issuperset(gate.trials):
                self._judge(gate)

    def _judge(self, gate: PlannedGate) -> None:
        """Judge a gate and report it as a test of its own."""
        del self._waiting[gate.nodeid]
        verdict = judge(gate, self.records.get(gate.scenario_id, []))
        self.verdicts[gate.nodeid] = (gate, verdict)
        path, *names = gate.nodeid.split("::")
        failed = verdict.name == "fail" or (
            verdict.name == "undecided" and self._options.undecided == "fail"
        )
        longrepr: Any = None
        if failed:
            longrepr = failure_text(gate, verdict)
        elif verdict.name == "skip":
            longrepr = (path, 0, f"Skipped: {verdict.reason}")
        phases: tuple[Literal["call", "teardown"], ...] = ("call", "teardown")
        for when in phases:
            call = when == "call"
            outcome = "failed" if failed else "skipped" if verdict.name == "skip" else "passed"
            report = pytest.TestReport(
                nodeid=gate.nodeid,
                location=(path, None, ".".join(names)),
                keywords={gate.metric: 1},
                outcome=outcome if call else "passed",  # type: ignore[arg-type]
                longrepr=longrepr if call else None,
                when=when,
            )
            if call and verdict.name == "undecided" and self._options.undecided == "warn":
                setattr(report, UNDECIDED, verdict.reason)
            for name, value in verdict.to_json().items():
                report.user_properties.append((f"a2perf.{name}", value))
            self._config.hook.pytest_runtest_logreport(report=report)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """After the loop: account for crashed trials, judge what is left, check completeness."""
        result = yield
        for gate in list(self._waiting.values()):
            if gate.nodeid in self._waiting:
                self._judge(gate)
        self._check_complete(session)
        return result

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Record a trial whose xdist worker died."""
        if crashitem in self._scenario_of and crashitem not in self._recorded:
            overdue = self._nodes is not None and self._nodes.timed_out(crashitem)
            record = self._crash_record(crashitem, str(report.longrepr), overdue=overdue)
            self._keep(record, record.to_line())

    def _crash_record(self, nodeid: str, message: str, *, overdue: bool) -> Record:
        """Make the record of a trial that took its worker with it."""
        seed = nodeid.removesuffix("]").rpartition("[")[2].rpartition("-")[2]
        if overdue:
            message = "the trial did not end within its timeout and its worker was killed"
        return Record(
            scenario=self._scenario_of[nodeid],
            nodeid=nodeid,
            seed=int(seed),
            outcome="timeout" if overdue else "error",
            device="",
            error={"type": "WorkerCrash", "message": message, "traceback": ""},
        )

    def _check_complete(self, session: pytest.Session) -> None:
        """Refuse success when something was started or collected and never reported."""
        dropped = set() if self._nodes is None else {*self._nodes.dropped}
        silent = [nodeid for nodeid in self._started if nodeid not in self._reported]
        silent += [nodeid for nodeid in self._expected if nodeid not in self._reported]
        silent += [nodeid for nodeid in self._scenario_of if nodeid not in self._recorded]
        stopped = session.shouldfail or session.shouldstop
        missing = [nodeid for nodeid in dict.fromkeys(silent) if nodeid not in dropped]
        if missing and not stopped:
            self._problems.append(f"{len(missing)} items left no result: {', '.join(missing[:3])}")
            session.testsfailed += 1
        if self._shortcomings or (self._store is not None and self._store.problem):
            self._problems += self._shortcomings
            session.testsfailed += 1

    # -- reports -------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, Any] | None:
        """Show agents' failures that a gate judges, and undecided gates, as what they are."""
        if report.when != "call" or not report.passed:
            return None
        if hasattr(report, UNSUCCESSFUL):
            return "unsuccessful", "u", ("UNSUCCESSFUL", {"yellow": True})
        if hasattr(report, UNDECIDED):
            return "undecided", "?", ("UNDECIDED", {"yellow": True})
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Close the run and export it."""
        if self._progress is not None:
            self._progress.close()
        if self._store is None:
            return
        state = "complete" if exitstatus in (0, 1, 5) and not session.shouldstop else "stopped"
        summary = run_summary(self.records, self.verdicts)
        run = {
            "id": self._store.folder.name,
            "state": "stopped" if session.shouldfail else state,
            "exit_status": int(exitstatus),
            **self._provenance,
            **summary,
        }
        self._store.write_run(run)
        if self.records:
            self._remember_durations()
        warning = self._store.close()
        if warning:
            self._problems.append(f"the run could not be stored: {warning}")
        if self._options.json is not None:
            self._write_json(self._options.json, run, session)
        self._config.hook.pytest_a2perf_publish(config=self._config, run=self._store.folder)

    def _remember_durations(self) -> None:
        new = [record for records in self.records.values() for record in records]
        try:
            write_durations(self._options.folder / FILE, new)
        except OSError as error:
            self._problems.append(f"durations could not be kept: {error}")

    def _write_json(self, path: Path, run: dict[str, Any], session: pytest.Session) -> None:
        trials = [record.to_json() for records in self.records.values() for record in records]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"schema": 1, **run, "trials": trials}, indent=1), "utf-8")
        except OSError as error:
            self._problems.append(f"--a2perf-json: {path}: {error.strerror or error}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the report."""
        waiting = [gate.nodeid for gate in self._waiting.values()]
        write_summary(
            terminalreporter,
            self.records,
            self.verdicts,
            waiting=waiting,
            notes=self._notes,
            problems=self._problems,
        )
