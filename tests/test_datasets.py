"""Phase ``collect``: what is written, where, and what is left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import minari
import numpy as np
import pytest
from dataset_worlds import (
    COLLECT,
    NAME,
    STRICT,
    by_hand,
    data_of,
    metadata_of,
    minari_of_its_own,
    of_run,
)

from pytest_a2perf.datasets.cost import KWH
from pytest_a2perf.datasets.store import dataset_fingerprint, open_dataset
from pytest_a2perf.errors import InfraError

__all__ = ["minari_of_its_own"]

# -- phase collect --------------------------------------------------------------------------------


def test_plain_minari_reads_what_was_collected(project, write, records):
    write(of_run("{author = 'Me', email = 'me@example.org', description = 'Bad.', "
                 "code_permalink = 'https://example.org', expertise = 'medium'}", agent="agents:wrong"))  # fmt: skip
    project.runpytest("--a2perf", *STRICT).assert_outcomes(passed=2)
    code = f"""
import json, minari
dataset = minari.load_dataset({NAME!r})
assert list(minari.list_local_datasets()) == [{NAME!r}]
print(json.dumps({{
    "episodes": dataset.total_episodes, "steps": dataset.total_steps,
    "seeds": [about["seed"] for about in dataset.storage.get_episode_metadata(range(6))],
    "sums": [about["rewards_sum"] for about in dataset.storage.get_episode_metadata(range(6))],
    "actions": sorted({{int(a) for episode in dataset for a in episode.actions}}),
    "task": dataset.recover_environment().spec.id,
}}))
"""
    folder = project.path / ".a2perf" / "datasets"
    environment = {"MINARI_DATASETS_PATH": str(folder), "PATH": os.environ["PATH"]}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(result.stdout)
    first, second = sorted(records(), key=lambda record: record.seed)
    returns = [episode.total for record in (first, second) for episode in record.episodes]
    assert found["episodes"] == 6
    assert found["sums"] == returns
    assert found["steps"] == sum(returns)
    assert (found["seeds"][0], found["seeds"][3]) == (0, 1)
    assert found["actions"] == [0]
    assert found["task"] == "CartPole-v1"
    about = metadata_of(project)
    assert (about["author"], about["author_email"]) == (["Me"], ["me@example.org"])
    assert (about["description"], about["expertise"]) == ("Bad.", "medium")
    assert about["return_mean"] == pytest.approx(np.mean(returns))
    assert about["return_std"] == pytest.approx(np.std(returns, ddof=1))
    assert about["collected_by"]["seeds"] == [0, 1]
    assert about["training_sample_cost_kwh"] == 0
    energies = [record.quantities["energy"].value for record in (first, second)]
    assert about["collection_energy_kwh"] * KWH == pytest.approx(sum(energies))
    assert {record.phase for record in (first, second)} == {"collect"}
    assert first.samples["latency"].count == sum(returns[:3])
    assert not (Path.home() / ".minari").exists()


@pytest.mark.slow
def test_workers_collect_the_same_as_one_process(project, write):
    write(COLLECT.replace("seeds = 2", "seeds = 3"))
    project.runpytest("--a2perf").assert_outcomes(passed=3)
    alone = metadata_of(project)
    write(COLLECT.replace("seeds = 2", "seeds = 3\nisolate = true"))
    project.runpytest("--a2perf", "-n", "2").assert_outcomes(passed=3)
    together = metadata_of(project)
    assert together["fingerprint"] == alone["fingerprint"]
    assert together["total_episodes"] == 9
    assert together["collected_by"]["run"] != alone["collected_by"]["run"]
    dataset = minari.MinariDataset(data_of(project))
    assert dataset_fingerprint(dataset) == alone["fingerprint"]
    assert dataset_fingerprint(dataset.filter_episodes(lambda e: e.id < 8)) != alone["fingerprint"]


@pytest.mark.slow
def test_an_incomplete_set_replaces_nothing_until_it_is_resumed(project, write, records):
    write(COLLECT)
    project.runpytest("--a2perf").assert_outcomes(passed=2)
    before = metadata_of(project)
    runs = project.path / ".a2perf" / "runs"
    (first,) = runs.iterdir()
    project.makepyfile(
        dies="""
        import os, pathlib, signal

        class Dies:
            def reset(self, seed):
                self.seed = seed

            def act(self, observation):
                if self.seed == 1 and not pathlib.Path("lives").exists():
                    os.kill(os.getpid(), signal.SIGKILL)
                return 1
        """
    )
    write(COLLECT.replace("agents:wrong", "dies:Dies"))
    command = [sys.executable, "-m", "pytest", "--a2perf", "-p", "no:cacheprovider"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run([*command, "-q"], cwd=project.path, env=clean, check=False)
    assert done.returncode == -signal.SIGKILL
    assert metadata_of(project) == before
    (project.path / "lives").touch()
    project.runpytest("--a2perf", "--a2perf-resume=last").assert_outcomes(passed=1, deselected=1)
    after = metadata_of(project)
    assert after["fingerprint"] != before["fingerprint"]
    assert after["collected_by"]["run"] != first.name
    assert after["total_episodes"] == 6


def test_a_seed_that_fails_leaves_the_old_set(project, write, records):
    write(COLLECT.replace("agents:wrong", "agents:Crashes"))
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    assert {record.outcome for record in records()} == {"error"}
    assert not data_of(project).exists()


def test_one_seed_alone_says_what_is_missing(project, write, records):
    write(COLLECT)
    project.runpytest("--a2perf", "-k", "collect[1]").assert_outcomes(passed=1, deselected=1)
    (record,) = records()
    assert record.context["dataset_seeds_missing"] == [0]
    assert not data_of(project).exists()


def test_parts_of_a_scenario_that_changed_do_not_go_together(project, write):
    write(COLLECT)
    project.runpytest("--a2perf", "-k", "collect[0]").assert_outcomes(passed=1, deselected=1)
    write(COLLECT.replace("episodes = 3", "episodes = 4"))
    result = project.runpytest("--a2perf", "--a2perf-resume=last", "-k", "collect[1]")
    result.assert_outcomes(passed=1, deselected=1)
    assert not data_of(project).exists()
    project.runpytest("--a2perf", "--a2perf-resume=last").assert_outcomes(passed=1, deselected=1)
    assert metadata_of(project)["total_episodes"] == 8


def test_observations_of_all_kinds_are_kept_as_they_were(project, write):
    project.makepyfile(
        worlds="""
        import gymnasium, numpy as np
        from gymnasium import spaces

        class Reuses(gymnasium.Env):
            '''Writes each observation over the one before.'''

            observation_space = spaces.Dict(
                image=spaces.Box(0, 255, (32, 32, 3), np.uint8),
                pair=spaces.Tuple([spaces.Discrete(10), spaces.Box(-1, 9, (2,), np.float32)]),
            )
            action_space = spaces.Box(-1, 1, (2,), np.float32)

            def reset(self, *, seed=None, options=None):
                super().reset(seed=seed)
                self.step_number, self.image = 0, np.zeros((32, 32, 3), np.uint8)
                self.vector = np.zeros(2)  # float64, which is not quite the space's
                return self._observe(), {}

            def _observe(self):
                self.image[:] = np.arange(32 * 32 * 3).reshape(32, 32, 3) * 7 + self.step_number
                self.vector[:] = self.step_number
                return {"image": self.image, "pair": (self.step_number, self.vector)}

            def step(self, action):
                self.step_number += 1
                return self._observe(), float(action[0]), self.step_number == 3, False, {}

        def listing(observation):
            return [0.5, observation["pair"][0] / 10]

        gymnasium.register("Reuses-v0", Reuses)
        """
    )
    text = COLLECT.replace("CartPole-v1", "worlds:Reuses-v0").replace(
        "agents:wrong", "worlds:listing"
    )
    write(
        text.replace("seeds = 2", "seeds = 2\n    options = {env = {disable_env_checker = true}}")
    )
    project.runpytest("--a2perf", *STRICT).assert_outcomes(passed=2)
    dataset = minari.MinariDataset(data_of(project))
    assert dataset.env_spec is None  # a class, which no JSON can hold
    assert metadata_of(project)["collected_by"]["task"] == "worlds:Reuses-v0"
    pattern = np.arange(32 * 32 * 3).reshape(32, 32, 3) * 7
    for episode in dataset:
        images = episode.observations["image"]
        assert [np.array_equal(image, (pattern + i) % 256) for i, image in enumerate(images)] == [
            True
        ] * 4
        assert episode.observations["pair"][0].tolist() == [0, 1, 2, 3]
        assert episode.observations["pair"][1].tolist() == [[i, i] for i in range(4)]
        assert episode.actions == pytest.approx(np.array([[0.5, 0], [0.5, 0.1], [0.5, 0.2]]))


def test_the_users_folder_of_minari_is_respected(project, write, monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "mine"))
    write(COLLECT)
    project.runpytest("--a2perf").assert_outcomes(passed=2)
    assert minari.load_dataset(NAME).total_episodes == 6
    assert not data_of(project).exists()
    assert os.environ["MINARI_DATASETS_PATH"] == str(tmp_path / "mine")
    assert open_dataset(NAME, project.path).id == NAME


def test_data_sets_live_beside_the_runs(project, write):
    write(COLLECT)
    project.runpytest("--a2perf", "--a2perf-dir=out").assert_outcomes(passed=2)
    assert not (project.path / ".a2perf").exists()
    (run,) = (project.path / "out" / "runs").iterdir()
    assert open_dataset(NAME, project.path, run).total_episodes == 6
    with pytest.raises(InfraError, match="there is no data set"):
        open_dataset(NAME, project.path)


def test_what_was_not_collected_here_is_not_replaced(project, write, monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    by_hand(NAME)
    write(COLLECT)
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines(["*was not collected by a scenario and is not replaced*"])
    assert minari.load_dataset(NAME).total_episodes == 1


def test_two_scenarios_cannot_write_the_same_set(project, write):
    write(COLLECT + COLLECT.replace('"collect"\n    task', '"other"\n    task'))
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*was collected by scenarios/suite.toml::collect in this run*"])


@pytest.mark.slow
def test_sets_of_several_scenarios_live_side_by_side(project, write):
    other = COLLECT.replace('"collect"\n    task', '"other"\n    task').replace("right-v0", "b-v0")
    write(COLLECT + other)
    project.runpytest("--a2perf", "-n", "2").assert_outcomes(passed=4)
    assert metadata_of(project)["dataset_id"] == NAME
    assert (
        metadata_of(project, "cartpole/b-v0")["fingerprint"] == metadata_of(project)["fingerprint"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (NAME, "no version", "'no version' is no id of a Minari data set"),
        ("seeds = 2", "seeds = {min = 2, max = 3}", "key 'seeds': a data set needs a fixed number"),
        ("seeds = 2", "options = {num_envs = 2}", "num_envs': phase 'collect' records a single"),
        ("seeds = 2", "options = {warmup_steps = 2}", "warmup_steps': phase 'collect' records every"),
        ("seeds = 2", "options = {collect = {level = 'expert'}}", "level': needs an agent 'run:NAME'"),
        ("seeds = 2", "options = {collect = {cost_source = 'x'}}", "says where cost_kwh comes from"),
        ("seeds = 2", "options = {collect = {cost_kwh = -1}}", "options.collect.cost_kwh*"),
        ("seeds = 2", "options = {collect = {expertise = 'x'}}", "options.collect.expertise*"),
        (
            'agents:wrong"',
            'run:x"\n    agent_options = {seed = 1}\n    options = {collect = {level = "expert", expertise = "novice"}}',
            "options.collect.expertise': contradicts level = 'expert'*",
        ),
    ],
)  # fmt: skip
def test_wrong_keys_are_named(project, write, old, new, message):
    write(COLLECT.replace(old, new))
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines([f"*{message}*"])
    assert result.ret != 0
    assert not data_of(project).exists()
