"""In the process that the user started: the worktree, and the records of the other version."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Generator
from pathlib import Path
from typing import Any

import pytest

import pytest_a2perf
from pytest_a2perf.against.baseline import RECORDS, read_base
from pytest_a2perf.against.pairs import BASE_RECORD
from pytest_a2perf.against.setup import AGAINST
from pytest_a2perf.against.worktree import BASE, open_worktree
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.runs.record import Record
from pytest_a2perf.settings import Config

__all__ = ["Comparison"]

_SHOWN = 3


class Comparison:
    """Checks the other version out, and collects its records beside those of the run.

    Args:
        config: pytest's.
        options: the plugin's.
        run: the run's folder.
        notes: for what should be known at the end.

    Attributes:
        records: of the other version, by scenario; only those of trials that have a result.
        provenance: what is compared, for ``run.json``.

    Raises:
        A2PerfError: there is no such version or interpreter; the message says what to do.
    """

    def __init__(self, config: pytest.Config, options: Config, run: Path, notes: list[str]) -> None:
        self.records: dict[str, list[Record]] = {}
        self._notes = notes
        self._path = run / RECORDS
        self._lost: dict[str, str] = {}
        self._new: list[str] = []
        self._differing: dict[str, None] = {}
        if config.getoption("usepdb", False):
            raise A2PerfError("--a2perf-against runs trials in other processes, without --pdb")
        if options.against_python:
            _check_interpreter(options.against_python)
        worktree = open_worktree(config.rootpath, options.against, run)
        self._version = worktree.version
        version = worktree.version
        self.provenance = {"ref": version.ref, "commit": version.commit}
        self.tree = {
            "repository": str(worktree.repository),
            "tree": str(worktree.path),
            "folder": str(run.resolve() / BASE),
            "python": options.against_python,
        }
        config.add_cleanup(worktree.remove)
        worktree.add()

    def resume(self, done: Collection[str]) -> None:
        """Take over what a run that goes on has already.

        Args:
            done: node ids of its trials.
        """
        for record in read_base(self._path.parent):
            if record.nodeid in done:
                self._add(record)

    def pytest_report_header(self) -> str:
        """Say which versions are compared."""
        return f"a2perf: against {self._version.text()}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Have an xdist worker run pairs."""
        node.workerinput[AGAINST] = json.dumps(self.tree)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Keep the record that comes with a trial's last report."""
        line = getattr(report, BASE_RECORD, None)
        if line is not None:
            delattr(report, BASE_RECORD)
            self._take(json.loads(line))
        return (yield)

    def _take(self, answer: dict[str, Any]) -> None:
        nodeid = answer["nodeid"]
        if "record" not in answer:
            if "lost" in answer:
                self._lost[nodeid] = answer["lost"]
            else:
                self._new.append(nodeid)
            return
        record = Record.from_json(answer["record"])
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(record.to_line())
        except OSError as error:
            self._notes.append(f"{self._path}: {error.strerror or error}")
        if answer["differs"]:
            self._differing[record.scenario] = None
        self._add(record)

    def _add(self, record: Record) -> None:
        if record.has_result:
            self.records.setdefault(record.scenario, []).append(record)
        else:
            error = record.error or {}
            self._lost[record.nodeid] = f"{record.outcome}: {error.get('message', '')}".rstrip(": ")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Say what could not be compared, and what should be known of what was."""
        ref = self._version.ref
        if self._lost:
            count = f"{len(self._lost)} pair{'' if len(self._lost) == 1 else 's'}"
            first = "; ".join(f"{n}: {why}" for n, why in [*self._lost.items()][:_SHOWN])
            self._notes.append(f"{count} left out, {ref} gave no result: {first}")
        if self._new:
            names = ", ".join(self._new[:_SHOWN])
            self._notes.append(f"not in {ref}, so without a pair: {len(self._new)} ({names})")
        for scenario in self._differing:
            self._notes.append(f"{scenario} is defined differently in {ref}; compared all the same")


def _check_interpreter(python: str) -> None:
    """Refuse an interpreter that cannot run the same plugin."""
    option = f"--a2perf-against-python {python}"
    program = "import pytest_a2perf as p; print(p.__version__)"
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter is the user's
            [python, "-c", program], cwd="/", capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise A2PerfError(f"{option}: {error.strerror}") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise A2PerfError(f"{option}: {last}; install pytest-a2perf there")
    theirs = done.stdout.strip()
    if theirs != pytest_a2perf.__version__:
        ours = pytest_a2perf.__version__
        raise A2PerfError(
            f"{option} has pytest-a2perf {theirs}, here it is {ours}; install the same version"
        )
