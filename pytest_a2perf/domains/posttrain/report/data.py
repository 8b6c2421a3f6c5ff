"""What a report says, as plain data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = [
    "Activity", "Certainty", "Claim", "Compliance", "Entry", "Evidence", "Failure", "Gain",
    "Report", "Route", "RouteName",
]  # fmt: skip

RouteName = Literal[
    "SFT", "RL", "SFT+RL", "rejection sampling", "best-of-n distillation", "prompt/format only",
    "copy", "random", "placeholder/missing",
]  # fmt: skip
Certainty = Literal["seen", "code", "guess"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why something is said.

    Attributes:
        what: what it shows, in words.
        where: ``code/train.py:12``, ``submission 3``, ``agent.log:40``, ``process`` or ``calls``.
        quote: the line itself, shortened; the agent may have written it, so it is only quoted.
    """

    what: str
    where: str
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """How a model was made.

    Attributes:
        name: the class.
        method: of RL: ``GRPO``, ``PPO``, ``DPO`` or ``REINFORCE``; else empty.
        certainty: ``seen``: the code does it, was run and took time; ``code``: the code does it,
            but nothing shows that it ran; ``guess``: no code shows it.
        evidence: for it, and what speaks against it.
    """

    name: RouteName
    method: str = ""
    certainty: Certainty = "guess"
    evidence: tuple[Evidence, ...] = ()

    @property
    def label(self) -> str:
        """Name and method, e.g. ``SFT+RL (GRPO)``."""
        return f"{self.name} ({self.method})" if self.method else self.name


@dataclass(frozen=True, slots=True)
class Entry:
    """A submission in the timeline; see `Submission` for what is not explained here.

    Attributes:
        public, public_error: in points; None unless it was scored.
        seconds: that its evaluation took.
        route: of the code at its commit.
        changed: files that differ from the submission before.
        diff: unified, cut off where it is long; empty where nothing changed.
        best: whether it is the one that was chosen.
    """

    number: int
    at: float
    clock: float
    cpu: float
    path: str
    status: str
    reason: str
    artefact: str
    size: int
    commit: str
    repeated: int
    public: float | None
    public_error: float | None
    private: float | None
    seconds: float
    route: Route
    changed: tuple[str, ...] = ()
    diff: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Gain:
    """Improvement of a score over the base model's, in points.

    Attributes:
        base, chosen: scores.
        value: their difference.
        low, high: 95 % interval over items; paired where both have the same items.
        noise: standard deviation of the difference by evaluating again, 0 if evaluation repeats.
        paired: whether the items could be paired.
        success: whether the interval lies above 0.
    """

    base: float
    chosen: float
    value: float
    low: float
    high: float
    noise: float
    paired: bool

    @property
    def success(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Compliance:
    """Whether the agent kept to its mode.

    Attributes:
        mode: ``free``, ``sft`` or ``rl``.
        kept: None where nothing can be told.
        evidence: of what was done against it.
    """

    mode: str
    kept: bool | None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong.

    Attributes:
        kind: in the paper's words where it has any.
        upstream: the word of upstream's run summaries, e.g. ``code_error_runtime``; or empty.
        evidence: for it, as far as it is shown.
        signs: how much evidence there is.
    """

    kind: str
    upstream: str
    evidence: tuple[Evidence, ...]
    signs: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """Time and energy of one kind of activity.

    Attributes:
        name: ``computing``, ``rollouts with services``, ``language model``, ``evaluation`` (the
            agent waits for it) or ``waiting``.
        seconds: by the wall.
        cpu: CPU seconds.
        joules: NaN where nothing tells.
    """

    name: str
    seconds: float
    cpu: float
    joules: float


@dataclass(frozen=True, slots=True)
class Claim:
    """What the agent says of itself.

    Attributes:
        where: e.g. ``reports/summary.jsonl:3``.
        field: e.g. ``score``.
        claimed: in its words.
        found: what the records say; empty where they say nothing.
        agrees: None where it cannot be checked.
    """

    where: str
    field: str
    claimed: str
    found: str
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. Scores are in points, times in seconds, energies in joules.

    Attributes:
        run: see `RunInfo`, as JSON, without the items of scores.
        timeline: one for each submission.
        chosen: number of the submission that counts; 0: none.
        gain: of the private split; None where it was not measured.
        public_gain: of the public split.
        overfit: public gain - private gain: how much of the score was fitting the feedback.
        route: of the run.
        best_route: of the chosen submission.
        compliance: with the mode.
        process: metrics by upstream's definitions; ``corrected``: by ours.
        shape: of the trajectory, see `shape_of`.
        failures: what went wrong.
        activities: time and energy.
        energy: joules and their source.
        claims: of the agent, checked.
        problems: what could not be read or recorded.
        samples: process samples, thinned out.
        schema: of the JSON.
    """

    run: dict[str, Any]
    timeline: tuple[Entry, ...]
    chosen: int
    gain: Gain | None
    public_gain: Gain | None
    overfit: float | None
    route: Route
    best_route: Route | None
    compliance: Compliance
    process: dict[str, Any]
    corrected: dict[str, Any]
    shape: str
    failures: tuple[Failure, ...]
    activities: tuple[Activity, ...]
    energy: dict[str, Any]
    claims: tuple[Claim, ...]
    problems: tuple[str, ...]
    samples: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    schema: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, without NaN."""
        data: dict[str, Any] = _plain(asdict(self))
        for name in ("gain", "public_gain"):
            gain: Gain | None = getattr(self, name)
            if gain is not None:
                data[name]["success"] = gain.success
        return {"schema": data.pop("schema"), **data}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
