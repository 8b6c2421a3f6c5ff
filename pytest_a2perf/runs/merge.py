"""Join the runs of several machines into one: each trial once, whatever was merged before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.runs.plan import PLAN, RunPlan, read_plan
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import RECORDS, has_ended, read_records
from pytest_a2perf.trials.noise import is_tainted

__all__ = ["Merged", "find_runs", "merge"]


@dataclass(frozen=True, slots=True)
class Merged:
    """Several runs as one.

    Attributes:
        runs: their folders.
        plan: what all of them together set out to do.
        records: one of each attempt at each trial, in the order in which they began.
        problems: what is missing, in words.
    """

    runs: tuple[Path, ...]
    plan: RunPlan
    records: tuple[Record, ...]
    problems: tuple[str, ...]


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Return the folders of runs: those named, or all below a folder that is none.

    Raises:
        A2PerfError: there is no run at or below a path.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if (path / RECORDS).is_file():
            found[path] = None
            continue
        below = sorted(file.parent for file in path.glob(f"**/{RECORDS}"))
        # A run that was killed before it knew its trials has no plan, and nothing to merge.
        below = [folder for folder in below if (folder / PLAN).is_file()]
        if not below:
            raise A2PerfError(f"{path}: no run here; a run is a folder with {PLAN} and {RECORDS}")
        found.update(dict.fromkeys(below))
    return list(found)


def merge(runs: Sequence[Path]) -> Merged:
    """Join runs of the same scenarios.

    A trial that several runs hold (a shard that was repeated, a run that was merged before) counts
    once: its newest record.

    Raises:
        A2PerfError: a run has no plan, or the runs are not of the same scenarios.
    """
    plans = {run: read_plan(run) for run in runs}
    first, *others = plans
    for run in others:
        _check_same(first, plans[first], run, plans[run])
    newest: dict[tuple[str, int], Record] = {}
    for run in runs:
        for record in read_records(run):
            key = (record.nodeid, record.attempt)
            if key not in newest or record.started >= newest[key].started:
                newest[key] = record
    # An attempt that noise has spoilt was repeated: only the last one counts, as in its run.
    last = dict(sorted(newest))
    counted = [r for r in newest.values() if not is_tainted(r) or r.attempt == last[r.nodeid]]
    records = sorted(counted, key=lambda record: (record.started, record.nodeid))
    _check_digests(records)
    plan = RunPlan("", plans[first].trials, plans[first].gates)
    problems = _missing_shards(plans.values())
    if plan.trials.keys() - {record.nodeid for record in records}:
        problems += _cut_off(plans)
    return Merged(tuple(runs), plan, tuple(records), tuple(problems))


def _check_same(one: Path, a: RunPlan, other: Path, b: RunPlan) -> None:
    differing = sorted(a.trials.keys() ^ b.trials.keys())
    what = f"trial {differing[0]}" if differing else ""
    if not what and a.gates != b.gates:
        specs = {gate.nodeid: gate for gate in a.gates}
        what = next((f"gate {g.nodeid}" for g in b.gates if specs.get(g.nodeid) != g), "a gate")
    if what:
        raise A2PerfError(
            f"{one} and {other} are not parts of one run: {what} is not the same in both"
        )


def _check_digests(records: Sequence[Record]) -> None:
    digests: dict[str, Record] = {}
    for record in records:
        if record.digest:
            known = digests.setdefault(record.scenario, record)
            if known.digest != record.digest:
                raise A2PerfError(
                    f"{record.scenario}: {known.nodeid} and {record.nodeid} ran different versions "
                    "of the scenario"
                )


def _missing_shards(plans: Iterable[RunPlan]) -> list[str]:
    shards = {plan.shard for plan in plans if plan.shard}
    counts = {int(shard.partition("/")[2]) for shard in shards}
    if len(counts) > 1:
        return [f"the runs were cut into different numbers of shards: {', '.join(sorted(shards))}"]
    return [
        f"shard {index}/{count} is missing"
        for count in counts
        for index in range(1, count + 1)
        if f"{index}/{count}" not in shards
    ]


def _cut_off(plans: Mapping[Path, RunPlan]) -> list[str]:
    ended = {plan.shard for run, plan in plans.items() if has_ended(run)}
    return [
        f"shard {plan.shard} was cut off: {run}"
        for run, plan in plans.items()
        if plan.shard and plan.shard not in ended
    ]
