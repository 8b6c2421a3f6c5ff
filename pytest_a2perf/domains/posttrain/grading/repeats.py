"""Evaluation by the harness: any split, several times where the judge is noisy."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

from pytest_a2perf.domains.posttrain.grading.config import Plan
from pytest_a2perf.domains.posttrain.grading.evaluation import (
    EvaluationError,
    Evaluator,
    draw_seed,
    score_of,
)
from pytest_a2perf.domains.posttrain.grading.submission import Score
from pytest_a2perf.domains.posttrain.tasks.base import Split

__all__ = ["measure"]

_TRIES = 2


def measure(plan: Plan, artefact: Path, split: Split, repeats: int = 1) -> Score:
    """Evaluate an artefact several times, each with a seed of its own.

    Args:
        plan: see `Plan`.
        artefact: folder.
        split: see `Split`.
        repeats: at least 1.

    Returns:
        The means of value and items; ``extra`` is that of the first evaluation, and has all values
        as ``repeats`` if there are several.

    Raises:
        EvaluationError: an evaluation failed twice.
        InfraError: the evaluator cannot be started.
    """
    evaluator = Evaluator(plan)
    scores: list[Score] = []
    for _ in range(repeats):
        items = len(scores[0].items) if scores else 0
        scores.append(_evaluated(evaluator, artefact, split, items))
    first = scores[0]
    if repeats == 1:
        return first
    values = [score.value for score in scores]
    means = tuple(map(statistics.fmean, zip(*(score.items for score in scores), strict=True)))
    of_items = score_of(means, 0.0, {}).error
    if "error" in first.extra:  # the values are no means of items
        of_items = statistics.fmean(score.error for score in scores)
    return Score(
        value=statistics.fmean(values),
        # Of the items, and of the judge, whose noise the repeats average out.
        error=math.hypot(of_items, statistics.stdev(values) / math.sqrt(repeats)),
        items=means,
        seconds=sum(score.seconds for score in scores),
        extra={**first.extra, "repeats": values},
    )


def _evaluated(evaluator: Evaluator, artefact: Path, split: Split, items: int) -> Score:
    for attempt in range(1, _TRIES + 1):
        try:
            return evaluator.evaluate(artefact, split, draw_seed(), items=items)
        except EvaluationError:
            if attempt == _TRIES:
                raise
    raise AssertionError
