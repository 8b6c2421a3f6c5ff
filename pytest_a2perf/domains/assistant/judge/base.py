"""What all judges have in common: they judge turn by turn, and stop at the first rejection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from pytest_a2perf.domains.assistant.judge.calls import turns_of
from pytest_a2perf.domains.assistant.judge.oracle import Oracle
from pytest_a2perf.domains.assistant.judge.verdict import TurnVerdict, Verdict
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.world.happening import Happening

__all__ = ["Judge"]


class Judge(ABC):
    """Judges one run, against what the oracle did.

    Args:
        trace: the scenario.
        oracle_log: what happened when the oracle ran.

    Attributes:
        oracle: what has to happen.

    Raises:
        TraceError: the scenario cannot be judged; says why.
    """

    def __init__(self, trace: Trace, oracle_log: Sequence[Happening]) -> None:
        self.oracle = Oracle(trace, oracle_log)
        self._verdicts: list[TurnVerdict] = []

    @property
    def turns(self) -> int:
        """How many turns there are."""
        return len(self.oracle.turns)

    def judge_turn(self, turn: int, log: Sequence[Happening]) -> TurnVerdict:
        """Judge a turn; turns are judged once each, in their order.

        Args:
            turn: from 0.
            log: all that has happened so far, also in other turns.

        Raises:
            InfraError: free texts differ, and there is no model to compare them, or it is out of
                order.
            ValueError: it is another turn's turn.
        """
        if turn != len(self._verdicts):
            raise ValueError(f"turn {len(self._verdicts)} is to be judged next, not {turn}")
        cut = turns_of(log)
        reason, matched = self._judge(turn, cut[turn] if turn < len(cut) else [])
        return self._add(reason, matched)

    def judge(self, log: Sequence[Happening]) -> Verdict:
        """Judge what has not been judged yet of a run that is over, and say what became of it.

        Raises:
            InfraError: see `judge_turn`.
        """
        ended = len(turns_of(log)) - 1
        while len(self._verdicts) < self.turns and all(one.success for one in self._verdicts):
            turn = len(self._verdicts)
            if turn >= ended and turn < self.turns - 1:
                self._add("the agent did not end it with a message to the user", {})
            else:
                self.judge_turn(turn, log)
        last = self._verdicts[-1]
        return Verdict(last.success, last.rationale, tuple(self._verdicts))

    @abstractmethod
    def _judge(self, turn: int, happened: list[Happening]) -> tuple[str | None, dict[str, str]]:
        """Return why a turn is rejected, or None, and what has been matched.

        Args:
            turn: from 0.
            happened: what happened in it, of what counts.
        """

    def _add(self, reason: str | None, matched: dict[str, str]) -> TurnVerdict:
        turn = f"turn {len(self._verdicts) + 1} of {self.turns}"
        rationale = f"{turn} accepted" if reason is None else f"{turn} rejected: {reason}"
        self._verdicts.append(TurnVerdict(reason is None, rationale, matched))
        return self._verdicts[-1]
