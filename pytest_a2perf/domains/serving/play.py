"""One trial: a search for the largest load that meets the tiers, or fixed loads."""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import TYPE_CHECKING

from pytest_a2perf.domains.serving.bench import Bench, open_bench
from pytest_a2perf.domains.serving.keep import Findings
from pytest_a2perf.domains.serving.options import ServingOptions
from pytest_a2perf.domains.serving.slo.decide import Decision
from pytest_a2perf.domains.serving.slo.options import tiers_of
from pytest_a2perf.domains.serving.slo.search import Capacity, Judged, judge_load, search
from pytest_a2perf.errors import AgentFailure, InfraError

if TYPE_CHECKING:
    from pytest_a2perf.domains.serving.replay.level import Level
    from pytest_a2perf.trials.trial import Trial

__all__ = ["play"]

_MARGIN = 5.0  # seconds before the trial's timeout at which no further level begins


def play(trial: Trial) -> None:
    """Run one trial, and record what it has measured whatever happens.

    Raises:
        AgentFailure: the load misses a tier, or not even one agent meets it.
        InfraError: the endpoint is down, the client was the limit, or nothing could be decided.
        TrajectoryError: the sessions cannot be used.
    """
    options = ServingOptions.model_validate(trial.scenario.options)
    tiers = tiers_of(options.tiers)
    with contextlib.ExitStack() as stack:
        bench = open_bench(trial, options, tiers, stack)
        findings = Findings([], {}, {})
        try:
            trial.measured(lambda: _hold(bench, findings))
        finally:
            findings.keep(trial, bench)
    _conclude(trial, bench, findings)


def _hold(bench: Bench, findings: Findings) -> None:
    """Hold the loads of a scenario."""
    options = bench.options

    def measure(agents: int, repeat: int = 0) -> Level:
        level = bench.measure(agents, repeat, options.rate)
        findings.levels.append(level)
        return level

    for agents in (options.most_open,) if options.rate is not None else options.fixed:
        judged = judge_load(
            partial(measure, agents), bench.tiers, options.search, lambda: _expired(bench)
        )
        _note(findings, agents, judged)
    if len(options.fixed) == 1:
        findings.capacities |= _capacities(options.fixed[0], findings)
    if not options.fixed and options.rate is None:
        findings.capacities |= search(
            measure,
            bench.tiers,
            options.search,
            expired=lambda: _expired(bench),
            judged=lambda agents, judged: _note(findings, agents, judged),
        )


def _note(findings: Findings, agents: int, judged: Judged) -> None:
    findings.judged[agents] = judged


def _expired(bench: Bench) -> str:
    """Say why no further level can begin within the trial's time."""
    remaining = bench.trial.remaining()
    needs = bench.rules.settle + bench.rules.steady + _MARGIN
    return "" if remaining is None or remaining > needs else "the trial's time was up"


def _capacities(agents: int, findings: Findings) -> dict[str, Capacity]:
    """Return what one load says of the largest one."""
    found = {}
    for tier, decision in findings.judged[agents].decisions.items():
        met, missed = decision.says == "met", decision.says == "missed"
        found[tier] = Capacity(
            agents if decision.point else 0,
            agents if met else 0,
            agents - 1 if missed else math.inf,
            f"only {agents} agents were tried",
        )
    return found


def _conclude(trial: Trial, bench: Bench, findings: Findings) -> None:
    """Record what came of it.

    Raises:
        AgentFailure: a tier is missed.
        InfraError: nothing could be decided.
    """
    turns = sum(len(level.rows) for level in findings.levels)
    total = float(next(iter(findings.capacities.values())).agents) if findings.capacities else 0.0
    missed, open_ = _missed(bench, findings)
    success = None if not bench.tiers or (open_ and not missed) else not missed
    trial.episode(total, turns, success=success)
    if missed:
        raise AgentFailure("\n".join(missed))
    if open_:
        raise InfraError("\n".join(open_))


def _missed(bench: Bench, findings: Findings) -> tuple[list[str], list[str]]:
    """Return the tiers that are missed, and those that are left open, in words."""
    missed, open_ = [], []
    if bench.options.fixed or bench.options.rate is not None:
        for agents, judged in findings.judged.items():
            load = f"{agents} agents" if bench.options.rate is None else f"{bench.options.rate:g}/s"
            for tier, decision in judged.decisions.items():
                text = f"{load}, {tier}: {_words(decision, judged.blocked)}"
                if decision.says == "missed":
                    missed.append(text)
                elif decision.says == "unsure":
                    open_.append(f"undecided: {text}")
        return missed, open_
    for tier, capacity in findings.capacities.items():
        if capacity.high == 0:
            missed.append(f"{tier}: not even one agent is served: {capacity.why}")
        elif capacity.low == 0 and math.isinf(capacity.high):
            open_.append(f"{tier}: undecided: {capacity.why}")
    return missed, open_


def _words(decision: Decision, blocked: str) -> str:
    """Say what of a decision is not met, and why nothing more is known."""
    parts = [part.text() for part in decision.parts if part.says != "met"]
    told = [*(parts if decision.requests else ()), decision.note, blocked]
    return "; ".join(dict.fromkeys(filter(None, told)))
