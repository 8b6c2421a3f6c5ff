"""Attempts at the cases of a scenario: those that were made, and those that were not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_a2perf.metrics.success import attempts_of
from pytest_a2perf.runs.record import Record
from pytest_a2perf.trials.plan import case_and_seed

__all__ = ["STATUSES", "UNKNOWN", "Attempt", "Status", "attempts_at"]

Status = Literal["solved", "failed", "error", "timeout", "infra", "not_run", "unjudged"]
STATUSES: tuple[Status, ...] = (
    "solved", "failed", "error", "timeout", "infra", "not_run", "unjudged",
)  # fmt: skip

UNKNOWN = "unknown"
"""The row of cases of which no trial lived to tell what they are."""


@dataclass(frozen=True)
class Attempt:
    """One trial of a case, with all its tries.

    Attributes:
        nodeid: of its item.
        case: id of its case.
        id: the scenario's, which may stand behind several cases.
        run: number of the attempt, from 1 on.
        row: what its result is summed up with.
        facts: what is known of the case, see `note_case`.
        records: of all its tries, in order; more than one only where another plugin repeats them.
    """

    nodeid: str
    case: str
    id: str
    run: int
    row: str
    facts: Mapping[str, Any]
    records: tuple[Record, ...]

    @property
    def record(self) -> Record | None:
        """The try that counts: the first that says something about the agent, else the last.

        So that nothing is gained by trying until it works, unless it was nobody's fault.
        """
        telling = (one for one in self.records if one.outcome not in ("infra", "not_run"))
        return next(telling, self.records[-1] if self.records else None)

    @property
    def status(self) -> Status:
        """What came of it."""
        record = self.record
        match record.outcome if record else "not_run":
            case "error" | "timeout" | "infra" | "not_run" as outcome:
                return outcome
        judged = attempts_of(record) if record else None
        return "unjudged" if not judged else "solved" if all(judged) else "failed"

    @property
    def success(self) -> bool | None:
        """Whether the agent has solved it; None: it says nothing about the agent."""
        status = self.status
        return None if status in ("infra", "not_run", "unjudged") else status == "solved"


def attempts_at(records: Sequence[Record], planned: Iterable[str]) -> list[Attempt]:
    """Return all attempts that were planned, whatever has become of them.

    Args:
        records: of one scenario.
        planned: node ids of its trials.
    """
    tries: dict[str, list[Record]] = {nodeid: [] for nodeid in planned}
    for record in records:
        tries.setdefault(record.nodeid, []).append(record)
    facts: dict[str, Mapping[str, Any]] = {}
    for record in records:
        if "row" in record.context:
            facts.setdefault(record.case, record.context)
    attempts = []
    for nodeid, found in tries.items():
        case, seed = case_and_seed(nodeid)
        known = facts.get(case, {})
        attempts.append(
            Attempt(
                nodeid,
                case,
                str(known.get("scenario", case)),
                int(known.get("run_number", seed + 1)),
                str(known.get("row", UNKNOWN)),
                known,
                tuple(sorted(found, key=lambda record: record.attempt)),
            )
        )
    return attempts


def count(attempts: Iterable[Attempt]) -> Counter[Status]:
    """Return how many attempts ended in which way."""
    return Counter(attempt.status for attempt in attempts)
