"""What a run was, as its ``run.json`` says: written at its start, and again at its end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Ended", "RunInfo"]

Ended = Literal["", "finished", "crashed", "cpu", "wall", "memory", "disk", "interrupted"]
"""How the agent ended: not yet, by itself (exit status 0 or not), or by a limit of its budget."""


@dataclass(slots=True)
class RunInfo:
    """What a run was.

    Attributes:
        task, level, stands_for, metric, noise: of the task, see `Task`.
        agent: as the scenario names it; ``driver``: the language model behind it, if any.
        mode: ``free``, ``sft`` (no reward is offered) or ``rl`` (no demonstrations are).
        seed: of the trial.
        budget: see `Budget`, as JSON.
        sandbox: name and details; ``isolated`` is False where the agent could reach everything.
        revision: commit of the workspace before the agent began.
        base_name: of the base model.
        base_public, base_private: scores of the base model, see `Score`, as JSON.
        started: wall-clock time, ISO 8601.
        seconds: that the agent ran, evaluations left out; ``clock``: by the wall, all in all.
        cpu: CPU seconds of the agent.
        energy: joules, and where they come from; None where nothing can tell.
        tokens, dollars: of language models, as far as they went through the harness or the agent
            reported them.
        ended: see `Ended`; ``status``: exit status.
        left: processes that the agent left behind and that were ended.
        events: what else happened, in words, with the second at which it did.
    """

    task: str
    level: int
    stands_for: str
    metric: str
    noise: float
    agent: str
    driver: str = ""
    mode: str = "free"
    seed: int = 0
    budget: dict[str, Any] = field(default_factory=dict)
    sandbox: dict[str, str] = field(default_factory=dict)
    isolated: bool = True
    revision: str = ""
    base_name: str = ""
    base_public: dict[str, Any] | None = None
    base_private: dict[str, Any] | None = None
    started: str = ""
    seconds: float = 0.0
    clock: float = 0.0
    cpu: float = 0.0
    energy: dict[str, Any] | None = None
    tokens: dict[str, int] = field(default_factory=dict)
    dollars: float | None = None
    ended: Ended = ""
    status: int | None = None
    left: int = 0
    events: list[tuple[float, str]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write it whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> RunInfo:
        """Read what `write` has written."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
