"""What a judge says."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["TurnVerdict", "Verdict"]


@dataclass(frozen=True)
class TurnVerdict:
    """What became of one turn of the agent.

    Attributes:
        success: whether the agent did in it what the oracle did.
        rationale: why, or why not, in words.
        matched: ids of the agent's happenings, and the oracle's events they stand for.
    """

    success: bool
    rationale: str = ""
    matched: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What became of a whole run.

    Attributes:
        success: whether every turn was accepted.
        rationale: why, or why not, in words; of a rejected run, that of the first rejected turn.
        turns: the verdicts of the turns that were judged; nothing is judged after a rejection.
        notes: what the judge had to assume, or could not see.
    """

    success: bool
    rationale: str
    turns: tuple[TurnVerdict, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def matched(self) -> dict[str, str]:
        """Ids of the agent's happenings, and the oracle's events they stand for."""
        return {agent: event for turn in self.turns for agent, event in turn.matched.items()}
