"""Strategies of scenarios, of their gates, and of trials that a domain can run."""

from __future__ import annotations

import atexit
import itertools
import shutil
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pytest_a2perf.meters.session import MeterSet
from pytest_a2perf.metrics.base import Metric
from pytest_a2perf.metrics.registry import catalogue, resolve
from pytest_a2perf.quantities import QUALITIES
from pytest_a2perf.scenarios.models import Scenario
from pytest_a2perf.strategies.basic import counts, names, numbers, seeds, texts
from pytest_a2perf.trials.trial import Trial
from pytest_a2perf.units import UNITS

__all__ = ["gates", "scenario_tables", "scenarios", "trials"]

_TASKS = ("CartPole-v1", "MountainCar-v0", "Acrobot-v1", "Pendulum-v1")
_SOURCES = ("auto", "nvml", "rapl", "cpu-time", "codecarbon", "none")
_SECONDS = [name for name, (base, _) in UNITS.items() if base == "s"]
_MOST = 2**63 - 1  # what TOML's integers hold

_definitions = st.sampled_from(["default", "a2perf"])
_durations = st.floats(1e-3, 1e6) | st.builds("{} {}".format, counts, st.sampled_from(_SECONDS))
_ranges = st.builds(lambda least, more: {"min": least, "max": least + more}, counts, counts)
_values = st.recursive(
    st.booleans() | st.integers(-_MOST, _MOST) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)


def scenarios(**keys: SearchStrategy[Any]) -> SearchStrategy[Scenario]:
    """Draw valid scenarios; see `scenario_tables`.

    Args:
        **keys: of a scenario file, e.g. ``domain=st.just("mine")``.
    """
    return scenario_tables(**keys).map(Scenario.model_validate)


@st.composite
def scenario_tables(draw: DrawFn, /, **keys: SearchStrategy[Any]) -> dict[str, Any]:
    """Draw ``[[scenario]]`` tables as TOML has them: texts, numbers, lists and tables.

    They load without an error. Where ``domain`` is given, ``phase`` and ``options`` are left out
    unless they are given, too: only the domain knows what it takes.

    Args:
        draw: given by Hypothesis.
        **keys: of a scenario file; those given are always present, any other may be missing.
    """
    required: dict[str, SearchStrategy[Any]] = {"name": names, "task": st.sampled_from(_TASKS)}
    if "domain" not in keys:
        phase = draw(keys.pop("phase", st.sampled_from(["inference", "generalization"])))
        required |= {"phase": st.just(phase), "options": _gym_options(phase)}
    optional = {key: value for key, value in _optional().items() if key not in keys}
    return draw(st.fixed_dictionaries({**required, **keys}, optional=optional))


def _optional() -> dict[str, SearchStrategy[Any]]:
    """Return what is drawn for the keys that any domain's scenarios may have."""
    # Repeating is left short, for whoever runs what was drawn.
    energy = {"source": st.sampled_from(_SOURCES), "repeat_until": st.sampled_from(["1 ms", 2e-3])}
    return {
        "agent": st.sampled_from(["random", "policies:Lean", "models/policy.onnx"]),
        "agent_options": st.dictionaries(names, _values, max_size=3),
        "seeds": counts | st.lists(seeds, min_size=1, max_size=5, unique=True) | _ranges,
        "episodes": counts,
        "timeout": _durations,
        "isolate": st.booleans(),
        "exclusive": st.booleans(),
        "group": names,
        "target": st.sampled_from(["cpu", "cuda", "H100", "cuda, 40 GB"]),
        "tags": st.lists(names, max_size=3),
        "deadline": _durations,
        "energy": st.fixed_dictionaries({}, optional=energy),
        "definition": _definitions,
        "gates": gates(),
    }


def _gym_options(phase: str) -> SearchStrategy[dict[str, Any]]:
    """Draw options of the domain ``gym`` that fit together."""
    vectors: list[dict[str, Any]] = [
        {},
        {"num_envs": 1, "vectorization": "sync"},
        {"num_envs": 3},
        {"num_envs": 2, "vectorization": "async"},
    ]
    several = {"tasks": st.lists(st.sampled_from(_TASKS), min_size=1, max_size=3)}
    others = st.fixed_dictionaries(
        several if phase == "generalization" else {},
        optional={
            "max_steps": st.integers(1, 500),
            "warmup_steps": st.integers(0, 20),
            "success": st.integers(-500, 500).map(">= {}".format),
        },
    )
    return st.builds(lambda vector, rest: {**vector, **rest}, st.sampled_from(vectors), others)


def gates(metrics: Iterable[str] | None = None) -> SearchStrategy[dict[str, Any]]:
    """Draw ``[scenario.gates]``: conditions as text or table, in units that fit the metrics.

    Args:
        metrics: names to choose from; default: all that ``python -m pytest_a2perf metrics`` lists.
    """
    wanted = None if metrics is None else tuple(metrics)

    def choose() -> SearchStrategy[dict[str, Any]]:
        known = {m.name: m for m in (catalogue() if wanted is None else map(resolve, wanted))}
        chosen = st.lists(st.sampled_from(sorted(known)), max_size=4, unique=True)
        return chosen.flatmap(
            lambda some: st.fixed_dictionaries({name: _conditions(known[name]) for name in some})
        )

    return st.deferred(choose)


def _conditions(metric: Metric) -> SearchStrategy[Any]:
    spellings = ["", *(name for name, (base, _) in UNITS.items() if base == metric.unit and name)]
    plain = st.integers(-1000, 1000) | numbers
    spelt = st.builds("{} {}".format, plain, st.sampled_from(spellings)).map(str.strip)
    worse = st.integers(0, 50).map("{} %".format)
    more = {
        "confidence": st.sampled_from([0.8, 0.9, 0.95, 0.99]),
        "quality": st.sampled_from(QUALITIES),
        "definition": _definitions,
    }
    both = st.tuples(plain, plain).map(sorted)
    tables = st.builds(
        lambda ends, rest: {"min": ends[0], "max": ends[1], **rest},
        both,
        st.fixed_dictionaries({}, optional=more),
    )
    return st.one_of(
        st.builds("{} {}".format, st.sampled_from([">=", "<=", ">", "<", "=="]), spelt),
        st.fixed_dictionaries({"min": plain | spelt}, optional=more),
        st.fixed_dictionaries({"max": plain | spelt}, optional=more),
        tables,
        # What has no better side cannot regress.
        tables
        if metric.direction == "none"
        else st.fixed_dictionaries({"regression": worse}, optional=more),
    )


@st.composite
def trials(
    draw: DrawFn, /, scenario: SearchStrategy[Scenario] | None = None, *, root: Path | None = None
) -> Trial:
    """Draw trials that have not begun, to call a domain's ``run`` outside of pytest.

    Nothing is metered. A trial's ``folder`` is a temporary one, removed when the process ends.

    Args:
        draw: given by Hypothesis.
        scenario: what is to be run; any by default.
        root: folder against which a scenario's paths are resolved; default: the current one.
    """
    drawn = draw(scenarios() if scenario is None else scenario)
    seed = draw(st.sampled_from(drawn.seed_list))
    scenario_id = f"scenarios/drawn.toml::{drawn.name}"
    return Trial(
        drawn,
        seed,
        scenario_id=scenario_id,
        nodeid=f"{scenario_id}[{seed}]",
        root=root or Path.cwd(),
        folder=_scratch() / str(next(_numbers)),
        meters=MeterSet([]),
    )


_numbers = itertools.count()


@cache
def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="a2perf-trials-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
