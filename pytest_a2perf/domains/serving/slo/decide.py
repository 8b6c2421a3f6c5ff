"""Whether a level meets a tier, as sure as its requests allow.

That a percentile keeps a limit is a statement on a share of requests: the P95 of times is at most
L where at least 95 % of them are, the P25 of speeds at least L where at least 75 % of them are. So
the interval of a percentile runs between two order statistics, by the exact binomial test (Thompson
1936), and the level meets the limit if the interval clears it, misses it if it lies beyond, and
leaves it open otherwise.

Requests of a session resemble each other: they share its prompt and its cache. So they are worth
fewer than they are. How many, is told by how unevenly the sessions share those on the far side of
the percentile itself (Woodruff, "Confidence Intervals for Medians and Other Position Measures",
1952; see `effective_size`). What all sessions of a level share, such as a bad minute of the
machine, no level can tell alone; levels that are repeated can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.serving.replay.rows import Floats, Rows
from pytest_a2perf.domains.serving.slo.tiers import UNITS, Limit, Tier
from pytest_a2perf.metrics.intervals import effective_size, rate_interval
from pytest_a2perf.units import format_number, format_value

__all__ = ["Decision", "LimitDecision", "Says", "decide", "least_requests", "pooled"]

Says = Literal["met", "missed", "unsure"]


@dataclass(frozen=True, slots=True)
class LimitDecision:
    """What a level says of one limit (or, with None, of the share of failed requests).

    Attributes:
        limit: see `Limit`.
        value: the percentile; NaN where no request tells.
        low, high: its interval, each at the one-sided confidence; infinite where requests are few.
        says: the interval clears the limit, misses it, or holds it.
        holds: whether the value itself keeps the limit.
    """

    limit: Limit | None
    value: float
    low: float
    high: float
    says: Says
    holds: bool

    def text(self) -> str:
        """Print the value beside its limit."""
        if self.limit is None:
            return f"{format_number(100 * self.value)} % failed"
        return f"{self.limit.name} {format_value(self.value, UNITS[self.limit.measure])}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a level says of a tier.

    Attributes:
        says: ``missed`` if any limit is, ``met`` if all are, else ``unsure``.
        point: whether the percentiles themselves meet all limits.
        parts: one for each limit, and one for the errors.
        requests: that it rests on.
        note: why it should be read with care.
    """

    says: Says
    point: bool
    parts: tuple[LimitDecision, ...]
    requests: int
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; what is not finite is null."""
        data = asdict(self)
        for part in data["parts"]:
            for name in ("value", "low", "high"):
                part[name] = part[name] if math.isfinite(part[name]) else None
        return data


def decide(rows: Rows, tier: Tier, confidence: float) -> Decision:
    """Judge a level's requests against a tier.

    Failed requests count as misses of every limit. Those that tell nothing of a measure, such as
    the speed of a reply that came in one piece, are left out of it. No published method limits
    errors, and few levels have the requests to prove that fewer than 1 % fail: the share itself
    must keep the limit, and the level misses it where even the share's lower bound does not.

    Args:
        rows: requests of the steady window; those of repeats as `pooled` joins them.
        tier: see `Tier`.
        confidence: one-sided, of each limit.
    """
    sessions = _sessions(rows)
    judged = [_judge_limit(rows, sessions, limit, confidence) for limit in tier.limits]
    errors = _judge_errors(rows, sessions, tier.error_rate, confidence)
    parts = (*(part for part, _ in judged), errors)
    said = {part.says for part in parts}
    says: Says = "missed" if "missed" in said else "unsure" if "unsure" in said else "met"
    note = "; ".join(note for _, note in judged if note)
    return Decision(says, all(part.holds for part in parts), parts, len(rows), note)


def pooled(parts: Sequence[Rows]) -> Rows:
    """Join the requests of repeats of a level; sessions of different ones stay apart."""
    shifted, begin = [], 0.0
    for rows in parts:
        shifted.append(Rows({**rows.columns, "run": rows["run"] + begin}))
        begin += float(rows["run"].max(initial=-1.0)) + 1
    return Rows.joined(shifted)


def least_requests(limit: Limit, confidence: float) -> int:
    """Return how many independent requests it takes to meet a limit, if all of them keep it."""
    share = limit.percentile / 100
    return math.ceil(math.log1p(-confidence) / math.log(1 - share if limit.higher else share))


def _sessions(rows: Rows) -> NDArray[np.int64]:
    """Number the session of each request."""
    pairs = np.stack([rows["agent"], rows["run"]], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)


def _judge_limit(
    rows: Rows, sessions: NDArray[np.int64], limit: Limit, confidence: float
) -> tuple[LimitDecision, str]:
    values: Floats = getattr(rows, limit.measure)
    told = ~np.isnan(values)
    values, sessions = values[told], sessions[told]
    notes = []
    if silent := len(rows) - len(values):
        notes.append(f"{silent} of {len(rows)} requests tell no {limit.measure}")
    if not len(values):
        part = LimitDecision(limit, math.nan, -math.inf, math.inf, "unsure", holds=False)
        return part, "; ".join(notes)
    ordered, share = np.sort(values), limit.percentile / 100
    value = _percentile(ordered, share)
    size = _worth(values, sessions, value, 2 * confidence - 1)
    low, high = _interval(ordered, size, share, confidence)
    low, high = min(low, value), max(high, value)  # of few requests the value is interpolated
    sure, beyond = (low, high) if limit.higher else (high, low)
    says: Says = "unsure"
    if limit.holds(sure):
        says = "met"
    elif not limit.holds(beyond):
        says = "missed"
    elif size < (least := least_requests(limit, confidence)):
        notes.append(
            f"{limit.name} takes {least} independent requests at {100 * confidence:g} %, "
            f"these {len(values)} are worth {size:.0f}"
        )
    part = LimitDecision(limit, value, low, high, says, limit.holds(value))
    return part, "; ".join(notes)


def _judge_errors(
    rows: Rows, sessions: NDArray[np.int64], most: float, confidence: float
) -> LimitDecision:
    if not len(rows):
        return LimitDecision(None, math.nan, 0.0, 1.0, "unsure", holds=False)
    failed = np.bincount(sessions, weights=rows.failed).astype(float)
    share = float(failed.sum()) / len(rows)
    attempts = np.bincount(sessions).astype(float)
    (low, high), _ = rate_interval(failed, attempts, 2 * confidence - 1, exact=True)
    says: Says = "met" if share <= most else "missed" if low > most else "unsure"
    return LimitDecision(None, share, low, high, says, share <= most)


def _percentile(ordered: Floats, share: float) -> float:
    """Interpolate linearly between order statistics, some of which may be infinite."""
    position = share * (len(ordered) - 1)
    below, above = ordered[math.floor(position)], ordered[math.ceil(position)]
    if below == above:
        return float(below)
    return float(below + (position % 1) * (above - below))


def _worth(
    values: Floats, sessions: NDArray[np.int64], percentile: float, confidence: float
) -> float:
    """Return how many independent requests these are worth where it comes to a percentile."""
    attempts = np.bincount(sessions).astype(float)
    attempts, kept = attempts[attempts > 0], attempts > 0
    beyond = values > percentile
    if not beyond.any():  # the percentile is the largest value, e.g. the time of those that failed
        beyond = values >= percentile
    hits = np.bincount(sessions, weights=beyond)[kept].astype(float)
    return effective_size(hits, attempts, confidence)


def _interval(ordered: Floats, size: float, share: float, confidence: float) -> tuple[float, float]:
    """Return the order statistics between which a percentile lies, each bound at the confidence.

    Args:
        ordered: values, ascending.
        size: independent values that they are worth.
        share: of values below the percentile.
        confidence: one-sided.
    """
    from scipy.special import betainc

    reached = np.arange(len(ordered) + 1) * (size / len(ordered))
    # P(X >= k) = I_share(k, size - k + 1) for a binomial X of that size: so improbable must it be
    # that as many values as these lie below a percentile that lies above them.
    more = betainc(reached[1:], size - reached[1:] + 1, share) <= 1 - confidence
    less = betainc(size - reached[:-1], reached[:-1] + 1, 1 - share) <= 1 - confidence
    low = ordered[np.flatnonzero(less)[-1]] if less.any() else -math.inf
    high = ordered[np.flatnonzero(more)[0]] if more.any() else math.inf
    return float(low), float(high)
