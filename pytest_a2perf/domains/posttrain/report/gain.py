"""Improvement as a report shows it, also where the two scores cannot be paired."""

from __future__ import annotations

import math

from pytest_a2perf.domains.posttrain.grading.improvement import improvement, judge_error
from pytest_a2perf.domains.posttrain.grading.submission import Score
from pytest_a2perf.domains.posttrain.report.data import Gain

__all__ = ["gain_of"]

_Z = 1.959964


def gain_of(base: Score, chosen: Score, noise: float = 0.0) -> Gain:
    """Return how much better a model is than the base model, in points.

    See `improvement`; where the items are not the same in number, or are not known, the interval
    is normal, from the standard errors of both and the noise.

    Args:
        base: of the base model.
        chosen: of the other.
        noise: standard deviation of a score that is measured again, in points; see `judge_error`.
    """
    value = chosen.value - base.value
    if len(base.items) == len(chosen.items) > 1:
        found = improvement(base, chosen, noise)
        return Gain(
            base.value, chosen.value, value, found.low, found.high, found.noise, paired=True
        )
    judged = math.hypot(judge_error(base, noise), judge_error(chosen, noise))
    error = math.hypot(base.error, chosen.error, judged)
    reach = _Z * error
    return Gain(base.value, chosen.value, value, value - reach, value + reach, judged, paired=False)
