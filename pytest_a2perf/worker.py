"""The hooks of the process that runs trials: pytest itself, or one xdist worker."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from _pytest.runner import runtestprotocol

from pytest_a2perf.domains.registry import get_domain
from pytest_a2perf.errors import A2PerfError, InfraError
from pytest_a2perf.keys import DRIFTS, INSTRUMENTS, PLACE, PLANNED, PROGRESS, RUN_FOLDER, TRIAL
from pytest_a2perf.reports.verdict import properties
from pytest_a2perf.runs.ledger import Ledger
from pytest_a2perf.runs.record import Record
from pytest_a2perf.scenarios.collector import GateItem, collect_file
from pytest_a2perf.scenarios.marker import parametrize_seeds, plan_functions
from pytest_a2perf.scheduling.leases import LEASE
from pytest_a2perf.scheduling.manifest import Manifest, manifest_of
from pytest_a2perf.scheduling.order import NOWHERE
from pytest_a2perf.scheduling.selection import Selection, select, with_trials_of_gates
from pytest_a2perf.scheduling.targets import missing_target
from pytest_a2perf.settings import Config
from pytest_a2perf.training.log import logged
from pytest_a2perf.trials.ahead import start_ahead
from pytest_a2perf.trials.deadline import deadline
from pytest_a2perf.trials.fixtures import planned_for, trial_folder
from pytest_a2perf.trials.isolation import Children, Death, can_isolate
from pytest_a2perf.trials.noise import NoiseGuard, is_tainted
from pytest_a2perf.trials.outcome import error_json, outcome_of
from pytest_a2perf.trials.plan import PlannedTrial
from pytest_a2perf.trials.trial import Trial

__all__ = ["EARLIER", "GATE", "RECORD", "UNSUCCESSFUL", "Worker"]

RECORD = "a2perf_record"
"""Attribute of a report that carries a trial's record, as a line of JSON."""

GATE = "a2perf_gate"
"""Attribute of a report that asks the session for a verdict."""

EARLIER = "a2perf_earlier"
"""Attribute of a report that carries the records of attempts that were repeated."""

UNSUCCESSFUL = "a2perf_unsuccessful"
"""Attribute of a passed report whose agent failed, where a gate judges success."""


_ATTEMPTS = 3  # at a trial that noise has spoilt


