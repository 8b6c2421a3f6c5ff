"""From what a scenario names to an agent; and what the user reads when that fails."""

from __future__ import annotations

import itertools
import sys
import textwrap

import gymnasium
import numpy as np
import pytest

from pytest_a2perf.agents import registry
from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.agents.builtin import BUILTIN
from pytest_a2perf.agents.registry import agent_names, make_agent, make_agents, register_agent
from pytest_a2perf.agents.traceback import user_traceback
from pytest_a2perf.domains.gym.rollout import episode_seeds, roll_out
from pytest_a2perf.errors import AgentError, InfraError

OBSERVATION = np.array([0.0, 0.0, 0.1, 0.0])
_numbers = itertools.count()


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    return AgentContext(gymnasium.make("CartPole-v1"), 7, tmp_path)


@pytest.fixture
def module(context):
    """Write a module of the user's project and return its name."""

    def module(text):
        name = f"users_module_{next(_numbers)}"
        (context.root / f"{name}.py").write_text(textwrap.dedent(text))
        return name

    return module


def with_options(context, **options):
    return AgentContext(context.env, context.seed, context.root, options)


KINDS = """
    class Acts:
        def act(self, observation):
            return 1

    class Predicts:
        def predict(self, observation, deterministic=False):
            return int(deterministic), None

    class Recalls:
        def predict(self, observation, state=None, episode_start=None):
            state = (state or 0) + 1
            return state, state

    class Calls:
        def __call__(self, observation):
            return 1

    def function(observation):
        return 1

    class Nested:
        class Inner(Acts):
            pass

    acts, calls = Acts(), Calls()
    lam = lambda observation: 1
"""


@pytest.mark.parametrize(
    "attribute",
    ["Acts", "Predicts", "Recalls", "Calls", "function", "Nested.Inner", "acts", "calls", "lam"],
)
def test_every_kind_of_agent_acts(module, context, attribute):
    agent = make_agent(f"{module(KINDS)}:{attribute}", context)
    agent.reset(0)
    assert agent.act(OBSERVATION) == 1
    assert agent.batched is False


def test_a_recurrent_model_keeps_its_state_within_an_episode(module, context):
    agent = make_agent(f"{module(KINDS)}:Recalls", context)
    assert [agent.act(OBSERVATION) for _ in range(3)] == [1, 2, 3]
    agent.reset(1)
    assert agent.act(OBSERVATION) == 1


def test_objects_and_classes_can_be_given_themselves(context):
    class Half:
        def __init__(self, gain=1):
            self.gain = gain

        def act(self, observation):
            return self.gain

    assert make_agent(Half(3), context).act(None) == 3
    assert make_agent(Half, with_options(context, gain=4)).act(None) == 4
    assert make_agent(lambda _: 5, context).act(None) == 5


def test_a_class_gets_options_and_what_it_names(module, context):
    name = module("""
        class Agent:
            def __init__(self, gain, env, seed=None):
                self.got = gain, env, seed
            def load(self, env):
                self.loaded = env
            def reset(self, seed):
                self.began = seed
            def act(self, observation):
                return self.got, self.loaded, self.began
    """)
    agent = make_agent(f"{name}:Agent", with_options(context, gain=0.5))
    agent.reset(11)
    assert agent.act(None) == ((0.5, context.env, 7), context.env, 11)


def test_each_sub_environment_has_an_agent_of_its_own_only_if_there_is_state(module, context):
    name = module("""
        class Stateful:
            def reset(self, seed):
                self.seed = seed
            def act(self, observation):
                return self.seed
        stateful = Stateful()
        class Batched(Stateful):
            batched = True
        def free(observation):
            return 0
    """)
    for attribute in ("Stateful", "stateful"):
        agents = make_agents(f"{name}:{attribute}", context, 3)
        for seed, agent in enumerate(agents):
            agent.reset(seed)
        assert [agent.act(None) for agent in agents] == [0, 1, 2]
    assert len(make_agents(f"{name}:Batched", context, 3)) == 1
    assert len(make_agents(f"{name}:free", context, 3)) == 1


