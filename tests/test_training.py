"""Phase ``train``: curves, artefacts, ``run:NAME``, and the order that follows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

LEARNERS = """
    import json, os, signal, subprocess, sys, time


    def train(training, gain=1.0, steps=4):
        env = training.env
        for step in range(1, steps + 1):
            training.log(100 * step, **{"return": step * gain + training.seed}, loss=1 / step)
            path = training.folder / f"at_{step}.json"
            path.write_text(json.dumps({"gain": gain, "seed": training.seed, "step": step}))
            training.checkpoint(100 * step, path)
        (training.folder / "policy.json").write_text(path.read_text())
        return "policy.json"


    def load_policy(path, env, push=1):
        learnt = json.loads(path.read_text())
        print("learnt", learnt)

        def policy(observation):
            return push if observation[2] + 0.5 * observation[3] * learnt["gain"] > 0 else 1 - push

        return policy


    class Learner:
        def __init__(self, size=1):
            self.size = size

        def train(self, training):
            training.log(1, returns=self.size)
            (training.folder / "size").write_text(str(self.size))

        @staticmethod
        def load_policy(folder, env):
            size = int((folder / "size").read_text())
            return lambda observation: size % 2


    def raises(training):
        training.log(10, **{"return": 1.5})
        raise ZeroDivisionError("no gradient")


    def raises_for_seed_1(training):
        if training.seed == 1:
            raise ZeroDivisionError("no gradient")
        return train(training)


    def hangs(training):
        training.log(10, **{"return": 2.5})
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.5)  # the time is up, and not before this
        time.sleep(600)


    def is_killed(training):
        training.log(10, **{"return": 3.5})
        os.kill(os.getpid(), signal.SIGKILL)


    children = []


    def starts_processes(training):
        code = (
            "import time; block = bytearray(200 << 20); end = time.process_time() + 0.4\\n"
            "while time.process_time() < end: pass\\nprint('done', flush=True)\\ntime.sleep(30)"
        )
        children.append(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE))
        children[0].stdout.readline()
        training.log(1, **{"return": 1})


    def returns_an_object(training):
        return object()


    def names_no_file(training):
        return "nowhere.zip"


    def nothing(training):
        pass
"""
TRAIN = """
    [[scenario]]
    name = "learn"
    task = "CartPole-v1"
    phase = "train"
    agent = "learners:train"
    seeds = 3
"""
EVALUATE = """
    [[scenario]]
    name = "evaluate"
    task = "CartPole-v1"
    agent = "run:learn"
    seeds = 5
    gates."return.mean" = ">= 100"
