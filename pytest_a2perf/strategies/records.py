"""Strategies of records and of what they are made of."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pytest_a2perf.metrics.system import SYSTEM_FAMILIES
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.record import OUTCOMES, Curve, Episode, Record
from pytest_a2perf.scenarios.models import PHASES
from pytest_a2perf.strategies.basic import amounts, counts, names, numbers, seeds, shares, texts
from pytest_a2perf.units import UNITS

__all__ = [
    "curves", "episodes", "histograms", "quantities", "readings", "record_lists", "records",
]  # fmt: skip


def quantities(
    unit: str | None = None, values: SearchStrategy[float] | None = None
) -> SearchStrategy[Quantity]:
    """Draw readings of one quantity.

    Args:
        unit: a base unit such as ``J``, or ``""``; None draws it.
        values: finite ones by default.
    """
    units = sorted({base for base, _ in UNITS.values()}) if unit is None else [unit]
    return st.builds(
        lambda value, unit, origin, window: Quantity(value, unit, **origin, window=window),
        (numbers if values is None else values).map(float),
        st.sampled_from(units),
        st.sampled_from(_ORIGINS),
        st.none() | amounts,
    )


_ORIGINS: list[dict[str, Any]] = [
    {"source": "drawn", "quality": "measured"},
    {"source": "nvml-energy-counter", "quality": "measured", "resolution": 0.001},
    {"source": "rapl", "quality": "estimated", "note": "shared processor"},
    {"source": "cpu-time-model", "quality": "modelled"},
]


@st.composite
def readings(draw: DrawFn, /, wanted: Iterable[str] | None = None) -> dict[str, Quantity]:
    """Draw what the plugin's meters read in one window, each in its unit: ``energy`` in J, ...

    Args:
        draw: given by Hypothesis.
        wanted: names of those that are always read; None draws up to four.
    """
    known = _readings()
    if wanted is None:
        wanted = draw(st.lists(st.sampled_from(sorted(known)), max_size=4, unique=True))
    return {name: draw(known[name]) for name in wanted}


@cache
def _readings() -> dict[str, SearchStrategy[Quantity]]:
    # What has no unit is a share.
    return {
        family.prefix: quantities(family.unit, amounts if family.unit else shares)
        for family in SYSTEM_FAMILIES
    }


def histograms(
    unit: str = "s", *, limit: float | None = None, values: SearchStrategy[float] | None = None
) -> SearchStrategy[Histogram]:
    """Draw per-step samples, such as latencies, as records keep them.

    Args:
        unit: of the samples.
        limit: deadline whose misses are counted.
        values: of the samples; not negative.
    """
    drawn = st.lists(st.floats(0, 1e6) if values is None else values, max_size=10)
    return drawn.map(lambda samples: Histogram.of(samples, unit=unit, limit=limit))


def curves(
    *, min_size: int = 0, max_size: int = 20, values: SearchStrategy[float] | None = None
) -> SearchStrategy[Curve]:
    """Draw learning curves: values at ascending steps, evenly spaced or not, perhaps repeated.

    Args:
        min_size: the fewest points.
        max_size: the most points.
        values: at the steps; finite ones by default.
    """
    values = (numbers if values is None else values).map(float)
    points = st.tuples(st.integers(0, 1000), values)
    return st.builds(
        _curve,
        st.lists(points, min_size=min_size, max_size=max_size),
        st.none() | st.integers(1, 10_000),
    )


def _curve(points: list[tuple[int, float]], spacing: int | None) -> Curve:
    if spacing is None:
        steps = itertools.accumulate(gap for gap, _ in points)
    else:
        steps = itertools.accumulate(spacing for _ in points)
    return Curve([float(step) for step in steps], [value for _, value in points])


def episodes(**fields: SearchStrategy[Any]) -> SearchStrategy[Episode]:
    """Draw episodes.

    Args:
        **fields: of `Episode`, e.g. ``total=st.floats(-500, 0)`` or ``task=st.just("")``.
    """
    defaults: dict[str, SearchStrategy[Any]] = {
        "total": numbers,
        "length": st.integers(1, 10_000),
        "terminated": st.booleans(),
        "truncated": st.booleans(),
        "success": st.none() | st.booleans(),
        "task": st.sampled_from(["", "a", "b"]),
    }
    return st.builds(Episode, **{**defaults, **fields})


def records(**fields: SearchStrategy[Any]) -> SearchStrategy[Record]:
    """Draw the record of one trial.

    Episodes, samples, quantities, reported numbers and curves may each be missing, as they are
    after a trial that crashed or broke off; ``error`` is set where the outcome says that there was
    one. All trials of a scenario together are drawn by `record_lists`.

    Args:
        **fields: of `Record`, e.g. ``outcome=st.just("success")``.
    """
    drawn = st.fixed_dictionaries({**_fields(None), **fields})
    return drawn.map(lambda parts: _record(parts, keep_error="error" in fields))


@st.composite
def record_lists(
    draw: DrawFn, /, min_size: int = 0, max_size: int = 5, **fields: SearchStrategy[Any]
) -> list[Record]:
    """Draw the records of one scenario's trials: a seed each, and in common what makes a scenario.

    Args:
        draw: given by Hypothesis.
        min_size: the fewest trials.
        max_size: the most trials.
        **fields: of `Record`; all but scenario, domain, phase and digest are drawn for each trial.
    """
    each = {**_fields(draw(st.sampled_from([None, 0.1, 100.0]))), **fields}
    chosen = draw(st.lists(each.pop("seed"), min_size=min_size, max_size=max_size, unique=True))
    common = {name: draw(each.pop(name)) for name in ("scenario", "domain", "phase", "digest")}
    rest = st.fixed_dictionaries(each)
    return [
        _record({**draw(rest), **common, "seed": seed}, keep_error="error" in fields)
        for seed in chosen
    ]


@cache
def _fields(limit: float | None) -> dict[str, SearchStrategy[Any]]:
    """Return what is drawn for the fields of a record, by default."""
    samples = {
        "latency": histograms(limit=limit),
        "env_step": histograms(),
        "tokens": histograms(""),
    }
    return {
        "scenario": names.map("scenarios/drawn.toml::{}".format),
        "seed": seeds,
        "domain": st.sampled_from(["gym", "python"]),
        "phase": st.sampled_from(PHASES),
        "outcome": st.sampled_from(OUTCOMES),
        "error": texts.map(lambda text: {"type": "Drawn", "message": text, "traceback": text}),
        "started": seeds.map(_time),
        "duration": amounts,
        "worker": st.sampled_from(["main", "gw0", "gw1"]),
        "host": st.just("localhost"),
        "device": st.sampled_from(["cpu", "NVIDIA H100 80GB HBM3"]),
        "digest": st.integers(0, 2**64 - 1).map("{:016x}".format),
        "episodes": st.lists(episodes(), max_size=5),
        "samples": st.fixed_dictionaries({}, optional=samples),
        "quantities": readings(),
        "reported": st.dictionaries(names, quantities(), max_size=2)
        | st.fixed_dictionaries({"data_cost": quantities("J", amounts)}),
        "curves": st.fixed_dictionaries(
            {}, optional={"return": curves(), "loss": curves(max_size=3)}
        ),
        "context": st.fixed_dictionaries(
            {"workers": counts}, optional={"load": shares, "repetitions": counts}
        ),
        "benchmark": st.none() | st.floats(1e-6, 1e3).map(_benchmark),
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _benchmark(seconds: float) -> dict[str, Any]:
    """Return the statistics of pytest-benchmark for a function that always takes as long."""
    same = dict.fromkeys(("min", "max", "mean", "median", "q1", "q3"), seconds)
    return {**same, "stddev": 0.0, "iqr": 0.0, "ops": 1 / seconds, "rounds": 5, "outliers": "0;0"}


def _record(parts: dict[str, Any], *, keep_error: bool) -> Record:
    if parts["outcome"] == "success" and not keep_error:
        parts["error"] = None
    return Record(**{"nodeid": f"{parts['scenario']}[{parts['seed']}]", **parts})
