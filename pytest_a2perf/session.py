"""The session of a run: it keeps the records, judges the gates, and answers for the exit code.

It lives in the process that the user started; under xdist that is the controller.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_a2perf.against.baseline import side_by_side
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.gates.reference import BaselineBook
from pytest_a2perf.gates.regression import is_regression, judge_regressions
from pytest_a2perf.gates.stopping import EarlyStopping
from pytest_a2perf.gates.verdict import Verdict, judge
from pytest_a2perf.keys import DRIFTS, PROGRESS, RUN_FOLDER
from pytest_a2perf.reports.export import Metrics, estimate_all, run_summary
from pytest_a2perf.reports.exports import export_run
from pytest_a2perf.reports.exports.github import write_annotations
from pytest_a2perf.reports.gates import UNDECIDED, gate_reports
from pytest_a2perf.reports.progress import ProgressLine
from pytest_a2perf.reports.summaries import summarise_run
from pytest_a2perf.reports.terminal import write_summary
from pytest_a2perf.runs.plan import RunPlan
from pytest_a2perf.runs.provenance import provenance
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import RunStore, find_run, read_records
from pytest_a2perf.scheduling.durations import FILE, read_durations, write_durations
from pytest_a2perf.scheduling.manifest import Manifest
from pytest_a2perf.scheduling.nodes import Nodes
from pytest_a2perf.settings import Config
from pytest_a2perf.training.log import logged
from pytest_a2perf.trials.fixtures import trial_folder
from pytest_a2perf.trials.noise import is_tainted
from pytest_a2perf.trials.plan import PlannedGate, case_and_seed
from pytest_a2perf.worker import EARLIER, GATE, RECORD, UNSUCCESSFUL

__all__ = ["RunSession"]


class RunSession:
    """One run: records by scenario, gates waiting for their trials, verdicts."""

    def __init__(self, config: pytest.Config, options: Config) -> None:
        self._config = config
        self._options = options
        self.records: dict[str, list[Record]] = {}
        self.verdicts: dict[str, tuple[PlannedGate, Verdict]] = {}
        self._waiting: dict[str, PlannedGate] = {}
        self._recorded: dict[str, set[str]] = defaultdict(set)
        self._started: dict[str, None] = {}
        self._expected: Sequence[str] = ()
        self._scenario_of: dict[str, str] = {}
        self._plan: RunPlan | None = None
        self._stopping = EarlyStopping()
        self._dropped: dict[str, None] = {}
        self._tainted: list[Record] = []
        self.base_records: dict[str, list[Record]] | None = None
        self._durations = read_durations(options.folder / FILE)
        self._reported: set[str] = set()
        self._problems: list[str] = []
        self._shortcomings: list[str] = []
        self._notes: list[str] = []
        self._summary: list[str] = []
        self._sources: Sequence[Path] = ()
        self._resumed: list[Record] = []
        self._store: RunStore | None = None
        self._progress: ProgressLine | None = None
        self._metrics: Metrics = {}
        self._written = 0
        self._nodes: Nodes | None = None
        if getattr(config.option, "tx", None):
            self._nodes = Nodes(config, options, durations=self._durations, decided=self.decided)
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
            self._written = self._store.size
            self._provenance = provenance(self._config.rootpath)
            self._book = BaselineBook(self._options, self._provenance)
            if self._options.against:
                self._compare(folder)
        except A2PerfError as error:
            raise pytest.UsageError(str(error)) from None
        self._config.stash[RUN_FOLDER] = str(folder)
        self._store.write_run({"id": folder.name, "state": "running", **self._provenance})

    def _compare(self, folder: Path) -> None:
        from pytest_a2perf.against.comparison import Comparison

        comparison = Comparison(self._config, self._options, folder, self._notes)
        comparison.resume(self._done())
        self._provenance["against"] = comparison.provenance
        self.base_records = comparison.records
        self._config.pluginmanager.register(comparison, "a2perf-comparison")

    # -- xdist ---------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where the run is kept and which trials are done."""
        progress = self._config.stash.get(PROGRESS, None)
        node.workerinput["a2perf"] = json.dumps(
            {
                "folder": self._config.stash.get(RUN_FOLDER, ""),
                "done": self._done(),
                "written": self._written,
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
        if self._store is not None:  # a shard without items has a plan, too
            active: Any = self._config.pluginmanager.get_plugin("a2perf-active")
            ids = [item.nodeid for item in session.items]
            self._expect(ids, active.manifest(session.items))

    def _expect(self, ids: Sequence[str], manifest: Manifest) -> None:
        for nodeid, work in zip(ids, map(manifest.works.__getitem__, manifest.items), strict=True):
            if work.kind == "trial":
                self._scenario_of[nodeid] = work.scenario
        if self._store is not None and self._plan is None:
            shard = str(self._options.shard or "")
            plan = RunPlan(shard, {**self._scenario_of, **manifest.elsewhere}, manifest.gates)
            self._plan = plan
            self._store.write_plan(plan)
            if not shard:  # a shard has not the first seeds
                self._stopping.expect(plan.gates)
                for scenario_id, records in self.records.items():
                    self._stopping.look(scenario_id, records)
            if shard and plan.gates:
                self._notes.append(
                    f"shard {shard}: gates are judged by python -m pytest_a2perf merge"
                )

    def adopt(self, plan: RunPlan, problems: Sequence[str], runs: Sequence[Path]) -> None:
        """Take over what merged runs set out to do, and what is missing of them."""
        self._scenario_of = dict(plan.trials)
        self._sources = runs
        self._shortcomings += problems
        if self._store is not None:
            self._store.write_plan(plan)

    def decided(self, scenario_id: str) -> bool:
        """Whether no more seeds of a scenario are wanted."""
        return self._stopping.decided(scenario_id)

    def drop(self, nodeid: str) -> None:
        """Take note of a trial that is not wanted any more."""
        self._dropped[nodeid] = None

    # -- the run -------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Begin to show progress, where there is a terminal."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and reporter.isatty and self._config.get_verbosity() >= 0:
            self._progress = ProgressLine(reporter)
            self._config.stash[PROGRESS] = self._progress.address
        active: Any = self._config.pluginmanager.get_plugin("a2perf-active")
        done = self._done()
        active.share(done, self._durations)
        for record in self._resumed:
            if done.get(record.nodeid) == record.digest:
                self._add(record)

    def _done(self) -> dict[str, str]:
        return {record.nodeid: record.digest for record in self._resumed if record.has_result}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember what was started; wipe the progress line before pytest writes."""
        self._started[nodeid] = None
        if self._progress is not None:
            self._progress.clear()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Keep the record that a report carries, and judge what has become complete.

        A verdict comes after the report itself: JUnit would open a test anew for what is late.
        """
        complete = ""
        if self._progress is not None:
            self._progress.finish(report.nodeid, over=report.when == "teardown")
        self._reported.add(report.nodeid)
        for earlier in vars(report).pop(EARLIER, ()):
            self._store_line(earlier)
        line = getattr(report, RECORD, None)
        if line is not None:
            delattr(report, RECORD)
            record = Record.from_line(line)
            self._keep(record, line)
            if str(report.outcome) == "rerun":  # pytest-rerunfailures: another attempt follows
                self._recorded[record.scenario].discard(record.nodeid)
            complete = record.scenario
        plan = getattr(report, GATE, None)
        if plan is not None:
            delattr(report, GATE)
            gate = PlannedGate.from_line(plan)
            self._waiting[gate.nodeid] = gate
            complete = gate.scenario_id
        result = yield
        if complete:
            self._judge_complete(complete)
        return result

    def _store_line(self, line: str) -> None:
        if self._store is not None:
            self._store.append(line)

    def _keep(self, record: Record, line: str) -> None:
        self._store_line(line)
        self._add(record)

    def _add(self, record: Record) -> None:
        self._recorded[record.scenario].add(record.nodeid)
        if is_tainted(record):
            self._tainted.append(record)
            if self._options.tainted == "drop":
                return
        self.records.setdefault(record.scenario, []).append(record)

    def _note_noise(self) -> None:
        """Say what the noise guard has seen."""
        if self._tainted:
            reasons = Counter(reason for r in self._tainted for reason in r.context["tainted"])
            (reason, _), *others = reasons.most_common()
            more = f" and {len(others)} more reasons" if others else ""
            fate = "left out" if self._options.tainted == "drop" else "counted"
            self._notes.append(f"{len(self._tainted)} tainted trials are {fate}: {reason}{more}")
        drifts = self._config.stash.get(DRIFTS, {}).values()
        worst = max(drifts, key=abs, default=0.0)
        if self._options.drift and abs(worst) > self._options.drift:
            self._notes.append(f"at the end the machine was {worst:+.0%} from where it started")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the last calibration of a worker that ended well."""
        drift = getattr(node, "workeroutput", {}).get("a2perf_drift")
        if drift is not None:
            self._config.stash.setdefault(DRIFTS, {})[node.gateway.id] = drift

    def _judge_complete(self, scenario_id: str) -> None:
        self._stopping.look(scenario_id, self.records.get(scenario_id, []))
        recorded = self._recorded[scenario_id]
        for gate in [gate for gate in self._waiting.values() if gate.scenario_id == scenario_id]:
            early = self._stopping.verdict(gate) if self._stopping.decided(scenario_id) else None
            # Counted first: to compare the sets after each of many trials would take ever longer.
            complete = len(recorded) >= len(gate.trials) and recorded.issuperset(gate.trials)
            if early is not None or complete:
                self._judge(gate)

    def _judge(self, gate: PlannedGate) -> None:
        """Judge a gate, unless it has to wait for those of all other scenarios."""
        if is_regression(gate):
            return
        records = self.records.get(gate.scenario_id, [])
        verdict = self._stopping.verdict(gate)
        if verdict is None and gate.seeds is not None:
            verdict = self._stopping.last(gate, records)
        self._report(gate, verdict or judge(gate, records))

    def _report(self, gate: PlannedGate, verdict: Verdict) -> None:
        """Report a verdict as a test of its own."""
        del self._waiting[gate.nodeid]
        self.verdicts[gate.nodeid] = (gate, verdict)
        for report in gate_reports(gate, verdict, self._options.undecided):
            self._config.hook.pytest_runtest_logreport(report=report)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """After the loop: account for crashed trials, judge what is left, check completeness."""
        result = yield
        if self._store is None:  # nothing was run, only collected
            return result
        if self._nodes is not None:
            self._dropped.update(dict.fromkeys(self._nodes.dropped))
        for gate in list(self._waiting.values()):
            self._judge(gate)
        regressions = list(self._waiting.values())
        against = None
        if self.base_records is not None:
            against = side_by_side(self._options.against or "base", self.base_records, regressions)
        reference = self._book.reference(against)
        for nodeid, verdict in judge_regressions(regressions, self.records, reference).items():
            self._report(self._waiting[nodeid], verdict)
        self._note_dropped()
        self._check_complete(session)
        return result

    def _note_dropped(self) -> None:
        """Say what early stopping has saved, and take it out of the plan."""
        if not self._dropped or self._plan is None or self._store is None:
            return
        saved = Counter(self._plan.trials.get(nodeid, "") for nodeid in self._dropped)
        for scenario_id, count in saved.items():
            planned = sum(owner == scenario_id for owner in self._plan.trials.values())
            self._notes.append(
                f"{scenario_id} was decided after {planned - count} of up to {planned} seeds"
            )
        trials = {n: s for n, s in self._plan.trials.items() if n not in self._dropped}
        gates = tuple(
            replace(gate, trials=tuple(n for n in gate.trials if n not in self._dropped))
            for gate in self._plan.gates
        )
        self._store.write_plan(RunPlan(self._plan.shard, trials, gates))

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Record a trial whose xdist worker died."""
        scenario_id = self._scenario_of.get(crashitem)
        if scenario_id is not None and crashitem not in self._recorded[scenario_id]:
            overdue = self._nodes is not None and self._nodes.timed_out(crashitem)
            record = self._crash_record(crashitem, str(report.longrepr), overdue=overdue)
            self._keep(record, record.to_line())

    def _crash_record(self, nodeid: str, message: str, *, overdue: bool) -> Record:
        """Make the record of a trial that took its worker with it."""
        scenario_id = self._scenario_of[nodeid]
        case, seed = case_and_seed(nodeid)
        if overdue:
            message = "the trial did not end within its timeout and its worker was killed"
        return Record(
            scenario=scenario_id,
            nodeid=nodeid,
            seed=seed,
            case=case if nodeid.startswith(f"{scenario_id}[") else "",
            outcome="timeout" if overdue else "error",
            device="",
            error={"type": "WorkerCrash", "message": message, "traceback": ""},
            curves=logged(trial_folder(self._config, nodeid)),
        )

    def _check_complete(self, session: pytest.Session) -> None:
        """Refuse success when something was started or collected and never reported."""
        silent = [nodeid for nodeid in self._started if nodeid not in self._reported]
        silent += [nodeid for nodeid in self._expected if nodeid not in self._reported]
        silent += [n for n, owner in self._scenario_of.items() if n not in self._recorded[owner]]
        stopped = session.shouldfail or session.shouldstop
        missing = [nodeid for nodeid in dict.fromkeys(silent) if nodeid not in self._dropped]
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
        self._note_noise()
        if self._progress is not None:
            self._progress.close()
        if self._store is None:
            return
        if (
            exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
            and self._options.shard
            and self._plan is not None
        ):
            session.exitstatus = pytest.ExitCode.OK  # there are more shards than trials
        state = "complete" if exitstatus in (0, 1, 5) and not session.shouldstop else "stopped"
        self._metrics = estimate_all(self.records)
        summary = run_summary(self.records, self.verdicts, self._metrics)
        run = {
            "id": self._store.folder.name,
            "state": "stopped" if session.shouldfail else state,
            "exit_status": int(exitstatus),
            **self._provenance,
            **summary,
        }
        self._store.write_run(run)
        # A shard leaves that to the merge: one that starts later has to cut by the same figures.
        if self.records and self._options.shard is None:
            self._remember_durations()
        self._keep_baselines(session)
        warning = self._store.close()
        if warning:
            self._problems.append(f"the run could not be stored: {warning}")
        if self._options.shard is None:  # a shard leaves that to the merge
            self._summarise(session)
        failures = export_run(
            self._config,
            self._store.folder,
            run,
            records=self.records,
            verdicts=self.verdicts,
            waiting=list(self._waiting),
            problems=self._problems,
            notes=self._notes,
        )
        if failures:
            self._problems += failures
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _summarise(self, session: pytest.Session) -> None:
        assert self._store is not None
        run = self._store.folder
        self._summary, failures = summarise_run(self.records, run, self._sources or [run])
        if failures:
            self._problems += failures
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _keep_baselines(self, session: pytest.Session) -> None:
        gated: dict[str, list[str]] = {}
        for gate, _ in self.verdicts.values():
            if is_regression(gate):
                gated.setdefault(gate.scenario_id, []).append(gate.metric)
        option = self._config.option
        whole = not (option.keyword or option.markexpr or session.shouldstop or session.shouldfail)
        try:
            self._notes += self._book.keep(self.records, gated, whole=whole)
        except (OSError, A2PerfError) as error:
            self._problems.append(f"the baseline could not be written: {error}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _remember_durations(self) -> None:
        new = [record for records in self.records.values() for record in records]
        try:
            write_durations(self._options.folder / FILE, new)
        except OSError as error:
            self._problems.append(f"durations could not be kept: {error}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the report."""
        write_summary(
            terminalreporter,
            self.records,
            self.verdicts,
            self._metrics,
            waiting=list(self._waiting),
            notes=self._notes,
            problems=self._problems,
            summary=self._summary,
        )
        write_annotations(terminalreporter, self._options, self.verdicts, self._problems)
