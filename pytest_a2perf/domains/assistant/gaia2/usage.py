"""What models have used over several trials; what is not known of all of them is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_a2perf.runs.record import Record

__all__ = ["Sum", "Usage", "usage_of"]

_DIED = ("TrialDied", "WorkerCrash")


@dataclass(frozen=True)
class Sum:
    """A sum over trials.

    Attributes:
        known: over those of which it is known.
        missing: how many others there are.
    """

    known: float
    missing: int

    @property
    def total(self) -> float | None:
        """The sum over all of them; None where it is not known."""
        return None if self.missing else self.known


@dataclass(frozen=True)
class Usage:
    """What one kind of model has used.

    Attributes:
        trials: in which there was one.
        calls: of the model.
        prompt_tokens: of these calls.
        completion_tokens: of these calls.
        cost: in dollars.
    """

    trials: int
    calls: Sum
    prompt_tokens: Sum
    completion_tokens: Sum
    cost: Sum

    @property
    def tokens(self) -> Sum:
        """Of prompts and completions."""
        known = self.prompt_tokens.known + self.completion_tokens.known
        return Sum(known, max(self.prompt_tokens.missing, self.completion_tokens.missing))


def usage_of(records: Sequence[Record], prefix: str) -> Usage:
    """Sum up what the model with this prefix (see `report_usage`) has used, all tries included.

    A trial whose process died can have used anything.
    """
    asked = [record for record in records if f"{prefix}calls" in record.reported]
    died = [
        record
        for record in records
        if asked and record not in asked and (record.error or {}).get("type") in _DIED
    ]

    def total(name: str, known: Callable[[Record], bool] = lambda _: True) -> Sum:
        telling = [r for r in asked if prefix + name in r.reported and known(r)]
        values = [record.reported[prefix + name].value for record in telling]
        return Sum(sum(values), len(asked) + len(died) - len(telling))

    def counted(record: Record) -> bool:
        return f"{prefix}uncounted_calls" not in record.reported

    return Usage(
        len(asked) + len(died),
        total("calls"),
        total("prompt_tokens", counted),
        total("completion_tokens", counted),
        total("cost"),
    )
