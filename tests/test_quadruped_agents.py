"""Agents that walk, and scenarios with them."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from pytest_a2perf.domains.quadruped.agents import FeedbackAgent, IdleAgent, OpenLoopAgent
from pytest_a2perf.domains.quadruped.environment import QuadrupedEnv
from pytest_a2perf.errors import AgentError

pytest.importorskip("mujoco", reason="the quadruped needs MuJoCo")


@pytest.fixture(autouse=True, scope="module")
def compiled():
    """Have MuJoCo and SciPy imported: pytester would forget that, and it works only once."""
    import scipy.special  # noqa: F401

    QuadrupedEnv()


def play(env, agent, seed, steps=150):
    """Return how the first steps of an episode went: return, way of the robot, whether it fell."""
    if hasattr(agent, "reset"):
        agent.reset(seed)
    observation, _ = env.reset(seed=seed)
    total, way = 0.0, 0.0
    for _ in range(steps):
        before = env.data.qpos[:2].copy()
        observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
        way += float(np.linalg.norm(env.data.qpos[:2] - before))
        total += reward
        if terminated or truncated:
            return total, way, terminated
    return total, way, False


@pytest.mark.parametrize("make", [OpenLoopAgent, FeedbackAgent])
@pytest.mark.parametrize("clip", ["pace", "trot", "spin"])
def test_they_walk_and_standing_still_does_not_do(clip, make):
    env = QuadrupedEnv(clip)
    idle = play(env, IdleAgent(env), 2)[0]
    total, way, fell = play(env, make(env), 2)
    assert not fell
    assert total > 120 > 2.5 * idle
    if clip != "spin":
        assert way > 2.0  # in 5 s


@pytest.mark.slow
def test_feedback_walks_for_a_whole_episode_and_keeps_its_course():
    env = QuadrupedEnv("trot")
    plain, steered = (play(env, make(env), 1, 600) for make in (OpenLoopAgent, FeedbackAgent))
    assert steered[1] > 12.0
    assert not steered[2]
    assert steered[0] > plain[0] > 450


def test_they_repeat_themselves():
    env = QuadrupedEnv("trot")
    agent = FeedbackAgent(env)
    first = play(env, agent, 7)
    assert first == play(env, agent, 7) == play(env, FeedbackAgent(env), 7)


def test_other_environments_are_refused():
    for make in (IdleAgent, OpenLoopAgent, FeedbackAgent):
        with pytest.raises(AgentError, match="this agent walks on four legs"):
            make(gymnasium.make("CartPole-v1"))


SCENARIO = """
[[scenario]]
name = "trot"
domain = "quadruped"
task = "a2perf/QuadrupedLocomotion-DogTrot-v0"
agent = "{agent}"
seeds = 2
options = {{ {options} }}
[scenario.gates]
"return.mean" = ">= {least}"
"""


def test_a_scenario_reports_the_terms_and_is_marked(project, write):
    write(SCENARIO.format(agent="quadruped-feedback", options="max_steps = 60", least=50))
    result = project.runpytest("--a2perf", "-m", "quadruped")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*reported.end_effector.mean*", "*reported.root_pose.mean*"])


def test_a_scenario_whose_robot_stands_still_fails(project, write):
    write(SCENARIO.format(agent="quadruped-idle", options="max_steps = 60", least=50))
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*FAIL*return.mean >= 50*"])


def test_a_scenario_in_vector_mode(project, write):
    options = 'num_envs = 2, vectorization = "vector_entry_point", max_steps = 60'
    write(SCENARIO.format(agent="quadruped-open-loop", options=options, least=45))
    result = project.runpytest("--a2perf")
    assert result.ret == 0, result.stdout.str()


def test_a_scenario_with_an_unknown_clip_says_so(project, write):
    text = SCENARIO.format(agent="quadruped-idle", options='env = { clip = "none.txt" }', least=1)
    write(text.replace("DogTrot-v0", "v0"))
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*there is no clip 'none.txt'*"])


def test_a_scenario_with_a_trained_policy(project, write):
    text = SCENARIO.format(agent="quadruped-trained", options="max_steps = 60", least=50)
    write(text.replace("seeds = 2", 'seeds = 2\nagent_options = { policy = "trot" }'))
    result = project.runpytest("--a2perf")
    assert result.ret == 0, result.stdout.str()


def test_a_scenario_with_an_unknown_policy_suggests_one(project, write):
    text = SCENARIO.format(agent="quadruped-trained", options="max_steps = 60", least=50)
    write(text.replace("seeds = 2", 'seeds = 2\nagent_options = { policy = "trott" }'))
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*there is no policy 'trott'*did you mean 'trot'*"])
