"""The domain gym: what a trial records, options, environments that cannot be made."""

from __future__ import annotations

import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gym_worlds import Countdown, as_tuple, expected

from pytest_a2perf.domains import registry
from pytest_a2perf.domains.gym.domain import GymDomain
from pytest_a2perf.domains.gym.environment import closing_env, make_env
from pytest_a2perf.domains.gym.fixture import Rollout
from pytest_a2perf.domains.gym.options import GymOptions
from pytest_a2perf.domains.gym.rollout import episode_seeds
from pytest_a2perf.domains.registry import get_domain, register_domain
from pytest_a2perf.errors import (
    A2PerfError,
    AgentError,
    AgentFailure,
    InfraError,
    TrialTimeout,
    UnknownNameError,
)
from pytest_a2perf.meters.session import MeterSet
from pytest_a2perf.scenarios.models import Scenario
from pytest_a2perf.trials.trial import Trial

made = []


def _countdown(**options):
    made.append(Countdown(**options))
    return made[-1]


@pytest.fixture(autouse=True)
def countdown(monkeypatch):
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    monkeypatch.setattr(gymnasium, "registry", gymnasium.envs.registration.registry)
    monkeypatch.setattr(sys, "path", [*sys.path])
    gymnasium.register("Countdown-v0", entry_point=_countdown)
    made.clear()


@pytest.fixture
def trial_of(tmp_path):
    """Open a trial of a scenario without meters."""

    def trial_of(seed=0, said=None, **keys):
        keys = {"name": "s", "task": "Countdown-v0", "agent": "zero:zero", **keys}
        return Trial(
            Scenario.model_validate(keys),
            seed,
            scenario_id="s",
            nodeid=f"s[{seed}]",
            root=tmp_path,
            folder=tmp_path / "out",
            meters=MeterSet([]),
            on_progress=None if said is None else said.append,
        )

    (tmp_path / "zero.py").write_text(
        "def zero(observation):\n    return 0\n\n"
        "class Batched:\n    batched = True\n    def act(self, observations):\n"
        "        return observations[:, 0].astype(int) * 0\n\n"
        "class Fails:\n    def act(self, observation):\n        raise ValueError('mine')\n"
    )
    sys.modules.pop("zero", None)
    return trial_of


@pytest.fixture
def run(trial_of):
    """Run a scenario's trial and return its record."""

    def run(seed=0, **keys):
        trial = trial_of(seed, **keys)
        GymDomain().run(trial)
        return trial.close()

    return run


def unsolved(seed, count=1):
    return any(not expected(each)[4] for each in episode_seeds(seed, count))


ALWAYS = {"success": ">= 0"}


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_trial_records_its_episodes_and_samples(run, lanes):
    record = run(5, episodes=6, options={**ALWAYS, "num_envs": lanes}, deadline=1e-9)
    wanted = [expected(seed)[:4] for seed in episode_seeds(5, 6)]
    assert [as_tuple(episode)[:4] for episode in record.episodes] == wanted
    steps = sum(episode.length for episode in record.episodes)
    assert record.samples["latency"].count == steps
    assert record.samples["latency"].over_limit == steps
    assert record.samples["env_step"].count <= steps
    assert all(env.closed == 1 for env in made)


def test_the_same_seed_gives_the_same_trial(run):
    keys = {"task": "CartPole-v1", "agent": "random", "episodes": 5}
    first, again, other = run(1, **keys), run(1, **keys), run(2, **keys)
    assert first.episodes == again.episodes != other.episodes
    assert run(1, **keys, options={"num_envs": 2}).episodes == first.episodes


@pytest.mark.parametrize("lanes", [1, 2])
def test_warm_up_is_not_recorded_and_changes_nothing(run, lanes):
    keys = {"task": "CartPole-v1", "agent": "random", "episodes": 3}
    cold = run(3, **keys, options={"num_envs": lanes})
    warm = run(3, **keys, options={"num_envs": lanes, "warmup_steps": 100})
    assert warm.episodes == cold.episodes
    assert warm.samples["latency"].count == cold.samples["latency"].count
    record = run(3, options={**ALWAYS, "warmup_steps": 50})
    assert made[-1].steps == record.episodes[0].length + 50


