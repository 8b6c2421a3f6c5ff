"""Where everything of a run lies: what the agent sees, and what it must never see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["RunFiles"]


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The folder of a run, on the host.

    Attributes:
        root: the trial's folder.
    """

    root: Path

    @property
    def workspace(self) -> Path:
        """The agent's folder; ``/workspace`` inside the sandbox. All else is outside of it."""
        return self.root / "workspace"

    @property
    def grading(self) -> Path:
        """Log and kept artefacts of the grading service."""
        return self.root / "grading"

    @property
    def submissions(self) -> Path:
        """The service's log: a `Submission` a line, chained by hashes."""
        return self.grading / "submissions.jsonl"

    @property
    def socket(self) -> Path:
        """Folder with the service's unix socket; seen inside as ``/run/grader``."""
        return self.root / "socket"

    @property
    def shadow(self) -> Path:
        """Repository of the workspace's revisions; a bare git folder."""
        return self.root / "revisions.git"

    @property
    def process(self) -> Path:
        """Samples of what the agent's processes use, a JSON object a line."""
        return self.root / "process.jsonl"

    @property
    def calls(self) -> Path:
        """Calls of the task's services and of language models, a JSON object a line."""
        return self.root / "calls.jsonl"

    @property
    def output(self) -> Path:
        """What the agent wrote to stdout and stderr."""
        return self.root / "agent.log"

    @property
    def about(self) -> Path:
        """What the run was: task, agent, budget, sandbox, baseline, how it ended; see `RunInfo`."""
        return self.root / "run.json"

    @property
    def report(self) -> Path:
        """The report as JSON; ``report.md`` and ``report.html`` stand beside it."""
        return self.root / "report.json"
