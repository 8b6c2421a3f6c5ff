"""The command ``table``: A2Perf's tables of stored runs as text, or inside a document."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.metrics.base import Definition
from pytest_a2perf.reports.a2perf.build import tables_of
from pytest_a2perf.reports.a2perf.columns import Run, read_run, runs_named
from pytest_a2perf.reports.a2perf.html import html
from pytest_a2perf.reports.a2perf.latex import latex
from pytest_a2perf.reports.a2perf.markdown import markdown
from pytest_a2perf.suggest import did_you_mean
from pytest_a2perf.units import format_value

__all__ = ["FORMATS", "render", "replace_marked"]

FORMATS = {"markdown": markdown, "latex": latex, "html": html}

_START = re.compile(r"^[ \t]*<!-- table: (?P<name>\S+) -->[ \t]*$", re.MULTILINE)
_END = re.compile(r"^[ \t]*<!-- end -->[ \t]*$", re.MULTILINE)


def render(
    folder: Path,
    names: Sequence[str],
    style: str,
    definition: Definition,
    command: Sequence[str],
) -> tuple[str, list[str]]:
    """Return the tables of runs as text, and what is missing of the runs, in words.

    Args:
        folder: holds the runs.
        names: of runs, see `runs_named`.
        style: one of `FORMATS`.
        definition: of the metrics.
        command: arguments of this command, which stand below the tables.

    Raises:
        A2PerfError: there is no such run, or its trials have no table.
    """
    runs = [read_run(path) for path in runs_named(folder, names)]
    lines = [f"Written by: python -m pytest_a2perf {_without_folders(command)}"]
    lines += [_provenance(run) for run in runs]
    problems = [problem for run in runs for problem in run.problems]
    text = FORMATS[style](tables_of(runs, definition), [*lines, *problems])
    return text, problems


def _provenance(run: Run) -> str:
    """Say when, how and on what a run was made, without names of folders and hosts."""
    return "; ".join(_facts(run.id, run.data))


def _facts(name: str, data: Mapping[str, Any]) -> Iterator[str]:
    yield f"Run {name} of {str(data.get('started', ''))[:10]}"
    yield f"pytest {_without_folders(data.get('arguments') or ())}".strip()
    git = data.get("git") or {}
    if git.get("commit"):
        yield f"commit {str(git['commit'])[:8]}{'*' * bool(git.get('dirty'))}"
    versions = {"Python": data.get("python"), **(data.get("versions") or {})}
    yield ", ".join(f"{package} {version}" for package, version in versions.items() if version)
    machine = f"{data.get('cpu') or 'CPU'} x {data.get('cores')}"
    if data.get("memory"):
        machine += f", {format_value(float(data['memory']), 'B')} of memory"
    yield ", ".join([machine, *map(str, data.get("gpus") or ())])


def _without_folders(arguments: Sequence[str]) -> str:
    """Join arguments; of an absolute path only its last part says anything elsewhere."""
    return shlex.join(re.sub(r"(^|=)/(?:[^/\s]+/)*(?=[^/\s])", r"\1", one) for one in arguments)


def replace_marked(document: Path, name: str, text: str) -> None:
    """Put text between ``<!-- table: NAME -->`` and the next ``<!-- end -->`` of a document.

    What stood there is replaced, so that the same text leaves the same document.

    Raises:
        A2PerfError: a marker is missing, or stands twice.
        OSError: the document cannot be read or written.
    """
    try:
        whole = document.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise A2PerfError(f"{document}: not UTF-8: {error}") from None
    starts = [found for found in _START.finditer(whole) if found["name"] == name]
    if len(starts) != 1:
        known = [found["name"] for found in _START.finditer(whole)]
        what = "stands twice" if starts else f"is missing{did_you_mean(name, known)}"
        raise A2PerfError(f"{document}: the marker <!-- table: {name} --> {what}")
    start = starts[0].end()
    end = _END.search(whole, start)
    following = _START.search(whole, start)
    if end is None or (following is not None and following.start() < end.start()):
        raise A2PerfError(f"{document}: <!-- table: {name} --> has no <!-- end --> after it")
    new = f"{whole[:start]}\n\n{text.strip()}\n\n{whole[end.start() :]}"
    if new != whole:
        draft = document.with_name(f".{document.name}.draft")
        draft.write_text(new, encoding="utf-8")
        draft.replace(document)
