"""Reading a run's folder, whatever state a kill or a full disk has left it in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypedDict

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.log import LogError, read_submissions
from pytest_a2perf.domains.posttrain.grading.submission import Score, Submission
from pytest_a2perf.domains.posttrain.info import RunInfo
from pytest_a2perf.domains.posttrain.recording.git import GitError
from pytest_a2perf.domains.posttrain.recording.monitor import Sample
from pytest_a2perf.domains.posttrain.recording.shadow import Blob, ShadowRepository
from pytest_a2perf.domains.posttrain.report.fits import fits, misfits
from pytest_a2perf.errors import A2PerfError

__all__ = ["CODE", "Revisions", "Run", "read_run", "score_of"]

CODE = (".py", ".ipynb", ".sh", ".bash", ".yaml", ".yml")
"""Endings of files that routes are read from."""

_HEAD, _TAIL = 500_000, 2_000_000
_MOST_LINES = 200_000
_MOST_TEXT = 400_000
_MOST_FILES = 300
_EVALUATED = "evaluated"


class _Call(TypedDict, total=False):
    """What is used of a call."""

    clock: float
    seconds: float | None
    calls: int


class _Evaluated(TypedDict, total=False):
    """What is used of a line of the journal."""

    number: int
    clock: float


class _Extra(TypedDict, total=False):
    """What is used of a score's further figures."""

    repeats: list[float]


@dataclass(frozen=True)
class Run:
    """What is left of a run.

    Attributes:
        files: where it is.
        info: as it was written last.
        submissions: by number.
        samples: of processes, see `Sample`, as JSON.
        calls: of services and language models.
        evaluated: number of a submission -> second by the wall at which its evaluation ended.
        log: what the agent wrote, with its middle left out if it is long.
        revisions: of the workspace.
        agent: text files of the agent's own folder, ``/agent`` inside, by path.
        problems: what could not be read.
    """

    files: RunFiles
    info: RunInfo
    submissions: list[Submission]
    samples: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    evaluated: dict[int, float]
    log: list[str]
    revisions: Revisions
    agent: dict[str, str]
    problems: list[str] = field(default_factory=list)

    @property
    def commands(self) -> list[tuple[float, str]]:
        """Second by the wall and command line of each Python program that was seen to run."""
        return [
            (float(sample["clock"]), str(command))
            for sample in self.samples
            for command in sample.get("commands") or ()
        ]

    @property
    def base_public(self) -> Score | None:
        """The base model's score on the public split."""
        return score_of(self.info.base_public)

    @property
    def base_private(self) -> Score | None:
        """The base model's score on the private split."""
        return score_of(self.info.base_private)


