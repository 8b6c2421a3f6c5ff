"""Statistics by name: what stands after the dot in ``return.mean`` or ``latency.p95``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.metrics import weighted
from pytest_a2perf.metrics.base import Direction
from pytest_a2perf.metrics.evidence import Floats
from pytest_a2perf.suggest import did_you_mean

__all__ = [
    "CVAR_ALPHA", "MEAN", "NAMES", "Statistic", "cvar", "cvar_wants", "iqm", "iqr", "quantile_of",
    "quantile_wants", "statistic",
]  # fmt: skip

CVAR_ALPHA = 0.05
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)\Z")
_CVAR = re.compile(r"cvar(\d{1,2})?\Z")


@dataclass(frozen=True, slots=True)
class Statistic:
    """A reduction of values to a number.

    Attributes:
        name: as written.
        function: maps values of shape ``(m,)`` to a number.
        summary: in words.
        resampled: the same of resamples, see `pytest_a2perf.metrics.weighted`; None where no
            resample can tell how far the statistic may be off, as for extremes.
        needs: values below which it is undefined.
        wants: values below which it is no more than an extreme.
        spread: whether it measures dispersion, where smaller is better whatever the values.
    """

    name: str
    function: Callable[[Floats], float]
    summary: str
    resampled: Callable[[Floats, Floats], Floats] | None
    needs: int = 1
    wants: int = 1
    spread: bool = False

    def note(self, count: int) -> str:
        """Say what a sample of ``count`` values does not support, or nothing."""
        if count < self.wants:
            values = f"{count} value{'s' * (count != 1)}"
            return f"{self.name} of {values} is no more than an extreme; it takes {self.wants}"
        return "" if self.resampled else "a sample does not bound its extremes"


def iqm(values: Floats) -> float:
    """Interquartile mean: the mean of the middle half (Agarwal et al. 2021).

    A quarter of the values, rounded down, is cut off at each end.
    """
    cut = values.size // 4
    return float(np.sort(values)[cut : values.size - cut].mean())


def iqr(values: Floats) -> float:
    """Interquartile range with linear interpolation."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)


def cvar(values: Floats, alpha: float = CVAR_ALPHA, *, upper: bool = False) -> float:
    """Conditional value at risk: the mean of the values at or beyond the ``alpha`` quantile.

    Args:
        values: of shape ``(m,)``.
        alpha: share of the tail.
        upper: take the upper tail instead of the lower one.
    """
    if upper:
        return -cvar(-values, alpha)
    # Of values that are no numbers the quantile is none either; then all count, and so do those.
    return float(values[~(values > np.quantile(values, alpha))].mean())


def cvar_wants(alpha: float) -> int:
    """Return how many values put two of them into the tail: 21 for 5 %."""
    return math.floor(1 / alpha + 1e-9) + 1


def quantile_wants(q: float) -> int:
    """Return how many values put one of them beyond the quantile: 100 for 0.99."""
    tail = min(q, 1 - q)
    return math.ceil(1 / tail - 1e-9) if 0 < tail < 0.5 else 1


def quantile_of(name: str) -> float | None:
    """Return q of ``median`` or ``pNN``, or None if the name is neither."""
    match = _QUANTILE.match("p50" if name == "median" else name)
    return float(match[1]) / 100 if match else None


def _quantile(name: str, q: float) -> Statistic:
    if q in (0.0, 1.0):
        return Statistic(name, lambda v: float(np.quantile(v, q)), "extreme", None)
    return Statistic(
        name,
        lambda v: float(np.quantile(v, q)),
        "median" if q == 0.5 else f"{100 * q:.6g} % quantile",
        partial(weighted.quantile, q=q),
        wants=quantile_wants(q),
    )


def _cvar(name: str, percent: int, *, upper: bool) -> Statistic:
    alpha = percent / 100
    return Statistic(
        name,
        partial(cvar, alpha=alpha, upper=upper),
        f"mean of the worst {percent} %",
        partial(weighted.cvar, alpha=alpha, upper=upper),
        wants=cvar_wants(alpha),
    )


MEAN = Statistic("mean", lambda v: float(v.mean()), "mean", weighted.mean)
_SIMPLE: dict[str, Statistic] = {
    s.name: s
    for s in (
        MEAN,
        Statistic("iqm", iqm, "mean of the middle half", weighted.iqm),
        Statistic(
            "std",
            lambda v: float(v.std(ddof=1)),
            "standard deviation",
            weighted.std,
            needs=2,
            spread=True,
        ),
        Statistic("iqr", iqr, "interquartile range", weighted.iqr, needs=2, spread=True),
        Statistic("min", lambda v: float(v.min()), "smallest", None),
        Statistic("max", lambda v: float(v.max()), "largest", None),
        Statistic("sum", lambda v: float(v.sum()), "sum", weighted.total),
    )
}

NAMES = (
    "mean", "median", "iqm", "std", "iqr", "min", "max", "sum", "p10", "p50", "p90", "p95", "p99",
    "cvar",
)  # fmt: skip
"""Examples for documentation and suggestions; any ``pNN`` and ``cvarNN`` is understood."""


def statistic(name: str, direction: Direction) -> Statistic:
    """Return a statistic by name.

    Args:
        name: one of `NAMES`, ``pNN``, ``pNN.N`` or ``cvarNN`` (tail in percent, default 5).
        direction: of the values; the tail of ``cvar`` is the bad one.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name in _SIMPLE:
        return _SIMPLE[name]
    if (q := quantile_of(name)) is not None:
        return _quantile(name, q)
    match = _CVAR.match(name)
    if match and (percent := int(match[1] or round(100 * CVAR_ALPHA))):
        return _cvar(name, percent, upper=direction == "lower")
    raise UnknownNameError(f"unknown statistic {name!r}{did_you_mean(name, NAMES)}")
