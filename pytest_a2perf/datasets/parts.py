"""The part of a data set that one trial collects, and how parts become the data set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_a2perf.datasets.cost import Policy
from pytest_a2perf.datasets.store import require_minari
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.quantities import Quantity

__all__ = ["PART", "Part", "join_parts", "parts_of", "write_part"]

PART = "dataset"
"""Name of the folder, inside the folder of its trial."""

MANIFEST = "a2perf-part.json"


@dataclass(frozen=True, slots=True)
class Part:
    """What one trial collected.

    Attributes:
        folder: a Minari data folder, with the manifest beside the data.
        dataset: id of the data set.
        scenario: id of the scenario.
        seed: of the trial.
        digest: of the scenario's content; parts of different contents do not go together.
        agent: as the scenario names it.
        algorithm: its name in reports.
        returns: of the episodes.
        policy: a trained policy, or None.
        energy: of the rollouts, or None where nothing could read it.
    """

    folder: Path
    dataset: str
    scenario: str
    seed: int
    digest: str
    agent: str
    algorithm: str
    returns: tuple[float, ...]
    policy: Policy | None = None
    energy: Quantity | None = None


def write_part(part: Part) -> None:
    """Write the manifest: the last thing before the folder gets its name."""
    data = asdict(part)
    del data["folder"]
    data["policy"] = None if part.policy is None else part.policy.to_json()
    data["energy"] = None if part.energy is None else part.energy.to_json()
    path = part.folder / MANIFEST
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _read_part(folder: Path) -> Part:
    path = folder / MANIFEST
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        data["returns"] = tuple(data["returns"])
        if data["policy"] is not None:
            data["policy"] = Policy.from_json(data["policy"])
        if data["energy"] is not None:
            data["energy"] = Quantity.from_json(data["energy"])
        return Part(folder=folder, **data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise A2PerfError(f"{path} describes no part of a data set: {error}") from error


def parts_of(run: Path, scenario: str, digest: str) -> dict[int, Part]:
    """Read what the trials of a scenario have collected in a run, by seed."""
    parts = (_read_part(path.parent) for path in run.glob(f"trials/*/{PART}/{MANIFEST}"))
    return {part.seed: part for part in parts if (part.scenario, part.digest) == (scenario, digest)}


def join_parts(parts: Sequence[Part], metadata: dict[str, Any], folder: Path) -> None:
    """Write the episodes of all parts, in order, as one Minari data folder.

    Minari's own ``combine_datasets`` forgets the seeds of episodes.

    Args:
        parts: of one data set, in order; one or more.
        metadata: goes into the data set's.
        folder: does not exist.
    """
    require_minari()
    import minari
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    sources = [minari.MinariDataset(part.folder) for part in parts]
    first = sources[0]
    storage = MinariStorage.new(
        folder,
        observation_space=first.observation_space,
        action_space=first.action_space,
        env_spec=first.env_spec,
        data_format=first.storage.FORMAT,
        jpeg_encoding=False,
    )
    for source in sources:
        for episode, about in _episodes(source):
            contents = {key: episode[key] for key in _CONTENTS}
            storage.update_episodes([EpisodeBuffer(seed=about.get("seed"), **contents)])
    storage.update_episode_metadata(storage.apply(minari.EpisodeMetadataCallback()))
    storage.update_metadata({**metadata, "minari_version": minari.__version__})


_CONTENTS = ("observations", "actions", "rewards", "terminations", "truncations", "infos")


def _episodes(dataset: Any) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    storage, indices = dataset.storage, dataset.episode_indices
    return zip(storage.get_episodes(indices), storage.get_episode_metadata(indices), strict=True)
