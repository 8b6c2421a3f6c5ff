"""Evaluation of one submission, and whose fault it is when that fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic

from pytest_a2perf.domains.posttrain.grading.evaluation import EvaluationError, Evaluator, draw_seed
from pytest_a2perf.domains.posttrain.grading.submission import Score, Status
from pytest_a2perf.errors import InfraError

__all__ = ["UNFIT", "Judge"]

UNFIT = "the grader could not evaluate it, and it does not count: submit it again later"
"""Reason where nothing is wrong with the submission."""

_TRUSTED = 600.0  # seconds for which the evaluator is taken to work after it has
_TRIES = 2


class Judge:
    """Evaluates on the public split.

    When an evaluation fails, the same evaluator is tried on the base model: if that works, the
    submission is at fault; if not, the grader is, and nothing counts.

    Args:
        evaluator: see `Evaluator`.
        base: folder of the base model; None: every failure is the submission's.
        items: that the split has; 0: not known.
        note: is called with the kind of an event and its details.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        base: Path | None,
        items: int,
        note: Callable[[str, str], None],
    ) -> None:
        self._evaluator = evaluator
        self._base = base
        self._items = items
        self._note = note
        self._worked = -_TRUSTED

    def evaluate(self, artefact: Path, gpu: str = "") -> tuple[Status, str, Score | None]:
        """Return status, reason and score."""
        for _ in range(_TRIES):
            try:
                score = self._evaluator.evaluate(
                    artefact, "public", draw_seed(), items=self._items, gpu=gpu
                )
            except EvaluationError as error:
                self._note("evaluation failed", f"{error}\n{error.detail}")
                if error.refused:
                    return "rejected", str(error), None
                if self._works(gpu):
                    return "failed", str(error), None
            except (InfraError, OSError) as error:
                self._note("grader broken", str(error))
            else:
                self._worked = monotonic()
                return "scored", "", score
        return "rejected", UNFIT, None

    def _works(self, gpu: str) -> bool:
        if self._base is None or monotonic() - self._worked < _TRUSTED:
            return True
        try:
            self._evaluator.evaluate(self._base, "public", draw_seed(), items=self._items, gpu=gpu)
        except (EvaluationError, InfraError, OSError) as error:
            self._note("grader broken", f"the base model cannot be evaluated either: {error}")
            return False
        self._worked = monotonic()
        return True