class Worker:
    """Collects scenarios, runs trials, and attaches their records to the reports."""

    def __init__(self, config: pytest.Config, options: Config) -> None:
        self._config = config
        self._options = options
        self._instruments = config.stash[INSTRUMENTS]
        workerinput: dict[str, Any] = getattr(config, "workerinput", {})
        given = workerinput.get("a2perf")
        shared: dict[str, Any] = json.loads(given) if given else {}
        self._done: dict[str, str] = shared.get("done", {})
        self._durations: dict[str, float] = shared.get("durations", {})
        self._selection = Selection([], [], {}, [])
        crowded = os.environ.get(LEASE) and options.workers_per_gpu > 1
        self._noise = NoiseGuard(
            options.drift, f"GPU shared by {options.workers_per_gpu} workers" if crowded else ""
        )
        self._workers = int(workerinput.get("workercount", 1))
        if shared.get("progress"):
            host, port = shared["progress"]
            config.stash[PROGRESS] = (host, port)
        self._children = Children()
        self._ledger: Ledger | None = None
        if shared.get("folder"):
            config.stash[RUN_FOLDER] = shared["folder"]
            self._ledger = Ledger(Path(shared["folder"]), shared["written"])

    def share(self, done: dict[str, str], durations: dict[str, float]) -> None:
        """Take over what the session knows; an xdist worker reads it from its input.

        Args:
            done: digests of the trials that a resumed run has already, by node id.
            durations: mean seconds of a trial by scenario.
        """
        self._done = done
        self._durations = durations

    def header(self) -> list[str]:
        """Return the lines for pytest's header."""
        folder = self._config.stash.get(RUN_FOLDER, "")
        if not folder:
            return []
        shown = Path(folder)
        if shown.is_relative_to(self._config.invocation_params.dir):
            shown = shown.relative_to(self._config.invocation_params.dir)
        return [f"a2perf: run kept in {shown}"]

    # -- collection ----------------------------------------------------------------------------

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.File | None:
        """Collect scenario files: in the scenario folders, or named by the user."""
        if file_path.suffix != ".toml":
            return None
        in_folder = any(folder in file_path.parents for folder in self._options.scenarios)
        if not in_folder and not parent.session.isinitpath(file_path):
            return None
        return collect_file(file_path, parent)

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one item for each seed, innermost, so that a scenario's trials stay together."""
        parametrize_seeds(metafunc)

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makeitem(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Add the gates of marked tests."""
        result = yield
        if isinstance(result, list):
            return plan_functions(result, collector)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """After -k, -m and --lf: a gate that stays pulls in its trials; what is done drops out."""
        yield
        everything = with_trials_of_gates(items)
        try:
            self._selection = select(everything, self._done, self._options.shard, self._durations)
        except A2PerfError as error:
            raise pytest.UsageError(str(error)) from None
        if self._selection.elsewhere:
            config.hook.pytest_deselected(items=self._selection.elsewhere)
        items[:] = self._selection.here

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell the scheduler what was collected, before xdist sends the node ids."""
        channel = getattr(self._config, "workerinput", {}).get("a2perf_channel")
        if channel is not None:
            channel.send(self.manifest(session.items).to_line())

    def manifest(self, items: list[pytest.Item]) -> Manifest:
        """Describe what was collected."""
        return manifest_of(items, self._selection)

    # -- running -------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Ask for verdicts, and run isolated trials in a process of their own."""
        if isinstance(item, GateItem):
            self._request_verdict(item, nextitem)
            return True
        planned = item.stash.get(PLANNED, None)
        if planned is None:
            return None
        place = item.stash.get(PLACE, NOWHERE)
        run: Any = self._config.pluginmanager.get_plugin("a2perf-session")
        if run is None:
            if self._ledger is not None:
                self._ledger.wait_for(place.needs - self._done.keys())
        elif run.decided(planned.scenario_id) and not place.needed:
            run.drop(item.nodeid)
            item.session._setupstate.teardown_exact(nextitem)  # noqa: SLF001 - as pytest's runner
            return True
        self._noise.before(planned.scenario_id)
        if planned.from_file:
            with contextlib.suppress(Exception):  # the trial will meet it again, and report it
                get_domain(planned.scenario.domain).prepare()
        if self._options.tainted != "repeat":  # a repetition would find the others running
            count = self._options.concurrency
            start_ahead(item, self._children, count=count, prepare=self._instruments.prepare)
        isolated = planned.scenario.isolated and can_isolate(item.config)
        isolated |= item.nodeid in self._children
        if not isolated and self._options.tainted != "repeat":
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        earlier: list[str] = []
        for attempt in range(1, _ATTEMPTS + 1):
            if self._options.tainted == "repeat":
                item.execution_count = attempt  # type: ignore[attr-defined]  # as rerunfailures
            reports = self._run(item, planned, isolated=isolated)
            last = next((r for r in reports if hasattr(r, RECORD)), None)
            if last is None or attempt == _ATTEMPTS or self._options.tainted != "repeat":
                break
            line = getattr(last, RECORD)
            if not is_tainted(Record.from_line(line)):
                break
            earlier.append(line)
        if last is not None and earlier:
            setattr(last, EARLIER, earlier)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.session._setupstate.teardown_exact(nextitem)  # noqa: SLF001 - as pytest's runner does
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run(
        self, item: pytest.Item, planned: PlannedTrial, *, isolated: bool
    ) -> list[pytest.TestReport]:
        """Run a trial, wider fixtures left alone, and return its reports."""
        self._instruments.prepare()
        if isolated:
            if item.nodeid not in self._children:
                self._children.start(item, planned.scenario.timeout)
            result = self._children.wait(item.nodeid)
            return list(self.obituary(item, result)) if isinstance(result, Death) else result
        if hasattr(item, "_initrequest"):
            item._initrequest()  # noqa: SLF001 - fixtures anew, as rerunfailures does
        return runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]

    def pytest_unconfigure(self) -> None:
        """End trials that were started ahead and that nobody will ask for any more."""
        self._children.kill()

    def pytest_sessionfinish(self) -> None:
        """Calibrate once more, so that the run tells how far the machine has drifted."""
        if self._noise.calibrated:
            output = getattr(
                self._config, "workeroutput", self._config.stash.setdefault(DRIFTS, {})
            )
            output["a2perf_drift"] = self._noise.measure()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a trial whose target is not here, or fail it where that was asked for."""
        planned = item.stash.get(PLANNED, None)
        reason = None if planned is None else missing_target(planned.scenario.target)
        if reason is not None and self._options.require_target:
            raise InfraError(reason)
        if reason is not None:
            pytest.skip(reason)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Hold the trial to its timeout, and measure the whole body of a marked test."""
        planned = item.stash.get(PLANNED, None)
        trial = item.stash.get(TRIAL, None)
        if planned is None or trial is None:
            yield
            return
        with deadline(trial.remaining(), planned.scenario.timeout):
            if planned.from_file or item.get_closest_marker("a2perf") is None:
                yield
                return
            whole = Record(planned.scenario_id, item.nodeid, planned.seed)
            meters = self._instruments.meters(planned.scenario.energy, planned.scenario.target)
            with meters.window(whole):
                yield
            if not trial.record.quantities:  # a part that was measured on its own wins
                trial.record.quantities = whole.quantities

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Close the trial with its call, or with a set-up that did not get that far."""
        report = yield
        over = call.when == "call" or (call.when == "setup" and call.excinfo is not None)
        if not over or (TRIAL not in item.stash and PLANNED not in item.stash):
            return report
        planned = planned_for(item)
        trial = item.stash.get(TRIAL, None)
        error = None if call.excinfo is None else call.excinfo.value
        record = self._close(item, trial, error, call.when)
        if record.outcome == "failure" and _gates_success(planned.scenario.gates):
            report.outcome = "passed"
            report.longrepr = None
            setattr(report, UNSUCCESSFUL, str(error))
        setattr(report, RECORD, record.to_line())
        return report

    def _close(
        self, item: pytest.Item, trial: Trial | None, error: BaseException | None, when: str
    ) -> Record:
        planned = planned_for(item)
        if trial is None:
            record = self._blank(item)
        else:
            try:
                record = trial.close()
            except A2PerfError as failure:
                error, record = error or failure, trial.record
            del item.stash[TRIAL]
        record.outcome = outcome_of(error, from_file=planned.from_file, phase=when)
        if error is not None:
            record.error = error_json(error)
        record.benchmark = _benchmark_stats(item)
        record.context.update(self._context(planned))
        self._noise.mark(record)
        item.user_properties += properties(record)  # JUnit takes them from the tear-down report
        return record

    def _blank(self, item: pytest.Item) -> Record:
        """Make the record of a trial that left none."""
        planned = planned_for(item)
        return Record(
            planned.scenario_id,
            item.nodeid,
            planned.seed,
            domain=planned.scenario.domain,
            phase=planned.scenario.phase,
            digest=planned.digest,
            worker=getattr(self._config, "workerinput", {}).get("workerid", "main"),
            attempt=getattr(item, "execution_count", 1),
            case=planned.case,
        )

    def _context(self, planned: PlannedTrial) -> dict[str, Any]:
        """Say what else went on: readings on a loaded machine are worth less."""
        context: dict[str, Any] = {"workers": self._workers}
        if self._options.concurrency > 1:
            context["concurrency"] = self._options.concurrency
        if planned.from_file:  # a test is free to use any agent
            context["agent"] = planned.scenario.agent
            context["task"] = planned.scenario.task
        if planned.scenario.dataset:
            context["dataset"] = planned.scenario.dataset
        if planned.scenario.algorithm:
            context["algorithm"] = planned.scenario.algorithm
        if os.environ.get(LEASE):
            context["lease"] = os.environ[LEASE]
        if hasattr(os, "getloadavg"):
            context["load"] = round(os.getloadavg()[0], 2)
        return context

    def obituary(self, item: pytest.Item, death: Death) -> Iterator[pytest.TestReport]:
        """Report a trial whose process died: timed out in native code, or crashed."""
        planned = planned_for(item)
        record = self._blank(item)
        record.curves = logged(trial_folder(self._config, item.nodeid))
        record.context.update(self._context(planned))
        self._noise.mark(record)
        if death.timed_out:
            record.outcome = "timeout"
            message = (
                f"the trial did not end within its timeout of {planned.scenario.timeout:g} s "
                "and its process was killed"
            )
        else:
            record.outcome = "error"
            message = death.reason
        record.error = {"type": "TrialDied", "message": message, "traceback": ""}
        phases: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")
        for when in phases:
            report = pytest.TestReport(
                nodeid=item.nodeid,
                location=item.location,
                keywords=dict.fromkeys(item.keywords, 1),
                outcome="failed" if when == "call" else "passed",
                longrepr=f"{message}\n\nagent {planned.scenario.agent!r}"
                if when == "call"
                else None,
                when=when,
                user_properties=properties(record),
            )
            if when == "call":
                setattr(report, RECORD, record.to_line())
            yield report

    def _request_verdict(self, item: GateItem, nextitem: pytest.Item | None) -> None:
        """Send the gate's plan to the session, by way of a report."""
        report = pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords=dict.fromkeys(item.keywords, 1),
            outcome="passed",
            longrepr=None,
            when="setup",
        )
        setattr(report, GATE, item.plan().to_line())
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        item.ihook.pytest_runtest_logreport(report=report)
        item.session._setupstate.teardown_exact(nextitem)  # noqa: SLF001 - as pytest's runner does
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _gates_success(gates: dict[str, Any]) -> bool:
    return any(name.startswith("success.") for name in gates)


def _benchmark_stats(item: pytest.Item) -> dict[str, Any] | None:
    """Return the statistics of pytest-benchmark's fixture, if the test used it."""
    fixture = getattr(item, "funcargs", {}).get("benchmark")
    stats = getattr(getattr(fixture, "stats", None), "stats", None)
    if stats is None or not hasattr(stats, "as_dict"):
        return None
    return {key: value for key, value in stats.as_dict().items() if key != "data"}