# -- names -------------------------------------------------------------------------------------


def test_registered_names_and_prefixes(monkeypatch, context):
    monkeypatch.setattr(registry, "_registered", {})
    register_agent("echo", lambda text, context: lambda observation: (text, context.seed))
    assert make_agent("echo", context).act(None) == ("", 7)
    assert make_agent("echo:http://localhost:8000/v1", context).act(None)[0] == (
        "http://localhost:8000/v1"
    )
    assert {"echo", "random"} <= set(agent_names())


def test_an_installed_package_registers_by_entry_point(monkeypatch, tmp_path, context):
    monkeypatch.setattr(registry, "_registered", {})
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[pytest_a2perf.agents]\nthird = third_party_agents:make\nlost = no_such_module:make\n"
    )
    (tmp_path / "third_party_agents.py").write_text(
        "def make(text, context):\n    return lambda observation: (text, context.seed)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "third" in agent_names()
    assert make_agent("third:way", context).act(None) == ("way", 7)
    with pytest.raises(AgentError, match="'lost' could not be made: ModuleNotFoundError"):
        make_agent("lost", context)


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("randm", r"unknown agent 'randm'; did you mean 'random'\? \(an agent is one of"),
        ("policies:", "expected an attribute after ':'"),
        ("model.onnx", "there is no file .*model.onnx"),
        ("models/ppo.zip", "there is no file .*ppo.zip"),
        ("random:x", "a shipped agent takes nothing after its name, got 'x'"),
    ],
)
def test_unknown_agents(context, spec, message):
    with pytest.raises(AgentError, match=message):
        make_agent(spec, context)


def test_the_nearest_file_module_or_attribute_is_offered(module, context):
    (context.root / "mymodel.onnx").touch()
    with pytest.raises(AgentError, match=r"did you mean 'mymodel.onnx'"):
        make_agent("mymodl.onnx", context)
    name = module(KINDS)
    with pytest.raises(AgentError, match=rf"no module '{name}x'; did you mean '{name}'"):
        make_agent(f"{name}x:Acts", context)
    with pytest.raises(AgentError, match=rf"'{name}' has no 'Act'; did you mean 'Acts'"):
        make_agent(f"{name}:Act", context)
    with pytest.raises(AgentError, match=rf"'{name}.Nested' has no 'Iner'; did you mean 'Inner'"):
        make_agent(f"{name}:Nested.Iner", context)


def test_options_that_nobody_takes(module, context):
    name = module("""
        class Agent:
            def __init__(self, gain=1):
                pass
            def act(self, observation):
                return 0
        def function(observation):
            return 0
    """)
    options = with_options(context, gian=2)
    with pytest.raises(AgentError, match="has no option 'gian'; did you mean 'gain'"):
        make_agent(f"{name}:Agent", options)
    with pytest.raises(AgentError, match="not a class, so it takes no agent_options"):
        make_agent(f"{name}:function", options)
    with pytest.raises(AgentError, match="no option 'gian'"):
        make_agent("random", options)


def test_an_object_that_cannot_act(module, context):
    name = module("""
        class Agent:
            def choose(self, observation):
                return 0
        number = 3
    """)
    with pytest.raises(AgentError, match=r"type 'Agent': expected .*act\(observation\).*choose"):
        make_agent(f"{name}:Agent", context)
    with pytest.raises(AgentError, match=r"type 'int'"):
        make_agent(f"{name}:number", context)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("def f():\n    raise OSError('no weights')\nf()\n", "in f"),
        ("import no_such_package\n", "import no_such_package"),
        ("class Agent:\n    def __init__(self):\n        raise OSError('x')\n", "in __init__"),
        ("class Agent:\n    def load(self, env):\n        {}['key']\n    act = load\n", "in load"),
    ],
)
def test_errors_in_the_users_code_show_only_the_users_frames(module, context, text, frame):
    name = module(text)
    with pytest.raises(AgentError) as caught:
        make_agent(f"{name}:Agent", context)
    shown = user_traceback(caught.value.__cause__)
    assert frame in shown
    assert f"{name}.py" in shown
    assert shown.count("  File ") <= 2
    assert "pytest_a2perf" not in shown
    assert "importlib" not in shown


