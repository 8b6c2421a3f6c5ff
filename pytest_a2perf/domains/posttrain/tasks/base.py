"""What a task is: files for the agent, files for the evaluator, and how an artefact is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

__all__ = ["SPLITS", "Budget", "Evaluation", "Materials", "Split", "Task"]

Split = Literal["public", "private"]
"""The public split scores submissions as the agent sees them; the private one decides."""

SPLITS: tuple[Split, ...] = ("public", "private")

Evaluation = tuple[list[float], dict[str, Any]]
"""Score of each item, 0 to 1, and further figures; ``value`` among them replaces the mean."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What an agent may use; None: no limit. Time of evaluations does not count.

    Attributes:
        cpu: CPU seconds of the agent's processes.
        wall: seconds; a safety net where CPU seconds are the budget.
        submissions: scored ones.
        calls: of the task's own service, e.g. a judge or a search tool.
        memory: bytes.
        disk: bytes in the workspace.
        processes: at once.
    """

    cpu: float | None = None
    wall: float | None = None
    submissions: int | None = None
    calls: int | None = None
    memory: int | None = None
    disk: int | None = None
    processes: int | None = 64


@dataclass(frozen=True, slots=True)
class Materials:
    """A task's files on the host, made once and cached by their content.

    Attributes:
        base: folder of the base model.
        base_name: of the base model, as in ``models/<base_name>``.
        visible: folder that the agent sees as ``data``.
        hidden: folder that only evaluators see: one file or folder for each split.
        description: text for the agent (Markdown).
        toolkit: folder with code that agents may import (model, training helpers); on their path.
        digest: of all of it.
    """

    base: Path
    base_name: str
    visible: Path
    hidden: Path
    description: str
    toolkit: Path | None
    digest: str


class Task(Protocol):
    """A task.

    Attributes:
        name: e.g. ``a2perf/arithmetic``.
        level: 1, 2 or 3.
        stands_for: the task of Agent^2 RL-Bench that it stands for, or is.
        metric: what the score is, in words, e.g. ``exact match``.
        noise: standard deviation of the score when the same artefact is evaluated again, in points;
            0 where evaluation is deterministic.
        budget: what an agent gets unless the scenario says otherwise.
        options: pydantic model of what scenarios may set.
        services: names of what the task offers beside grading, e.g. ``judge``, ``search``.
    """

    name: str
    level: Literal[1, 2, 3]
    stands_for: str
    metric: str
    noise: float
    budget: Budget
    services: tuple[str, ...]

    def materials(self, cache: Path) -> Materials:
        """Make base model and data, or find them in the cache; safe for several processes.

        Raises:
            InfraError: they cannot be made here.
        """

    def evaluator(self, split: Split, seed: int) -> Mapping[str, Any]:
        """Return what the evaluator is told: JSON for ``python -m ...posttrain.evaluate``.

        It runs in a sandbox of its own that sees the artefact and the split, both read-only, and
        has no network; see `posttrain.evaluate`.
        """
