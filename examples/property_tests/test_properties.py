"""Properties that hold for any observation and any records, not only for those that come up."""

import gymnasium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy import policy, worst_seed

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.strategies import actions, episodes, observations, record_lists

ENV = gymnasium.make("CartPole-v1")


@given(observations(ENV))
def test_it_always_decides(observation):
    assert ENV.action_space.contains(policy(observation))


@given(observations(ENV))
def test_it_is_fair_to_both_sides(observation):
    if observation.any():  # in the very middle it has to choose one
        assert policy(observation) != policy(-observation)


@given(st.integers(0, 2**31), st.lists(actions(ENV), max_size=30))
def test_the_world_stays_in_its_space(seed, plan):
    observation, _ = ENV.reset(seed=seed)
    over = False
    while plan and not over:
        assert ENV.observation_space.contains(observation)
        observation, _, terminated, truncated, _ = ENV.step(plan.pop())
        over = terminated or truncated


fewer = settings(max_examples=30)  # a record holds much: 100, the default, take seconds
returns = st.lists(episodes(total=st.floats(-500, 500)), max_size=4)


@fewer
@given(record_lists(episodes=returns))
def test_the_metric_has_a_value_or_says_why_not(records):
    try:
        estimate = worst_seed(records)
    except UnsupportedSampleError:
        return
    totals = [episode.total for record in records for episode in record.episodes]
    assert min(totals) <= estimate.value + 1e-9
    assert estimate.value <= max(totals) + 1e-9
    assert 0 < estimate.n <= len(records)


@fewer
@given(record_lists(outcome=st.just("infra")))
def test_trials_that_infrastructure_broke_do_not_count(records):
    with pytest.raises(UnsupportedSampleError):
        worst_seed(records)
