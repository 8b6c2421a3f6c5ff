"""What a record keeps of a level."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pytest_a2perf.domains.serving.replay.level import Level
    from pytest_a2perf.domains.serving.replay.rows import Rows

__all__ = ["PERCENTILES", "percentile", "summary_of"]

PERCENTILES = (5, 25, 50, 75, 95, 99)


def percentile(values: NDArray[np.float64], q: float) -> float:
    """Return a percentile by linear interpolation, infinite values included; NaN if there are none.

    Args:
        values: NaN, i.e. unknown, is left out.
        q: between 0 and 100.
    """
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return math.nan
    place = q / 100 * (len(known) - 1)
    low, high = float(known[math.floor(place)]), float(known[math.ceil(place)])
    # Infinite minus infinite is no number.
    return low if low == high else low + (place % 1) * (high - low)


def summary_of(level: Level) -> dict[str, Any]:
    """Return a level as plain JSON.

    ``null`` stands for a percentile that is infinite, as too many requests failed; what is empty
    or unknown is left out.
    """
    rows = level.rows
    measures = {
        "ttft": rows.ttft,
        "output_speed": rows.output_speed,
        "e2e_speed": rows.e2e_speed,
        "turn": rows.turn,
    }
    shown = {
        name: {f"p{q}": _finite(percentile(values, q)) for q in PERCENTILES}
        for name, values in measures.items()
        if not np.isnan(values).all()
    }
    if level.gaps.count:
        itl = {f"p{q}": level.gaps.quantile(q / 100) for q in PERCENTILES}
        shown["itl"] = {**itl, "mean": level.gaps.mean}
    power = level.power
    data = {
        "agents": level.agents,
        "rate": level.rate,
        "profile": level.profile,
        "official": level.official,
        "seconds": level.seconds,
        "requests": len(rows),
        "failed": _counts(rows, "failure"),
        "sessions": level.sessions,
        "refused": level.refused,
        **shown,
        "tokens": _tokens(rows, level.seconds),
        "counted": _counts(rows, "counted"),
        "finish": _counts(rows, "finish"),
        "client": asdict(level.client),
        "lacks": level.lacks,
        "power": None if power is None else _power(asdict(power)),
        "engine": level.engine,
        "tainted": level.tainted,
    }
    return {
        name: _rounded(value) for name, value in data.items() if value not in (None, "", {}, [])
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rounded(value: Any) -> Any:
    """Return JSON whose numbers have six significant digits."""
    if isinstance(value, dict):
        return {name: _rounded(member) for name, member in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _counts(rows: Rows, column: str) -> dict[str, int]:
    """Return how often each text stands in a column, the empty one left out."""
    names, counts = np.unique(rows[column].astype(str), return_counts=True)
    return {name: int(count) for name, count in zip(names.tolist(), counts, strict=True) if name}


def _tokens(rows: Rows, seconds: float) -> dict[str, float]:
    """Return sums, rates and shares of tokens, where they are known."""
    data: dict[str, float] = {}
    for kind, column in (
        ("input", "prompt_tokens"),
        ("output", "output_tokens"),
        ("reasoning", "reasoning_tokens"),
        ("cached", "cached_tokens"),
    ):
        known = rows[column][rows[column] >= 0]
        if len(known):
            data[kind] = int(known.sum())
            if seconds > 0:
                data[f"{kind}_rate"] = float(known.sum()) / seconds
    told = rows.where((rows["cached_tokens"] >= 0) & (rows["prompt_tokens"] > 0))
    if len(told):
        data["cache_hits"] = float(told["cached_tokens"].sum() / told["prompt_tokens"].sum())
    told = rows.where((rows["accepted_tokens"] >= 0) & (rows["rejected_tokens"] >= 0))
    predicted = float((told["accepted_tokens"] + told["rejected_tokens"]).sum())
    if predicted:
        data["accepted"] = float(told["accepted_tokens"].sum()) / predicted
    return data


def _power(reading: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not known: NaN is no JSON."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in reading.items()
        if not (isinstance(value, float) and math.isnan(value)) and value not in ("", ())
    }
