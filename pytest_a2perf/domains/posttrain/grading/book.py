"""What the service knows: all submissions, those under way, and what is left; on the disk first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.log import Head, Log
from pytest_a2perf.domains.posttrain.grading.submission import Submission

__all__ = ["Book", "Taken", "best_of"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A submission that is copied, checked and waits to be evaluated; see `Submission`."""

    number: int
    at: float
    clock: float
    path: str
    artefact: str
    size: int
    commit: str
    cpu: float
    gpu: str = ""


class Book:
    """Two logs: the submissions, and a journal of what happens before and around them.

    Args:
        files: of the run; what earlier processes wrote is read.

    Raises:
        LogError: a log is broken.
        OSError: a log cannot be opened.

    Attributes:
        submissions: by number.
        taken: by number; those that were taken and have no line yet.
        last: seconds by the wall at which the last evaluation ended; None if none has.
    """

    def __init__(self, files: RunFiles) -> None:
        self._log = Log(files.submissions)
        self._journal = Log(files.grading / "journal.jsonl")
        self.submissions: dict[int, Submission] = {}
        self.taken: dict[int, Taken] = {}
        self.last: float | None = None
        for entry in self._log.entries:
            submission = Submission.from_json(entry)
            self.submissions[submission.number] = submission
        for entry in self._journal.entries:
            self._follow(entry)
        for number in self.submissions:
            self.taken.pop(number, None)
        self._next = max([0, *self.submissions, *self.taken]) + 1

    @property
    def head(self) -> Head:
        """Where the log of submissions stands."""
        return self._log.head

    def next_number(self) -> int:
        """Return the number of a new submission."""
        self._next += 1
        return self._next - 1

    def note(self, kind: str, **data: Any) -> None:
        """Write a line of the journal.

        Raises:
            OSError: the disk refuses.
        """
        entry = {"kind": kind, **data}
        self._journal.append(entry)
        self._follow(entry)

    def take(self, taken: Taken) -> None:
        """Write down that a submission waits.

        Raises:
            OSError: the disk refuses.
        """
        self.note("taken", **asdict(taken))

    def add(self, submission: Submission) -> None:
        """Write down a submission.

        Raises:
            OSError: the disk refuses.
        """
        self._log.append(submission.to_json())
        self.submissions[submission.number] = submission
        self.taken.pop(submission.number, None)

    def scored(self, digest: str) -> Submission | None:
        """Return the first submission of an artefact that has a score."""
        same = (one for one in self._in_order() if one.artefact == digest and one.public)
        return next(same, None)

    def used(self) -> int:
        """Return how many submissions count against the quota: evaluated by their own fault."""
        done = sum(
            one.status in ("scored", "failed") and not one.repeated
            for one in self.submissions.values()
        )
        return done + len(self.taken)

    def best(self) -> Submission | None:
        """Return the submission with the best public score; of equal ones, the first."""
        return best_of(self._in_order())

    def close(self) -> None:
        """Close the logs."""
        self._log.close()
        self._journal.close()

    def _in_order(self) -> Iterator[Submission]:
        return (self.submissions[number] for number in sorted(self.submissions))

    def _follow(self, entry: dict[str, Any]) -> None:
        if entry["kind"] == "taken":
            taken = Taken(**{name: value for name, value in entry.items() if name != "kind"})
            self.taken[taken.number] = taken
        elif entry["kind"] == "evaluated":
            self.last = entry["clock"]


def best_of(submissions: Iterable[Submission]) -> Submission | None:
    """Return the submission with the best public score; of equal ones, the first."""
    best = None
    for one in submissions:
        if one.public and (best is None or not best.public or one.public.value > best.public.value):
            best = one
    return best
