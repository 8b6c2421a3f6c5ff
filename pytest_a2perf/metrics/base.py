"""What a metric is: a named number over the trials of a scenario, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pytest_a2perf.quantities import Quality
from pytest_a2perf.runs.record import Record

__all__ = ["Definition", "Direction", "Estimate", "Group", "Metric", "Request"]

Direction = Literal["higher", "lower", "none"]
"""Which way is better; ``none`` where neither is."""

Group = Literal["data cost", "application", "system", "reliability"]
"""A2Perf's four groups of metrics."""

Definition = Literal["default", "a2perf"]
"""The corrected definition, or A2Perf's own, quirks included."""


@dataclass(frozen=True, slots=True)
class Request:
    """How a metric is to be estimated.

    Attributes:
        confidence: of the two-sided interval.
        definition: see `Definition`; metrics without a second definition ignore it.
        exact: rates use Clopper-Pearson instead of Wilson, and brackets tell of the differences
            between trials, too (gates with ``confidence`` ask for it).
    """

    confidence: float = 0.95
    definition: Definition = "default"
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's value over a sample of trials.

    Attributes:
        value: the point estimate, in ``unit``; NaN where it is undefined.
        unit: base unit, see `pytest_a2perf.units`.
        low, high: two-sided interval at ``confidence``; NaN where the sample supports none.
        confidence: of the interval.
        n: independent observations (trials with data).
        method: how the interval was made: ``bootstrap``, ``wilson``, ``clopper-pearson``, ``none``;
            or ``bracket``, between which a search ended: it decides gates without confidence, too.
        source, quality: where the numbers come from, the worst of all trials.
        note: why it should be read with care, e.g. ``CVaR 5 % of 10 values is the minimum``.
    """

    value: float
    unit: str = ""
    low: float = math.nan
    high: float = math.nan
    confidence: float = 0.95
    n: int = 0
    method: str = "none"
    source: str = ""
    quality: Quality = "measured"
    note: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a search has left so much open that the value alone says little: over a tenth."""
        width = self.high - self.low
        return self.method == "bracket" and not width <= max(1.0, 0.1 * self.value)

    @property
    def has_interval(self) -> bool:
        """Whether the sample supports an interval."""
        return not (math.isnan(self.low) or math.isnan(self.high))


class Metric(Protocol):
    """A named, estimable number.

    Attributes:
        name: e.g. ``return.mean``.
        unit: base unit of the value.
        direction: which way is better.
        group: A2Perf's group it is reported in.
        summary: one line for the documentation and the report.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see the class
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def direction(self) -> Direction: ...  # noqa: D102
    @property
    def group(self) -> Group: ...  # noqa: D102
    @property
    def summary(self) -> str: ...  # noqa: D102

    def estimate(self, records: Sequence[Record], request: Request) -> Estimate:
        """Estimate over the trials of one scenario.

        Trials that never produced the data (infra, not run) are left out and show in ``n``.

        Raises:
            UnsupportedSampleError: the metric is undefined for these records; the message says why.
        """
