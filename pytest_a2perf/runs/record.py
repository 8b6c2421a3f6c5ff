"""The record of one trial: what happened, in columns and quantities, as plain JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.histogram import Histogram

__all__ = ["OUTCOMES", "SCHEMA", "Curve", "Episode", "Outcome", "Record", "Unit"]

SCHEMA = 1
"""Version of the record format; readers accept older ones and ignore unknown keys."""

Outcome = Literal["success", "failure", "error", "infra", "timeout", "not_run"]
OUTCOMES: tuple[Outcome, ...] = ("success", "failure", "error", "infra", "timeout", "not_run")

Unit = int | str
"""What pairs trials of two runs, see `Record.unit`."""


@dataclass(slots=True)
class Episode:
    """One episode of a trial.

    Attributes:
        total: undiscounted return, or the score of a task without rewards.
        length: steps (turns of a conversation).
        terminated: the task ended it.
        truncated: a time or step limit ended it.
        success: solved or not; None where the task has no such notion.
        task: sub-task, for generalization over tasks; empty otherwise.
    """

    total: float
    length: int
    terminated: bool = True
    truncated: bool = False
    success: bool | None = None
    task: str = ""


@dataclass(slots=True)
class Curve:
    """A quantity over training steps: ``value[i]`` was reached at ``step[i]``."""

    step: list[float] = field(default_factory=list)
    value: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Record:
    """Everything one trial left behind.

    Attributes:
        scenario: id of its scenario, e.g. ``scenarios/quadruped.toml::trot``.
        nodeid: id of its pytest item.
        seed: the trial's seed.
        case: which of the things that its scenario's task stands for; empty where it is one.
        attempt: 1, or higher when a plugin reran the item; every attempt is kept.
        outcome: see `OUTCOMES`.
        error: ``{"type", "message", "traceback"}`` when something went wrong.
        started: wall-clock time, ISO 8601 with zone.
        duration: seconds of the whole item, set-up included.
        worker, host, device: where it ran; the device is empty where nobody lived to tell.
        episodes: one entry an episode, recorded in order.
        samples: per-step samples by name, e.g. ``latency``, ``env_step``.
        quantities: readings of the meters by name, e.g. ``energy``, ``memory.peak``.
        reported: numbers that the test or domain reported, see `Trial.report`.
        curves: values over training steps by name; ``return`` feeds reliability in training.
        digest: hash of the scenario's content; a resumed run reuses only equal ones.
        context: what else may explain the numbers: workers, load, repetitions, throttling.
        benchmark: statistics of pytest-benchmark's fixture, if the test used it.
    """

    scenario: str
    nodeid: str
    seed: int
    domain: str = "python"
    phase: str = "inference"
    attempt: int = 1
    outcome: Outcome = "not_run"
    error: dict[str, str] | None = None
    started: str = ""
    duration: float = 0.0
    worker: str = "main"
    host: str = ""
    device: str = "cpu"
    digest: str = ""
    episodes: list[Episode] = field(default_factory=list)
    samples: dict[str, Histogram] = field(default_factory=dict)
    quantities: dict[str, Quantity] = field(default_factory=dict)
    reported: dict[str, Quantity] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    benchmark: dict[str, Any] | None = None
    case: str = ""

    _SCALARS: ClassVar[tuple[str, ...]] = (
        "scenario", "nodeid", "seed", "domain", "phase", "attempt", "outcome", "error", "started",
        "duration", "worker", "host", "device", "digest", "context", "benchmark",
        "case",
    )  # fmt: skip

    @property
    def unit(self) -> Unit:
        """What makes it comparable with a trial of another run: its seed, and its case if any."""
        return f"{self.case}/{self.seed}" if self.case else self.seed

    @property
    def has_result(self) -> bool:
        """Whether the agent got as far as to succeed or to fail."""
        return self.outcome in ("success", "failure")

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON scalars, lists and objects; empty parts are left out."""
        data: dict[str, Any] = {"schema": SCHEMA}
        data |= {name: getattr(self, name) for name in Record._SCALARS}
        data["case"] = self.case or None
        if self.episodes:
            data["episodes"] = {
                name: [getattr(episode, name) for episode in self.episodes]
                for name in Episode.__slots__
            }
        for name in ("samples", "quantities", "reported"):
            part = getattr(self, name)
            data[name] = {key: part[key].to_json() for key in part}
        data["curves"] = {
            key: {"step": curve.step, "value": curve.value} for key, curve in self.curves.items()
        }
        return {key: value for key, value in data.items() if value not in ({}, None)}

    def to_line(self) -> str:
        """Return the record as one line of JSON, newline included; NaN is written as ``NaN``."""
        return json.dumps(self.to_json(), separators=(",", ":"), default=_plain) + "\n"

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Inverse of `to_json`; unknown keys are ignored."""
        record = cls(**{name: data[name] for name in cls._SCALARS if name in data})
        columns = data.get("episodes", {})
        if columns:
            names = [name for name in Episode.__slots__ if name in columns]
            rows = zip(*(columns[name] for name in names), strict=True)
            record.episodes = [Episode(**dict(zip(names, row, strict=True))) for row in rows]
        record.samples = {k: Histogram.from_json(v) for k, v in data.get("samples", {}).items()}
        record.quantities = {
            k: Quantity.from_json(v) for k, v in data.get("quantities", {}).items()
        }
        record.reported = {k: Quantity.from_json(v) for k, v in data.get("reported", {}).items()}
        record.curves = {
            k: Curve(list(v["step"]), list(v["value"])) for k, v in data.get("curves", {}).items()
        }
        return record

    @classmethod
    def from_line(cls, line: str) -> Record:
        """Inverse of `to_line`.

        Raises:
            ValueError: the line is not a whole record (a killed run may leave half a line).
        """
        data = json.loads(line)
        if not isinstance(data, dict) or "scenario" not in data:
            raise ValueError("not a trial record")
        return cls.from_json(data)


def _plain(value: object) -> object:
    """Turn numpy scalars and arrays into plain ones without importing numpy here."""
    for method in ("item", "tolist"):
        convert = getattr(value, method, None)
        if convert is not None and getattr(value, "size", 1) == 1:
            return convert()
    convert = getattr(value, "tolist", None)
    return convert() if convert is not None else str(value)
