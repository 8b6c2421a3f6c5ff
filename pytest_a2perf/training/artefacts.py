"""What a training leaves behind: a folder inside the run, with a manifest beside the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.store import RECORDS
from pytest_a2perf.suggest import did_you_mean

__all__ = [
    "ARTEFACT", "MANIFEST", "Artefact", "Checkpoint", "artefacts_of", "find_artefacts",
    "resolve", "write_manifest",
]  # fmt: skip

MANIFEST = "a2perf.json"
ARTEFACT = "artefact"
"""Name of the folder, inside the folder of its trial."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that was saved on the way.

    Attributes:
        step: of the training.
        path: of the model, relative to the artefact's folder.
        value: the return that the training had logged last, or None.
    """

    step: float
    path: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Artefact:
    """A trained agent.

    Attributes:
        folder: what the training wrote into; holds the manifest.
        scenario: id of the training's scenario, e.g. ``scenarios/dog.toml::trot-ppo``.
        seed: of the training.
        agent: what trained it, as the scenario names it.
        agent_options: of the training's scenario.
        task: what it was trained in.
        model: path of the model in the folder, or empty: then the agent's own code loads it.
        algorithm: its name in reports.
        energy: of the training, or None where nothing could read it.
        data_cost: energy of what the training learnt from, or None.
        checkpoints: in the order of their steps.
        complete: whether the training came to its end.
    """

    folder: Path
    scenario: str
    seed: int
    agent: str
    agent_options: Mapping[str, Any]
    task: str
    model: str = ""
    algorithm: str = ""
    energy: Quantity | None = None
    data_cost: Quantity | None = None
    checkpoints: tuple[Checkpoint, ...] = field(default=())
    complete: bool = True

    @property
    def name(self) -> str:
        """The scenario's name, as in ``run:NAME``."""
        return self.scenario.rpartition("::")[2]

    @property
    def run(self) -> str:
        """Id of the run that it belongs to."""
        return self.folder.parents[2].name


def write_manifest(artefact: Artefact) -> None:
    """Write the manifest into the artefact's folder: from then on it can be found."""
    data = asdict(artefact)
    del data["folder"]
    for name in ("energy", "data_cost"):
        quantity = getattr(artefact, name)
        data[name] = None if quantity is None else quantity.to_json()
    draft = artefact.folder / f".{MANIFEST}"
    draft.write_text(json.dumps(data, indent=1, default=str) + "\n", encoding="utf-8")
    draft.replace(artefact.folder / MANIFEST)


def read_manifest(folder: Path) -> Artefact:
    """Inverse of `write_manifest`.

    Raises:
        A2PerfError: the folder has no manifest, or it is broken.
    """
    path = folder / MANIFEST
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for name in ("energy", "data_cost"):
            data[name] = None if data[name] is None else Quantity.from_json(data[name])
        data["checkpoints"] = tuple(Checkpoint(**point) for point in data["checkpoints"])
        return Artefact(folder=folder, **data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise A2PerfError(f"{path} describes no trained agent: {error}") from error


def artefacts_of(run: Path) -> Iterable[Artefact]:
    """Read all artefacts of a run's folder, in the order of their paths."""
    for path in sorted(run.glob(f"trials/*/{ARTEFACT}/{MANIFEST}")):
        yield read_manifest(path.parent)


def resolve(name: str, scenarios: Iterable[str], beside: str) -> str:
    """Return the id of the scenario that a name means, or empty if it means none.

    Args:
        name: of a scenario, or its whole id.
        scenarios: ids to choose from.
        beside: id of the scenario that names it, whose file comes first.

    Raises:
        A2PerfError: scenarios of several other files have the name.
    """
    found = {one for one in scenarios if name in (one, one.rpartition("::")[2])}
    own = f"{beside.rpartition('::')[0]}::{name}"
    if own in found or len(found) < 2:
        return own if own in found else next(iter(found), "")
    raise A2PerfError(
        f"several scenarios are called {name!r}: {', '.join(sorted(found))}; name one by its id"
    )


def find_artefacts(name: str, runs: Path, current: str = "", beside: str = "") -> list[Artefact]:
    """Return what a scenario trained, one artefact for each seed, sorted by seed.

    Args:
        name: of the scenario, or its whole id.
        runs: folder of all runs.
        beside: id of the scenario that asks; of several with the same name, the one in its file
            is meant.
        current: id of the run in progress, which is looked at first, also for trainings that
            failed; then the newest run in which one came to its end.

    Raises:
        A2PerfError: no run here trained it, or scenarios of several other files have the name.
    """
    newest = sorted((path.parent for path in runs.glob(f"*/{RECORDS}")), reverse=True)
    known = set()
    for run in [runs / current, *newest] if current else newest:
        trained = list(artefacts_of(run))
        meant = resolve(name, {artefact.scenario for artefact in trained}, beside)
        found = [artefact for artefact in trained if artefact.scenario == meant]
        if found and (run.name == current or any(artefact.complete for artefact in found)):
            return sorted(found, key=lambda artefact: artefact.seed)
        known |= {artefact.name for artefact in trained}
    raise A2PerfError(
        f"no run in {runs} trained {name!r}{did_you_mean(name, sorted(known))}; "
        "run its scenario with phase = 'train' first"
    )
