"""Writing a run's reports, and ``python -m pytest_a2perf posttrain RUN``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.report.analyse import analyse
from pytest_a2perf.domains.posttrain.report.data import Report
from pytest_a2perf.domains.posttrain.report.figures import trajectory_file
from pytest_a2perf.domains.posttrain.report.page import page
from pytest_a2perf.domains.posttrain.report.text import lines_of, markdown
from pytest_a2perf.errors import A2PerfError

__all__ = ["find_runs", "report_command", "write_reports"]


def write_reports(files: RunFiles) -> Report:
    """Analyse a run and write ``report.json``, ``report.md``, ``report.html``, and in ``reports``
    the plot and the metrics that upstream writes there.

    Nothing is written into the workspace, which is the agent's.

    Raises:
        A2PerfError: the folder holds no run.
        OSError: a file cannot be written.
    """  # noqa: D205 - one sentence
    report = analyse(files)
    figures = files.root / "reports" / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    texts = {
        files.report: json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n",
        files.report.with_suffix(".md"): markdown(report),
        files.report.with_suffix(".html"): page(report),
        files.root / "reports" / "metrics.json": json.dumps(report.process, indent=2) + "\n",
        figures / "score_trajectory.svg": trajectory_file(report),
    }
    for path, text in texts.items():
        part = path.with_name(path.name + ".part")
        # Names of files may hold bytes that are no text at all.
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
        part.replace(path)
    return report


def find_runs(folder: Path) -> list[RunFiles]:
    """Return the runs in a folder: itself, or those of the trials below it."""
    found = []
    for root, folders, _ in os.walk(folder):
        files = RunFiles(Path(root))
        if files.grading.is_dir():
            found.append(files)
            folders.clear()  # what looks like a run in the agent's folder is the agent's work
        folders.sort()
    return found


def report_command(folder: Path) -> int:
    """Rebuild and print the reports of the runs in a folder; return an exit status."""
    runs = find_runs(folder)
    if not runs:
        print(f"posttrain: {folder}: holds no run of this domain", file=sys.stderr)  # noqa: T201
        return 1
    status = 0
    for files in runs:
        try:
            report = write_reports(files)
        except Exception as error:  # noqa: BLE001 - what one run holds must not hide the others
            expected = isinstance(error, A2PerfError | OSError)
            told = error if expected else f"{files.root}: {type(error).__name__}: {error}"
            print(f"posttrain: {told}", file=sys.stderr)  # noqa: T201
            status = 1
            continue
        for line in lines_of(report):
            print(line)  # noqa: T201 - a command's output
        print(f"  {files.report.with_suffix('.html')}")  # noqa: T201
    return status
