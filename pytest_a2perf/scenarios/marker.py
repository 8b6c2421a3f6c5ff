"""The marker ``a2perf`` on test functions: the keys of a scenario file, in Python."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_a2perf.errors import ScenarioError
from pytest_a2perf.keys import PLANNED
from pytest_a2perf.scenarios.collector import GateNode, scenario_markers
from pytest_a2perf.scenarios.load import check_scenario, describe_errors
from pytest_a2perf.scenarios.models import Scenario
from pytest_a2perf.trials.plan import PlannedTrial, scenario_digest

__all__ = ["SEED", "parametrize_seeds", "plan_functions"]

SEED = "a2perf_seed"


def parametrize_seeds(metafunc: pytest.Metafunc) -> None:
    """Make one item for each seed of a marked test."""
    mark = metafunc.definition.get_closest_marker("a2perf")
    if mark is None:
        return
    try:
        scenario = scenario_of(mark, metafunc.definition.name)
    except ScenarioError as error:
        raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {error}") from None
    metafunc.fixturenames.append(SEED)
    metafunc.parametrize(SEED, scenario.seed_list, ids=str)


def scenario_of(mark: pytest.Mark, name: str) -> Scenario:
    """Build the scenario that a marker describes.

    Raises:
        ScenarioError: the marker has unknown or invalid arguments.
    """
    if mark.args:
        raise ScenarioError(
            f"marker a2perf takes keyword arguments only, as in a2perf(seeds=10), got {mark.args!r}"
        )
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "_", name).strip("_")[:100]
    data: dict[str, Any] = {"name": safe, "task": name, "domain": "python", **mark.kwargs}
    if isinstance(data.get("seeds"), range | set | frozenset):
        data["seeds"] = sorted(data["seeds"])
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        problems = describe_errors(error, Scenario, data)
    else:
        probe = scenario
        if scenario.domain == "python":  # no domain runs it, the test does
            free = {"domain": "gym", "phase": "inference", "options": {}}
            probe = scenario.model_copy(update=free)
        problems = [p for p in check_scenario(probe) if p[0][0] != "task"]
    if problems:
        texts = [f"a2perf({'.'.join(map(str, path))}=...): {text}" for path, text in problems]
        raise ScenarioError("marker " + "; ".join(texts))
    return scenario


def plan_functions(items: list[Any], parent: pytest.Collector) -> list[Any]:
    """Attach plans to the items of one marked test function and add its gates.

    Each combination of other parameters is a scenario of its own.
    """
    groups: dict[str, list[pytest.Function]] = {}
    scenarios: dict[str, Scenario] = {}
    for item in items:
        mark = item.get_closest_marker("a2perf") if isinstance(item, pytest.Function) else None
        callspec = getattr(item, "callspec", None)
        if mark is None or callspec is None or SEED not in callspec.params:
            continue
        seed = callspec.params[SEED]
        rest = callspec.id.removesuffix(str(seed)).removesuffix("-")
        name = f"{item.originalname}[{rest}]" if rest else item.originalname
        scenario_id = item.nodeid.removesuffix(item.name) + name
        if name not in scenarios:
            scenarios[name] = scenario_of(mark, item.originalname)
        scenario = scenarios[name]
        digest = scenario_digest(scenario)
        item.stash[PLANNED] = PlannedTrial(scenario, scenario_id, seed, digest, from_file=False)
        if "trial" not in item.fixturenames:  # every marked test leaves a record
            item.fixturenames.append("trial")
        for decorator in scenario_markers(scenario, item.config):
            item.add_marker(decorator)
        groups.setdefault(name, []).append(item)
    gates = [
        GateNode.from_parent(
            parent,
            name=name,
            scenario=scenarios[name],
            line=(trials[0].location[1] or 0) + 1,
            trials=trials,
        )
        for name, trials in groups.items()
        if scenarios[name].gates
    ]
    return [*items, *gates]
