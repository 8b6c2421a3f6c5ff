"""Folders in A2Perf's layout: their signatures, their process, and how it ends."""

from __future__ import annotations

import json
import os
import random
import sys
import textwrap
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.agents.registry import make_agent
from pytest_a2perf.agents.submission import Submission, is_submission
from pytest_a2perf.agents.submission.process import ParticipantError
from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.trials.outcome import describe

BALANCE = """
    def load_policy(env, **kwargs):
        return lambda observation: int(observation[2] + 0.5 * observation[3] > 0)

    def preprocess_observation(observation, time_step_spec=None):
        return observation

    def infer_once(policy, preprocessed_observation):
        return policy(preprocessed_observation)
"""


@pytest.fixture
def submission(tmp_path):
    """Write a submission's files; ``submission(train=..., name="sub", helper=...)``."""

    def write(name="sub", **files):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for file, text in files.items():
            (folder / f"{file}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def train(submission, tmp_path):
    """Write a ``train.py``, run it, and return its ROOT_DIR."""

    def train(text, options=None, **given):
        artefact = tmp_path / "artefact"
        artefact.mkdir(exist_ok=True)
        where = {"seed": 7, "task": "T-v0", "env_settings": {}, "artefact": artefact, **given}
        Submission(submission(train=text)).train(options=options or {}, **where)
        return artefact

    return train


@pytest.fixture
def policy(submission):
    """Write an ``inference.py`` and load its policy, which is closed after the test."""
    made = []

    def policy(text=BALANCE, **given):
        given = {"env": None, "options": {}, "root_dir": None, "seed": 3, **given}
        agent = Submission(submission(inference=text)).policy(**given)
        made.append(agent)
        return agent

    yield policy
    for agent in made:
        agent.close()


# -- signatures -----------------------------------------------------------------------------------

LOADS = ["load_model(env)", "load_policy(env, **kwargs)", "load_policy(env)", "load_policy()",
         "load_policy(*, environment)", "load_policy(env, weights=None)", "load_policy(*args)",
         "load_model(my_env)"]  # fmt: skip
PREPROCESS = ["(observation)", "(obs)", "(observation, time_step_spec)", "(obs, *, time_step_spec)",
              "(o, time_step_spec=None)", "(observation, **kwargs)", "(o, spec)"]  # fmt: skip
INFER = {
    "(policy, preprocessed_observation)": "policy, preprocessed_observation",
    "(preprocessed_observation, policy)": "policy, preprocessed_observation",
    "(model, observation)": "model, observation", "(*, model, obs)": "model, obs",
    "(net, x)": "net, x", "(policy, x)": "policy, x", "(a, b, /)": "a, b", "(*args)": "*args,",
    "(**kwargs)": "kwargs['policy'], kwargs['preprocessed_observation']",
    "(policy, observation, verbose=False)": "policy, observation",
}  # fmt: skip


@pytest.mark.parametrize("load", LOADS)
def test_how_a_policy_is_loaded(policy, load):
    env = gymnasium.make("CartPole-v1", max_episode_steps=9)
    agent = policy(
        f"def {load}: return list(locals().values())\n"
        "def preprocess_observation(observation): return observation\n"
        "def infer_once(policy, observation): return [str(one) for one in policy]\n",
        env=env,
    )
    got = agent.act(0)
    assert any("CartPole-v1" in one for one in got) == ("env" in load or "args" in load)


@pytest.mark.parametrize("parameters", PREPROCESS)
def test_how_an_observation_is_preprocessed(policy, parameters):
    agent = policy(
        "def load_policy(): pass\n"
        f"def preprocess_observation{parameters}: return str(locals())\n"
        "def infer_once(policy, observation): return observation\n",
        env=gymnasium.make("CartPole-v1"),
    )
    got = agent.act("SEEN")
    assert got.count("SEEN") == 1
    # The space of the observations stands for the specification of a time step.
    assert ("Box" in got) == ("spec" in parameters or "kwargs" in parameters)


@pytest.mark.parametrize("parameters", INFER)
def test_how_an_action_is_inferred(policy, parameters):
    agent = policy(
        "def load_policy(): return 'POLICY'\n"
        "def preprocess_observation(observation): return 'SEEN'\n"
        f"def infer_once{parameters}: return {INFER[parameters]}\n"
    )
    assert agent.act(None) == ("POLICY", "SEEN")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def load_agent(env): pass", "inference.py has no function load_policy() or load_model()"),
        ("def load_policy(): pass", "inference.py has no function preprocess_observation()"),
        ("load_policy = preprocess_observation = print", "inference.py has no function infer_once()"),
        (BALANCE.replace("(policy, pre", "(pre"), "infer_once(preprocessed_observation) takes no policy; A2Perf calls infer_once(policy, preprocessed_observation)"),
        (BALANCE.replace("(policy, pre", "(policy, other, pre"), "infer_once() needs 'other'"),
        (BALANCE.replace("**kwargs", "weights"), "load_policy() needs 'weights': set agent_options.weights"),
        (BALANCE.replace("**kwargs", "weight=1"), "load_policy() has no option 'weights'; did you mean 'weight'?"),
        ("import no_such_module", "importing inference.py raised ModuleNotFoundError: No module named 'no_such_module'"),
        ("def load_policy(:", "importing inference.py raised SyntaxError"),
        (BALANCE.replace("return lambda", "return 1 / 0; lambda"), "load_policy() raised ZeroDivisionError"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_policy_is_said(policy, text, message):
    options = {"weights": "x"} if "no option" in message else {}
    with pytest.raises(AgentError) as raised:
        policy(text, options=options)
    assert message in str(raised.value)
    assert str(raised.value).startswith("submission 'sub': ")


def test_options_of_the_training_need_not_be_taken(policy):
    text = """
        def load_policy(size): return size
        def preprocess_observation(observation): return observation
        def infer_once(policy, observation): return policy
    """
    assert policy(text, spare={"size": 4, "steps": 9}).act(None) == "4"
    assert policy(text, spare={"size": 4}, options={"size": 5}).act(None) == "5"


# -- training -------------------------------------------------------------------------------------


def test_a_training_gets_strings_and_a2perfs_variables(train, monkeypatch):
    root = train(
        """
        import json, os, sys
        def train(**kwargs):
            names = ("ROOT_DIR", "SEED", "NUM_WEBSITES", "A2PERF_TASK", "A2PERF_ENV",
                     "A2PERF_DATASET", "CODECARBON_TRACKING_MODE")
            told = {name: os.environ[name] for name in names}
            with open(os.path.join(os.environ["ROOT_DIR"], "told.json"), "w") as file:
                json.dump([kwargs, told, os.getcwd(), sys.path[0]], file)
        """,
        {"steps": 1000, "rate": "1e-3"},
        env_settings={"num_websites": 5},
        dataset=Path.cwd(),
    )
    given, told, cwd, first = json.loads((root / "told.json").read_text())
    assert given == {"steps": "1000", "rate": "1e-3"}
    assert told == {
        "ROOT_DIR": str(root), "SEED": "7", "NUM_WEBSITES": "5", "A2PERF_TASK": "T-v0",
        "A2PERF_ENV": '{"num_websites": 5}', "A2PERF_DATASET": str(Path.cwd()),
        "CODECARBON_TRACKING_MODE": "process",
    }  # fmt: skip
    assert cwd == first == str(root.parent / "sub")


def test_a_training_gets_types_if_it_is_asked_for(train):
    text = "def train(steps): assert steps == 1000, type(steps)"
    train(text, {"steps": 1000, "typed_args": True})
    with pytest.raises(AgentError, match="AssertionError: <class 'str'>"):
        train(text, {"steps": 1000})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no reward')", "train() raised ValueError: no reward"),
        ("raise KeyboardInterrupt", "train() raised KeyboardInterrupt"),
        ("sys.exit(3)", "train() called sys.exit(3)"),
        ("sys.exit('no data')", "train() called sys.exit('no data')"),
        ("os._exit(3)", "train ended its process with status 3"),
        ("os._exit(0)", "train ended its process with status 0"),
        ("os.kill(os.getpid(), 11)", "train was killed by SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "train was killed by SIGKILL, perhaps by the kernel for want"),
        ("subprocess.Popen(['sleep', '600']); os._exit(4)", "with status 4"),
        ("os.fork() and os._exit(5) or time.sleep(600)", "with status 5"),
        ("os.setsid(); time.sleep(0.1); sys.exit(7)", "train() called sys.exit(7)"),
        ("atexit.register(os._exit, 6)", "all was done, then the process ended its process"),
    ],
)
def test_a_training_that_ends_badly_is_an_error(train, body, message):
    with pytest.raises(AgentError) as raised:
        train(f"import atexit, os, subprocess, sys, time\ndef train():\n    {body}\n")
    assert message in str(raised.value)
    if " raised " in message:
        shown = describe(raised.value)
        assert f'train.py", line 3, in train\n    {body}' in shown
        assert "child.py" not in shown


def test_a_training_that_exits_in_peace_was_one(train):
    text = "import atexit, sys\ndef train(): atexit.register(open, 'late', 'w'); sys.exit()"
    assert (train(text).parent / "sub" / "late").exists()


def test_a_training_without_train_is_an_error(train, submission, tmp_path):
    with pytest.raises(AgentError, match=r"has no function train\(\); did you mean 'trian'"):
        train("def trian(): pass")
    other = Submission(submission("other", inference=BALANCE))
    with pytest.raises(AgentError, match=r"no train.py, which has train\(\)"):
        other.train(artefact=tmp_path, seed=0, options={}, task="T", env_settings={})


def test_a_training_may_start_processes_with_functions_of_its_own(train):
    root = train(
        """
        import multiprocessing, os
        from pathlib import Path
        def work(number):
            return number + 1
        def train():
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                Path(os.environ["ROOT_DIR"], "sum").write_text(str(sum(pool.map(work, [1, 2]))))
        """
    )
    assert (root / "sum").read_text() == "5"


def test_what_a_submission_prints_is_the_trials(train, capfd):
    train("import sys\ndef train():\n    print('out')\n    print('err', file=sys.stderr)")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("out\n", "err\n")


# -- the folder -----------------------------------------------------------------------------------


def test_what_is_no_submission_is_said(tmp_path, submission):
    (tmp_path / "empty").mkdir()
    submission("good", inference=BALANCE)
    assert not is_submission(tmp_path / "empty")
    with pytest.raises(AgentError, match=r"has neither of A2Perf's files: train.py, which has"):
        Submission(tmp_path / "empty")
    with pytest.raises(AgentError, match=r"there is no folder .*goood; did you mean 'good'"):
        Submission(tmp_path / "goood")
    context = AgentContext(None, 0, tmp_path)
    with pytest.raises(AgentError, match="there is no folder"):
        make_agent("folder/goood/", context)
    with pytest.raises(AgentError, match=r"unknown agent 'goood'.*or the folder of a submission"):
        make_agent("goood", context)


HELPED = """
    {line}
    def load_policy(): return helper.NAME
    def preprocess_observation(observation): return observation
    def infer_once(policy, observation): return policy
"""


@pytest.mark.parametrize("line", ["import helper", "from . import helper"])
@pytest.mark.parametrize("package", [True, False])
def test_two_submissions_do_not_see_each_others_modules(submission, tmp_path, line, package):
    before = os.getcwd(), list(sys.path), dict(os.environ), random.getstate(), set(sys.modules)
    agents = []
    for name in ("one", "two-2"):
        files = {"inference": HELPED.format(line=line), "helper": f"NAME = {name!r}"}
        submission(name, **files, **({"__init__": ""} if package else {}))
        agents.append(make_agent(f"{name}/", AgentContext(None, 0, tmp_path)))
    assert [agent.act(None) for agent in agents] == ["one", "two-2"]
    for agent in agents:
        agent.close()
    assert (os.getcwd(), list(sys.path), dict(os.environ), random.getstate()) == before[:4]
    assert not {"inference", "train", "helper"} & (set(sys.modules) - before[4])


@pytest.mark.parametrize("name", ["email", "random"])
def test_a_folder_named_like_another_package_is_said(submission, name):
    files = {"inference": HELPED.format(line="from . import helper"), "helper": "NAME = 1"}
    folder = submission(name, **files)
    with pytest.raises(AgentError, match=r"relative imports, but .* is also the name of"):
        Submission(folder).policy(env=None, options={}, root_dir=None, seed=0)


# -- the environment in the submission's process --------------------------------------------------

TELL = """
    def load_policy(env): return env
    def preprocess_observation(observation): return observation
    def infer_once(policy, observation): return {expression}
"""


def test_the_environment_is_made_again_and_of_a_vector_one_of_them(policy):
    told = "policy.spec.max_episode_steps, policy.unwrapped.g, policy.observation_space.shape"
    settings = {"g": 1.5, "max_episode_steps": 12}
    alone = gymnasium.make("Pendulum-v1", **settings)
    many = gymnasium.make_vec("Pendulum-v1", 3, vectorization_mode="sync", **settings)
    for env in (alone, many):
        assert policy(TELL.format(expression=told), env=env).act(None) == (12, 1.5, (3,))


def test_an_environment_without_a_name_has_a_stand_in(policy):
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.spec = None
    text = TELL.format(expression="policy.observation_space.shape, policy.action_space.shape")
    assert policy(text, env=env).act(None) == ((3,), (1,))


def test_an_environment_that_is_not_there_is_nobodys_fault(policy):
    env = gymnasium.make("Pendulum-v1")
    env.unwrapped.spec.entry_point = "no_such_module:Env"
    with pytest.raises(InfraError, match="cannot be made again in the submission's process"):
        policy(TELL.format(expression="0"), env=env)


ARRAYS = [
    "numpy.array([0.5])",
    "numpy.array([[0.5]])",
    "Step(numpy.array([[0.5]]), ())",
    "Tensor()",
]


@pytest.mark.parametrize("expression", ARRAYS)
def test_actions_are_numpys_and_alone(policy, expression):
    text = TELL.format(expression=expression) + textwrap.indent(
        "import collections, numpy\n"
        "Step = collections.namedtuple('Step', 'action state')\n"
        "class Tensor:\n"
        "    def detach(self): return self\n"
        "    def numpy(self): return numpy.array([0.5])\n", "    "
    )  # fmt: skip
    agent = policy(text, env=gymnasium.make("Pendulum-v1"))
    assert np.array_equal(agent.act(None), [0.5])


def test_the_policy_lies_where_it_was_trained_or_in_the_folder(policy, tmp_path):
    text = TELL.format(expression="__import__('os').environ['ROOT_DIR']")
    assert policy(text).act(None) == str(tmp_path / "sub")
    assert policy(text, root_dir=tmp_path).act(None) == str(tmp_path)


def test_what_is_drawn_follows_from_the_seed(policy):
    text = "import random, numpy\n" + textwrap.dedent(
        TELL.format(expression="(random.random(), numpy.random.random())")
    )
    agent = policy(text)
    fresh = agent.act(None)
    agent.reset(5)
    first = [agent.act(None) for _ in range(3)]
    agent.reset(5)
    assert [agent.act(None) for _ in range(3)] == first
    assert policy(text).act(None) == fresh


def test_an_agent_that_raised_can_be_asked_again(policy):
    answers = "1 / observation if observation < 8 else Own() if observation < 9 else (lambda: 0)"
    agent = policy(TELL.format(expression=answers) + "    class Own: pass\n")
    with pytest.raises(ParticipantError, match=r"infer_once\(\) raised ZeroDivisionError"):
        agent.act(0)
    with pytest.raises(ParticipantError, match=r"infer_once\(\) raised .*[Pp]ickl"):
        agent.act(9)
    with pytest.raises(ParticipantError, match="returned what only the submission can read"):
        agent.act(8)
    assert agent.act(2) == 0.5


def test_an_agent_whose_process_died_says_so(policy):
    agent = policy(TELL.format(expression="__import__('os').abort()"))
    with pytest.raises(ParticipantError, match="infer_once was killed by SIGABRT"):
        agent.act(None)
