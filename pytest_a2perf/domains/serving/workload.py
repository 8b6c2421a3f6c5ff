"""The sessions of a scenario: read or made, checked, cut to the context, written once a trial."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.shipped import SCALES
from pytest_a2perf.scenarios.models import Strict

if TYPE_CHECKING:
    from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["Workload", "WorkloadOptions", "make_workload", "read_sessions"]

_SYNTHETIC_SESSIONS = 64
_SYNTHETIC_SEED = 20_260_612  # everybody replays the same sessions


class WorkloadOptions(Strict):
    """What ``[scenario.options.workload]`` may say."""

    sessions: int | None = Field(
        None, ge=1, description="at most so many; of the synthetic ones exactly so many"
    )
    form: str | None = Field(None, description="format of the files, where it is not recognised")
    context: int | None = Field(
        None,
        ge=256,
        description="tokens at which sessions are cut; default: what the endpoint tells",
    )
    turns: int | None = Field(None, ge=1, description="at most so many turns of each session")


@dataclass(frozen=True, slots=True)
class Workload:
    """Sessions in a file.

    Attributes:
        path: the file.
        name: the task.
        synthetic: whether they are generated, not recorded.
        about: statistics and what was cut, for the record.
    """

    path: Path
    name: str
    synthetic: bool
    about: dict[str, Any]


def read_sessions(task: str, options: WorkloadOptions, root: Path) -> list[Session]:
    """Return the sessions of a task, which are checked.

    Args:
        task: a name of `SCALES`, or a file or folder.
        options: see `WorkloadOptions`.
        root: against which relative paths are resolved.

    Raises:
        TrajectoryError: they cannot be read, or are broken.
    """
    from pytest_a2perf.domains.serving.trajectories.check import check_sessions

    if task in SCALES:
        from pytest_a2perf.domains.serving.trajectories.synthetic import coding_sessions

        count = options.sessions or _SYNTHETIC_SESSIONS
        return list(coding_sessions(count, _SYNTHETIC_SEED, scale=SCALES[task]))
    from pytest_a2perf.domains.serving.trajectories.read import read_trajectories

    found = read_trajectories(root / task, form=options.form)[: options.sessions]
    if not found:
        raise TrajectoryError(f"{task}: there are no sessions")
    check_sessions(found, task)
    return found


def make_workload(
    task: str,
    sessions: Sequence[Session],
    options: WorkloadOptions,
    folder: Path,
    context: int | None,
) -> Workload:
    """Cut sessions to the context, and write them into a trial's folder.

    Args:
        task: see `read_sessions`.
        sessions: that it stands for.
        options: see `WorkloadOptions`.
        folder: of the trial.
        context: most tokens that the endpoint takes, where known.

    Raises:
        TrajectoryError: none fits the context.
    """
    from pytest_a2perf.domains.serving.trajectories.statistics import statistics_of
    from pytest_a2perf.domains.serving.trajectories.store import write_sessions

    most = options.context or context
    kept = list(_cut(sessions, most, options.turns))
    if not kept:
        raise TrajectoryError(f"{task}: no session fits a context of {most} tokens")
    path = folder / "workload.jsonl"
    write_sessions(path, kept)
    synthetic = any(session.source == "synthetic" for session in kept)
    about = {
        "task": task,
        "synthetic": synthetic,
        "sessions": len(kept),
        "left_out": len(sessions) - len(kept),
        "context": most,
        "digest": hashlib.sha256(path.read_bytes()).hexdigest()[:16],
        "statistics": statistics_of(kept),
    }
    return Workload(path, task, synthetic, about)


def _cut(sessions: Iterable[Session], context: int | None, turns: int | None) -> Iterator[Session]:
    from dataclasses import replace

    from pytest_a2perf.domains.serving.trajectories.tokens import estimate_tokens
    from pytest_a2perf.domains.serving.trajectories.truncate import truncate

    for session in sessions:
        cut = session if turns is None else replace(session, turns=session.turns[:turns])
        fitting = cut if context is None else truncate(cut, context, estimate_tokens)
        if fitting is not None:
            yield fitting
