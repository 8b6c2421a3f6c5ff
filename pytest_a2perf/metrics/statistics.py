"""Statistics by name: what stands after the dot in ``return.mean`` or ``latency.p95``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.metrics.base import Direction
from pytest_a2perf.suggest import did_you_mean

__all__ = ["CVAR_ALPHA", "NAMES", "Statistic", "cvar", "iqm", "iqr", "statistic"]

Floats = NDArray[np.float64]
CVAR_ALPHA = 0.05
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)\Z")
_CVAR = re.compile(r"cvar(\d{1,2})?\Z")


@dataclass(frozen=True, slots=True)
class Statistic:
    """A reduction of values.

    Attributes:
        name: as written.
        function: maps shape ``(B, m)`` to ``(B,)``.
        needs: values below which it is undefined.
        summary: in words.
        wants: values below which it rests on less than one observation.
        spread: whether it measures dispersion, where smaller is better whatever the values.
    """

    name: str
    function: Callable[[Floats], Floats]
    summary: str
    needs: int = 1
    wants: int = 1
    spread: bool = False

    def note(self, count: int) -> str:
        """Say what the sample does not support, or nothing."""
        if count >= self.wants:
            return ""
        return f"{self.name} of {count} values is no more than their extreme; it wants {self.wants}"


def iqm(values: Floats) -> Floats:
    """Interquartile mean: the mean of the middle half (Agarwal et al. 2021), along the last axis."""
    count = values.shape[-1]
    cut = count // 4
    ordered = np.sort(values, axis=-1)
    middle: Floats = ordered[..., cut : count - cut].mean(axis=-1)
    return middle


def iqr(values: Floats) -> Floats:
    """Interquartile range with linear interpolation, along the last axis."""
    low, high = np.quantile(values, [0.25, 0.75], axis=-1)
    return np.asarray(high - low)


def cvar(values: Floats, alpha: float = CVAR_ALPHA, *, upper: bool = False) -> Floats:
    """Conditional value at risk: the mean of the values at or beyond the ``alpha`` quantile.

    Args:
        values: reduced along the last axis.
        alpha: share of the tail.
        upper: take the upper tail instead of the lower one.
    """
    signed = -values if upper else values
    limit = np.quantile(signed, alpha, axis=-1, keepdims=True)
    inside = signed <= limit
    mean = np.where(inside, signed, 0.0).sum(axis=-1) / inside.sum(axis=-1)
    return np.asarray(-mean if upper else mean)


def _std(values: Floats) -> Floats:
    return np.asarray(values.std(axis=-1, ddof=1))


_SIMPLE: dict[str, Statistic] = {
    s.name: s
    for s in (
        Statistic("mean", lambda v: np.asarray(v.mean(axis=-1)), "mean"),
        Statistic("median", lambda v: np.asarray(np.median(v, axis=-1)), "median"),
        Statistic("iqm", iqm, "mean of the middle half"),
        Statistic("std", _std, "standard deviation", needs=2, spread=True),
        Statistic("iqr", iqr, "interquartile range", needs=2, spread=True),
        Statistic("min", lambda v: np.asarray(v.min(axis=-1)), "smallest value"),
        Statistic("max", lambda v: np.asarray(v.max(axis=-1)), "largest value"),
        Statistic("sum", lambda v: np.asarray(v.sum(axis=-1)), "sum"),
    )
}

NAMES = (*_SIMPLE, "p10", "p50", "p90", "p95", "p99", "cvar")
"""Examples for documentation and suggestions; any ``pNN`` and ``cvarNN`` is understood."""


def statistic(name: str, direction: Direction) -> Statistic:
    """Return a statistic by name.

    Args:
        name: one of `NAMES`, ``pNN`` or ``cvarNN`` (tail in percent, default 5).
        direction: of the values; the tail of ``cvar`` is the bad one.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name in _SIMPLE:
        return _SIMPLE[name]
    if match := _QUANTILE.match(name):
        q = float(match[1]) / 100
        wants = math.ceil(1 / min(q, 1 - q)) if 0 < q < 1 else 1
        return Statistic(
            name,
            lambda v: np.asarray(np.quantile(v, q, axis=-1)),
            f"{float(match[1]):g} % quantile",
            wants=wants,
        )
    if match := _CVAR.match(name):
        percent = int(match[1] or 100 * CVAR_ALPHA)
        alpha = percent / 100
        upper = direction == "lower"
        if percent:
            return Statistic(
                name,
                lambda v: cvar(v, alpha, upper=upper),
                f"mean of the worst {percent} %",
                wants=math.ceil(1 / alpha),
            )
    raise UnknownNameError(f"unknown statistic {name!r}{did_you_mean(name, NAMES)}")
