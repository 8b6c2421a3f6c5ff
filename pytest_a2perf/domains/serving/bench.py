"""The bench of a trial: endpoint, sessions, instruments; it holds one load after the other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_a2perf.domains.serving.client.connection import Limits
from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.options import ServingOptions
from pytest_a2perf.domains.serving.replay.level import Level, Rules
from pytest_a2perf.domains.serving.replay.probe import probe
from pytest_a2perf.domains.serving.replay.run import Progress, run_level
from pytest_a2perf.domains.serving.slo.decide import least_requests
from pytest_a2perf.domains.serving.slo.tiers import Limit, Tier
from pytest_a2perf.domains.serving.system.power import PowerSource
from pytest_a2perf.domains.serving.system.sources import engine_metrics, power_source
from pytest_a2perf.domains.serving.target import open_endpoint, system_of
from pytest_a2perf.domains.serving.trajectories.store import SessionFile
from pytest_a2perf.domains.serving.workload import Workload, make_workload, read_sessions

if TYPE_CHECKING:
    from pytest_a2perf.domains.serving.system.engine import EngineMetrics
    from pytest_a2perf.trials.trial import Trial

__all__ = ["Bench", "open_bench"]

_COLD = 3.0  # how many times longer the first request may take


@dataclass(slots=True)
class Bench:
    """What holds loads for a trial.

    Attributes:
        trial: see `Trial`.
        options: of the scenario.
        endpoint: that answers, with the model's name filled in.
        workload: see `Workload`.
        rules: of the steady windows.
        tiers: that loads are judged by.
        power, engine: read in the background while the bench is open.
    """

    trial: Trial
    options: ServingOptions
    endpoint: Endpoint
    workload: Workload
    rules: Rules
    tiers: Sequence[Tier]
    power: PowerSource | None
    engine: EngineMetrics

    def measure(self, agents: int, repeat: int = 0, rate: float | None = None) -> Level:
        """Hold a load until its window has what the rules ask for.

        Args:
            agents: at once; with a rate, the most that may be open.
            repeat: counts the repeats of this load from 0.
            rate: sessions that begin a second.

        Raises:
            InfraError: the load could not be held.
        """
        trial, load = self.trial, self.options.load
        name = f"{agents}-{repeat}" if rate is None else f"rate-{rate:g}-{repeat}"
        plan = load.plan(
            self.endpoint,
            str(self.workload.path),
            agents=agents,
            rate=rate,
            seed=trial.seed,
            level=f"{trial.record.nodeid}-{trial.started}-{name}",
        )
        remaining = trial.remaining()

        def show(progress: Progress) -> None:
            lacks = f", lacks {progress.lacks}" if progress.lacks else ""
            trial.progress(
                f"{agents} agents: {progress.stage}, {progress.requests} requests, "
                f"{progress.failed} failed{lacks}"
            )

        return run_level(
            plan,
            self.rules,
            folder=trial.folder / f"level-{name}",
            processes=load.process_count(agents),
            power=self.power,
            engine=self.engine,
            limits=_limits(self.tiers),
            check=self.options.client.check(),
            deadline=None if remaining is None else time.monotonic() + remaining,
            progress=show,
        )


def _limits(tiers: Sequence[Tier]) -> list[Limit]:
    return [limit for tier in tiers for limit in tier.limits]


def open_bench(
    trial: Trial, options: ServingOptions, tiers: Sequence[Tier], stack: contextlib.ExitStack
) -> Bench:
    """Get ready whatever a trial needs; the stack takes it down again.

    Raises:
        InfraError: the endpoint does not answer as it should, or an instrument cannot read.
        TrajectoryError: the sessions cannot be used.
    """
    system = system_of(trial.scenario)
    endpoint = open_endpoint(trial, stack)
    trial.progress("reading the sessions")
    sessions = read_sessions(trial.scenario.task, options.workload, trial.root)
    trial.progress("asking the endpoint")
    ask = partial(
        probe,
        output=options.load.output,
        tokenizer=options.load.tokenizer or "",
        # The first request may find a cold server.
        limits=Limits(stall=_COLD * options.load.stall, longest=_COLD * options.load.longest),
    )
    found = ask(endpoint)
    endpoint = replace(endpoint, model=found.model)
    workload = make_workload(
        trial.scenario.task, sessions, options.workload, trial.folder, found.context
    )
    found = ask(endpoint, SessionFile(workload.path)[0])
    if found.notes:
        trial.note(endpoint=list(found.notes))
    # Requests of a session resemble each other, so that many are worth fewer.
    needed = [2 * least_requests(limit, options.search.confidence) for limit in _limits(tiers)]
    power = power_source(system)
    if power is not None:
        stack.enter_context(power)
    engine = stack.enter_context(engine_metrics(system, endpoint.url))
    rules = options.window.rules(max(needed, default=0))
    return Bench(trial, options, endpoint, workload, rules, tiers, power, engine)
