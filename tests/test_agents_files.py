"""Agents in model files: ONNX for real, Stable-Baselines3 where it is installed."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile

import gymnasium
import numpy as np
import pytest

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.agents.registry import make_agent, make_agents
from pytest_a2perf.domains.gym.rollout import roll_out
from pytest_a2perf.domains.gym.vector import roll_out_vector
from pytest_a2perf.errors import AgentError


@pytest.fixture
def linear(tmp_path):
    """Write an ONNX model ``observation @ weights`` and return its file name."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")

    def linear(weights, batch="batch", name="policy.onnx"):
        weights = np.asarray(weights, dtype=np.float32)
        kind = onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("MatMul", ["observation", "weights"], ["output"])],
            "policy",
            [onnx.helper.make_tensor_value_info("observation", kind, [batch, len(weights)])],
            [onnx.helper.make_tensor_value_info("output", kind, [batch, weights.shape[1]])],
            [onnx.numpy_helper.from_array(weights, "weights")],
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9
        )
        onnx.save(model, tmp_path / name)
        return name

    return linear


# The sign of the linear law that balances CartPole, as two scores.
BALANCE = np.array([[0, 0.1], [0, 0.3], [0, 3.0], [0, 1.0]])


def on(task, root, **options):
    return AgentContext(gymnasium.make(task), 0, root, options)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_scores_become_the_best_action(linear, tmp_path, batch):
    context = on("CartPole-v1", tmp_path)
    agent = make_agent(linear(BALANCE, batch), context)
    assert agent.batched == (batch == "batch")
    assert roll_out(context.env, agent, seeds=[0]).episodes[0].total == 500


@pytest.mark.parametrize("batch", ["batch", 1])
def test_a_vectorised_environment_gives_the_same(linear, tmp_path, batch):
    spec = linear(BALANCE * [[0.3], [1], [1], [0.2]], batch)
    alone = on("CartPole-v1", tmp_path)
    single = roll_out(alone.env, make_agent(spec, alone), seeds=[1, 2, 3])
    env = gymnasium.make_vec(
        "CartPole-v1",
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.DISABLED},
    )
    agents = make_agents(spec, AgentContext(env, 0, tmp_path), 2)
    many = roll_out_vector(env, agents, seeds=[1, 2, 3])
    assert many.episodes == single.episodes


def test_continuous_actions_are_clipped_to_their_bounds(linear, tmp_path):
    context = on("Pendulum-v1", tmp_path)
    agent = make_agent(linear([[100.0], [0.5], [0]]), context)
    action = agent.act(np.array([1, 0, 0], np.float32))
    assert action.shape == (1,)
    assert action.dtype == np.float32
    assert action == 2
    assert agent.act(np.array([0, 1, 0], np.float32)) == 0.5
    assert len(roll_out(context.env, agent, seeds=[0]).latency) == 200


def test_shapes_that_do_not_fit(linear, tmp_path):
    with pytest.raises(AgentError, match=r"takes observations of shape \(3,\).*gives \(4,\)"):
        make_agent(linear(np.zeros((3, 2))), on("CartPole-v1", tmp_path))
    agent = make_agent(linear(np.zeros((4, 5))), on("CartPole-v1", tmp_path))
    with pytest.raises(AgentError, match="gives 5 scores for 2 actions"):
        agent.act(np.zeros(4))
    agent = make_agent(linear(np.zeros((3, 2))), on("Pendulum-v1", tmp_path))
    with pytest.raises(AgentError, match=r"output of shape \(2,\) for an action of shape \(1,\)"):
        agent.act(np.zeros(3))


def test_a_file_that_is_no_model(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(AgentError, match="no model that onnxruntime can load"):
        make_agent("bad.onnx", on("CartPole-v1", tmp_path))
    (tmp_path / "bad.zip").write_bytes(b"not a zip")
    with pytest.raises(AgentError, match="no model of Stable-Baselines3"):
        make_agent("bad.zip", on("CartPole-v1", tmp_path))


def test_a_missing_package_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(AgentError, match=r"pip install 'pytest-a2perf\[onnx\]'"):
        make_agent("model.onnx", on("CartPole-v1", tmp_path))
    if importlib.util.find_spec("stable_baselines3") is not None:
        monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("data", json.dumps({"clip_range": 0.2, "gae_lambda": 0.9}))
    with pytest.raises(AgentError, match=r"pip install 'pytest-a2perf\[train\]'"):
        make_agent("model.zip", on("CartPole-v1", tmp_path))


def test_options_of_stable_baselines3_models(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(AgentError, match="does not tell its algorithm; set agent_options"):
        make_agent("model.zip", on("CartPole-v1", tmp_path))
    with pytest.raises(AgentError, match="unknown algorithm 'PP0'; did you mean 'PPO'"):
        make_agent("model.zip", on("CartPole-v1", tmp_path, algorithm="PP0"))
    with pytest.raises(AgentError, match="no option 'algoritm'; did you mean 'algorithm'"):
        make_agent("model.zip", on("CartPole-v1", tmp_path, algoritm="PPO"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch.*")
@pytest.mark.parametrize("algorithm", ["A2C", "DDPG", "DQN", "PPO", "SAC", "TD3"])
def test_a_saved_model_acts_as_it_did(tmp_path, algorithm):
    sb3 = pytest.importorskip("stable_baselines3")
    task = "Pendulum-v1" if algorithm in {"DDPG", "SAC", "TD3"} else "CartPole-v1"
    model = getattr(sb3, algorithm)("MlpPolicy", task, seed=0, device="cpu")
    model.save(tmp_path / "model.zip")
    context = on(task, tmp_path)
    agent = make_agent("model.zip", context)
    observation, _ = context.env.reset(seed=0)
    wanted, _ = model.predict(observation, deterministic=True)
    assert np.array_equal(agent.act(observation), wanted)
    alone = roll_out(context.env, agent, seeds=[0, 1])
    env = gymnasium.make_vec(
        task,
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.DISABLED},
    )
    many = roll_out_vector(env, [agent], seeds=[0, 1])
    assert [e.length for e in many.episodes] == [e.length for e in alone.episodes]
    other = on("Acrobot-v1", tmp_path)
    with pytest.raises(AgentError, match="trained with observation_space"):
        make_agent("model.zip", other)
