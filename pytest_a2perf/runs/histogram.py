"""A mergeable histogram with relative error, for per-step samples such as latencies.

Log-spaced buckets as in DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable
quantile sketch with relative-error guarantees", VLDB 2019). A trial of a million decisions
becomes about a kilobyte; count, sum, minimum and maximum stay exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["RELATIVE_ERROR", "Histogram", "bucket_value"]

RELATIVE_ERROR = 0.005
"""A quantile read from a histogram is within 0.5 % of the exact sample quantile."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_SMALLEST = 1e-12
_ZERO_BUCKET = math.ceil(math.log(_SMALLEST) / _LOG_GAMMA)


def bucket_value(bucket: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the value that stands for each bucket, within `RELATIVE_ERROR` of all it holds."""
    values: NDArray[np.float64] = 2 * _GAMMA ** bucket.astype(float) / (_GAMMA + 1)
    return np.where(bucket <= _ZERO_BUCKET, 0.0, values)


@dataclass(slots=True)
class Histogram:
    """Counts of non-negative samples in buckets that are 1 % wide.

    Attributes:
        unit: unit of the samples.
        counts: bucket index -> number of samples.
        count, total, total_square, minimum, maximum: exact.
        limit: a deadline in ``unit``, or None.
        over_limit: exact number of samples above the deadline.
    """

    unit: str = "s"
    counts: dict[int, int] = field(default_factory=dict)
    count: int = 0
    total: float = 0.0
    total_square: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    limit: float | None = None
    over_limit: int = 0

    @classmethod
    def of(cls, samples: ArrayLike, *, unit: str = "s", limit: float | None = None) -> Histogram:
        """Build from an array of samples of any shape; NaN is refused.

        Raises:
            ValueError: a sample is negative or not a number.
        """
        values = np.asarray(samples, dtype=float).ravel()
        histogram = cls(unit=unit, limit=limit)
        if values.size == 0:
            return histogram
        if not bool(np.all(values >= 0)) or not bool(np.all(np.isfinite(values))):
            raise ValueError("histogram samples must be finite and not negative")
        buckets = np.ceil(np.log(np.maximum(values, _SMALLEST)) / _LOG_GAMMA).astype(np.int64)
        index, counts = np.unique(buckets, return_counts=True)
        histogram.counts = dict(zip(index.tolist(), counts.tolist(), strict=True))
        histogram.count = int(values.size)
        with np.errstate(over="ignore"):  # then they are infinite
            histogram.total = float(values.sum())
            histogram.total_square = float(np.square(values).sum())
        histogram.minimum = float(values.min())
        histogram.maximum = float(values.max())
        if limit is not None:
            histogram.over_limit = int(np.count_nonzero(values > limit))
        return histogram

    @classmethod
    def merge(cls, histograms: Iterable[Histogram]) -> Histogram:
        """Add up histograms of the same unit, exactly."""
        merged = cls()
        for number, other in enumerate(histograms):
            if number == 0:
                merged.unit, merged.limit = other.unit, other.limit
            for bucket, count in other.counts.items():
                merged.counts[bucket] = merged.counts.get(bucket, 0) + count
            merged.count += other.count
            merged.total += other.total
            merged.total_square += other.total_square
            merged.minimum = min(merged.minimum, other.minimum)
            merged.maximum = max(merged.maximum, other.maximum)
            merged.over_limit += other.over_limit
        return merged

    def quantile(self, q: float) -> float:
        """Return the ``q`` quantile (0..1), within `RELATIVE_ERROR`; NaN when empty."""
        if self.count == 0:
            return math.nan
        if q <= 0:
            return self.minimum
        if q >= 1:
            return self.maximum
        buckets = np.array(sorted(self.counts), dtype=np.int64)
        cumulative = np.cumsum([self.counts[int(bucket)] for bucket in buckets])
        position = int(np.searchsorted(cumulative, q * (self.count - 1), side="right"))
        value = float(bucket_value(buckets[position : position + 1])[0])
        return min(max(value, self.minimum), self.maximum)

    @property
    def mean(self) -> float:
        """Exact mean; NaN when empty."""
        return self.total / self.count if self.count else math.nan

    @property
    def std(self) -> float:
        """Standard deviation (population); NaN when empty, or too large for its square."""
        if not self.count:
            return math.nan
        mean = self.mean
        return math.sqrt(max(self.total_square / self.count - mean * mean, 0.0))

    def to_json(self) -> dict[str, Any]:
        """Return JSON scalars; buckets as ``[first, count, gap, count, ...]`` to stay small."""
        packed: list[int] = []
        previous = 0
        for bucket in sorted(self.counts):
            packed += [bucket - previous, self.counts[bucket]]
            previous = bucket
        data: dict[str, Any] = {
            "unit": self.unit,
            "count": self.count,
            "total": self.total,
            "total_square": self.total_square,
            "buckets": packed,
        }
        if self.count:
            data |= {"min": self.minimum, "max": self.maximum}
        if self.limit is not None:
            data |= {"limit": self.limit, "over_limit": self.over_limit}
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Histogram:
        """Inverse of `to_json`."""
        packed: Sequence[int] = data["buckets"]
        gaps = np.cumsum(packed[0::2]).tolist() if packed else []
        return cls(
            unit=data["unit"],
            counts=dict(zip(gaps, packed[1::2], strict=True)),
            count=data["count"],
            total=data["total"],
            total_square=data["total_square"],
            minimum=data.get("min", math.inf),
            maximum=data.get("max", -math.inf),
            limit=data.get("limit"),
            over_limit=data.get("over_limit", 0),
        )
