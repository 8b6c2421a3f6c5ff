"""From stored runs to the columns of A2Perf's tables: one table a task, one column an algorithm."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.runs.baseline import machine_of
from pytest_a2perf.runs.merge import merge
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import RECORDS, RUN, find_run, has_ended
from pytest_a2perf.training.trainers import algorithm_of
from pytest_a2perf.trials.noise import is_tainted

__all__ = ["Column", "Part", "Run", "columns_of", "read_run", "runs_named"]

_PHASES = ("train", "inference", "generalization")


@dataclass(frozen=True)
class Run:
    """A stored run.

    Attributes:
        id: its name.
        data: as ``run.json`` has it.
        records: of its trials.
        problems: what is missing of it, in words.
    """

    id: str
    data: Mapping[str, Any]
    records: Sequence[Record]
    problems: Sequence[str] = ()


@dataclass
class Part:
    """What one scenario contributes to a column.

    Attributes:
        scenario: its id.
        records: of its trials.
        machines: on which they ran: what times and energies depend on.
    """

    scenario: str
    records: list[Record] = field(default_factory=list)
    machines: set[str] = field(default_factory=set)

    @property
    def phase(self) -> str:
        """Of the scenario."""
        return self.records[0].phase

    @property
    def key(self) -> tuple[str, str]:
        """Domain and task: the table that it belongs to."""
        return self.records[0].domain, self._said("task")

    @property
    def algorithm(self) -> str:
        """What the scenario or its training says, else what the agent's name tells."""
        agent = self._said("agent")
        return (
            self._said("algorithm")
            or (algorithm_of(agent) if agent else "")
            or _name(self.scenario)
        )

    @property
    def origin(self) -> str:
        """Id of the scenario that trained its agent; of its own where none did."""
        return self._said("trained_by") or self.scenario

    def _said(self, name: str) -> str:
        """Return what a trial's context says; one that broke early may say nothing."""
        return next((str(r.context[name]) for r in self.records if r.context.get(name)), "")

    def __str__(self) -> str:
        seeds = len({record.seed for record in self.records})
        episodes = sorted({len(record.episodes) for record in self.records if record.episodes})
        words = f"{self.phase}: {self.scenario}, {seeds} seed{'s' * (seeds != 1)}"
        if episodes:
            words += f", {' or '.join(map(str, episodes))} episodes each"
        outcomes = Counter(record.outcome for record in self.records)
        bad = [f"{outcomes[name]} {name}" for name in outcomes if name != "success"]
        tainted = sum(map(is_tainted, self.records))
        bad += [f"{tainted} tainted"] if tainted else []
        return f"{words} ({', '.join(bad)})" if bad else words


@dataclass(frozen=True)
class Column:
    """An algorithm.

    Attributes:
        algorithm: its name.
        parts: by phase.
    """

    algorithm: str
    parts: Mapping[str, Part]


def runs_named(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the folders of runs by path or id; of none, the last one that came to its end.

    Raises:
        A2PerfError: there is no such run.
    """
    if names:
        return list(dict.fromkeys(find_run(folder, name) for name in names))
    for path in sorted(folder.glob(f"*/{RECORDS}"), reverse=True):
        if has_ended(path.parent):
            return [path.parent]
    raise A2PerfError(f"{folder}: no run here that came to its end")


def read_run(folder: Path) -> Run:
    """Read a run.

    Raises:
        A2PerfError: the folder holds no run, or a broken one.
    """
    merged = merge([folder])
    try:
        data = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise A2PerfError(f"{folder / RUN}: not a run: {error}") from None
    problems = list(merged.problems)
    if not has_ended(folder):
        problems.append(f"run {folder.name} did not come to its end")
    return Run(folder.name, data, merged.records, problems)


def columns_of(runs: Sequence[Run]) -> dict[tuple[str, str], list[Column]]:
    """Return the columns of each domain and task.

    Scenarios without a task (tests in Python) are left out, and so is the collection of data. Where
    several scenarios of a phase measure the same algorithm, each has a column of its own: their
    trials are no one sample.

    Raises:
        A2PerfError: the runs hold different versions of a scenario, or nothing that has a task.
    """
    tables: dict[tuple[str, str], list[Part]] = defaultdict(list)
    for part in _parts(runs):
        if part.phase in _PHASES and part.key[1]:
            tables[part.key].append(part)
    if not tables:
        names = ", ".join(run.id for run in runs)
        raise A2PerfError(
            f"{names}: no scenario with a task here; tests in Python and runs of versions that did "
            "not record it have none"
        )
    return {key: _columns(parts) for key, parts in sorted(tables.items())}


def _columns(parts: Sequence[Part]) -> list[Column]:
    alike = Counter((part.algorithm, part.phase) for part in parts)
    several = {algorithm for (algorithm, _), count in alike.items() if count > 1}
    kin = Counter((part.origin, part.phase) for part in parts)
    columns: dict[str, dict[str, Part]] = defaultdict(dict)
    for part in sorted(parts, key=lambda part: _PHASES.index(part.phase)):
        label = part.algorithm
        if label in several:
            # What was trained by a scenario stands with it, unless there is more than one such.
            whose = part.origin if kin[part.origin, part.phase] == 1 else part.scenario
            label = f"{part.algorithm} ({_name(whose)})"
        if part.phase in columns[label]:  # of equal names in several files
            label = f"{part.algorithm} ({part.scenario})"
        columns[label][part.phase] = part
    found = [Column(label, parts_of) for label, parts_of in columns.items()]
    return sorted(found, key=lambda column: column.algorithm.casefold())


def _name(scenario: str) -> str:
    return scenario.rpartition("::")[2]


def _parts(runs: Sequence[Run]) -> list[Part]:
    """Join the runs' trials by scenario; a trial that several runs hold counts once, the newest."""
    newest: dict[tuple[str, int], tuple[Record, Run]] = {}
    for run in runs:
        for record in run.records:
            key = record.nodeid, record.attempt
            if key not in newest or record.started >= newest[key][0].started:
                newest[key] = record, run
    parts: dict[str, Part] = {}
    for record, run in newest.values():
        part = parts.setdefault(record.scenario, Part(record.scenario))
        _check_same(part, record)
        part.records.append(record)
        if record.device:  # empty where nobody lived to tell
            machine = {**machine_of(run.data), "device": record.device}
            part.machines.add(json.dumps(machine, sort_keys=True))
    return [parts[name] for name in sorted(parts)]


def _check_same(part: Part, record: Record) -> None:
    known = next((r.digest for r in part.records if r.digest), record.digest)
    if record.digest and known != record.digest:
        raise A2PerfError(
            f"{part.scenario}: the runs hold different versions of this scenario, whose trials are "
            "no one sample; name the run that counts"
        )
