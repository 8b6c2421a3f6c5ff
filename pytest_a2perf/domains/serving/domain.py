"""The domain ``serving``: how many agents an inference system holds within a service level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_a2perf.domains.serving.options import ServingOptions
from pytest_a2perf.domains.serving.slo.options import tiers_of
from pytest_a2perf.domains.serving.system.options import SystemOptions
from pytest_a2perf.domains.serving.target import LITELLM, wrong_with_agent
from pytest_a2perf.errors import A2PerfError

if TYPE_CHECKING:
    from pytest_a2perf.runs.record import Record
    from pytest_a2perf.scenarios.models import Scenario
    from pytest_a2perf.trials.trial import Trial

__all__ = ["ServingDomain"]

_FORCED = ("exact", "fixed")


class ServingDomain:
    """Replays recorded sessions of coding agents against an inference endpoint.

    The agent of a scenario is the endpoint, its task the sessions. A trial is one search for the
    largest number of agents at once that meets each tier, or one fixed load.
    """

    name = "serving"
    phases = frozenset({"inference"})
    options = ServingOptions
    system = SystemOptions
    exclusive = True

    def check(self, scenario: Scenario) -> Iterable[tuple[str, str]]:
        """Yield what is wrong with a scenario."""
        options = ServingOptions.model_validate(scenario.options)
        yield from wrong_with_agent(scenario)
        if scenario.episodes != 1:
            yield "episodes", "a trial is one search or one load; give more seeds instead"
        if scenario.energy.repeat_until is not None:
            yield "energy.repeat_until", "a trial runs once; see options.window"
        try:
            tiers = tiers_of(options.tiers)
        except A2PerfError as error:
            yield "options.tiers", str(error)
            return
        names = [tier.name for tier in tiers]
        if double := next((name for name in names if names.count(name) > 1), None):
            yield "options.tiers", f"two tiers are called {double!r}; give them names"
        if options.rate is not None and isinstance(options.agents, tuple):
            yield "options.agents", "with a rate, one number: how many sessions may be open at once"
        searching = options.rate is None and options.agents is None
        if searching and not tiers:
            known = "such as 'aa-2026-06/gpt-oss-120b'"
            yield "options.tiers", f"missing: a search needs tiers {known}; or set options.agents"
        if scenario.agent.startswith(LITELLM) and options.load.output in _FORCED:
            yield "options.load.output", "needs an endpoint that knows ignore_eos, not litellm"
        for metric in (name for name in scenario.gates if name.startswith("agents.")):
            yield from _wrong_with_gate(metric, names)

    def prepare(self) -> None:
        """Import what trials need."""
        from pytest_a2perf.domains.serving import play

        del play

    def run(self, trial: Trial) -> None:
        """Run one trial."""
        from pytest_a2perf.domains.serving.play import play

        play(trial)

    def summarise(
        self, scenario_id: str, records: Sequence[Record], run: Path, sources: Sequence[Path]
    ) -> Iterable[str]:
        """Yield levels, capacities and what they are per accelerator, kW and dollar."""
        from pytest_a2perf.domains.serving.report.text import summary_lines

        del run, sources
        return summary_lines(scenario_id, records)

    def figures(self, scenario_id: str, records: Sequence[Record]) -> Iterable[str]:
        """Yield curves over the number of agents, and the normalised table."""
        from pytest_a2perf.domains.serving.report.figures import figures

        return figures(scenario_id, records)


def _wrong_with_gate(metric: str, tiers: Sequence[str]) -> Iterable[tuple[str, str]]:
    tier = ".".join(metric.split(".")[2:])
    key = "gates"
    if not tiers:
        yield key, f"{metric}: the scenario has no tiers"
    elif tier and tier not in tiers:
        yield key, f"{metric}: there is no tier {tier!r}, but {', '.join(map(repr, tiers))}"
    elif not tier and len(tiers) > 1:
        names = ", ".join(f"{metric}.{name}" for name in tiers)
        yield key, f"{metric}: which of its tiers? {names}"
