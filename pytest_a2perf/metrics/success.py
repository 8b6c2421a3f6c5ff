"""Success: rate, pass@k and pass^k, with intervals for rates.

* pass@k: at least one of k attempts succeeds; unbiased ``1 - C(n-c, k) / C(n, k)`` for c successes
  in n attempts (Chen et al., "Evaluating Large Language Models Trained on Code", 2021, equation 1).
* pass^k: all of k attempts succeed; unbiased ``C(c, k) / C(n, k)`` (Yao et al., "tau-bench", 2024).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.intervals import clopper_pearson, effective_size, wilson
from pytest_a2perf.runs.record import Record
from pytest_a2perf.suggest import did_you_mean

__all__ = ["SuccessFamily", "SuccessMetric", "attempts_of", "pass_all_of", "pass_at"]

_PASS = re.compile(r"pass([@^])([1-9]\d{0,3})\Z")


def pass_at(n: int, c: int, k: int) -> float:
    """Probability that at least one of k attempts succeeds, from c successes in n attempts."""
    return 1 - comb(n - c, k) / comb(n, k)


def pass_all_of(n: int, c: int, k: int) -> float:
    """Probability that all of k attempts succeed, from c successes in n attempts."""
    return comb(c, k) / comb(n, k)


def attempts_of(record: Record) -> list[bool] | None:
    """Return the attempts of a trial, or None where it says nothing about the agent.

    A trial that crashed or timed out is one more attempt that did not succeed. Trials that never
    judged success (no criterion) have no attempts.
    """
    judged = [episode.success for episode in record.episodes if episode.success is not None]
    match record.outcome:
        case "error" | "timeout":
            return [*judged, False]
        case "infra" | "not_run":
            return None
        case "failure" if not judged:
            return [False]
        case "success" if not judged and not record.episodes:
            return [True]
    return judged


@dataclass(frozen=True)
class SuccessMetric:
    """``success.rate``, ``success.pass@k`` or ``success.pass^k``."""

    name: str
    summary: str
    kind: str = "rate"
    k: int = 1
    unit: str = ""
    direction: Direction = "higher"
    group: Group = "application"

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; bounds of the rate carry over, since both are monotone in it."""
        trials = [attempts_of(record) for record in records]
        known = [attempts for attempts in trials if attempts]
        left_out = sum(attempts is None for attempts in trials)
        attempts = np.array([len(attempts) for attempts in known], dtype=float)
        successes = np.array([sum(attempts) for attempts in known], dtype=float)
        n, c = int(attempts.sum()), int(successes.sum())
        if n < self.k or n == 0:
            what = (
                "no trial says whether it succeeded" if n == 0 else f"{n} attempts are fewer than k"
            )
            raise UnsupportedSampleError(f"{self.name}: {what}")
        value = {"rate": c / n, "@": pass_at(n, c, self.k), "^": pass_all_of(n, c, self.k)}[
            self.kind
        ]
        size = effective_size(successes, attempts)
        interval = clopper_pearson if request.exact else wilson
        low, high = interval(size * c / n, size, request.confidence)
        if self.kind == "@":
            low, high = 1 - (1 - low) ** self.k, 1 - (1 - high) ** self.k
        elif self.kind == "^":
            low, high = low**self.k, high**self.k
        notes = [f"{c} of {n} attempts"]
        if left_out:
            notes.append(f"{left_out} trials left out (infra or not run)")
        return Estimate(
            value,
            low=min(low, value),
            high=max(high, value),
            confidence=request.confidence,
            n=len(known),
            method="clopper-pearson" if request.exact else "wilson",
            note=", ".join(notes),
        )


class SuccessFamily:
    """``success.rate``, ``success.pass@K``, ``success.pass^K``."""

    prefix = "success"
    examples = ("rate", "pass@1", "pass@3", "pass^3")
    shown = ("rate",)

    def make(self, suffix: str) -> Metric:
        """Make the metric.

        Raises:
            UnknownNameError: not one of the three forms.
        """
        if suffix == "rate":
            return SuccessMetric("success.rate", "share of attempts that succeed")
        if match := _PASS.match(suffix):
            kind, k = match[1], int(match[2])
            words = "at least one" if kind == "@" else "all"
            summary = f"probability that {words} of {k} attempts succeed"
            return SuccessMetric(f"success.{suffix}", summary, kind, k)
        raise UnknownNameError(
            f"unknown metric 'success.{suffix}'{did_you_mean(suffix, self.examples)}"
        )
