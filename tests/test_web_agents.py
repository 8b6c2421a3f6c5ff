"""Agents that navigate web sites, and how difficult the levels are for a random one."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import binomtest, fisher_exact
from web_worlds import SHOP, WHOLE, any_design, play

from pytest_a2perf.domains.web.agents import OracleAgent, RandomElementAgent
from pytest_a2perf.domains.web.environment import WebNavigationEnv
from pytest_a2perf.errors import AgentError

EPISODES = 800
DOCUMENTED = {1: 0.5, 2: 0.25, 3: 0.1}


@pytest.mark.parametrize("mode", ["flat", "conceptual"])
@pytest.mark.parametrize("level", DOCUMENTED)
def test_the_oracle_solves_every_site_of_every_level(level, mode):
    env = WebNavigationEnv(difficulty=level, num_websites=60, action_mode=mode)
    agent = OracleAgent(env)
    for website in range(60):
        rewards, info, truncated = play(env, agent, seed=website, website=website)
        assert info["is_success"]
        assert not truncated
        fields, pages = env.site.fields, len(env.site.pages)
        assert len(rewards) == fields + pages  # no step is wasted
        assert sum(rewards) == pytest.approx(2 - 0.05 * len(rewards))


@settings(deadline=None, max_examples=40)
@given(any_design())
def test_the_oracle_solves_any_site(design):
    env = WebNavigationEnv([design, WHOLE], step_limit=200)
    for website in range(2):
        assert play(env, OracleAgent(env), seed=1, website=website)[1]["is_success"]


@pytest.mark.slow
def test_the_levels_keep_what_a2perf_documents():
    """Of random agents in conceptual mode; each claim is wrong with a probability of 1 in 10,000."""
    solved = {}
    for level in DOCUMENTED:
        env = WebNavigationEnv(difficulty=level, action_mode="conceptual")
        agent = RandomElementAgent(env)
        solved[level] = sum(play(env, agent, seed)[1]["is_success"] for seed in range(EPISODES))
    for level, least in DOCUMENTED.items():
        low = binomtest(solved[level], EPISODES).proportion_ci(0.9998, method="exact").low
        assert low >= least, f"level {level}: {solved[level]} of {EPISODES}"
    for easier, harder in ((1, 2), (2, 3)):
        table = [[solved[n], EPISODES - solved[n]] for n in (easier, harder)]
        assert fisher_exact(table, alternative="greater").pvalue < 1e-4, solved


@pytest.mark.parametrize("mode", ["flat", "conceptual"])
def test_the_random_agent_acts_on_what_is_there(mode):
    env = WebNavigationEnv([SHOP], action_mode=mode)
    agent = RandomElementAgent(env)
    agent.reset(1)
    seen, _ = env.reset(seed=1)
    drawn = [agent.act(seen) for _ in range(2000)]
    size = len(env.site.pages[0].elements)
    assert {action % 250 for action in drawn} == set(range(size))
    rows = {action // 250 for action in drawn}
    assert rows == (set(range(24)) if mode == "flat" else {0})
    assert np.bincount(np.array(drawn) % 250).min() > 2000 / size / 2


def test_they_repeat_themselves():
    env = WebNavigationEnv(difficulty=3, num_websites=10, action_mode="conceptual")
    for agent in (RandomElementAgent(env), OracleAgent(env)):
        first = [play(env, agent, seed) for seed in range(5)]
        assert [play(env, agent, seed) for seed in (4, 3, 2, 1, 0)] == first[::-1]


def test_other_environments_are_refused():
    for make in (RandomElementAgent, OracleAgent):
        with pytest.raises(AgentError, match="this agent navigates web sites; it cannot act in"):
            make(gymnasium.make("CartPole-v1"))