def test_a_syntax_error_shows_the_line(module, context):
    name = module("def act(:\n    pass\n")
    with pytest.raises(AgentError, match="SyntaxError") as caught:
        make_agent(f"{name}:act", context)
    shown = user_traceback(caught.value.__cause__)
    assert "def act(:" in shown
    assert "importlib" not in shown


def test_causes_keep_the_users_frames_and_a_user_folder_called_pytest_is_the_users(tmp_path):
    folder = tmp_path / "pytest" / "gymnasium"
    folder.mkdir(parents=True)
    path = folder / "mine.py"
    path.write_text("def inner():\n    raise KeyError('deep')\n")
    namespace = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)

    def outer():
        try:
            namespace["inner"]()
        except KeyError as error:
            raise ValueError("wrapped") from error

    with pytest.raises(ValueError, match="wrapped") as caught:
        outer()
    shown = user_traceback(caught.value)
    assert "KeyError: 'deep'" in shown
    assert "mine.py" in shown
    assert "ValueError: wrapped" in shown


def test_frames_of_gymnasium_go_unless_they_are_all_there_is():
    env = gymnasium.make("CartPole-v1")
    with pytest.raises(gymnasium.error.ResetNeeded) as caught:
        env.step(0)
    caught.value.__traceback__ = caught.value.__traceback__.tb_next
    assert "gymnasium" in user_traceback(caught.value)
    with pytest.raises(AgentError) as raised:
        raise AgentError("only ours") from None
    raised.value.__traceback__ = None
    assert user_traceback(raised.value) == "pytest_a2perf.errors.AgentError: only ours"


# -- shipped agents ----------------------------------------------------------------------------


def score(name, task, episodes=5):
    env = gymnasium.make(task)
    agent = make_agent(name, AgentContext(env, 0, None))
    result = roll_out(env, agent, seeds=episode_seeds(0, episodes))
    return [episode.total for episode in result.episodes]


@pytest.mark.parametrize(
    ("task", "good", "bad", "limit"),
    [
        ("CartPole-v1", "cartpole-balance", "cartpole-lean", 475),
        ("MountainCar-v0", "mountaincar-energy", "mountaincar-uphill", -150),
        ("Acrobot-v1", "acrobot-energy", "acrobot-idle", -250),
        ("Pendulum-v1", "pendulum-energy", "pendulum-limp", -600),
    ],
)
def test_good_agents_solve_what_bad_ones_do_not(task, good, bad, limit):
    assert min(score(good, task)) > limit > max(score(bad, task))


def test_the_gait_walks():
    pytest.importorskip("mujoco")
    assert score("ant-gait", "Ant-v5", 1)[0] > 1200
    assert max(score("random", "Ant-v5", 2)) < 500


def test_the_random_agent_repeats_itself_for_a_seed(context):
    first, second = make_agent("random", context), make_agent("random", context)

    def actions(agent, seed):
        agent.reset(seed)
        return [agent.act(None) for _ in range(30)]

    assert actions(first, 3) == actions(second, 3) != actions(first, 4)


def test_all_shipped_agents_have_names_for_scenarios():
    assert set(BUILTIN) <= set(agent_names())


def test_a_constructor_may_blame_something_else(context):
    with pytest.raises(InfraError):
        make_agent(_Down, context)


class _Down:
    def __init__(self):
        raise InfraError("not the agent's fault")
