"""The pytest nodes made of scenario files: a file, its trials, and its gates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_a2perf.domains.base import Case, HasCases
from pytest_a2perf.domains.registry import get_domain
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.keys import PLANNED
from pytest_a2perf.scenarios.load import load_scenarios
from pytest_a2perf.scenarios.models import Scenario, SeedRange
from pytest_a2perf.trials.outcome import describe
from pytest_a2perf.trials.plan import PlannedGate, PlannedTrial, scenario_digest
from pytest_a2perf.trials.run import run_scenario

if TYPE_CHECKING:
    from pytest_a2perf.trials.trial import Trial

__all__ = ["GateItem", "GateNode", "ScenarioNode", "TrialItem", "scenario_markers"]


class ScenarioNode(pytest.File):
    """A scenario file."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Return the trials of each scenario, then its gates.

        Raises:
            CollectError: the file is invalid; the message lists every problem.
        """
        try:
            scenarios = load_scenarios(self.path, self.nodeid)
        except A2PerfError as error:
            raise self.CollectError(str(error)) from None
        nodes: list[pytest.Item | pytest.Collector] = []
        for scenario, line in scenarios:
            trials = list(self._trials(scenario, line, self._cases(scenario, line)))
            nodes += trials
            if scenario.gates:
                nodes.append(
                    GateNode.from_parent(
                        self, name=scenario.name, scenario=scenario, line=line, trials=trials
                    )
                )
        return nodes

    def _cases(self, scenario: Scenario, line: int) -> Sequence[Case]:
        domain = get_domain(scenario.domain)
        if not isinstance(domain, HasCases):
            return ()
        try:
            cases = domain.cases(scenario, Path(self.config.rootpath))
        except A2PerfError as error:
            message = f"{self.nodeid}:{line}: scenario {scenario.name!r}, key 'task': {error}"
            raise self.CollectError(message) from None
        if cases and isinstance(scenario.seeds, SeedRange):
            raise self.CollectError(
                f"{self.nodeid}:{line}: scenario {scenario.name!r}, key 'seeds': a task of "
                f"several cases ({len(cases)} here) cannot stop early; give a number of seeds"
            )
        return cases

    def _trials(self, scenario: Scenario, line: int, cases: Sequence[Case]) -> Iterator[TrialItem]:
        scenario_id = f"{self.nodeid}::{scenario.name}"
        digest = scenario_digest(scenario, cases)
        marks = scenario_markers(scenario, self.config)
        fixtures: Any = None
        for case in cases or (Case(""),):
            body = _body([*marks, *_markers(case.tags, self.config)])
            for seed in scenario.seed_list:
                name = f"{scenario.name}[{case.id}-{seed}]" if cases else f"{scenario.name}[{seed}]"
                item: TrialItem = TrialItem.from_parent(
                    self, name=name, callobj=body, fixtureinfo=fixtures
                )
                # All use the same fixtures; working them out again would triple the cost.
                fixtures = getattr(item, "_fixtureinfo", None)
                item.line = line
                item.stash[PLANNED] = PlannedTrial(
                    scenario, scenario_id, seed, digest, case=case.id
                )
                yield item


class TrialItem(pytest.Function):
    """One trial of a scenario file."""

    line: int = 1

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Point at the scenario in its file."""
        return self.path, self.line - 1, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """Show our message and the user's frames, not the plugin's."""
        del style
        scenario = self.stash[PLANNED].scenario
        where = f"{self.nodeid.split('::')[0]}:{self.line}"
        what = f"scenario {scenario.name!r}, agent {scenario.agent!r}"
        return f"{describe(excinfo.value)}\n\n{where}: {what}"


class GateNode(pytest.Collector):
    """The gates of one scenario."""

    def __init__(
        self,
        *,
        scenario: Scenario,
        line: int,
        trials: list[pytest.Item],
        scenario_id: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.scenario = scenario
        self.line = line
        self.trials = trials
        self.scenario_id = scenario_id or self.nodeid
        for mark in scenario_markers(scenario, self.config):
            self.add_marker(mark)

    def collect(self) -> Iterable[pytest.Item]:
        """Return one item for each gate."""
        return [GateItem.from_parent(self, name=metric) for metric in self.scenario.gates]


class GateItem(pytest.Item):
    """One gate. It is judged by the run's session, not here: see `Worker`."""

    parent: GateNode

    def runtest(self) -> None:
        """Do nothing: the verdict needs the records of all workers."""

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Point at the scenario in its file."""
        return self.path, self.parent.line - 1, f"{self.parent.name}::{self.name}"

    @property
    def trials(self) -> list[pytest.Item]:
        """The trials that the gate needs."""
        return self.parent.trials

    def plan(self) -> PlannedGate:
        """Return what the session needs to judge it."""
        scenario = self.parent.scenario
        spec, seeds = scenario.gates[self.name], scenario.seeds
        return PlannedGate(
            nodeid=self.nodeid,
            scenario_id=self.parent.scenario_id,
            metric=self.name,
            spec=spec.model_dump(mode="json")
            | {
                "conditions": [condition.model_dump() for condition in spec.conditions],
                "tolerance": None if spec.tolerance is None else spec.tolerance.model_dump(),
            },
            definition=spec.definition or scenario.definition,
            trials=tuple(item.nodeid for item in self.trials),
            seeds=(seeds.min, seeds.max) if isinstance(seeds, SeedRange) else None,
        )


def scenario_markers(scenario: Scenario, config: pytest.Config) -> list[pytest.MarkDecorator]:
    """Return the markers of a scenario's items: domain, phase, target kind and tags."""
    kind = scenario.target if scenario.target in ("cpu", "cuda") else "cuda"
    return _markers((scenario.domain, scenario.phase, kind, *scenario.tags), config)


def _markers(names: Iterable[str], config: pytest.Config) -> list[pytest.MarkDecorator]:
    """Return markers, made known to pytest where they are not."""
    marks = []
    for name in dict.fromkeys(names):
        known = any(
            line.split("(")[0].split(":")[0].strip() == name for line in config.getini("markers")
        )
        if not known:
            config.addinivalue_line("markers", f"{name}: set by a2perf scenarios")
        marks.append(getattr(pytest.mark, name))
    return marks


def collect_file(path: Path, parent: pytest.Collector) -> ScenarioNode:
    """Make the node of a scenario file; one outside of the rootdir goes by its name alone."""
    outside = not path.is_relative_to(parent.config.rootpath)
    return ScenarioNode.from_parent(parent, path=path, nodeid=path.name if outside else None)


def _body(marks: list[pytest.MarkDecorator]) -> Callable[[Trial], None]:
    def run(trial: Trial) -> None:
        run_scenario(trial)

    for mark in marks:
        run = mark(run)
    return run
