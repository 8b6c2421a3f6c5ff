"""Trials of made-up algorithms, for the tests of A2Perf's table."""

from __future__ import annotations

import numpy as np

from pytest_a2perf.quantities import Quantity
from pytest_a2perf.reports.a2perf.build import tables_of
from pytest_a2perf.reports.a2perf.columns import Run
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.record import Curve, Episode, Record

MACHINE = {"cpu": "EPYC", "cores": 4, "platform": "Linux"}


def two_points(mean, std, count=10):
    """Return values with exactly that mean and standard deviation (n - 1)."""
    half = std * np.sqrt((count - 1) / count)
    return [float(mean + half * (-1) ** i) for i in range(count)]


def trial(scenario, seed, phase, algorithm, *, task="dog_pace", domain="quadruped", **context):
    """Return an empty trial that succeeded."""
    record = Record(f"dog.toml::{scenario}", f"dog.toml::{scenario}[{seed}]", seed, domain, phase)
    record.outcome, record.digest, record.started = "success", scenario, f"2026-01-01T00:00:{seed}"
    record.context = {"task": task, "agent": f"agents:{scenario}", "algorithm": algorithm} | context
    return record


def training(algorithm, *, ram, hours, energy=3.6e6, cost=None, noise=1.0, seeds=10, **settings):
    """Return the trials of a training: curves, memory, time, energy."""
    records = []
    for seed in range(seeds):
        record = trial(f"{algorithm}-train", seed, "train", algorithm, **settings)
        rng = np.random.default_rng(seed)
        steps = np.arange(60.0)
        curve = steps / 4 + noise * rng.normal(size=60)
        record.curves["return"] = Curve([*steps], [*map(float, curve)])
        for name, unit, value in (
            ("memory.tree.peak", "B", two_points(*ram, seeds)[seed] * 1e9),
            ("time.wall", "s", two_points(*hours, seeds)[seed] * 3600),
        ):
            record.quantities[name] = Quantity(value, unit, "meter")
        source = "cpu-time-model"
        record.quantities["energy"] = Quantity(energy + seed, "J", source, "modelled")
        if cost is not None:
            record.reported["data_cost"] = Quantity(cost, "J", "minari-metadata", "estimated")
        records.append(record)
    return records


def rollouts(algorithm, *, returns, name="", seeds=10, **settings):
    """Return the trials of an inference: ten episodes each, decision times, energy."""
    values = two_points(*returns, seeds * 10)
    records = []
    for seed in range(seeds):
        record = trial(name or f"{algorithm}-play", seed, "inference", algorithm, **settings)
        record.episodes = [Episode(v, 600) for v in values[10 * seed : 10 * seed + 10]]
        record.samples["latency"] = Histogram.of(two_points(0.24e-3, 0.1e-3, 20))
        record.quantities["energy"] = Quantity(20.0, "J", "rapl", "measured")
        records.append(record)
    return records


def run(*parts, name="20260101-000000-abcdef", **data):
    """Return trials as a run that was read."""
    return Run(name, {**MACHINE, **data}, [record for part in parts for record in part])


def pace(**settings):
    """Return the dog's pace of A2Perf's table of December 2023, as far as trials give it exactly."""
    return run(
        training("PPO", ram=(162.37, 0.03), hours=(8.39, 0.25), **settings),
        training("DDPG", ram=(505.63, 0.28), hours=(16.18, 0.46), noise=5.0, **settings),
        rollouts("PPO", returns=(18.10, 6.01), **settings),
        rollouts("DDPG", returns=(12.65, 7.79), **settings),
    )


def table(*runs, definition="default"):
    """Return the only table of runs."""
    (found,) = tables_of(runs, definition)
    return found


def line(found, label, phase=None):
    """Return the only row of a label."""
    (wanted,) = [one for one in found.lines if one.label == label and phase in (None, one.phase)]
    return wanted


def printed(found, label, phase=None):
    """Return a row's cells as text."""
    cells = line(found, label, phase).cells
    return [None if cell is None else " ± ".join(cell.numbers) for cell in cells]
