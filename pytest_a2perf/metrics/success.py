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
from typing import Literal, cast

import numpy as np

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Direction, Estimate, Group, Metric, Request
from pytest_a2perf.metrics.evidence import Floats, with_interval
from pytest_a2perf.metrics.intervals import rate_interval
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
    kind: Literal["rate", "@", "^"] = "rate"
    k: int = 1
    unit: str = ""
    direction: Direction = "higher"
    group: Group = "application"

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate it; bounds of the rate carry over, since both are monotone in it."""
        found = [attempts_of(record) for record in records]
        clusters = _clusters(records, found)
        attempts = np.array([len(cluster) for cluster in clusters.values()], dtype=float)
        successes = np.array([sum(cluster) for cluster in clusters.values()], dtype=float)
        n, c = int(attempts.sum()), int(successes.sum())
        ended = [known for known, record in zip(found, records, strict=True) if record.has_result]
        if n == 0 or (ended and not any(ended)):
            raise UnsupportedSampleError(f"{self.name}: no trial says whether it succeeded")
        if n < self.k:
            raise UnsupportedSampleError(f"{self.name}: {n} attempts are fewer than {self.k}")
        note = f"{c} of {n} attempts"
        if left_out := found.count(None):
            note += f", {left_out} trial{'s' * (left_out > 1)} left out (infra or not run)"
        if self.kind != "rate" and any(record.case for record in records):
            return self._over_cases(attempts, successes, request, note)
        (low, high), method = rate_interval(
            successes, attempts, request.confidence, exact=request.exact
        )
        match self.kind:
            case "rate":
                value = c / n
            case "@":
                value = pass_at(n, c, self.k)
                low, high = 1 - (1 - low) ** self.k, 1 - (1 - high) ** self.k
            case "^":
                value = pass_all_of(n, c, self.k)
                low, high = low**self.k, high**self.k
        if self.kind != "rate" and len(tasks := _tasks(records)) > 1:
            note += f", {len(tasks)} tasks pooled"
        estimate = Estimate(value, confidence=request.confidence, n=len(attempts), note=note)
        return with_interval(estimate, (low, high), method)

    def _over_cases(
        self, attempts: Floats, successes: Floats, request: Request, note: str
    ) -> Estimate:
        """Average over cases, each by its own attempts; cases with fewer than k have no value."""
        enough = attempts >= self.k
        if not enough.any():
            raise UnsupportedSampleError(f"{self.name}: no case has {self.k} attempts")
        if few := int((~enough).sum()):
            note += f", {few} case{'s' * (few > 1)} with fewer than {self.k} left out"
        of = pass_at if self.kind == "@" else pass_all_of
        pairs = zip(attempts[enough].astype(int), successes[enough].astype(int), strict=True)
        values = np.array([of(int(n), int(c), self.k) for n, c in pairs])
        estimate = Estimate(
            float(values.mean()), confidence=request.confidence, n=len(values), note=note
        )
        # Shares of cases vary no more than yes or no would, so a rate's interval is wide enough.
        bounds, method = rate_interval(
            values, np.ones_like(values), request.confidence, exact=request.exact
        )
        return with_interval(estimate, bounds, method)


def _clusters(
    records: Sequence[Record], found: Sequence[list[bool] | None]
) -> dict[str | int, list[bool]]:
    """Return the attempts that hang together: those of a case, else those of a trial."""
    clusters: dict[str | int, list[bool]] = {}
    for place, (record, attempts) in enumerate(zip(records, found, strict=True)):
        if attempts:
            clusters.setdefault(record.case or place, []).extend(attempts)
    return clusters


def _tasks(records: Sequence[Record]) -> set[str]:
    return {episode.task for record in records for episode in record.episodes}


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
            kind, k = cast("Literal['@', '^']", match[1]), int(match[2])
            words = "at least one" if kind == "@" else "all"
            summary = f"probability that {words} of {k} attempts succeed"
            return SuccessMetric(f"success.{suffix}", summary, kind, k)
        raise UnknownNameError(
            f"unknown metric 'success.{suffix}'{did_you_mean(suffix, self.examples)}"
        )
