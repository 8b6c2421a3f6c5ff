"""Training with Stable-Baselines3, with and without code of one's own."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("torch")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]

QUICK = "total_timesteps = 256, n_steps = 64, n_epochs = 1, threads = 1"


@pytest.fixture
def run(project, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def run(*arguments):  # torch cannot be imported twice, so in a process of its own
        return project.runpytest_subprocess("--a2perf", *arguments, timeout=400)

    return run


@pytest.mark.slow
def test_ppo_trains_without_code_and_plays(project, write, records, run):
    write(f"""
        [[scenario]]
        name = "learn"
        task = "CartPole-v1"
        phase = "train"
        agent = "sb3:PPO"
        agent_options = {{{QUICK}, checkpoints = 2}}
        options = {{num_envs = 2}}

        [[scenario]]
        name = "play"
        task = "CartPole-v1"
        agent = "run:learn"
        gates."return.mean" = ">= 1"

        [[scenario]]
        name = "earlier"
        task = "CartPole-v1"
        agent = "run:learn"
        agent_options = {{checkpoint = 128, deterministic = false}}
    """)
    run().assert_outcomes(passed=4)
    learn, play, _ = records()
    assert learn.context["algorithm"] == play.context["algorithm"] == "PPO"
    assert learn.curves["return"].step == [128, 256]
    assert all(value > 5 for value in learn.curves["return"].value)
    assert "train/loss" in learn.curves
    (path,) = project.path.glob(".a2perf/runs/*/trials/*learn*/artefact/a2perf.json")
    manifest = json.loads(path.read_text())
    assert manifest["model"] == "model.zip"
    assert [point["step"] for point in manifest["checkpoints"]] == [128, 256]


@pytest.mark.slow
def test_the_same_seed_learns_the_same(write, records, run):
    text = f"""
        [[scenario]]
        name = "learn"
        task = "CartPole-v1"
        phase = "train"
        agent = "sb3:PPO"
        agent_options = {{{QUICK}}}
        seeds = [3]
    """
    write(text)
    write(text.replace('"learn"', '"again"').replace("[3]", "[3, 4]"), "more")
    run().assert_outcomes(passed=3)
    curves = {record.nodeid: record.curves["train/value_loss"] for record in records()}
    again, other, learn = (curves[name] for name in sorted(curves))
    assert learn == again != other


@pytest.mark.slow
def test_environments_in_processes_are_measured_and_reaped(write, records, run):
    write(f"""
        [[scenario]]
        name = "learn"
        task = "CartPole-v1"
        phase = "train"
        agent = "sb3:PPO"
        agent_options = {{{QUICK}}}
        options = {{num_envs = 2, vectorization = "async"}}
        isolate = true
    """)
    run().assert_outcomes(passed=1)
    (record,) = records()
    assert record.quantities["memory.children_peak"].value > 50 << 20
    tree = record.quantities["memory.tree.peak"].value
    assert tree > record.quantities["memory.peak"].value + (50 << 20)


@pytest.mark.slow
def test_a_model_of_ones_own_logs_through_our_logger(project, write, records, run):
    project.makepyfile(
        mine="""
        import torch
        from stable_baselines3 import SAC

        def train(training):
            torch.set_num_threads(1)
            model = SAC("MlpPolicy", training.env, seed=training.seed, learning_starts=390)
            model.set_logger(training.sb3_logger())
            model.learn(401, log_interval=1)
            model.save(training.folder / "sac")
            return "sac.zip"
        """
    )
    write("""
        [[scenario]]
        name = "learn"
        task = "Pendulum-v1"
        phase = "train"
        agent = "mine:train"

        [[scenario]]
        name = "play"
        task = "Pendulum-v1"
        agent = "run:learn"
    """)
    run().assert_outcomes(passed=2)
    learn, _ = records()
    assert learn.curves["return"].step == [200, 400]
    assert all(-2000 < value < 0 for value in learn.curves["return"].value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{n_steps = 64}", "missing a required argument: 'total_timesteps'"),
        (f"{{{QUICK}, n_stepz = 1}}", "agent_options: *n_stepz*"),
    ],
)
def test_wrong_settings_are_named(write, run, options, message):
    write(f"""
        [[scenario]]
        name = "learn"
        task = "CartPole-v1"
        phase = "train"
        agent = "sb3:PPO"
        agent_options = {options}
    """)
    result = run()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*{message}*"])
