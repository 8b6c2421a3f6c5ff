"""From stored runs to reports: the command ``gaia2``, and what is said at the end of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_a2perf.domains.assistant.gaia2.are import are_lines, are_statistics
from pytest_a2perf.domains.assistant.gaia2.attempts import Attempt, attempts_at
from pytest_a2perf.domains.assistant.gaia2.groups import PHASE
from pytest_a2perf.domains.assistant.gaia2.statistics import Report, report_of
from pytest_a2perf.domains.assistant.gaia2.submission import write_submission
from pytest_a2perf.domains.assistant.gaia2.text import report_lines, success_lines
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.runs.merge import Merged, merge
from pytest_a2perf.runs.plan import read_plan
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import find_run, has_ended

__all__ = ["Reading", "read_reports", "render", "submit", "summarise", "write_json"]

_DOMAIN = "assistant"


@dataclass(frozen=True)
class Reading:
    """Reports of stored runs.

    Attributes:
        reports: one of each scenario, or one of all.
        runs: folders of the runs.
        problems: what is missing of them, in words.
    """

    reports: tuple[Report, ...]
    runs: tuple[Path, ...]
    problems: tuple[str, ...]


def read_reports(folder: Path, names: Sequence[str], scenario: str, *, join: bool) -> Reading:
    """Sum up stored runs.

    Args:
        folder: holds the runs.
        names: ids or folders of runs; shards of one run count as one.
        scenario: only scenarios with this text in their id.
        join: all scenarios together, as those of a submission.

    Raises:
        A2PerfError: there is no such run, or no such scenario in them.
    """
    runs = list(dict.fromkeys(find_run(folder, name) for name in names))
    attempts: dict[str, list[Attempt]] = {}
    problems: list[str] = []
    for merged in _merged(runs):
        problems += merged.problems
        for name, found in _scenarios(merged):
            if scenario in name:
                label = name if len(runs) == 1 else f"{merged.runs[0].name}: {name}"
                attempts[label] = found
    if not attempts:
        where = ", ".join(run.name for run in runs)
        raise A2PerfError(f"{where}: no scenario of the domain {_DOMAIN!r} with {scenario!r}")
    problems += [f"run {run.name} did not come to its end" for run in runs if not has_ended(run)]
    if join:
        attempts = {", ".join(attempts): [one for found in attempts.values() for one in found]}
    reports = tuple(report_of(name, found) for name, found in attempts.items())
    return Reading(reports, tuple(runs), tuple(problems))


def render(reading: Reading, layout: str) -> str:
    """Return reports as text: our own, or that of Meta's package (``are``)."""
    blocks = []
    for report in reading.reports:
        if layout == "are":
            lines = are_lines(are_statistics(report), report.tries)
        else:
            lines = report_lines(report)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def write_json(reading: Reading, path: Path) -> None:
    """Write reports as JSON.

    Raises:
        OSError: the file cannot be written.
    """
    data = {
        "schema": 1,
        "runs": [run.name for run in reading.runs],
        "problems": list(reading.problems),
        "reports": [report.to_json() for report in reading.reports],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def submit(reading: Reading, folder: Path) -> list[str]:
    """Write the folder of a submission; return what is missing of a whole one, in words.

    Raises:
        A2PerfError: there are several reports, or see `write_submission`.
        OSError: a file cannot be written.
    """
    if len(reading.reports) > 1:
        names = ", ".join(report.name for report in reading.reports)
        raise A2PerfError(f"several scenarios: {names}; choose one with --scenario, or --join them")
    return write_submission(reading.reports[0], folder, reading.runs)


def summarise(
    scenario_id: str, records: Sequence[Record], run: Path, sources: Sequence[Path]
) -> Iterator[str]:
    """Sum up a scenario at the end of its run; in phase ``gaia2``, write the submission.

    Args:
        scenario_id: of the scenario.
        records: of its trials.
        run: folder of the run.
        sources: folders of the runs whose trials they are.

    Raises:
        A2PerfError: see `write_submission`.
        OSError: a file cannot be written.
    """
    planned = [nodeid for nodeid, owner in read_plan(run).trials.items() if owner == scenario_id]
    report = report_of(scenario_id, attempts_at(records, planned))
    yield from success_lines(report)
    if report.phase == PHASE:
        folder = run / "gaia2" / re.sub(r"[^A-Za-z0-9_.+-]+", "_", scenario_id)
        problems = write_submission(report, folder, sources)
        yield f"  submission: {folder}"
        yield from (f"  incomplete: {problem}" for problem in problems)


def _merged(runs: Sequence[Path]) -> Iterator[Merged]:
    """Yield runs, shards as the one that they are parts of."""
    shards = [run for run in runs if read_plan(run).shard]
    if shards:
        yield merge(shards)
    for run in runs:
        if run not in shards:
            yield merge([run])


def _scenarios(merged: Merged) -> Iterator[tuple[str, list[Attempt]]]:
    """Yield the scenarios of this domain in a run."""
    records: dict[str, list[Record]] = {}
    for record in merged.records:
        records.setdefault(record.scenario, []).append(record)
    for name, found in records.items():
        if any(record.domain == _DOMAIN for record in found):
            planned = [nodeid for nodeid, owner in merged.plan.trials.items() if owner == name]
            yield name, attempts_at(found, planned)
