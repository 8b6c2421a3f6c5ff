"""Learning curves from the files that training code writes anyway.

TensorBoard's event files, Stable-Baselines3's ``progress.csv`` and ``monitor.csv``, and any CSV
file with a column of steps.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_a2perf.runs.record import Curve, Record
from pytest_a2perf.suggest import did_you_mean
from pytest_a2perf.training.log import LOG

__all__ = ["RETURNS", "STEPS", "Series", "read_curves", "series_in"]

Series = dict[str, Curve]
"""Curves by the tag or column that their file has for them."""

RETURNS = (
    "return",
    "Metrics/AverageReturn",
    "rollout/ep_rew_mean",
    "eval/mean_reward",
    "charts/episodic_return",
    "episode_return",
    "episode_reward",
    "reward",
)
"""Tags that mean the return, the first one found."""
STEPS = (
    "step", "steps", "time/total_timesteps", "total_timesteps", "timesteps", "global_step",
    "env_steps",
)  # fmt: skip
"""Columns that hold the step, the first one found."""
MONITOR = "monitor.csv"


def read_curves(record: Record, folder: Path, wanted: Mapping[str, str]) -> str:
    """Add the curves in a folder to a record, beside those that the agent has logged.

    Args:
        record: of the training.
        folder: is searched with what is below it.
        wanted: tag by curve; without ``return``, the first of `RETURNS` that is there.

    Returns:
        What of ``wanted`` was not found, as a sentence, or nothing.
    """
    problems = []
    try:
        found = series_in(folder)
    except ModuleNotFoundError:
        record.context["curves"] = "TensorBoard's events need pip install 'pytest-a2perf[train]'"
        found = {}
        if wanted:
            problems.append(record.context["curves"])
    if "return" not in wanted and "return" not in record.curves:
        tag = next((tag for tag in RETURNS if tag in found), None)
        if tag is not None:
            record.curves["return"] = found[tag]
    for name, tag in wanted.items():
        curve = found.get(tag) or record.curves.get(tag)
        if curve is None:
            problems.append(f"no curve {tag!r} for {name!r}{did_you_mean(tag, found)}")
        else:
            record.curves[name] = curve
    if problems and found:
        problems.append(f"there are {', '.join(sorted(found)[:12])}")
    return "; ".join(problems)


def series_in(folder: Path) -> Series:
    """Read everything in a folder; where files share a tag, their points are joined.

    Points with the same step count as parallel actors, which metrics average.

    Raises:
        ModuleNotFoundError: there are event files, but TensorBoard is not installed.
    """
    parts: list[Series] = [_events(sorted(folder.rglob("events.out.tfevents.*")))]
    monitors = sorted(folder.rglob(f"*{MONITOR}"))
    if monitors:
        parts.append({"return": monitored(monitors)})
    parts += [
        _table(path)
        for path in sorted(folder.rglob("*.csv"))
        if path.name != LOG and not path.name.endswith(MONITOR)
    ]
    joined: Series = {}
    for part in parts:
        for tag, curve in part.items():
            if curve.step:
                whole = joined.setdefault(tag, Curve())
                whole.step += curve.step
                whole.value += curve.value
    return {tag: _sorted(curve) for tag, curve in joined.items()}


def monitored(paths: Iterable[Path]) -> Curve:
    """Read returns over steps from the files of Stable-Baselines3's Monitor.

    The episodes of all files, parallel environments, are put in the order of their ends; a step is
    one of all environments together.
    """
    episodes: list[tuple[float, float, float]] = []
    for path in paths:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            try:
                begin = float(json.loads(file.readline().lstrip("#"))["t_start"])
            except (ValueError, KeyError, TypeError):
                begin = 0.0
            for row in csv.DictReader(file):
                total, length, end = (_number(row.get(key)) for key in "rlt")
                if total is not None and length is not None and end is not None:
                    episodes.append((begin + end, length, total))
    curve, step = Curve(), 0.0
    for _, length, total in sorted(episodes):
        step += length
        curve.step.append(step)
        curve.value.append(total)
    return curve


def _events(paths: Iterable[Path]) -> Series:
    found: Series = {}
    for folder in sorted({path.parent for path in paths}):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray

        events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
        tags = events.Tags()
        points = [
            (tag, [(e.step, e.value) for e in events.Scalars(tag)]) for tag in tags["scalars"]
        ]
        points += [
            (tag, [(e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)])
            for tag in tags["tensors"]
            if all(not e.tensor_proto.tensor_shape.dim for e in events.Tensors(tag))
        ]
        for tag, pairs in points:
            curve = found.setdefault(tag, Curve())
            curve.step += [float(step) for step, _ in pairs]
            curve.value += [float(value) for _, value in pairs]
    return found


def _table(path: Path) -> Series:
    """Read a CSV file with a column of steps; others have none of ours."""
    found: Series = {}
    for row in _rows(path):
        step = next((_number(row[name]) for name in STEPS if row.get(name)), None)
        if step is None:
            continue
        for name, text in row.items():
            value = None if name in STEPS else _number(text)
            if value is not None:
                curve = found.setdefault(str(name), Curve())
                curve.step.append(step)
                curve.value.append(value)
    return found


def _rows(path: Path) -> Iterable[Mapping[str, str | None]]:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            yield from csv.DictReader(file)
    except (OSError, csv.Error):  # nothing there, or no table
        return


def _number(text: object) -> float | None:
    try:
        return float(text)  # type: ignore[arg-type]  # what is none of this is no number
    except (TypeError, ValueError):
        return None


def _sorted(curve: Curve) -> Curve:
    order = sorted(range(len(curve.step)), key=curve.step.__getitem__)
    return Curve([curve.step[i] for i in order], [curve.value[i] for i in order])