def test_warm_up_stays_outside_the_measurement(trial_of):
    trial = trial_of(options={**ALWAYS, "warmup_steps": 50})
    inside = []

    class Meters:
        device = "cpu"

        def measure(self, record, work, repeat_until):
            before = made[-1].steps
            work()
            inside.append(made[-1].steps - before)
            work()

    trial._meters = Meters()
    GymDomain().run(trial)
    assert inside == [trial.record.episodes[0].length]
    assert len(trial.record.episodes) == 1
    assert trial.record.samples["latency"].count == inside[0]


def test_episodes_that_are_not_solved_fail_the_trial_after_they_are_recorded(trial_of):
    trial = trial_of(episodes=4, options={"success": ">= 100000"})
    with pytest.raises(AgentFailure, match=r"^4 of 4 episodes not solved \(success: return >= 10"):
        GymDomain().run(trial)
    assert len(trial.record.episodes) == 4
    assert "latency" in trial.record.samples
    seed = next(s for s in range(99) if unsolved(s))
    with pytest.raises(AgentFailure, match=r"^1 of 1 episodes not solved$"):
        GymDomain().run(trial_of(seed))


def test_a_step_limit_truncates(run):
    record = run(task="CartPole-v1", options={"max_steps": 5, "num_envs": 2}, episodes=3)
    assert [as_tuple(episode)[1:4] for episode in record.episodes] == [(5, False, True)] * 3


def test_generalization_runs_every_task(run):
    record = run(
        task="CartPole-v1",
        agent="random",
        phase="generalization",
        episodes=2,
        options={"tasks": ["MountainCar-v0"], "max_steps": 5},
    )
    tasks = [episode.task for episode in record.episodes]
    assert tasks == ["CartPole-v1"] * 2 + ["MountainCar-v0"] * 2
    assert run(task="CartPole-v1").episodes[0].task == ""


def test_batched_agents_are_asked_once_for_all(run):
    record = run(agent="zero:Batched", episodes=4, options={**ALWAYS, "num_envs": 4})
    longest = max(episode.length for episode in record.episodes)
    assert record.samples["latency"].count == record.samples["env_step"].count == longest


@pytest.mark.parametrize("vectorization", ["async", "vector_entry_point"])
def test_other_ways_of_vectorising(run, vectorization):
    options = {"num_envs": 2, "vectorization": vectorization}
    record = run(task="CartPole-v1", episodes=3, options=options)
    assert len(record.episodes) == 3


def test_progress_says_how_far_it_is(trial_of):
    said = []
    GymDomain().run(trial_of(1, said=said, options=ALWAYS))
    assert said == [f"episode 1/1, return {expected(1)[0]:.1f}"]


def test_the_environment_is_closed_when_the_agent_fails(trial_of):
    trial = trial_of(agent="zero:Fails")
    with pytest.raises(AgentError, match="ValueError: mine"):
        GymDomain().run(trial)
    assert made[-1].closed == 1
    with pytest.raises(AgentError, match="did you mean 'zero'"):
        GymDomain().run(trial_of(agent="zero:zeroo"))
    assert made[-1].closed == 1


def test_a_timeout_ends_the_processes_of_an_environment(tmp_path):
    options = GymOptions(num_envs=2, vectorization="async")
    env = make_env("CartPole-v1", options, tmp_path)
    env.reset(seed=0)

    def strike():
        env.step_async(np.array([0, 0]))
        raise TrialTimeout

    with pytest.raises(TrialTimeout), closing_env(env):
        strike()
    assert not any(process.is_alive() for process in env.processes)


# -- environments that cannot be made ----------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("CartPol-v1", {}, "unknown environment 'CartPol-v1'; did you mean 'CartPole-v1'"),
        ("CartPole-v9", {}, "environment 'CartPole-v9': .*v9.* doesn't exist"),
        ("CartPole-v0", {}, "environment 'CartPole-v0': .*out of date"),
        ("ALE/Pong-v5", {}, "environment 'ALE/Pong-v5': .*ALE"),
        ("no_module:X-v0", {}, "environment 'no_module:X-v0': .*no_module"),
        ("CartPole-v1", {"env": {"suton": 1}}, "could not be made: TypeError: .*suton"),
        ("CartPole-v1", {"modules": ["no_module"]}, "importing 'no_module' raised"),
    ],
)
@pytest.mark.parametrize("lanes", [1, 2])
def test_environments_that_cannot_be_made(tmp_path, task, options, message, lanes):
    with pytest.raises(InfraError, match=message) as caught:
        make_env(task, GymOptions(**options, num_envs=lanes), tmp_path)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "package", "extra"),
    [
        ("Ant-v5", "mujoco", r"gymnasium\[mujoco\].*pytest-a2perf\[mujoco\]"),
        ("LunarLander-v3", "Box2D", r"gymnasium\[box2d\]"),
    ],
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, task, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith("gymnasium.envs.mujoco")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InfraError, match=rf"{task}' needs a package: .*{extra}"):
        make_env(task, GymOptions(), tmp_path)


