"""What a trial leaves behind of its levels: samples, reported numbers, capacities, a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_a2perf.domains.serving.replay.level import Level
from pytest_a2perf.domains.serving.replay.rows import Floats, Rows
from pytest_a2perf.domains.serving.slo.decide import pooled
from pytest_a2perf.domains.serving.slo.search import Capacity, Judged
from pytest_a2perf.domains.serving.system.normalise import costs_of, divisors_of
from pytest_a2perf.domains.serving.system.options import SystemOptions, disclosure
from pytest_a2perf.domains.serving.target import described, system_of
from pytest_a2perf.runs.histogram import Histogram

if TYPE_CHECKING:
    from pytest_a2perf.domains.serving.bench import Bench
    from pytest_a2perf.trials.trial import Trial

__all__ = ["Findings"]

_REPORTED = {
    "energy_per_output_token": "energy_per_token",
    "energy_per_turn": "energy_per_turn",
    "output_tokens_per_joule": "tokens_per_joule",
    "cost_per_million_output_tokens": "cost_per_million_tokens",
}
"""Name of a cost -> name of the number that trials report."""

_ENERGY = {"per_token": "energy_per_output_token", "per_turn": "energy_per_turn"}
_CLIENT = "the client's clock"
_SERVER = "the server's count"


@dataclass(slots=True)
class Findings:
    """What a trial has measured so far.

    Attributes:
        levels: in the order in which they were held.
        judged: what each number of agents says of the tiers.
        capacities: by tier; empty unless they were searched for, or can be told of one load.
    """

    levels: list[Level]
    judged: dict[int, Judged]
    capacities: dict[str, Capacity]

    def keep(self, trial: Trial, bench: Bench) -> None:
        """Write it into the trial's record; called whatever became of the trial."""
        system = system_of(trial.scenario)
        summaries = [self._summary(level, system) for level in self.levels]
        trial.note(
            serving={
                "endpoint": described(bench.endpoint),
                "workload": bench.workload.about,
                "output": bench.options.load.output,
                "load": bench.options.load.model_dump(mode="json", exclude_defaults=True),
                "rules": asdict(bench.rules),
                "confidence": bench.options.search.confidence,
                "tiers": [asdict(tier) for tier in bench.tiers],
                "levels": summaries,
                "system": {} if system is None else disclosure(system),
            }
        )
        tainted = [
            f"{level.load}: {why}"
            for level in self.levels
            for why in (*level.tainted, level.lacks, level.client.limited)
            # A search knows what to make of a level that tells too little.
            if why and (why in level.tainted or not bench.tiers)
        ]
        if tainted:
            trial.note(tainted=tainted)
        if self.capacities:
            self._keep_capacities(trial, system)
        if shown := self.shown():
            _sample(trial, shown)
            _report(trial, shown, system)

    def shown(self) -> list[Level]:
        """Return the levels whose requests stand for the trial.

        Those of the largest load that surely meets the first tier; without one, of the smallest;
        without a search, of the last.
        """
        if not self.levels:
            return []
        agents = self.levels[-1].agents
        if self.capacities and len({level.agents for level in self.levels}) > 1:
            low = next(iter(self.capacities.values())).low
            agents = low or min(level.agents for level in self.levels)
        return self.at(agents)

    def at(self, agents: int) -> list[Level]:
        """Return the levels of a load that tell something, or all of them where none does."""
        found = [level for level in self.levels if level.agents == agents]
        return [level for level in found if not level.client.limited] or found

    def _summary(self, level: Level, system: SystemOptions | None) -> dict[str, Any]:
        judged = self.judged.get(level.agents)
        decisions = judged.decisions if judged else {}
        costs = _costs([level], system)
        energy = {short: costs[name]["value"] for short, name in _ENERGY.items() if name in costs}
        told = {
            "decisions": {tier: decision.to_json() for tier, decision in decisions.items()},
            "energy": energy,
        }
        return {**level.to_json(), **{name: value for name, value in told.items() if value}}

    def _keep_capacities(self, trial: Trial, system: SystemOptions | None) -> None:
        capacities: dict[str, Any] = {}
        missing: dict[str, str] = {}
        for tier, capacity in self.capacities.items():
            # Where not even one agent is served, the smallest load tells what the system draws.
            levels = self.at(capacity.agents) or self.shown()
            divisors = divisors_of(system, levels[-1].power if levels else None)
            capacities[tier] = {**capacity.to_json(), "per": divisors.per}
            missing |= divisors.missing
        trial.note(capacity=capacities)
        if missing:
            trial.note(capacity_missing=missing)


def _sample(trial: Trial, levels: Sequence[Level]) -> None:
    """Record the times and speeds of the requests that went well."""
    rows = pooled([level.rows for level in levels])
    served = rows.where(~rows.failed)
    for name, values, unit in (
        ("ttft", served.ttft, "s"),
        ("turn", served.turn, "s"),
        ("output_speed", served.output_speed, "tok/s"),
        ("e2e_speed", served.e2e_speed, "tok/s"),
        ("lead", served.lead, "s"),
    ):
        known = values[np.isfinite(values)]
        if known.size:
            trial.sample(name, known, unit=unit)
    gaps = Histogram.merge([level.gaps for level in levels])
    if gaps.count:
        trial.record.samples["itl"] = gaps
    whole = _sessions(rows)
    if whole.size:
        trial.sample("session", whole)


def _sessions(rows: Rows) -> Floats:
    """Return the seconds that sessions took which were seen from end to end."""
    begun: dict[tuple[float, float], float] = {}
    taken = []
    names = ("agent", "run", "turn", "last_turn", "due", "ended")
    for agent, run, turn, is_last, due, ended in zip(*(rows[n] for n in names), strict=True):
        if turn == 0:
            begun[agent, run] = due
        if is_last and (agent, run) in begun:
            taken.append(ended - begun[agent, run])
    return np.array(taken, dtype=float)


def _costs(levels: Sequence[Level], system: SystemOptions | None) -> dict[str, dict[str, Any]]:
    """Return what the tokens of levels cost, over those whose power is known."""
    level = levels[-1]
    rows = level.rows.where(~level.rows.failed)
    tokens = rows["output_tokens"]
    return costs_of(
        system,
        level.power,
        output_tokens=float(tokens[tokens > 0].sum()),
        turns=float(len(rows)),
        seconds=level.seconds,
    ).costs


def _report(trial: Trial, levels: Sequence[Level], system: SystemOptions | None) -> None:
    """Report numbers that gates can name."""
    summary = levels[-1].to_json()
    tokens = summary.get("tokens", {})
    rows = Rows.joined([level.rows for level in levels])
    if "output_rate" in tokens:
        trial.report("tokens_per_second", tokens["output_rate"], "tok/s", source=_SERVER)
    if "cache_hits" in tokens:
        trial.report("cache_hit_rate", tokens["cache_hits"], source=_SERVER)
    if "accepted" in tokens:
        trial.report("accepted_share", tokens["accepted"], source=_SERVER)
    if len(rows):
        trial.report("error_rate", float(rows.failed.mean()), source=_CLIENT)
    trial.report("client_cpu_per_chunk", levels[-1].client.cpu_per_chunk, "s", source=_CLIENT)
    for name, cost in _costs(levels, system).items():
        trial.report(
            _REPORTED[name],
            cost["value"],
            cost["unit"],
            source=cost["source"],
            quality=cost["quality"],
        )
