"""What tests of data sets share: scenarios, trainings of the past, data sets made by hand."""

from __future__ import annotations

import json
import warnings

import h5py  # noqa: F401 - pytester forgets what a test imports, and this cannot be imported twice
import minari
import pytest

from pytest_a2perf.quantities import Quantity
from pytest_a2perf.training.artefacts import Artefact, Checkpoint, write_manifest

STRICT = ("-p", "no:asyncio", "-W", "error")  # that one warns of its own options
NAME = "cartpole/right-v0"
COLLECT = f"""
    [[scenario]]
    name = "collect"
    task = "CartPole-v1"
    phase = "collect"
    agent = "agents:wrong"
    dataset = "{NAME}"
    seeds = 2
    episodes = 3
"""
LEARNER = """
    def offline(training):
        steps = sum(len(episode.rewards) for episode in training.dataset)
        training.log(1, returns=steps)


    def load_policy(path, env):
        name = path.name
        print("rolled out", path.parent.parent.name[-1], name)
        return lambda observation: int(observation[2] + 0.5 * observation[3] > 0)
"""
TRAIN = f"""
    [[scenario]]
    name = "offline"
    task = "CartPole-v1"
    phase = "train"
    agent = "learner:offline"
    dataset = "{NAME}"
"""


@pytest.fixture(autouse=True)
def minari_of_its_own(monkeypatch, tmp_path_factory):
    """Neither a folder that the developer set, nor the one in their home."""
    monkeypatch.delenv("MINARI_DATASETS_PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


def data_of(project, name=NAME):
    return project.path / ".a2perf" / "datasets" / name / "data"


def metadata_of(project, name=NAME):
    return json.loads((data_of(project, name) / "metadata.json").read_text())


def trained(project, *, energies=(7.2e6, 10.8e6), returns=(1.0, 2.0, 3.0, 4.0), run="20260101-0"):
    """Lay down what a scenario of phase ``train`` has left: 2 and 3 kWh by default."""
    folder = project.path / ".a2perf" / "runs" / run
    for seed, energy in enumerate(energies):
        artefact = folder / "trials" / f"learn_{seed}" / "artefact"
        artefact.mkdir(parents=True)
        for step in range(1, len(returns) + 1):
            (artefact / f"at_{step}").touch()
        write_manifest(
            Artefact(
                folder=artefact,
                scenario="scenarios/past.toml::learn",
                seed=seed,
                agent="learner:offline",
                agent_options={},
                task="CartPole-v1",
                model=f"at_{len(returns)}",
                algorithm="Mine",
                energy=None if energy is None else Quantity(energy, "J", "rapl", "estimated"),
                checkpoints=tuple(
                    Checkpoint(100.0 * step, f"at_{step}", value)
                    for step, value in enumerate(returns, 1)
                ),
            )
        )
    (folder / "records.jsonl").touch()


def of_run(options, *, seeds=2, agent="run:learn"):
    text = COLLECT.replace("agents:wrong", agent).replace("seeds = 2", f"seeds = {seeds}")
    return f"{text}    options = {{collect = {options}}}\n"


def by_hand(name, **metadata):
    """Make a data set with Minari alone."""
    from gymnasium import spaces
    from minari.data_collector.episode_buffer import EpisodeBuffer

    episode = EpisodeBuffer(
        observations=[0, 1], actions=[1], rewards=[1.0], terminations=[True], truncations=[False],
        infos={},
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for authors and so on
        dataset = minari.create_dataset_from_buffers(
            name, [episode], observation_space=spaces.Discrete(2), action_space=spaces.Discrete(2)
        )
    dataset.storage.update_metadata(metadata)
    return dataset