class Revisions:
    """Texts in the commits of a run, read as often as they are asked for but fetched once.

    Args:
        files: of the run.
        problems: is added to where something cannot be read.
    """

    def __init__(self, files: RunFiles, problems: list[str]) -> None:
        self._problems = problems
        self._texts: dict[str, str] = {}
        self._files: dict[str, dict[str, Blob]] = {}
        self._left_out: dict[str, dict[str, str]] = {}
        self._repository: ShadowRepository | None = None
        if files.shadow.is_dir():
            try:
                self._repository = ShadowRepository(files.shadow, files.workspace)
            except A2PerfError as error:
                problems.append(str(error))

    def files(self, commit: str) -> dict[str, Blob]:
        """Return the files of a commit; none where it cannot be read."""
        if commit not in self._files:
            self._files[commit] = {}
            try:
                if self._repository is not None and commit:
                    self._files[commit] = self._repository.files(commit)
            except GitError as error:
                self._problem(f"revision {commit[:12]}: {error}")
        return self._files[commit]

    def texts(self, commit: str, suffixes: tuple[str, ...]) -> dict[str, str]:
        """Return the text files of a commit whose names end so, links left out."""
        wanted = {
            path: blob.hash
            for path, blob in self.files(commit).items()
            if path.endswith(suffixes) and blob.size <= _MOST_TEXT and blob.mode != "120000"
        }
        if len(wanted) > _MOST_FILES:
            self._problem(f"revision {commit[:12]}: {len(wanted)} files of code, not all are read")
            wanted = dict(sorted(wanted.items())[:_MOST_FILES])
        missing = [blob for blob in wanted.values() if blob not in self._texts]
        if self._repository is not None and missing:
            try:
                for blob, content in self._repository.read(missing).items():
                    self._texts[blob] = content.decode("utf-8", errors="replace")
            except GitError as error:
                self._problem(f"revision {commit[:12]}: {error}")
        return {path: self._texts[blob] for path, blob in wanted.items() if blob in self._texts}

    def left_out(self, commit: str) -> dict[str, str]:
        """Return the SHA-256 of files that a commit does not keep, by path."""
        if commit not in self._left_out:
            self._left_out[commit] = {}
            try:
                if self._repository is not None and commit:
                    listed = self._repository.manifest(commit)
                    self._left_out[commit] = {one["path"]: one.get("sha256", "") for one in listed}
            except (GitError, ValueError, LookupError, TypeError) as error:
                self._problem(f"revision {commit[:12]}: {error}")
        return self._left_out[commit]

    def diff(self, before: str, after: str, most: int) -> str:
        """Return the unified difference; empty where there is none to be had."""
        if self._repository is None or not after:
            return ""
        try:
            return self._repository.diff(before, after, most)
        except GitError as error:
            self._problem(f"revision {after[:12]}: {error}")
            return ""

    def head(self) -> str:
        """Return the latest commit; empty where there is none."""
        return "" if self._repository is None else self._repository.head()

    def _problem(self, text: str) -> None:
        if text not in self._problems:
            self._problems.append(text)


def read_run(files: RunFiles) -> Run:
    """Read what is there; what is broken is left out and named in ``problems``.

    Raises:
        A2PerfError: the folder holds no run.
    """
    if not files.about.is_file() and not files.submissions.is_file():
        raise A2PerfError(
            f"{files.root}: holds no run (no {files.about.name}); name a trial's folder"
        )
    problems: list[str] = []
    info = _info(files.about, problems)
    submissions = _submissions(files.submissions, problems)
    if any(one.commit for one in submissions) and not files.shadow.is_dir():
        problems.append(f"{files.shadow.name}: is not there: no code can be read")
    journal = _right_lines(files.grading / "journal.jsonl", problems, _is_journal)
    evaluated = {
        entry["number"]: entry["clock"] for entry in journal if entry.get("kind") == _EVALUATED
    }
    return Run(
        files=files,
        info=info,
        submissions=submissions,
        samples=list(_right_lines(files.process, problems, _is_sample)),
        calls=list(_right_lines(files.calls, problems, _is_call)),
        evaluated=evaluated,
        log=_log(files.output, problems),
        revisions=Revisions(files, problems),
        agent=_agent(files, info),
        problems=problems,
    )


def _agent(files: RunFiles, info: RunInfo) -> dict[str, str]:
    """Return the code of the agent's own, of which the run's folder has a copy, and its start."""
    found = {}
    for folder in (files.root / "agent", files.root / "project"):
        for path in sorted(folder.rglob("*"))[:_MOST_FILES]:
            usable = path.suffix in CODE and path.is_file() and not path.is_symlink()
            if usable and path.stat().st_size <= _MOST_TEXT:
                name = path.relative_to(files.root).as_posix()
                found[name] = path.read_text(encoding="utf-8", errors="replace")
    module, _, function = info.agent.partition(":")
    if info.agent == "reference":
        found["agent (started).sh"] = f"python3 {info.task.rpartition('/')[2]}.py"
    elif function.isidentifier() and all(map(str.isidentifier, module.split("."))):
        call = f"from {module} import {function}\n{function}()"
        found["agent (started).sh"] = f"python3 - <<'END'\n{call}\nEND"
    return found


