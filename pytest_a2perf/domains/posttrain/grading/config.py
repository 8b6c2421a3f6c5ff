"""What the grading service is told when it starts: one JSON file, written by the harness."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.posttrain.grading.artefact import Rules
from pytest_a2perf.domains.posttrain.sandbox.spec import Limits, Mount

__all__ = ["BROKEN_LOG", "EVALUATOR", "Config", "Place", "Plan"]

BROKEN_LOG = 3
"""Exit status of the service if a log is broken: starting it again would not help."""

EVALUATOR = ("-m", "pytest_a2perf.domains.posttrain.evaluate")
"""Arguments of Python: the evaluator of the tasks that come along."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where programs of the grader run.

    Attributes:
        sandbox: as for `sandbox.choose`.
        allow_unisolated: see there.
        limits: of each program.
        mounts: what programs see besides the system and this package.
        env: of the programs.
        devices: see `Box`.
        network: see `Box`; only for judges that are asked over the network.
    """

    sandbox: str = "auto"
    allow_unisolated: bool = False
    limits: Limits = field(default_factory=lambda: Limits(processes=64, wall=600.0))
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    network: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How artefacts are evaluated.

    Attributes:
        hidden: folder with a file or folder of each split's name, whatever its suffix; an
            evaluation sees that of its split alone.
        requests: what the evaluator is told, by split; artefact, hidden, split, seed and nonce are
            filled in.
        command: argument list of the evaluator; empty: that of the tasks that come along.
        place: see `Place`.
    """

    hidden: Path
    requests: Mapping[str, Mapping[str, Any]]
    command: tuple[str, ...] = ()
    place: Place = field(default_factory=Place)


@dataclass(frozen=True, slots=True)
class Config:
    """What the service is told. None: no limit.

    Attributes:
        root: folder of the run, see `RunFiles`.
        plan: see `Plan`; it needs no more than the public split.
        task: name of the task.
        base: folder of the base model.
        base_name: of the base model.
        baseline: public score of the base model.
        items: that the public split has; 0: not known.
        inside: the workspace's path where the agent runs.
        started: when the run did, by the clock of the system and by the monotonic one (seconds).
        paused: seconds that the agent has waited for evaluations before this start.
        timeout: wall-clock budget of the agent, in seconds.
        patience: seconds that the clock may stand still in all; None: as long as the budget is.
        cpu: CPU seconds that the agent may use.
        submissions: that are evaluated.
        calls: of the task's services.
        per_minute: submissions, whatever becomes of them.
        cool_down: seconds from the end of an evaluation to the next submission.
        queue: submissions that may wait.
        rules: see `Rules`.
        keep: bytes of copies that are kept beside the best one.
        services: names of the task's services.
        service: argument list of the program that answers them.
        gpus: that agents may name.
    """

    root: Path
    plan: Plan
    task: str = ""
    base: Path | None = None
    base_name: str = ""
    baseline: float | None = None
    items: int = 0
    inside: str = "/workspace"
    started: tuple[float, float] = (0.0, 0.0)
    paused: float = 0.0
    timeout: float | None = None
    patience: float | None = None
    cpu: float | None = None
    submissions: int | None = None
    calls: int | None = None
    per_minute: int = 30
    cool_down: float = 0.0
    queue: int = 8
    rules: Rules = field(default_factory=Rules)
    keep: int = 8 << 30
    services: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return JSON."""
        return json.dumps(asdict(self), default=str, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Inverse of `to_json`.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        data = json.loads(text)
        plan = data["plan"]
        place = plan["place"]
        mounts = tuple(Mount(**{**one, "source": Path(one["source"])}) for one in place["mounts"])
        plan["place"] = Place(
            **{**place, "limits": Limits(**place["limits"]), "mounts": mounts}
            | {"devices": tuple(place["devices"])}
        )
        plan |= {"hidden": Path(plan["hidden"]), "command": tuple(plan["command"])}
        rules = {**data["rules"], "suffixes": tuple(data["rules"]["suffixes"])}
        read = {
            "root": Path(data["root"]),
            "plan": Plan(**plan),
            "base": None if data["base"] is None else Path(data["base"]),
            "started": tuple(data["started"]),
            "rules": Rules(**rules),
            **{name: tuple(data[name]) for name in ("services", "service", "gpus")},
        }
        return cls(**{**data, **read})