def test_modules_of_the_project_register_environments(tmp_path, run):
    (tmp_path / "worlds_of_mine.py").write_text(
        "import gymnasium\nfrom gym_worlds import Long\n"
        "gymnasium.register('Mine-v0', entry_point=Long, max_episode_steps=7)\n"
    )
    options = {"modules": ["worlds_of_mine"]}
    assert run(task="Mine-v0", agent="random", options=options).episodes[0].length == 7
    assert run(task="worlds_of_mine:Mine-v0", agent="random").episodes[0].length == 7


# -- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"options": {"success": "475"}}, ("options.success", "expected a condition")),
        ({"options": {"tasks": ["A-v0"]}}, ("options.tasks", "generalization")),
        ({"phase": "generalization"}, ("phase", "options.tasks")),
        ({"options": {"vectorization": "async"}}, ("options.vectorization", "num_envs")),
    ],
)
def test_problems_are_found_at_collection(keys, problem):
    scenario = Scenario.model_validate({"name": "s", "task": "CartPole-v1", **keys})
    ((key, message),) = GymDomain().check(scenario)
    assert key == problem[0]
    assert problem[1] in message


def test_collection_imports_no_gymnasium(tmp_path):
    import subprocess

    code = (
        "import sys; from pytest_a2perf.domains.registry import get_domain; get_domain('gym');"
        "sys.exit(any(name in sys.modules for name in ('gymnasium', 'numpy', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- the fixture -------------------------------------------------------------------------------


def test_the_fixture_takes_ids_and_environments(trial_of):
    trial = trial_of(2, episodes=3)
    rollout = Rollout(trial)
    by_id = rollout("Countdown-v0", agent=lambda _: 0)
    assert [as_tuple(episode) for episode in by_id] == [expected(s) for s in episode_seeds(2, 3)]
    assert made[-1].closed == 1
    mine = Countdown()
    assert rollout(mine, episodes=3) == by_id
    assert mine.closed == 0
    assert trial.record.episodes == by_id * 2
    assert all(episode.length <= 2 for episode in rollout(mine, max_steps=2))


def test_the_fixture_says_what_it_does_not_take(trial_of):
    rollout = Rollout(trial_of())
    with pytest.raises(A2PerfError, match="no option 'max_step'; did you mean 'max_steps'"):
        rollout("Countdown-v0", max_step=3)
    with pytest.raises(A2PerfError, match="rollout: num_envs='many'"):
        rollout("Countdown-v0", num_envs="many")
    with pytest.raises(A2PerfError, match="num_envs needs an environment's id"):
        rollout(Countdown(), num_envs=2)


# -- registry ----------------------------------------------------------------------------------


def test_domains_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_domains", {})
    assert get_domain("gym") is get_domain("gym")
    with pytest.raises(UnknownNameError, match="unknown domain 'gim'; did you mean 'gym'"):
        get_domain("gim")

    class Mine(GymDomain):
        name = "mine"

    register_domain(Mine())
    assert get_domain("mine").name == "mine"
    info = tmp_path / "third_domain-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-domain\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest_a2perf.domains]\nthird = third_domain:Third\n")
    (tmp_path / "third_domain.py").write_text(
        "from pytest_a2perf.domains.gym.domain import GymDomain\n"
        "class Third(GymDomain):\n    name = 'third'\n"
    )
    code = (
        "from pytest_a2perf.domains.registry import domain_names, get_domain\n"
        "assert {'gym', 'third'} <= set(domain_names()), domain_names()\n"
        "assert get_domain('third').name == 'third'"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
