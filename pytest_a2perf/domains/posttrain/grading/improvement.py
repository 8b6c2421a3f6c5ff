"""Improvement over the base model, item by item, with its interval."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pytest_a2perf.domains.posttrain.grading.submission import Score
from pytest_a2perf.metrics.intervals import bootstrap
from pytest_a2perf.metrics.weighted import mean

__all__ = ["Improvement", "improvement", "judge_error"]

_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Improvement:
    """By how much a submission is better than the base model, in points.

    Attributes:
        value: the difference.
        low, high: its interval; NaN where there are fewer than two items.
        noise: standard error of the difference that is due to the judge alone.
        items: that both were measured on.
    """

    value: float
    low: float
    high: float
    noise: float
    items: int

    @property
    def success(self) -> bool:
        """Whether it is above evaluation noise."""
        return self.low > 0


def improvement(
    base: Score, ours: Score, noise: float = 0.0, confidence: float = 0.95
) -> Improvement:
    """Compare two scores on the same items.

    The interval is the bootstrap's of the mean paired difference. Where values are no means of
    items (e.g. a length-controlled win rate), it is moved to their difference, and is wider by as
    much as their standard errors are than those of the means. A judge's noise is added to the half
    widths as the root of the sum of squares. Part of it is in the items already, so the interval
    is rather too wide than too narrow. Where items are right or wrong, it reaches 0 unless the
    exact test of McNemar ("Note on the sampling error of the difference between correlated
    proportions", 1947), too, finds a difference: a bootstrap of few changed items is too narrow.

    Args:
        base: of the base model.
        ours: of the submission.
        noise: standard deviation of the score when the same artefact is evaluated again, in points;
            repeats that differ by more count instead.
        confidence: of the two-sided interval.

    Raises:
        ValueError: the items are not the same in number.
    """
    if len(base.items) != len(ours.items):
        raise ValueError(f"{len(base.items)} and {len(ours.items)} items cannot be paired")
    value = ours.value - base.value
    judged = math.hypot(judge_error(base, noise), judge_error(ours, noise))
    n = len(base.items)
    if n < 2:
        return Improvement(value, math.nan, math.nan, judged, n)
    differences = 100 * (np.asarray(ours.items, float) - np.asarray(base.items, float))
    low, high = bootstrap(
        np.split(differences, n), mean, confidence=confidence, key="posttrain.improvement"
    )
    centre = float(differences.mean())
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * judged
    wider = _widening(base, ours)
    low = value - math.hypot(wider * (centre - low), reach)
    high = value + math.hypot(wider * (high - centre), reach)
    if _may_be_chance(differences, (1 - confidence) / 2):
        low, high = min(low, 0.0), max(high, 0.0)
    # What rounding leaves of 0 would be a success.
    return Improvement(value, round(low, _DIGITS), round(high, _DIGITS), judged, n)


def _may_be_chance(differences: np.ndarray, error: float) -> bool:
    """Return whether right and wrong items have changed places no more than coins fall."""
    if not np.isin(differences, (-100.0, 0.0, 100.0)).all():
        return False
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    more, changed = max(gained, lost), gained + lost
    as_many = sum(math.comb(changed, number) for number in range(more, changed + 1))
    return bool(as_many / 2**changed > error)


def _widening(base: Score, ours: Score) -> float:
    """Return by what factor the values' errors exceed those of the means of items."""
    if not all("error" in score.extra for score in (base, ours)):
        return 1.0
    means = [
        100 * np.std(score.items, ddof=1) / math.sqrt(len(score.items)) for score in (base, ours)
    ]
    of_means, of_values = math.hypot(*means), math.hypot(base.error, ours.error)
    return max(1.0, of_values / of_means) if of_means else 1.0


def judge_error(score: Score, noise: float) -> float:
    """Return the standard error of a score that is due to the judge alone, in points.

    Args:
        score: of any number of repeats.
        noise: standard deviation of one repeat, as stated; what repeats show counts if it is more.
    """
    values = score.extra.get("repeats", ())
    shown = statistics.stdev(values) if len(values) > 1 else 0.0
    return max(noise, shown) / math.sqrt(max(1, len(values)))
