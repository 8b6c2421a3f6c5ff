"""A submission: what was handed in, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Score", "Status", "Submission"]

Status = Literal["scored", "rejected", "failed"]
"""It was evaluated; it was not accepted (not loadable, the base model, too large, over quota); or
its evaluation failed by its own fault (crash, time)."""


@dataclass(frozen=True, slots=True)
class Score:
    """An evaluation.

    Attributes:
        value: 0 to 100, higher is better.
        error: standard error of the value, from the items (and repeats, if the judge is noisy).
        items: score of each item, 0 to 1, in the order of the split.
        seconds: that it took.
        extra: further figures, e.g. a table by type, mean length.
    """

    value: float
    error: float
    items: tuple[float, ...] = ()
    seconds: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Score:
        """Return a score from what `dataclasses.asdict` has made of it."""
        return cls(**{**data, "items": tuple(data["items"])})


@dataclass(frozen=True, slots=True)
class Submission:
    """One line of the log.

    Attributes:
        number: from 1.
        at: seconds of the run, time of evaluations left out.
        clock: seconds of the run by the wall.
        path: as the agent named it, inside the workspace.
        artefact: SHA-256 over names and contents of its files; empty if it could not be read.
        size: bytes.
        status: see `Status`.
        reason: why it was rejected or failed; empty otherwise.
        public: what the agent is told; None unless it is scored.
        private: what the verdict rests on, never told to the agent; None until it is measured.
        commit: of the workspace in the shadow repository.
        cpu: CPU seconds that the agent had used.
        repeated: number of an earlier submission with the same artefact, whose score it got; or 0.
    """

    number: int
    at: float
    clock: float
    path: str
    artefact: str
    size: int
    status: Status
    reason: str = ""
    public: Score | None = None
    private: Score | None = None
    commit: str = ""
    cpu: float = 0.0
    repeated: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Submission:
        """Inverse of `to_json`."""
        scores = {
            name: None if data.get(name) is None else Score.from_json(data[name])
            for name in ("public", "private")
        }
        return cls(**{**data, **scores})
