"""Results of trials, kept by all that determines them, so that the same trial is not run twice.

An entry is a folder named by a hash of the scenario's bytes, the agent and its options, judge,
noise and whatever else bears on the result, the seed, and our version; not of where anything is
written. Code of the user's has no part in it, so the cache is meant for agents that are models.
Only what the judge has decided is kept: what failed for want of a server is tried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import pytest_a2perf
from pytest_a2perf.domains.assistant.keep import HF, LITE
from pytest_a2perf.domains.assistant.stage import Setting
from pytest_a2perf.errors import AgentFailure
from pytest_a2perf.runs.record import Record

__all__ = ["keep_result", "recall_result"]

_RECORD = "record.json"
_OF_NO_MATTER = {
    "cache", "cassette", "config", "ids", "limit", "revision", "split", "subset", "tags",
}  # fmt: skip


def recall_result(setting: Setting) -> bool:
    """Take a result from the cache; return whether there is one.

    The record says that it was cached, and has no readings of meters: nothing was measured.

    Raises:
        AgentFailure: the result is that the agent failed.
    """
    folder = _folder(setting)
    try:
        kept = Record.from_line((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):  # not there, or not whole
        return False
    trial = setting.trial
    for name in (HF, LITE):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(folder / name, trial.folder / name)
    trial.record.episodes = kept.episodes
    trial.record.reported = kept.reported
    trial.note(**kept.context, cached=True)
    if kept.outcome == "failure":
        raise AgentFailure((kept.error or {}).get("message", ""))
    return True


def keep_result(setting: Setting, failure: AgentFailure | None) -> None:
    """Put a result into the cache; an entry is there as a whole or not at all."""
    trial, folder = setting.trial, _folder(setting)
    record = Record(trial.record.scenario, trial.record.nodeid, trial.seed, case=trial.case)
    record.episodes, record.reported = trial.record.episodes, trial.record.reported
    record.context = {
        name: trial.record.context[name]
        for name in ("capability", "config", "ended", "rationale")
        if name in trial.record.context
    }
    record.outcome = "success" if failure is None else "failure"
    if failure is not None:
        record.error = {"type": "AgentFailure", "message": str(failure), "traceback": ""}
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder.parent))
    try:
        (draft / _RECORD).write_text(record.to_line(), encoding="utf-8")
        for name in (HF, LITE):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(trial.folder / name, draft / name)
        with contextlib.suppress(OSError):  # another process has kept the same
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _folder(setting: Setting) -> Path:
    """Return the entry of a trial, which need not exist."""
    scenario = setting.trial.scenario
    content = {
        "version": pytest_a2perf.__version__,
        "case": setting.ref.digest,
        "run": setting.ref.run_number,
        "phase": scenario.phase,
        "agent": scenario.agent,
        "agent_options": scenario.agent_options,
        "options": setting.options.model_dump(mode="json", exclude=_OF_NO_MATTER),
        "seed": setting.trial.seed,
        "scripts": [_digest(path) for path in _scripts(setting)],
    }
    text = json.dumps(content, sort_keys=True, default=str)
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    run = setting.trial.run_folder
    base = run.parent if run.name == "scratch" else run.parent.parent
    return base / "cache" / "assistant" / name


def _scripts(setting: Setting) -> list[Path]:
    """Return the files of calls and checks that the options name."""
    named = (setting.options.judge.script, setting.trial.scenario.agent_options.get("script"))
    return [setting.trial.root / str(name) for name in named if name]


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:  # whoever needs it will say so
        return ""
