"""Jobs waiting for a worker: in the order of their needs, and of these the longest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pytest_a2perf.scheduling.manifest import Work

__all__ = ["Job", "JobQueue"]


@dataclass(slots=True)
class Job:
    """Items that one worker runs in turn.

    Attributes:
        work: what they have in common.
        items: their places in the collection.
        seconds: how long all of them may take; for the order only.
    """

    work: Work
    items: deque[int]
    seconds: float = 0.0

    @property
    def rank(self) -> tuple[int, int, float, int]:
        """Gates first, since they cost nothing; then trials, the longest first; then tests.

        What others need comes before them all: a worker waits for what was handed out already.
        """
        order = ("gate", "trial", "test").index(self.work.kind)
        return order, self.work.turn, -self.seconds, self.items[0]


class JobQueue:
    """Jobs by target, each in the order of their rank."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._by_target: dict[str, deque[Job]] = {}
        for job in sorted(jobs, key=lambda job: job.rank):
            self._by_target.setdefault(job.work.target, deque()).append(job)

    def __len__(self) -> int:
        return sum(len(jobs) for jobs in self._by_target.values())

    def put_back(self, job: Job) -> None:
        """Return a job that was taken; it is the next of its target."""
        self._by_target.setdefault(job.work.target, deque()).appendleft(job)

    def take(self, suits: Callable[[str], bool]) -> Job | None:
        """Take the first job whose target suits, or None if none does."""
        heads = [jobs[0] for target, jobs in self._by_target.items() if jobs and suits(target)]
        if not heads:
            return None
        job = min(heads, key=lambda job: job.rank)
        return self._by_target[job.work.target].popleft()

    def targets(self) -> set[str]:
        """Return the targets for which jobs wait."""
        return {target for target, jobs in self._by_target.items() if jobs}