def score_of(data: Mapping[str, Any] | None) -> Score | None:
    """Return a score from its JSON; None if there is none."""
    if data is None:
        return None
    known = {each.name for each in fields(Score)}
    kept = {name: value for name, value in data.items() if name in known}
    kept.setdefault("error", float("nan"))
    return Score(**{**kept, "items": tuple(kept.get("items") or ())})


def _info(path: Path, problems: list[str]) -> RunInfo:
    data: dict[str, Any] = {}
    try:
        data = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        problems.append(f"{path.name}: cannot be read: {error}")
    wrong = {*misfits(data, RunInfo)}
    if not fits(data.get("budget", {}), dict[str, float | None]):
        wrong.add("budget")
    wrong |= {name for name in ("base_public", "base_private") if not _is_score(data.get(name))}
    problems.extend(f"{path.name}: {name}: is not of its type" for name in sorted(wrong))
    known = {each.name for each in fields(RunInfo)} - wrong
    blank = {"task": "?", "level": 0, "stands_for": "", "metric": "", "noise": 0.0, "agent": "?"}
    return RunInfo(**{**blank, **{name: data[name] for name in data if name in known}})


def _submissions(path: Path, problems: list[str]) -> list[Submission]:
    try:
        read_submissions(path)
    except (LogError, OSError, TypeError) as error:
        problems.append(f"{path.name}: {error}")
    known = {each.name for each in fields(Submission)}
    found: dict[int, Submission] = {}
    for entry in _right_lines(path, problems, _is_submission):
        try:
            one = Submission.from_json({name: entry[name] for name in entry if name in known})
            found[one.number] = one
        except (TypeError, KeyError) as error:
            problems.append(f"{path.name}: not a submission: {error}")
    return [found[number] for number in sorted(found)]


def _is_submission(entry: dict[str, Any]) -> bool:
    scores = (entry.get("public"), entry.get("private"))
    return fits(entry, Submission) and all(map(_is_score, scores))


def _is_score(data: Any) -> bool:
    """Return whether a score can be calculated with; None, which is not known, is right too."""
    if data is None:
        return True
    return fits(data, Score) and "value" in data and fits(data.get("extra", {}), _Extra)


def _is_journal(entry: dict[str, Any]) -> bool:
    if entry.get("kind") != _EVALUATED:
        return True
    return {"number", "clock"} <= entry.keys() and fits(entry, _Evaluated)


def _is_sample(entry: dict[str, Any]) -> bool:
    return {"clock", "cpu"} <= entry.keys() and fits(entry, Sample)


def _is_call(entry: dict[str, Any]) -> bool:
    return "clock" in entry and fits(entry, _Call)


def _right_lines(
    path: Path, problems: list[str], is_right: Callable[[dict[str, Any]], bool]
) -> Iterator[dict[str, Any]]:
    """Yield the lines that hold what they should."""
    wrong = 0
    for entry in _lines(path, problems):
        if is_right(entry):
            yield entry
        else:
            wrong += 1
    if wrong:
        problems.append(f"{path.name}: {wrong} lines have values of wrong types and were left out")


def _lines(path: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines; a last line that was cut off is no problem."""
    if not path.is_file():
        return
    broken = 0
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number >= _MOST_LINES:
                problems.append(f"{path.name}: more than {_MOST_LINES} lines, the rest is not read")
                break
            try:
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry
            except (ValueError, RecursionError):
                broken += line.endswith(b"\n")
    if broken:
        problems.append(f"{path.name}: {broken} lines are not JSON and were left out")


def _log(path: Path, problems: list[str]) -> list[str]:
    """Return lines of the agent's output: its beginning and, of a long one, its end."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_HEAD)
            if size > _HEAD + _TAIL:
                problems.append(f"{path.name}: {size} bytes, its middle is not read")
                file.seek(size - _TAIL)
            tail = file.read(_TAIL)
    except OSError:
        return []
    gap = b"\n...\n" if size > _HEAD + _TAIL else b""
    text = (head + gap + tail).decode("utf-8", errors="replace")
    return [line[:2000] for line in text.split("\n")]