"""


@pytest.fixture(autouse=True)
def learners(project):
    project.makepyfile(learners=LEARNERS)


def by_scenario(records, name):
    found = [record for record in records() if record.scenario.endswith(f"::{name}")]
    return sorted(found, key=lambda record: record.seed)


def manifest(project, name):
    (path,) = project.path.glob(f".a2perf/runs/*/trials/*{name}*/artefact/a2perf.json")
    return json.loads(path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_training_feeds_a_scenario_that_stands_before_it(project, write, records, workers):
    write(EVALUATE + TRAIN)
    result = project.runpytest("--a2perf", *workers)
    result.assert_outcomes(passed=9)
    trained, evaluated = by_scenario(records, "learn"), by_scenario(records, "evaluate")
    assert [record.phase for record in trained] == ["train"] * 3
    curve = trained[2].curves["return"]
    assert (curve.step, curve.value) == ([100, 200, 300, 400], [3, 4, 5, 6])
    assert trained[0].curves["loss"].value == [1, 1 / 2, 1 / 3, 1 / 4]
    assert [record.context["trained_seed"] for record in evaluated] == [0, 1, 2, 0, 1]
    assert {record.context["algorithm"] for record in trained + evaluated} == {"learners"}
    for record in evaluated[:3]:  # each begins when the training of its own seed is over
        assert record.started > trained[record.seed].started
    assert evaluated[0].context["trained_by"] == "scenarios/suite.toml::learn"


@pytest.mark.slow
def test_the_manifest_says_what_was_trained_and_what_it_cost(project, write, records):
    write(TRAIN.replace("seeds = 3", "algorithm = 'Mine'\nagent_options = {gain = 2.0}"))
    project.runpytest("--a2perf").assert_outcomes(passed=1)
    found = manifest(project, "learn_0")
    (record,) = records()
    assert found["algorithm"] == record.context["algorithm"] == "Mine"
    assert found["model"] == "policy.json"
    assert found["agent_options"] == {"gain": 2.0}
    assert found["complete"]
    assert found["energy"]["value"] == record.quantities["energy"].value > 0
    assert found["energy"]["unit"] == "J"
    assert [(point["step"], point["value"]) for point in found["checkpoints"]][-1] == (400.0, 8.0)
    assert (
        record.quantities["memory.tree.peak"].value >= record.quantities["memory.tree.mean"].value
    )
    assert record.quantities["memory.tree.mean"].value > 1e7


def test_metrics_of_training_can_be_gated(project, write):
    gates = """
        [scenario.gates]
        "reliability.dispersion_across_runs" = "<= 10"
        "reliability.risk_across_runs" = ">= 100"
        "memory.tree.peak" = "<= 64 GB"
    """
    write(TRAIN + gates)
    result = project.runpytest("--a2perf")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*risk_across_runs*"])


def test_a_seed_or_checkpoint_can_be_chosen(project, write, records):
    options = "agent_options = {seed = 2, checkpoint = 200, push = 1}"
    write(TRAIN + EVALUATE.replace("seeds = 5", options))
    result = project.runpytest("--a2perf", "-s")
    result.stdout.fnmatch_lines(["*learnt {'gain': 1.0, 'seed': 2, 'step': 2}*"])
    (record,) = by_scenario(records, "evaluate")
    assert record.context["trained_seed"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{seed = 7}", "seed 7 was not trained; 0, 1, 2 were"),
        ("{checkpoint = 5}", "no checkpoint at step 5; saved: 100, 200, 300, 400"),
        ("{wrong = 5}", "load_policy() got an unexpected keyword argument 'wrong'"),
    ],
)
def test_wrong_choices_say_what_there_is(project, write, options, message):
    write(TRAIN + EVALUATE.replace("seeds = 5", f"agent_options = {options}"))
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines([f"*{message}*"])
    assert result.ret == 1


def test_a_class_trains_and_loads(project, write):
    write(
        TRAIN.replace("learners:train", 'learners:Learner"\nagent_options = {size = 3}\n#')
        + EVALUATE.replace(">= 100", ">= 1")
    )
    project.runpytest("--a2perf").assert_outcomes(passed=9)


def test_a_later_run_takes_the_newest_that_trained(project, write, records):
    write(TRAIN + EVALUATE)
    project.runpytest("--a2perf").assert_outcomes(passed=9)
    result = project.runpytest("--a2perf", "-m", "not train")
    result.assert_outcomes(passed=6, deselected=3)
    runs = (project.path / ".a2perf" / "runs").iterdir()
    # Names tell seconds, and two runs may begin in one.
    first, second = sorted(runs, key=lambda run: (run / "plan.json").stat().st_mtime_ns)
    lines = (second / "records.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["context"]["trained_in"] == first.name


def test_an_agent_that_nobody_trained_says_what_to_do(project, write):
    write(EVALUATE)
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines(
        ["*no run in * trained 'learn'; run its scenario with phase = 'train' first*"]
    )
    assert result.ret == 1


@pytest.mark.slow
def test_a_training_that_raises_fails_and_so_do_its_heirs(project, write, records):
    write(TRAIN.replace(":train", ":raises_for_seed_1") + EVALUATE)
    result = project.runpytest("--a2perf", "-n", "2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*the training of agent 'learners:raises_for_seed_1' raised ZeroDivisionError: no gra*"]
    )
    assert [record.outcome for record in by_scenario(records, "learn")] == [
        "success", "error", "success",
    ]  # fmt: skip
    assert [record.outcome for record in by_scenario(records, "evaluate")] == [
        "success", "infra", "success", "success", "infra",
    ]  # fmt: skip
    result.stdout.fnmatch_lines(["*its training with seed 1 did not come to its end*"])


@pytest.mark.parametrize(
    ("agent", "setting", "outcome", "value"),
    [
        ("raises", "", "error", 1.5),
        ("hangs", "timeout = '5 min'", "timeout", 2.5),
        ("is_killed", "isolate = true", "error", 3.5),
    ],
)
def test_what_was_logged_survives(project, write, records, agent, setting, outcome, value):
    write(TRAIN.replace(":train", f":{agent}").replace("seeds = 3", setting))
    assert project.runpytest("--a2perf").ret == 1
    (record,) = records()
    assert record.outcome == outcome
    assert record.curves["return"].value == [value]
    assert not manifest(project, "learn_0")["complete"]


@pytest.mark.slow
def test_what_was_logged_survives_the_worker(project, write, records):
    write(TRAIN.replace(":train", ":is_killed").replace("seeds = 3", "seeds = 2"))
    result = project.runpytest("--a2perf", "-n", "1")
    assert result.ret == 1
    assert [record.outcome for record in records()] == ["error", "error"]
    assert all(record.curves["return"].value == [3.5] for record in records())


def test_the_whole_process_tree_is_measured(project, write, records):
    write(TRAIN.replace(":train", ":starts_processes").replace("seeds = 3", "isolate = true"))
    project.runpytest("--a2perf").assert_outcomes(passed=1)
    (record,) = records()
    assert record.quantities["time.cpu"].value >= 0.35  # mostly the child's, which still runs
    assert record.quantities["energy"].value >= 0.35 * 4
    assert record.quantities["memory.tree.peak"].value > 200 << 20


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("agent_options = {gian = 1}", "has no option 'gian'; did you mean 'gain'?"),
        ("energy = {repeat_until = '1 s'}", "energy.repeat_until*phase 'train' runs once"),
        ("episodes = 0", "episodes*"),
    ],
)
def test_wrong_keys_are_named(project, write, line, message):
    write(TRAIN + f"    {line}")
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines([f"*{message}*"])
    assert result.ret != 0


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ("learners:nowhere", "'learners' has no 'nowhere'"),
        ("learners:LOG", "'learners' has no 'LOG'"),
        ("learners", "cannot be trained: expected 'module:function', 'sb3:PPO' or the folder of"),
        ("learners:returns_an_object", "returns the path of its model, or nothing; this one ret"),
        ("learners:names_no_file", "named nowhere.zip, but there is no such file in its folder"),
        (
            'sb3:PPPO"\nagent_options = {total_timesteps = 1}\n#',
            "unknown algorithm; did you mean 'PPO'?",
        ),
    ],
)
def test_wrong_trainers_are_named(project, write, agent, message):
    write(TRAIN.replace("learners:train", agent))
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines([f"*{message}*"])
    assert result.ret == 1


def test_keys_of_learning_need_their_phase(project, write):
    write("""
        [[scenario]]
        name = "a"
        task = "CartPole-v1"
        dataset = "cartpole/expert-v0"
        options = {curves = {return = "x"}}

        [[scenario]]
        name = "b"
        task = "CartPole-v1"
        phase = "train"
    """)
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines_random(
        [
            "*key 'dataset': means nothing in phase 'inference'*",
            "*key 'options.curves': needs phase = 'train'*",
            "*key 'agent': phase 'train' needs an agent that can be trained*",
        ]
    )


def test_the_same_name_in_several_files(project, write, records):
    other = TRAIN.replace("seeds = 3", "agent_options = {gain = 2.0}")
    write(TRAIN + EVALUATE.replace("seeds = 5", "seeds = 1"), "one")
    write(other + EVALUATE.replace("seeds = 5", "seeds = 1"), "two")
    write(EVALUATE.replace("run:learn", "run:scenarios/two.toml::learn"), "by_id")
    project.runpytest("--a2perf").assert_outcomes(passed=14)
    found = {record.nodeid: record.context.get("trained_by") for record in records()}
    assert found["scenarios/one.toml::evaluate[0]"] == "scenarios/one.toml::learn"
    assert found["scenarios/two.toml::evaluate[0]"] == "scenarios/two.toml::learn"
    assert found["scenarios/by_id.toml::evaluate[4]"] == "scenarios/two.toml::learn"
    write(EVALUATE, "third")
    result = project.runpytest("--a2perf")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*several scenarios are called 'learn': scenarios/one.toml::l*"])


def test_an_agent_without_a_loader_says_what_it_lacks(project, write):
    project.makepyfile(
        bare="def train(training):\n    (training.folder / 'x.npz').touch()\n    return 'x.npz'"
    )
    write(TRAIN.replace("learners", "bare") + EVALUATE)
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines(
        ["*nothing here loads 'x.npz': give the module of 'bare:train' a function load_policy(*"]
    )


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_what_it_trained(project, write, records):
    slow = EVALUATE.replace("run:learn", "slow:Slow")
    project.makepyfile(
        slow="import time\nclass Slow:\n    def act(self, observation):\n        time.sleep(60)\n"
    )
    write(TRAIN + slow)
    command = [sys.executable, "-m", "pytest", "--a2perf", "-p", "no:cacheprovider"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    process = subprocess.Popen(command, cwd=project.path, env=environment)
    path = project.path / ".a2perf" / "runs"
    end = time.monotonic() + 180
    while len([*path.glob("*/records.jsonl")]) == 0 or len(records()) < 3:
        assert time.monotonic() < end
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    write(TRAIN + EVALUATE)
    result = project.runpytest("--a2perf", "--a2perf-resume=last")
    result.assert_outcomes(passed=6, deselected=3)
    assert [record.context["trained_seed"] for record in by_scenario(records, "evaluate")] == [
        0, 1, 2, 0, 1,
    ]  # fmt: skip
